"""One budget of bytes for all messages in flight: what does not fit waits, and is put off in time."""

from __future__ import annotations

import smtplib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conftest import Start
from gate import Gate
from mail import PASSWORDS, PERMITTED, Mail

MIB = 1024 * 1024


def peak_mib(gate: Gate) -> float:
    assert gate.process is not None
    status = Path(f"/proc/{gate.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


MARKETING = Mail("marketing", "marketing@example.com", ("someone@example.net",))


def codes(gate: Gate, count: int, content: bytes, mail: Mail = PERMITTED) -> list[int]:
    """The answers to so many clients that send at once."""
    found: list[int] = []

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=90) as client:
            client.login(mail.user, PASSWORDS[mail.user])
            try:
                client.sendmail(mail.sender, list(mail.recipients), content)
                found.append(250)
            except smtplib.SMTPResponseException as refused:
                found.append(refused.smtp_code)

    threads = [threading.Thread(target=send) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return found


def large(mib: int, mail: Mail = PERMITTED) -> bytes:
    return mail.content + b"a line of a large message, as they are\r\n" * (mib * MIB // 40)


def announced(gate: Gate, *options: str) -> smtplib.SMTP | None:
    """A client of `app` that may send content now, or none where there is no room for it."""
    client = smtplib.SMTP("127.0.0.1", gate.starttls, timeout=20)
    client.login("app", "app-password")
    client.ehlo()
    client.mail(PERMITTED.sender, list(options))
    client.rcpt(PERMITTED.recipients[0])
    client.putcmd("data")
    return client if client.getreply()[0] == 354 else None


def test_many_large_messages_stay_within_the_budget(start: Start) -> None:
    gate = start({"# memory_mib = 512": "memory_mib = 32"})
    # Checking passwords takes memory of its own, bounded too.
    assert codes(gate, 40, PERMITTED.content) == [250] * 40
    before = peak_mib(gate)
    # One user alone has half of it.
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(codes, gate, 20, large(6, mail), mail) for mail in (PERMITTED, MARKETING)]
    answers = [code for codes in sent for code in codes.result()]
    assert len(answers) == 40
    assert set(answers) <= {250, 451}
    assert answers.count(250) >= 4
    assert len(gate.taken()) == 40 + answers.count(250)
    # A receive buffer and a reply for each connection, and what the allocator keeps.
    assert peak_mib(gate) - before < 32 * 1.25 + 16


def test_a_small_message_is_not_held_up_by_large_ones(start: Start) -> None:
    gate = start({"# memory_mib = 512": "memory_mib = 8"})
    holding = announced(gate, "size=6000000")
    assert holding
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


def test_one_user_leaves_room_for_others(start: Start) -> None:
    gate = start({"# memory_mib = 512": "memory_mib = 16"})
    held = [announced(gate, "size=2200000") for _ in range(3)]
    # A fourth of the same user has no room, one of another has.
    assert None not in held
    assert codes(gate, 1, large(2)) == [451]
    assert codes(gate, 1, large(5, MARKETING), MARKETING) == [250]
    del held


def test_one_user_does_not_use_up_what_is_for_small_messages(start: Start) -> None:
    gate = start({"# memory_mib = 512": "memory_mib = 8"})
    held = []
    while len(held) < 40 and (client := announced(gate)):
        # It begins, and says no more.
        client.send(PERMITTED.content + b"a line of a message that does not end\r\n" * 5000)
        held.append(client)
    assert len(held) >= 5
    assert codes(gate, 3, MARKETING.content, MARKETING) == [250] * 3
    del held
