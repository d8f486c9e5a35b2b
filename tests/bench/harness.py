"""What the benchmarks of the whole relay share: a relay with a small configuration of its own, mails through
it to a stand-in for SES on loopback, and counting its instructions.

Python's standard library is enough, and valgrind for counting. Every mail is compared byte for byte with
what the stand-in took.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/clients"))
sys.dont_write_bytecode = True
os.environ.setdefault("SESGATE", str(REPOSITORY / "target/release/sesgate"))

from faults import AS_IN_THE_IMAGE, SENDER, ChaoticSes, Ledger, mail
from gate import BINARY, DEFAULT_CONFIG, Gate
from ses import CREDENTIALS

USER, PASSWORD = "app", "app-password"
STATEMENTS = 20
MESSAGE_BYTES = 2048
# Of one connection, before the next one is opened.
MAILS = 20
UNCHECKED = ssl._create_unverified_context()
# Two loads: what they differ in is what the messages between them took.
LENGTHS = (40, 240)
ENVIRONMENT = {**AS_IN_THE_IMAGE, **CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true"}


# What fits into the 64 KiB of a policy.
STATEMENTS_OF_A_POLICY = 200


def policies(statements: int) -> list[str]:
    """Policies with that many statements: one allows, and every other has to be looked at and does not hold."""
    allow = {
        "Effect": "Allow",
        "Action": "ses:SendRawEmail",
        "Resource": "*",
        "Condition": {"StringLike": {"ses:FromAddress": "*@example.com"}},
    }
    denials = [
        {
            "Effect": "Deny",
            "Action": "ses:*",
            "Resource": "*",
            "Condition": {
                "ForAnyValue:StringLike": {"ses:Recipients": [f"*@blocked{number}.example"]},
                "StringEquals": {"ses:FromDisplayName": f"Nobody {number}"},
            },
        }
        for number in range(statements - 1)
    ]
    every = [allow, *denials]
    parts = [every[at : at + STATEMENTS_OF_A_POLICY] for at in range(0, statements, STATEMENTS_OF_A_POLICY)]
    return [json.dumps({"Version": "2012-10-17", "Statement": part}, indent=1) for part in parts]


def password_hash() -> str:
    """The one of this user in the default configuration."""
    text = DEFAULT_CONFIG.read_text()
    found = re.search(rf'^name = "{USER}"\npassword_hash = "([^"]+)"', text, re.MULTILINE)
    assert found, f"{DEFAULT_CONFIG} has no password of `{USER}`"
    return found[1]


@dataclass
class Relay(Gate):
    """A relay with one listener (`starttls` is its port) for one user, and SES at a URL of loopback."""

    def write(self, endpoint: str, statements: int = STATEMENTS, tls: bool = False) -> None:
        """Writes its configuration. With `tls` the user logs in after STARTTLS; otherwise the listener is
        in clear and speaks for the user.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        files = {f"policy-{number}.json": text for number, text in enumerate(policies(statements))}
        for name, text in files.items():
            (self.directory / name).write_text(text)
        listener = 'tls = "starttls"' if tls else f'tls = "off"\nuser = "{USER}"'
        password = f'password_hash = "{password_hash()}"\n' if tls else ""
        self.config.write_text(f"""\
[account]
id = "123456789012"
region = "us-east-1"
sandbox = false
[[identities.known]]
name = "example.com"
[upstream]
kind = "ses"
endpoint_url = "{endpoint}"
[rate]
ask_ses = false
[[listeners]]
address = "127.0.0.1:{self.starttls}"
{listener}
[limits]
connections = 2000
connections_per_client = 2000
connections_before_login = 2000
[admin]
enabled = false
[[users]]
name = "{USER}"
{password}policies = {json.dumps(list(files))}
""")


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards, unless something failed."""
    # Nothing here is about the speed of a disk.
    fast = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="sesgate-bench-", dir=fast if fast.is_dir() else None))
    try:
        yield directory
    except BaseException:
        print(f"the logs are in {directory}", file=sys.stderr)
        raise
    shutil.rmtree(directory)


@contextmanager
def running(
    directory: Path,
    tls: bool = False,
    statements: int = STATEMENTS,
    command: Sequence[str | Path] = (BINARY,),
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[Relay, Ledger]]:
    """A relay that greets, and the ledger of what its upstream takes. Both are stopped afterwards, and no
    mail may be missing or altered then.
    """
    ledger = Ledger()
    ses = ChaoticSes(ledger)
    relay = Relay(directory, environment=ENVIRONMENT | dict(environment or {}), command=command)
    relay.write(f"http://127.0.0.1:{ses.server_port}", statements, tls)
    try:
        relay.start()
        try:
            yield relay, ledger
        finally:
            relay.stop()
    finally:
        ses.stop()
    faults = ledger.faults(relay.events())
    assert not faults, "\n".join(faults)


def send(relay: Relay, ledger: Ledger, messages: int, tls: bool = False) -> None:
    """Sends mails of 2 KiB, one at a time, so many a connection; each must be accepted."""
    client: smtplib.SMTP | None = None
    for sent in range(1, messages + 1):
        if client is None:
            client = smtplib.SMTP("127.0.0.1", relay.starttls, "client.test", timeout=60)
            if tls:
                client.starttls(context=UNCHECKED)
                client.login(USER, PASSWORD)
        number, content = mail(MESSAGE_BYTES)
        ledger.sends(number, content)
        client.sendmail(SENDER, [f"{number}@example.com"], content)
        ledger.answer(number, 250)
        if sent % MAILS == 0 or sent == messages:
            client.quit()
            client = None


def seconds_to_banner(relay: Relay) -> float:
    """Starts a relay and waits for its banner, which is seen within a millisecond."""
    begin = time.monotonic()
    relay.launch()
    while not relay.greets():
        assert time.monotonic() < begin + 10, "no banner"
        time.sleep(0.001)
    return time.monotonic() - begin


@dataclass(frozen=True)
class Instructions:
    """What valgrind counted: a relay that says its banner and ends, and each message."""

    start: int
    message: int


def counted(binary: Path, directory: Path, messages: int, statements: int) -> int:
    """The instructions of a relay on one worker that takes so many messages, from its start to its end."""
    found = directory / f"callgrind.{messages}"
    # Its own words must not come between the lines of the log.
    words = f"--log-file={directory / f'valgrind.{messages}'}"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={found}", words, binary]
    place = directory / f"relay-{messages}"
    with running(place, False, statements, command, {"TOKIO_WORKER_THREADS": "1"}) as (relay, ledger):
        send(relay, ledger, messages)
    total = re.search(r"^(?:summary|totals): (\d+)", found.read_text(), re.MULTILINE)
    assert total, f"{found} has no sum"
    return int(total[1])


def count(binary: Path, directory: Path, statements: int = STATEMENTS) -> Instructions:
    """Counts without a message and with two numbers of them; what valgrind wrote stays in the folder."""
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is missing: apt-get install valgrind")
    start, few, many = (counted(binary, directory, messages, statements) for messages in (0, *LENGTHS))
    return Instructions(start, (many - few) // (LENGTHS[1] - LENGTHS[0]))


def millions(instructions: int) -> str:
    return f"{instructions / 1e6:.3f} M"


def version(binary: Path) -> str:
    """What the binary says that it is."""
    told = json.loads(subprocess.run([binary, "version", "--json"], capture_output=True, check=True).stdout)
    return f"sesgate {told['version']}, commit {told['commit'][:12]}, entropy {told.get('entropy', 'unknown')}"
