"""A Postfix null client: it queues for apps and submits to the gate with STARTTLS and SASL.

It has a configuration, a queue and a log of its own and listens on nothing, so a Postfix of the
system is not touched. Its master needs root: elsewhere these tests are skipped.
"""

from __future__ import annotations

import email
import email.policy
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import Certificates, Start
from gate import Gate, wait_until
from mail import PERMITTED, REFUSED, Mail, assert_refused, message_id, nothing_taken
from test_ses_dialogues import KEYS, Troubled, towards

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the master of Postfix needs root")

PROGRAMS = f"{os.environ['PATH']}:/usr/sbin:/sbin"

# What an operator writes for a null client of sesgate is above `alias_maps`; what is below keeps the
# instance to itself and shows the dialogue in its log.
SETTINGS = """\
compatibility_level = 3.6
myhostname = client.test
myorigin = example.com
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
relayhost = [127.0.0.1]:{port}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:{directory}/sasl_passwd
smtp_sasl_security_options = noanonymous
smtp_sasl_tls_security_options = noanonymous
smtp_tls_security_level = {tls}
smtp_tls_CAfile = {authority}
alias_maps =
alias_database =
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/maillog
maillog_file_prefixes = {directory}
debug_peer_list = 127.0.0.1
debug_peer_level = 2
"""

# Only what a null client needs: no smtpd, and nothing in a chroot.
SERVICES = """\
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""

# Old releases (before 2.9) vouch for nobody in so many words, and newer ones when told to.
VOUCHES_FOR_NOBODY = "smtp_send_dummy_mail_auth = yes\n"

# The bounces that cannot be delivered go to the operator. Postfix writes From with the name in a
# comment, `MAILER-DAEMON (Mail Delivery System)`; the gate takes a name where RFC 5322 has it.
TO_OPERATOR = """\
notify_classes = 2bounce
2bounce_notice_recipient = postmaster@example.com
bounce_template_file = {directory}/bounce.cf
"""
TEMPLATE = """\
failure_template = <<EOF
Charset: us-ascii
From: "Mail Delivery System" <MAILER-DAEMON@example.com>
Subject: Undelivered Mail Returned to Sender
Postmaster-Subject: Postmaster Copy: Undelivered Mail

