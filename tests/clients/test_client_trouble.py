"""Clients that do not get as far as a message: the log says in plain words what is wrong with each."""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Certificates, Start
from gate import Gate, wait_until
from test_clients_page import run
from test_nodemailer import nodemailer

SECRET = "of-this-test-alone"


def lines(gate: Gate, word: str) -> list[dict[str, Any]]:
    return [event for event in gate.events() if event["message"].startswith(word)]


def line(gate: Gate, word: str) -> dict[str, Any]:
    """Waits for the one line that begins so, and returns it."""
    found = wait_until(f"`{word}`", lambda: lines(gate, word) or None)
    [only] = found
    assert only["level"] == "INFO"
    assert only["span"]["peer"].startswith("127.0.0.1:")
    return only


# What the client says, the reply, what the line shows of the command, and words of the cause.
COMMANDS: dict[str, tuple[list[str], int, str, str]] = {
    "a sender of one label": (["LOGIN", "MAIL FROM:<app@localhost>"], 501, "MAIL <app@localhost>", "MAIL FROM has no address"),
    "a null reverse-path": (["LOGIN", "MAIL FROM:<>"], 501, "MAIL <>", "null reverse-path"),
    "a recipient with an underscore": (
        ["LOGIN", "MAIL FROM:<app@example.com>", "RCPT TO:<a@my_host.example>"], 553, "RCPT <a@my_host.example>", "SES takes no such address",
    ),
    "a parameter": (["LOGIN", "MAIL FROM:<app@example.com> RET=HDRS"], 555, "MAIL <app@example.com>", "parameter"),
    "no login": (["MAIL FROM:<app@example.com>"], 530, "MAIL <app@example.com>", "has not logged in"),
    "another mechanism": ([f"AUTH CRAM-MD5 {SECRET}"], 504, "AUTH", "PLAIN or LOGIN"),
    "AUTH that is no base64": ([f"AUTH PLAIN {SECRET}!"], 501, "AUTH", "cannot be read"),
    "the second line of AUTH": (["AUTH LOGIN", f"{SECRET}!"], 501, "AUTH", "cannot be read"),
    "another user": (
        [f"AUTH PLAIN {base64.b64encode(f'root{chr(0)}app{chr(0)}{SECRET}'.encode()).decode()}"], 535, "AUTH", "authorization identity",
    ),
    "a line break in base64": (
        ["AUTH LOGIN", base64.b64encode(f"{SECRET}\n".encode()).decode()], 501, "AUTH", "with printf, not with echo",
    ),
    "a host name that is not ASCII": (["EHLO m\t"], 501, "EHLO", "host name that is not ASCII"),
    "EHLO without a name": (["EHLO a b"], 501, "EHLO", "EHLO names no host"),
}  # fmt: skip


def talk(port: int, said: list[str]) -> int:
    """Says that after EHLO; returns the last code."""
    with smtplib.SMTP("localhost", port, timeout=20) as client:
        code, _ = client.ehlo("client.test")
        for command in said:
            if command == "LOGIN":
                code, _ = client.login("app", "app-password")
            else:
                code, _ = client.docmd(command)
    return code


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_refused_is_one_line(start: Start, name: str) -> None:
    said, code, command, cause = COMMANDS[name]
    gate = start()
    assert talk(gate.clear, said) == code
    told = line(gate, "client refused: ")
    assert (told["command"], told["reply"].split()[0]) == (command, str(code))
    assert cause in told["message"]
    gate.stop()
    assert SECRET not in gate.log.read_text()


def test_what_a_listener_does_not_offer(start: Start) -> None:
    changes = {"auth_in_clear = true": "auth_in_clear = false"}
    gate = start(changes)
    assert talk(gate.starttls, ["AUTH PLAIN AGFwcABzZWNyZXQ="]) == 530
    assert "STARTTLS on" in line(gate, "client refused: it logs in without TLS")["message"]
    assert talk(gate.starttls, ["MAIL FROM:<app@example.com>"]) == 530
    assert line(gate, "client refused: it does not begin TLS")["command"] == "MAIL <app@example.com>"
    assert talk(gate.clear, ["STARTTLS"]) == 502
    assert "`tls = \"off\"`" in line(gate, "client refused: it wants TLS")["message"]


def test_a_line_that_is_no_command_is_not_told(start: Start) -> None:
    gate = start()
    assert talk(gate.clear, ["VRFY app"]) == 530
    assert talk(gate.clear, [SECRET, f"MAIL FROM:<app@example.com> {SECRET}"]) == 530
    line(gate, "client refused: it has not logged in")
    gate.stop()
    assert SECRET not in gate.log.read_text()


