"""curl as a mail client."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from conftest import Certificates
from gate import Gate
from mail import PERMITTED, REFUSED, Mail, assert_refused, assert_taken, nothing_taken

WAYS = {
    "starttls": ["--ssl-reqd"],
    "implicit": [],
    "login": ["--ssl-reqd", "--login-options", "AUTH=LOGIN"],
    "plain-initial-response": ["--ssl-reqd", "--login-options", "AUTH=PLAIN", "--sasl-ir"],
    "in-clear": [],
}


def curl(gate: Gate, trust: list[str | Path], way: str, mail: Mail, directory: Path) -> tuple[int, str]:
    """Sends a mail; returns the exit status and the dialogue."""
    file = directory / "mail.eml"
    file.write_bytes(mail.content)
    url = f"smtps://localhost:{gate.implicit}" if way == "implicit" else f"smtp://localhost:{gate.starttls}"
    recipients = [word for recipient in mail.recipients for word in ("--mail-rcpt", recipient)]
    done = subprocess.run(
        ["curl", "--silent", "--verbose", "--url", url, *WAYS[way], *trust,
         "--user", f"{mail.user}:{mail.password}", "--mail-from", mail.sender, *recipients,
         "--upload-file", file],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_permitted(gate: Gate, certificates: Certificates, tmp_path: Path, way: str) -> None:
    mail = PERMITTED.renewed()
    status, dialogue = curl(gate, ["--cacert", certificates.authority], way, mail, tmp_path)
    assert status == 0, dialogue
    assert_taken(gate, mail, dialogue)


@pytest.mark.parametrize("way", WAYS)
def test_refused(gate: Gate, certificates: Certificates, tmp_path: Path, way: str) -> None:
    mail = REFUSED.renewed()
    with nothing_taken(gate):
        status, dialogue = curl(gate, ["--cacert", certificates.authority], way, mail, tmp_path)
    assert status != 0
    assert_refused(gate, mail, dialogue)


def test_permitted_without_a_check_of_the_certificate(gate: Gate, tmp_path: Path) -> None:
    mail = PERMITTED.renewed()
    status, dialogue = curl(gate, ["--insecure"], "starttls", mail, tmp_path)
    assert status == 0, dialogue
    assert_taken(gate, mail, dialogue)
