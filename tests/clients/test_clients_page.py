"""config/clients.md: what is pasted from it reaches sesgate as it starts, without TLS and with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gate import REPOSITORY, Gate, free_port, wait_until
from test_nodemailer import MODULES
from test_postfix import SERVICES, SETTINGS, Postfix

PAGE = (REPOSITORY / "config/clients.md").read_text()
CERTIFICATE = "config/tls/sesgate.crt"
# The block of each section, by its heading.
BLOCKS = dict(re.findall(r"^## (.+?)\n.*?^```\w+\n(.*?)^```", PAGE, re.M | re.S))
# As tests/run unpacks it, where the system has none.
ALERTMANAGER = shutil.which("prometheus-alertmanager") or str(
    REPOSITORY / "target/clients/unpacked/usr/bin/prometheus-alertmanager"
)
# Those that read what they trust from the environment.
TRUSTS_BY_VARIABLE = {"Go", "Ruby"}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """The default configuration, with the certificate that it makes itself."""
    gate = Gate(tmp_path_factory.mktemp("gate"))
    gate.configure()
    gate.start()
    yield gate
    gate.stop()


def block(name: str, gate: Gate, tls: bool) -> str:
    """What a reader pastes, with the ports and the certificate of the gate."""
    text = BLOCKS[name]
    if tls:
        text = re.sub(r"^ *(#|//) no TLS:\n.*\n", "", text, flags=re.M)
        text = re.sub(r"^( *)(#|//) TLS: ", r"\1", text, flags=re.M)
    port = gate.starttls if tls else gate.clear
    assert "2526" in text
    return text.replace("2526", str(port)).replace(CERTIFICATE, str(gate.directory / "tls/sesgate.crt"))


def run(*command: str | Path, directory: Path, trust: Path | None = None) -> None:
    """Runs a program that ends by itself, in a directory of the test's own."""
    environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(directory), "NODE_PATH": str(MODULES)}
    if trust:
        environment["SSL_CERT_FILE"] = str(trust)
    environment |= {"GO111MODULE": "off", "GOCACHE": str(REPOSITORY / "target/clients/go")}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=50, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr


def script(name: str, *program: str) -> Callable[[Gate, bool, Path], None]:
    """A section whose block is a program."""

    def send(gate: Gate, tls: bool, directory: Path) -> None:
        file = directory / name
        file.write_text(block(NAMES[send], gate, tls))
        trust = gate.directory / "tls/sesgate.crt" if tls and NAMES[send] in TRUSTS_BY_VARIABLE else None
        run(*program, file, directory=directory, trust=trust)

    return send


def msmtp(gate: Gate, tls: bool, directory: Path) -> None:
    file, mail = directory / "msmtprc", directory / "mail.eml"
    file.touch(mode=0o600)
    file.write_text(block("msmtp", gate, tls))
    mail.write_text("From: app@example.com\nTo: you@example.com\nSubject: Hello\n\nHi.\n")
    run("sh", "-c", f"msmtp --file={file} you@example.com <{mail}", directory=directory)


def postfix(gate: Gate, tls: bool, directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the master of Postfix needs root")
    # Directly in /tmp: the daemons of Postfix run as a user who must reach it.
    own = Path(tempfile.mkdtemp(prefix="sesgate-postfix-"))
    own.chmod(0o755)
    instance = Postfix(own)
    (own / "sesgate.crt").write_bytes((gate.directory / "tls/sesgate.crt").read_bytes())
    try:
        port = gate.starttls if tls else gate.clear
        (own / "sasl_passwd").write_text(f"[127.0.0.1]:{port} app:app-password\n")
        settings = block("Postfix", gate, tls).replace(str(gate.directory / "tls"), str(own))
        settings = settings.replace("/etc/postfix", str(own))
        # What stands behind takes the place of what stands before.
        basis = SETTINGS.format(directory=own, port=0, tls="none", authority="")
        (own / "main.cf").write_text(basis + settings)
        (own / "master.cf").write_text(SERVICES)
        (own / "queue").mkdir()
        instance.run("postfix", "start")
        mail = b"From: app@example.com\nTo: you@example.com\nSubject: Hello\n\nHi.\n"
        instance.run("sendmail", "-i", "-f", "app@example.com", "you@example.com", stdin=mail)
        assert "status=sent (250 Ok " in instance.outcome("you@example.com")
    finally:
        instance.stop()
        shutil.rmtree(own)


def alertmanager(gate: Gate, tls: bool, directory: Path) -> None:
    file, port, log = directory / "alertmanager.yml", free_port(), directory / "log"
    # Without waiting for more alerts of the same group.
    file.write_text(block("Alertmanager", gate, tls).replace("  receiver: mail", "  receiver: mail\n  group_wait: 0s"))
    before = len(gate.taken())
    with log.open("w") as out:
        process = subprocess.Popen(
            [ALERTMANAGER, f"--config.file={file}", f"--storage.path={directory / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
            stdout=out, stderr=out, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        again = ["--silent", "--show-error", "--fail", "--retry", "20", "--retry-connrefused", "--retry-delay", "1"]
        alert = ["--header", "Content-Type: application/json", "--data", '[{"labels": {"alertname": "Down"}}]']
        run("curl", *again, f"{url}/-/ready", directory=directory)
        run("curl", *again, *alert, f"{url}/api/v2/alerts", directory=directory)
        wait_until(f"a mail of Alertmanager:\n{log.read_text()}", lambda: len(gate.taken()) > before, 20)
    finally:
        process.kill()
        process.wait()


SENDERS = {
    "smtplib": script("send.py", sys.executable),
    "curl": script("send.sh", "sh", "-e"),
    "swaks": script("swaks.sh", "sh", "-e"),
    "msmtp": msmtp,
    "Postfix": postfix,
    "nodemailer": script("send.js", "node"),
    "PHPMailer": script("send.php", "php"),
    "Go": script("send.go", "go", "run"),
    "Alertmanager": alertmanager,
    "Ruby": script("send.rb", "ruby"),
}
NAMES = {send: name for name, send in SENDERS.items()}


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("name", SENDERS)
def test_what_the_page_says_reaches_the_outbox(gate: Gate, tmp_path: Path, name: str, tls: bool) -> None:
    before = gate.taken()
    SENDERS[name](gate, tls, tmp_path)
    [number] = gate.taken().keys() - before.keys()
    assert b"app@example.com" in gate.taken()[number]
    event = gate.event("the mail in the log", lambda event: event.get("message_id") == number)
    assert (event["principal"], event["tls"] != "none") == ("app", tls)


def test_each_client_of_the_page_is_played() -> None:
    assert BLOCKS.keys() == SENDERS.keys()
    rows = re.findall(r"^\| \[.*?\]\(#(.*?)\)", PAGE, re.M)
    assert rows == [name.lower() for name in SENDERS]


def test_the_certificate_is_the_same_after_a_restart_and_named_in_the_log(gate: Gate, tmp_path: Path) -> None:
    own = Gate(tmp_path)
    own.configure()
    file = tmp_path / "tls/sesgate.crt"
    found = []
    for _ in range(2):
        own.start()
        named = own.event("the file in the log", lambda event: event.get("certificate") == str(file))
        assert "trust" in named["message"]
        own.stop()
        found.append(file.read_text())
    assert found[0] == found[1]
    assert (tmp_path / "tls/sesgate.key").stat().st_mode & 0o077 == 0
    assert subprocess.run(["git", "check-ignore", "-q", CERTIFICATE], cwd=REPOSITORY).returncode in (0, 128)
