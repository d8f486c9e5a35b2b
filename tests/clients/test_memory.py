"""One budget of bytes for all messages in flight: what does not fit waits, and is put off in time."""

from __future__ import annotations

import smtplib
import threading
from pathlib import Path

from conftest import Start
from gate import Gate
from mail import PERMITTED

MIB = 1024 * 1024


def peak_mib(gate: Gate) -> float:
    assert gate.process is not None
    status = Path(f"/proc/{gate.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def codes(gate: Gate, count: int, content: bytes) -> list[int]:
    """The answers to so many clients that send at once."""
    found: list[int] = []

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=90) as client:
            client.login("app", "app-password")
            try:
                client.sendmail(PERMITTED.sender, list(PERMITTED.recipients), content)
                found.append(250)
            except smtplib.SMTPResponseException as refused:
                found.append(refused.smtp_code)

    threads = [threading.Thread(target=send) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return found


def large(mib: int) -> bytes:
    return PERMITTED.content + b"a line of a large message, as they are\r\n" * (mib * MIB // 40)


def test_many_large_messages_stay_within_the_budget(start: Start) -> None:
    gate = start({"# memory_mib = 512": "memory_mib = 32"})
    # Checking passwords takes memory of its own, bounded too.
    assert codes(gate, 40, PERMITTED.content) == [250] * 40
    before = peak_mib(gate)
    answers = codes(gate, 40, large(6))
    assert len(answers) == 40
    assert set(answers) <= {250, 451}
    assert answers.count(250) >= 4
    assert len(gate.taken()) == 40 + answers.count(250)
    # A receive buffer and a reply for each connection, and what the allocator keeps.
    assert peak_mib(gate) - before < 32 * 1.25 + 16


def test_a_small_message_is_not_held_up_by_large_ones(start: Start) -> None:
    gate = start({"# memory_mib = 512": "memory_mib = 8"})
    holding = smtplib.SMTP("127.0.0.1", gate.starttls, timeout=20)
    holding.login("app", "app-password")
    holding.ehlo()
    holding.mail(PERMITTED.sender, ["size=6000000"])
    holding.rcpt(PERMITTED.recipients[0])
    holding.putcmd("data")
    assert holding.getreply()[0] == 354
    assert codes(gate, 1, large(3)) == [451]
    event = gate.event("the refusal", lambda event: event.get("declared_bytes", 0) > 3 * MIB)
    assert event["level"] == "WARN" and "memory_mib" in event["remedy"]
    assert codes(gate, 1, PERMITTED.content) == [250]
    holding.close()


def test_a_message_that_could_never_fit_is_told_so(start: Start) -> None:
    gate = start({"# memory_mib = 512": "memory_mib = 8"})
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=20) as client:
        client.ehlo()
        assert int(client.esmtp_features["size"]) == 7 * MIB


def test_what_was_refused_holds_no_memory(start: Start) -> None:
    """A denied message is read to its end without being kept, and its client may stay as long as it likes."""
    gate = start({"# memory_mib = 512": "memory_mib = 8"})
    staying = smtplib.SMTP("127.0.0.1", gate.starttls, timeout=20)
    staying.login("app", "app-password")
    staying.ehlo()
    staying.mail(PERMITTED.sender, ["size=6000000"])
    staying.rcpt("one@denied.example")
    staying.putcmd("data")
    assert staying.getreply()[0] == 354
    staying.send(PERMITTED.content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    gate.event("the refusal", lambda event: event["message"] == "refused")
    assert codes(gate, 1, large(5)) == [250], "while the rest is still to come"
    staying.send(b"Hi.\r\n.\r\n")
    assert staying.getreply()[0] == 554
    assert codes(gate, 1, large(5)) == [250], "while it stays"
    staying.close()