This is the mail system at $myhostname.
EOF
"""


@dataclass
class Postfix:
    """An instance of Postfix with a directory of its own."""

    directory: Path

    @property
    def log(self) -> str:
        maillog = self.directory / "maillog"
        return maillog.read_text() if maillog.exists() else ""

    def run(self, *command: str, stdin: bytes = b"") -> str:
        """Runs a command of Postfix that ends by itself, for this instance."""
        done = subprocess.run(
            command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30,
            env={"PATH": PROGRAMS, "MAIL_CONFIG": str(self.directory)},
        )  # fmt: skip
        shown = done.stdout.decode()
        assert done.returncode == 0, f"{command}: {shown}\n{self.log}"
        return shown

    def start(self, port: int, tls: str, authority: Path, more: str = "") -> None:
        facts = {"directory": self.directory, "port": port, "tls": tls, "authority": authority}
        (self.directory / "main.cf").write_text((SETTINGS + more).format(**facts))
        (self.directory / "master.cf").write_text(SERVICES)
        (self.directory / "bounce.cf").write_text(TEMPLATE)
        self.login(port, "app-password")
        (self.directory / "queue").mkdir()
        self.run("postfix", "start")

    def login(self, port: int, password: str) -> None:
        secrets = self.directory / "sasl_passwd"
        secrets.touch(mode=0o600)
        secrets.write_text(f"[127.0.0.1]:{port} app:{password}\n")

    def stop(self) -> None:
        """Ends the master, by its process id, and its children with it."""
        pid_file = self.directory / "queue/pid/master.pid"
        master = int(pid_file.read_text()) if pid_file.exists() else None
        if master is None or not Path(f"/proc/{master}").exists():
            return
        os.kill(master, signal.SIGTERM)
        try:
            wait_until("Postfix to end", lambda: not Path(f"/proc/{master}").exists())
        except AssertionError:
            os.killpg(master, signal.SIGKILL)
            raise

    def submit(self, mail: Mail) -> None:
        """Hands a mail to `sendmail`, as apps and cron do."""
        content = mail.content.replace(b"\r\n", b"\n")
        self.run("sendmail", "-i", "-f", mail.sender, *mail.recipients, stdin=content)

    def outcome(self, recipient: str, count: int = 1) -> str:
        """Waits for that many lines on what became of mail for the recipient; returns the last."""
        wanted = f" to=<{recipient}>, "

        def found() -> str | None:
            lines = [line for line in self.log.splitlines() if wanted in line and " status=" in line]
            return lines[count - 1] if len(lines) >= count else None

        return wait_until(f"delivery {count} of Postfix to {recipient}", found, 20)

    def waiting(self) -> int:
        """Returns how many messages are in the queue."""
        return self.run("postqueue", "-j").count('"queue_id"')

    def emptied(self) -> None:
        wait_until("the queue to be empty", lambda: self.waiting() == 0)

    def said(self, start: str) -> list[str]:
        """Returns the lines that begin so and that it sent to the gate, as its log shows them."""
        return re.findall(rf": > 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: ({re.escape(start)}.*)", self.log)


Connect = Callable[..., Postfix]


@pytest.fixture
def connect(certificates: Certificates) -> Iterator[Connect]:
    """Starts a Postfix before a gate."""
    # Directly in /tmp: the daemons of Postfix run as a user who must reach it.
    directory = Path(tempfile.mkdtemp(prefix="sesgate-postfix-"))
    directory.chmod(0o755)
    postfix = Postfix(directory)

    def begin(gate: Gate, tls: str = "verify", more: str = "") -> Postfix:
        postfix.start(gate.starttls, tls, certificates.authority, more)
        return postfix

    try:
        yield begin
    finally:
        postfix.stop()
        shutil.rmtree(directory)


def assert_carried(content: bytes, mail: Mail) -> None:
    """The content is the mail, byte for byte, under the one field that Postfix adds."""
    assert content.endswith(mail.content)
    first, *rest = content.removesuffix(mail.content).decode("ascii").splitlines()
    assert first == "Received: by client.test (Postfix, from userid 0)"
    assert rest and all(line.startswith("\t") for line in rest), rest


@pytest.mark.parametrize("vouches", ["", VOUCHES_FOR_NOBODY], ids=["plain", "auth-parameter"])
def test_permitted(gate: Gate, connect: Connect, vouches: str) -> None:
    postfix = connect(gate, more=vouches)
    mail = PERMITTED.renewed()
    postfix.submit(mail)
    line = postfix.outcome(*mail.recipients)
    assert "status=sent" in line, line
    assert_carried(gate.taken()[message_id(line)], mail)
    # RFC 4954 section 5: the mailbox that the client vouches for; `<>` is none.
    [command] = postfix.said("MAIL FROM:")
    assert command.startswith(f"MAIL FROM:<{mail.sender}> SIZE="), command
    assert command.endswith(" AUTH=<>") == bool(vouches), command
    assert postfix.said("STARTTLS") == ["STARTTLS"]
    postfix.emptied()


def test_encrypts_to_the_self_signed_certificate_of_the_default_file(start: Start, connect: Connect) -> None:
    gate = start()
    postfix = connect(gate, "encrypt")
    mail = Mail("app", "app@example.com", ("someone@example.com",), body=("Grüße, 你好", "…"))
    postfix.submit(mail)
    line = postfix.outcome(*mail.recipients)
    assert "status=sent" in line, line
    assert_carried(gate.taken()[message_id(line)], mail)
    assert postfix.said("STARTTLS") == ["STARTTLS"]


def test_refused_and_the_bounce_does_not_loop(gate: Gate, connect: Connect) -> None:
    postfix = connect(gate)
    mail = REFUSED.renewed()
    with nothing_taken(gate):
        postfix.submit(mail)
        line = postfix.outcome(*mail.recipients)
        assert "status=bounced" in line, line
        assert_refused(gate, mail, line)
        # The bounce has the null reverse-path, which SES takes from nobody: Postfix gives it up.
        line = postfix.outcome(mail.sender)
        assert "status=bounced" in line and "501 Invalid MAIL FROM address provided" in line, line
        postfix.emptied()
    first, second = postfix.said("MAIL FROM:")
    assert first.startswith(f"MAIL FROM:<{mail.sender}> ")
    assert second.startswith("MAIL FROM:<> ")


def test_the_operator_can_have_the_bounces(gate: Gate, connect: Connect) -> None:
    postfix = connect(gate, more=TO_OPERATOR)
    mail = REFUSED.renewed()
    before = gate.taken()
    postfix.submit(mail)
    line = postfix.outcome("postmaster@example.com")
    assert "status=sent" in line, line
    postfix.emptied()
    number = message_id(line)
    assert gate.taken().keys() - before.keys() == {number}
    notice = email.message_from_bytes(gate.taken()[number], policy=email.policy.default)
    assert notice["From"].addresses[0].addr_spec == "MAILER-DAEMON@example.com"
    assert mail.number in str(notice)
    assert "554 Access denied: User `arn:aws:iam::" in " ".join(str(notice).split())


@pytest.mark.parametrize(
    ("status", "code", "reply"),
    [
        (500, "InternalFailure", "451 Temporary service failure"),
        (503, "ServiceUnavailable", "451 Temporary service failure"),
        (429, "TooManyRequestsException", "454 Throttling failure: Maximum sending rate exceeded."),
    ],
)
def test_mail_waits_while_ses_is_in_trouble_and_is_sent_once(
    start: Start, connect: Connect, certificates: Certificates, status: int, code: str, reply: str
) -> None:
    ses = Troubled(status, code, "Maximum sending rate exceeded.")
    # Throttling is waited out within the dialogue, for as long as that.
    gate = start({**certificates.lines, **towards(ses), "# answer_seconds = 55": "answer_seconds = 5"}, KEYS)
    postfix = connect(gate)
    mail = PERMITTED.renewed()
    postfix.submit(mail)
    line = postfix.outcome(*mail.recipients)
    assert "status=deferred" in line and reply in line, line
    assert postfix.waiting() == 1 and ses.taken == []

    ses.recover()
    postfix.run("postqueue", "-f")
    line = postfix.outcome(*mail.recipients, count=2)
    assert "status=sent" in line, line
    postfix.emptied()
    [content] = ses.taken
    assert_carried(content, mail)


def test_mail_waits_while_the_gate_is_away(start: Start, connect: Connect, certificates: Certificates) -> None:
    gate = start(certificates.lines, run=False)
    postfix = connect(gate)
    mail = PERMITTED.renewed()
    postfix.submit(mail)
    line = postfix.outcome(*mail.recipients)
    assert "status=deferred" in line and "Connection refused" in line, line

    gate.start()
    postfix.run("postqueue", "-f")
    line = postfix.outcome(*mail.recipients, count=2)
    assert "status=sent" in line, line
    postfix.emptied()
    [content] = gate.taken().values()
    assert_carried(content, mail)


def test_mail_waits_for_the_right_password(gate: Gate, connect: Connect) -> None:
    postfix = connect(gate)
    postfix.login(gate.starttls, "marketing-password")
    mail = PERMITTED.renewed()
    with nothing_taken(gate):
        postfix.submit(mail)
        line = postfix.outcome(*mail.recipients)
        assert "status=deferred" in line and "535 Authentication Credentials Invalid" in line, line

    postfix.login(gate.starttls, "app-password")
    postfix.run("postfix", "reload")
    postfix.run("postqueue", "-f")
    line = postfix.outcome(*mail.recipients, count=2)
    assert "status=sent" in line, line
    assert_carried(gate.taken()[message_id(line)], mail)