def test_addresses_are_shown_as_far_as_the_log_may(start: Start) -> None:
    gate = start({'addresses = "full"': 'addresses = "domain"'})
    talk(gate.clear, ["LOGIN", "MAIL FROM:<someone@localhost>"])
    told = line(gate, "client refused: ")
    assert (told["command"], told["reply"]) == ("MAIL <*@localhost>", "501")


def test_many_are_counted(start: Start) -> None:
    gate = start()
    for number in range(14):
        talk(gate.clear, [f"MAIL FROM:<app{number}@example.com>"])
    gate.stop()
    assert len(lines(gate, "client refused: ")) == 10
    [told] = lines(gate, "repeated: client refused: ")
    assert told["repeated"] == 4


@pytest.fixture(scope="module")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A certificate with an RSA key, as many have."""
    import trustme

    directory = tmp_path_factory.mktemp("rsa")
    issued = trustme.CA().issue_cert("localhost", key_type=trustme.KeyType.RSA)
    issued.cert_chain_pems[0].write_to_path(directory / "tls.crt")
    issued.private_key_pem.write_to_path(directory / "tls.key")
    yield {'tls = "implicit"': f'tls = "implicit"\ncertificate = "{directory}/tls.crt"\nkey = "{directory}/tls.key"'}


def shake(port: int, adapt: Callable[[ssl.SSLContext], None], talks: bool = True) -> None:
    """Tries TLS from the first byte, in vain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    adapt(context)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, pytest.raises(OSError):
        with context.wrap_socket(plain) as stream:
            stream.recv(1)


def old(context: ssl.SSLContext) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1


def rsa_key_exchange(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256")


def distrusting(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_REQUIRED


def distrusting_in_tls_1_2(context: ssl.SSLContext) -> None:
    distrusting(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("adapt", "cause"),
    [
        (old, "TLS 1.0 and 1.1 only"),
        (rsa_key_exchange, "no cipher in common: the client offers RSA key exchange"),
        (distrusting, "the client does not trust the certificate"),
        (distrusting_in_tls_1_2, "the client does not trust the certificate"),
    ],
    ids=["old", "rsa-key-exchange", "distrust", "distrust-1.2"],
)
def test_tls_that_fails_is_one_line(
    start: Start, rsa: dict[str, str], adapt: Callable[[ssl.SSLContext], None], cause: str
) -> None:
    gate = start(rsa)
    shake(gate.implicit, adapt)
    assert cause in line(gate, "TLS failed: ")["message"]


def test_a_client_that_speaks_in_clear_to_tls(start: Start) -> None:
    gate = start({"handshake_seconds = 10": "handshake_seconds = 1"})
    with socket.create_connection(("127.0.0.1", gate.implicit), timeout=20) as client:
        client.sendall(b"EHLO client.test\r\n")
        client.recv(100)
    assert "speaks in clear" in line(gate, "TLS failed: ")["message"]
    with socket.create_connection(("127.0.0.1", gate.implicit), timeout=20) as client:
        assert client.recv(100) == b""
    told = wait_until("the silent one", lambda: lines(gate, "TLS failed: ")[1:] or None)
    assert "waits for a banner" in told[0]["message"]


def test_nodemailer_leaves_without_a_word(start: Start, certificates: Certificates) -> None:
    gate = start()
    mail = {"from": "app@example.com", "to": "you@example.com", "subject": "Hello", "text": "Hi."}
    [result] = nodemailer(gate, certificates, "starttls", "app", [mail])
    assert "certificate" in result["error"]
    assert "perhaps it does not trust the certificate" in line(gate, "TLS failed: ")["message"]


def test_a_client_that_looks_at_the_certificate_afterwards(start: Start) -> None:
    gate = start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", gate.implicit), timeout=20) as plain:
        context.wrap_socket(plain).recv(1)
    assert "most likely it does not trust the certificate" in line(gate, "TLS failed: ")["message"]


def test_go_says_why(start: Start, tmp_path: Path) -> None:
    from test_clients_page import BLOCKS

    gate = start()
    file = tmp_path / "send.go"
    file.write_text(BLOCKS["Go"].replace("2526", str(gate.starttls)))
    with pytest.raises(AssertionError, match="certificate"):
        run("go", "run", file, directory=tmp_path)
    assert "does not trust the certificate" in line(gate, "TLS failed: ")["message"]
