"""SIGTERM: idle clients are told, transactions in flight finish, the exit status is 0 (decision 20)."""

from __future__ import annotations

import smtplib
import time

import pytest

from conftest import Start
from gate import Gate, accepts, wait_until
from mail import PERMITTED, message_id


# As it goes over the wire, without the line that ends it.
CONTENT = PERMITTED.content.replace(b"\r\n.", b"\r\n..")
END = b".\r\n"


def logged_in(gate: Gate) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", gate.starttls, timeout=20)
    client.login("app", "app-password")
    return client


def within_content(gate: Gate, part: bytes = CONTENT) -> smtplib.SMTP:
    """A client that has sent part of its content, or all of it without its end."""
    client = logged_in(gate)
    client.mail(PERMITTED.sender)
    client.rcpt(*PERMITTED.recipients)
    client.putcmd("data")
    assert client.getreply()[0] == 354
    client.send(part)
    return client


def test_idle_clients_are_told_and_a_transaction_in_flight_finishes(start: Start) -> None:
    gate = start()
    half = len(CONTENT) // 2
    waiting, idle = within_content(gate, CONTENT[:half]), logged_in(gate)

    gate.terminate()
    assert idle.getreply()[0] == 421
    assert idle.sock.recv(1) == b""
    wait_until("the listeners to close", lambda: not accepts(gate.starttls))
    assert gate.process is not None and gate.process.poll() is None

    waiting.send(CONTENT[half:] + END)
    code, text = waiting.getreply()
    assert code == 250
    assert gate.wait() == 0
    assert gate.taken() == {message_id(f"{code} {text.decode()}"): PERMITTED.content}


def test_a_transaction_that_does_not_finish_ends_with_the_grace_period(start: Start) -> None:
    gate = start({"drain_seconds = 25": "drain_seconds = 1"})
    waiting = within_content(gate)
    began = time.monotonic()
    gate.terminate()
    assert gate.wait() == 0
    assert 0.9 < time.monotonic() - began < 5
    # The client was told to try again, or cut off: never 250 for mail that was not taken.
    try:
        assert waiting.getreply()[0] in (-1, 421, 451)
    except (OSError, smtplib.SMTPServerDisconnected):
        pass
    assert gate.taken() == {}


def test_without_clients_it_ends_at_once(start: Start) -> None:
    gate = start()
    began = time.monotonic()
    gate.terminate()
    assert gate.wait(10) == 0
    assert time.monotonic() - began < 3


def test_new_clients_are_not_taken_while_draining(start: Start) -> None:
    gate = start()
    waiting = within_content(gate)
    gate.terminate()
    wait_until("the listeners to close", lambda: not accepts(gate.starttls))
    with pytest.raises((OSError, smtplib.SMTPServerDisconnected)):
        logged_in(gate)
    waiting.send(END)
    assert waiting.getreply()[0] == 250
    assert gate.wait() == 0
    assert list(gate.taken().values()) == [PERMITTED.content]
