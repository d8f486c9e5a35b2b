"""msmtp, the sendmail of many scripts. It always checks the certificate."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
from pathlib import Path

import pytest

from conftest import Certificates, Start
from gate import Gate
from mail import PERMITTED, REFUSED, Mail, assert_refused, assert_taken, nothing_taken

WAYS = {
    "starttls": ["tls_starttls on", "auth plain"],
    "starttls-login": ["tls_starttls on", "auth login"],
    "implicit": ["tls_starttls off", "auth on"],
}


def msmtp(gate: Gate, way: str, trust: str, mail: Mail, directory: Path) -> tuple[int, str]:
    """Sends a mail; returns the exit status and what msmtp shows, the dialogue included."""
    port = gate.implicit if way == "implicit" else gate.starttls
    file = directory / "msmtprc"
    file.touch(mode=0o600)
    file.write_text(
        "\n".join(
            ["account default", "host localhost", f"port {port}", "timeout 20", "tls on", trust, *WAYS[way],
             f"user {mail.user}", f"password {mail.password}", f"from {mail.sender}", ""]
        )
    )  # fmt: skip
    done = subprocess.run(
        ["msmtp", "--debug", f"--file={file}", *mail.recipients],
        input=mail.content.replace(b"\r\n", b"\n"), capture_output=True, timeout=30,
    )  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("way", WAYS)
def test_permitted(gate: Gate, certificates: Certificates, tmp_path: Path, way: str) -> None:
    mail = PERMITTED.renewed()
    status, shown = msmtp(gate, way, f"tls_trust_file {certificates.authority}", mail, tmp_path)
    assert status == 0, shown
    assert_taken(gate, mail, shown)


@pytest.mark.parametrize("way", WAYS)
def test_refused(gate: Gate, certificates: Certificates, tmp_path: Path, way: str) -> None:
    mail = REFUSED.renewed()
    with nothing_taken(gate):
        status, shown = msmtp(gate, way, f"tls_trust_file {certificates.authority}", mail, tmp_path)
    assert status != 0
    # msmtp repeats the reason on a line of its own: that line is what scripts and people see.
    assert_refused(gate, mail, shown[shown.index("msmtp: server message: ") :])


def test_pins_the_self_signed_certificate_of_the_default_file(start: Start, tmp_path: Path) -> None:
    own = start()
    certificate = ssl.get_server_certificate(("127.0.0.1", own.implicit))
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest().upper()
    pairs = ":".join(fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2))
    mail = PERMITTED.renewed()
    status, shown = msmtp(own, "implicit", f"tls_fingerprint {pairs}", mail, tmp_path)
    assert status == 0, shown
    assert_taken(own, mail, shown)


def test_an_untrusted_certificate_is_not_sent_to(gate: Gate, tmp_path: Path) -> None:
    with nothing_taken(gate):
        status, shown = msmtp(gate, "starttls", "tls_trust_file system", PERMITTED.renewed(), tmp_path)
    assert status != 0
    assert "certificate" in shown
