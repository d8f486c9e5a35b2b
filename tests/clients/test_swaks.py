"""swaks, the SMTP tester."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gate import Gate
from mail import PERMITTED, REFUSED, Mail, assert_refused, assert_taken, nothing_taken

WAYS = {
    "starttls-plain": ["-tls", "--auth", "PLAIN"],
    "starttls-login": ["-tls", "--auth", "LOGIN"],
    "implicit-plain": ["-tlsc", "--auth", "PLAIN"],
    "implicit-login": ["-tlsc", "--auth", "LOGIN"],
    "pipelining": ["-tls", "--auth", "PLAIN", "--pipeline"],
    "in-clear": ["--auth", "LOGIN"],
}


def swaks(gate: Gate, way: str, mail: Mail, directory: Path) -> tuple[int, str]:
    """Sends a mail; returns the exit status and the dialogue."""
    file = directory / "mail.eml"
    # swaks ends the last line itself.
    file.write_bytes(mail.content.replace(b"\r\n", b"\n").removesuffix(b"\n"))
    port = gate.implicit if "-tlsc" in WAYS[way] else gate.starttls
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(port), "--timeout", "20", *WAYS[way],
         "--auth-user", mail.user, "--auth-password", mail.password, "--ehlo", "client.test",
         "--from", mail.sender, "--to", ",".join(mail.recipients), "--data", f"@{file}"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_permitted(gate: Gate, tmp_path: Path, way: str) -> None:
    mail = PERMITTED.renewed()
    status, dialogue = swaks(gate, way, mail, tmp_path)
    assert status == 0, dialogue
    assert_taken(gate, mail, dialogue)


@pytest.mark.parametrize("way", WAYS)
def test_refused(gate: Gate, tmp_path: Path, way: str) -> None:
    mail = REFUSED.renewed()
    with nothing_taken(gate):
        status, dialogue = swaks(gate, way, mail, tmp_path)
    assert status != 0
    assert_refused(gate, mail, dialogue)
