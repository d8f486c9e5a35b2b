"""Messages whose decision takes long hold up their own user alone."""

from __future__ import annotations

import json
import smtplib
import threading
import urllib.request

from conftest import Start
from gate import Gate
from mail import PERMITTED

AUTHORS, RECIPIENTS = 50, 999
TOO_MANY = "Transaction failed: The message has too many addresses for the policies of this user."


def denies(gate: Gate, statements: list[dict[str, object]]) -> None:
    """Gives `app` policies that allow everything but what these statements deny."""
    everything = {"Effect": "Deny", "Action": "ses:*", "Resource": "*"}
    files = []
    for number, statement in enumerate([{"Effect": "Allow"}, *statements]):
        files.append(f"policies/heavy{number}.json")
        document = {"Version": "2012-10-17", "Statement": {**everything, **statement}}
        (gate.directory / files[-1]).write_text(json.dumps(document))
    text = gate.config.read_text()
    given = 'policies = ["policies/recipients-example-com.json"]'
    assert text.count(given) == 1
    gate.config.write_text(text.replace(given, f"policies = {json.dumps(files)}"))


def heavy(domain: str = "example.com") -> bytes:
    """A message that makes as many requests as the limits admit."""
    authors = ",\r\n ".join(f"N{number} <a{number}@{domain}>" for number in range(AUTHORS))
    recipients = [f"r{number}@example.org" for number in range(RECIPIENTS)]
    lines = [", ".join(recipients[first : first + 20]) for first in range(0, RECIPIENTS, 20)]
    fields = "".join(
        f"{name}: " + ",\r\n ".join(lines[number::3]) + "\r\n" for number, name in enumerate(("To", "Cc", "Bcc"))
    )
    return f"From: {authors}\r\nReturn-Path: <bounce@{domain}>\r\n{fields}\r\nHi.\r\n".encode()


class Heavy(threading.Thread):
    """Sends one heavy message."""

    def __init__(self, port: int, content: bytes, answered: list[int]) -> None:
        super().__init__(daemon=True)
        self.client = smtplib.SMTP("127.0.0.1", port, timeout=50)
        self.client.login("app", "app-password")
        self.client.mail("a0@example.com")
        for number in range(50):
            self.client.rcpt(f"r{number}@example.com")
        self.client.putcmd("data")
        assert self.client.getreply()[0] == 354
        self.content, self.answered = content, answered

    def run(self) -> None:
        self.client.send(self.content + b".\r\n")
        self.answered.append(self.client.getreply()[0])
        self.client.close()


def test_others_do_not_wait_for_heavy_messages(start: Start) -> None:
    gate = start(run=False)
    words = [[f"*word{number}*" for number in range(first, first + 100)] for first in range(0, 2_000, 100)]
    denies(gate, [{"Condition": {"ForAnyValue:StringLike": {"ses:Recipients": some}}} for some in words])
    gate.start()
    answered: list[int] = []
    sending = [Heavy(gate.starttls, heavy(), answered) for _ in range(24)]
    for client in sending:
        client.start()
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=50) as other:
        other.login("marketing", "marketing-password")
        mail = "From: Marketing <marketing@example.com>\r\nSubject: Hi\r\n\r\nHi.\r\n"
        other.sendmail("marketing@example.com", ["one@example.com"], mail)
    with urllib.request.urlopen(f"http://127.0.0.1:{gate.admin}/livez", timeout=50) as answer:
        assert answer.status == 200
    before = len(answered)
    for client in sending:
        client.join(55)
    assert answered == [250] * 24
    assert before < 12, f"{before} of 24 heavy messages were answered before another user's"


def test_a_message_with_too_many_addresses_for_its_policies_is_refused(start: Start) -> None:
    gate = start(run=False)
    resources = [f"arn:aws:ses:*:*:identity/*b{number}.example" for number in range(2_000)]
    denies(gate, [{"Resource": resources[first : first + 100]} for first in range(0, 2_000, 100)])
    gate.start()
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=50) as client:
        client.login("app", "app-password")
        client.mail("a0@example.com")
        client.rcpt("r@example.com")
        code, text = client.data(heavy("a." * 90 + "example.com"))
        assert (code, text.decode()) == (554, TOO_MANY)
        # Whoever sends less goes on.
        client.sendmail(PERMITTED.sender, PERMITTED.recipients, PERMITTED.content)
    refusal = gate.event("the reason", lambda event: event.get("reason") == "too_many_steps")
    assert refusal["reply_code"] == 554
