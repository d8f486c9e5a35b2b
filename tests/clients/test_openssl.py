"""A session written beforehand and piped through `openssl s_client`, as the SES guide tests its endpoint."""

from __future__ import annotations

import subprocess
from base64 import b64encode

import pytest

from conftest import Certificates
from gate import Gate
from mail import PERMITTED, REFUSED, Mail, assert_refused, assert_taken, nothing_taken

WAYS = ["starttls", "implicit"]


def openssl(gate: Gate, certificates: Certificates, way: str, mail: Mail, password: str) -> str:
    """Pipes a whole session in; returns what is said to it."""
    stuffed = mail.content.decode().replace("\r\n", "\n").replace("\n.", "\n..")
    session = [
        "EHLO client.test",
        "AUTH LOGIN",
        b64encode(mail.user.encode()).decode(),
        b64encode(password.encode()).decode(),
        f"MAIL FROM: {mail.sender}",
        *(f"RCPT TO: {recipient}" for recipient in mail.recipients),
        "DATA",
        f"{stuffed}.",
        "QUIT",
        "",
    ]
    port, start = {"starttls": (gate.starttls, ["-starttls", "smtp"]), "implicit": (gate.implicit, [])}[way]
    done = subprocess.run(
        ["openssl", "s_client", "-crlf", "-quiet", *start, "-connect", f"localhost:{port}",
         "-CAfile", certificates.authority, "-verify_return_error"],
        input="\n".join(session), capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_permitted(gate: Gate, certificates: Certificates, way: str) -> None:
    mail = PERMITTED.renewed()
    assert_taken(gate, mail, openssl(gate, certificates, way, mail, mail.password))


@pytest.mark.parametrize("way", WAYS)
def test_refused(gate: Gate, certificates: Certificates, way: str) -> None:
    mail = REFUSED.renewed()
    with nothing_taken(gate):
        said = openssl(gate, certificates, way, mail, mail.password)
    assert_refused(gate, mail, said)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_read_behind_a_wrong_password(gate: Gate, certificates: Certificates, way: str) -> None:
    mail = PERMITTED.renewed()
    with nothing_taken(gate):
        said = openssl(gate, certificates, way, mail, "wrong")
    assert said.endswith("535 Authentication Credentials Invalid\n"), said
