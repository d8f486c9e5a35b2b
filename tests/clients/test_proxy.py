"""PROXY headers: from balancers that the listener names, and from nobody else (decision 8)."""

from __future__ import annotations

import json
import smtplib
import socket
import struct

import pytest

from conftest import Start
from gate import Gate
from mail import PERMITTED

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
VPCE = "vpce-08d2bf15fac5001c9"


def version_2(source: str, vpce: str | None = None, command: int = 0x21) -> bytes:
    body = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 40_000, 2525)
    if vpce:
        value = b"\x01" + vpce.encode()
        body += b"\xea" + struct.pack("!H", len(value)) + value
    return SIGNATURE + bytes([command, 0x11]) + struct.pack("!H", len(body)) + body


def version_1(source: str) -> bytes:
    return f"PROXY TCP4 {source} 127.0.0.1 40000 2525\r\n".encode()


class Balanced(smtplib.SMTP):
    """A client behind a balancer."""

    def __init__(self, gate: Gate, header: bytes) -> None:
        self.header = header
        super().__init__("127.0.0.1", gate.starttls, timeout=10)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        found = super()._get_socket(host, port, timeout)
        found.sendall(self.header)
        return found


def answer(gate: Gate, header: bytes) -> int:
    with Balanced(gate, header) as client:
        client.login("app", "app-password")
        try:
            client.sendmail(PERMITTED.sender, list(PERMITTED.recipients), PERMITTED.content)
            return 250
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code


def behind(start: Start, networks: str, condition: dict[str, dict[str, str]]) -> Gate:
    gate = start({'bare_lf = "refuse"': f'bare_lf = "refuse"\nproxy_protocol = [{networks}]'}, run=False)
    policy = {"Statement": {"Effect": "Allow", "Action": "ses:*", "Resource": "*", "Condition": condition}}
    (gate.directory / "policies/recipients-example-com.json").write_text(json.dumps(policy))
    gate.start(greets=False)
    return gate


def test_the_client_is_whom_the_header_names(start: Start) -> None:
    gate = behind(start, '"127.0.0.0/8"', {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})
    assert answer(gate, version_1("203.0.113.7")) == 250
    assert answer(gate, version_2("203.0.113.7")) == 250
    assert answer(gate, version_1("198.51.100.7")) == 554
    assert answer(gate, version_2("198.51.100.7")) == 554
    assert answer(gate, version_2("203.0.113.7", VPCE)) == 554, "behind an endpoint there is no aws:SourceIp"
    [record] = {json.loads(file.read_text())["source_ip"] for file in gate.outbox.glob("*.json")}
    assert record == "203.0.113.7"


def test_the_endpoint_is_what_the_header_says(start: Start) -> None:
    gate = behind(start, '"127.0.0.0/8"', {"StringEquals": {"aws:SourceVpce": VPCE}})
    assert answer(gate, version_2("10.1.2.3", VPCE)) == 250
    assert answer(gate, version_2("10.1.2.3", VPCE.replace("c9", "c8"))) == 554
    assert answer(gate, version_2("10.1.2.3")) == 554


def test_what_is_stated_of_one_endpoint_says_nothing_of_another(start: Start) -> None:
    gate = behind(start, '"127.0.0.0/8"', {"StringEquals": {"aws:SourceVpc": "vpc-0a0a0a0a"}})
    gate.stop()
    text = gate.config.read_text()
    stated = f'proxy_protocol = ["127.0.0.0/8"]\nvpc = "vpc-0a0a0a0a"\nvpc_endpoint = "{VPCE}"'
    gate.config.write_text(text.replace('proxy_protocol = ["127.0.0.0/8"]', stated, 1))
    gate.start(greets=False)
    assert answer(gate, version_2("10.1.2.3", VPCE)) == 250
    assert answer(gate, version_2("10.1.2.3", VPCE.replace("c9", "c8"))) == 554


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO client.test\r\n",
        b"PROXY UNKNOWN\r\n",
        b"PROXY TCP4 203.0.113.7 127.0.0.1 040000 2525\r\n",
        version_2("203.0.113.7", "vpce-*"),
        b"\r\n\r\n\0\r\nQUIT\r" + b"\0" * 40,
    ],
)
def test_without_a_header_that_can_be_read_the_connection_is_closed_without_a_word(start: Start, header: bytes) -> None:
    gate = behind(start, '"127.0.0.0/8"', {})
    with socket.create_connection(("127.0.0.1", gate.starttls), timeout=10) as client:
        client.sendall(header)
        try:
            assert client.recv(100) == b""
        except ConnectionResetError:
            pass
    gate.event("the reason", lambda event: event["message"].startswith("closed: ") and event["level"] == "WARN")


def test_a_header_from_a_stranger_is_not_read(start: Start) -> None:
    gate = behind(start, '"10.0.0.0/8"', {})
    with socket.create_connection(("127.0.0.1", gate.starttls), timeout=10) as client:
        client.sendall(version_1("10.0.0.1"))
        try:
            assert client.recv(100) == b""
        except ConnectionResetError:
            pass
    gate.event("the reason", lambda event: "none of the balancers" in event["message"])


def test_the_balancer_may_look_whether_somebody_is_there(start: Start) -> None:
    gate = behind(start, '"127.0.0.0/8"', {})
    with socket.create_connection(("127.0.0.1", gate.starttls), timeout=10) as client:
        client.sendall(SIGNATURE + b"\x20\x00\x00\x00")
        assert client.recv(4) == b"220 "
