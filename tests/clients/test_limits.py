"""Connections of one user are limited, whether it logs in or a listener speaks for it; those that have not
logged in keep nobody out."""

from __future__ import annotations

import base64
import smtplib
import socket

import pytest

from conftest import Start
from gate import wait_until
from test_pace import speaks_for


def test_a_user_has_so_many_connections(start: Start) -> None:
    gate = start({"connections_per_user = 0": "connections_per_user = 1"})
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=10) as first:
        first.login("app", "app-password")
        second = smtplib.SMTP("127.0.0.1", gate.starttls, timeout=10)
        second.ehlo()
        plain = base64.b64encode(b"\0app\0app-password").decode()
        assert second.docmd("AUTH", f"PLAIN {plain}")[0] == 421
        second.close()
        with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=10) as other:
            other.login("marketing", "marketing-password")
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=10) as later:
        later.login("app", "app-password")


def test_so_has_one_that_a_listener_speaks_for(start: Start) -> None:
    gate = start({"connections_per_user = 0": "connections_per_user = 1"}, run=False)
    port = speaks_for(gate, ["spoken"])["spoken"]
    gate.start()
    with smtplib.SMTP("127.0.0.1", port, timeout=10):
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            smtplib.SMTP("127.0.0.1", port, timeout=10)
        assert refused.value.smtp_code == 421
    gate.event("the reason", lambda event: "connections_per_user" in event["message"] and event["level"] == "WARN")


def test_silent_connections_keep_nobody_out(start: Start) -> None:
    gate = start({"connections_before_login = 250": "connections_before_login = 5"})
    silent = [
        socket.create_connection(("127.0.0.1", port), 10, (f"127.0.5.{number}", 0))
        for number in range(1, 21)
        for port in (gate.starttls, gate.implicit)
    ]

    def connects() -> smtplib.SMTP | None:
        try:
            return smtplib.SMTP("127.0.0.1", gate.starttls, timeout=10)
        except (smtplib.SMTPException, OSError):
            return None

    def more(number: int) -> None:
        """Each from a client that has some already, so that it is not the first one's turn to go."""
        for _ in range(20):
            silent.append(socket.create_connection(("127.0.0.1", gate.starttls), 10, (f"127.0.5.{number}", 0)))

    # Those that are there have a moment to log in, then one of them gives way.
    with wait_until("a place", connects) as client:
        more(1)
        client.login("app", "app-password")
        more(2)
        assert client.noop()[0] == 250
    # Where somebody has logged in there is always a place.
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=10) as client:
        client.login("app", "app-password")
    gate.event("who went", lambda event: event["level"] == "WARN" and event["message"].startswith("closed: too many"))
    for connection in silent:
        connection.close()
