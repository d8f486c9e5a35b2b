"""Mail goes to SES at the account's rate, shared fairly between users."""

from __future__ import annotations

import smtplib
import threading
import time
from collections import Counter

import pytest

from conftest import Start
from gate import Gate, free_port, wait_until
from mail import PERMITTED
from ses import CREDENTIALS, Account, Ses

USERS = [f"user{number}" for number in range(5)]
MESSAGES = 1_000
RATE = 50.0


def speaks_for(gate: Gate, users: list[str], budget: str = "") -> dict[str, int]:
    """Adds users and for each of them a listener without AUTH; returns the ports."""
    ports = {user: free_port() for user in users}
    text = gate.config.read_text()
    for user, port in ports.items():
        text += (
            f'\n[[listeners]]\naddress = "127.0.0.1:{port}"\nuser = "{user}"\n'
            f'[[users]]\nname = "{user}"\narn = "arn:aws:iam::123456789012:user/{user}"\n'
            f'policies = ["policies/send-only.json"]\n{budget}\n'
        )
    gate.config.write_text(text)
    return ports


class Sender(threading.Thread):
    """Sends its messages at the moments given, over one connection; later when that is behind."""

    def __init__(self, user: str, port: int, numbers: list[int], begin: float, gap: float) -> None:
        super().__init__(daemon=True)
        self.user, self.port, self.numbers, self.begin, self.gap = user, port, numbers, begin, gap
        self.answers: dict[str, int] = {}
        self.texts: set[str] = set()

    def run(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            for number in self.numbers:
                time.sleep(max(0.0, self.begin + number * self.gap - time.monotonic()))
                subject = f"{self.user}-{number}"
                content = f"From: app@example.com\r\nSubject: {subject}\r\n\r\nHi.\r\n".encode()
                try:
                    client.sendmail("app@example.com", ["one@example.com"], content)
                    self.answers[subject] = 250
                except smtplib.SMTPDataError as refused:
                    self.answers[subject] = refused.smtp_code
                    self.texts.add(str(refused.smtp_error, "ascii"))


def test_five_users_at_twice_the_rate_get_equal_shares(start: Start) -> None:
    """1,000 messages at 100 a second, where SES takes 50: each is delivered once or answered 4yz."""
    ses = Ses(Account(max_send_rate=RATE))
    gate = start({**ses.lines, "wait_seconds = 20": "wait_seconds = 1"}, CREDENTIALS, run=False)
    ports = speaks_for(gate, USERS)
    gate.start()
    gate.event("the rate of the account", lambda event: event.get("max_send_rate") == RATE)
    connections, each = 30, MESSAGES // len(USERS)
    begin, gap = time.monotonic() + 1, len(USERS) / (2 * RATE)
    senders = [
        Sender(user, ports[user], list(range(first, each, connections)), begin, gap)
        for user in USERS
        for first in range(connections)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
        assert not sender.is_alive()
    ses.stop()

    answers = {subject: code for sender in senders for subject, code in sender.answers.items()}
    assert len(answers) == MESSAGES
    delivered = Counter(message.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for message in ses.taken)
    assert set(delivered.values()) == {1}, "once"
    assert set(delivered) == {subject for subject, code in answers.items() if code == 250}
    assert set(answers.values()) == {250, 454}
    assert {text for sender in senders for text in sender.texts} == {
        "Throttling failure: Maximum sending rate exceeded."
    }
    shares = Counter(subject.split("-")[0] for subject in delivered)
    assert set(shares) == set(USERS)
    assert max(shares.values()) <= 1.1 * min(shares.values()), shares
    assert ses.throttled <= 0.02 * MESSAGES, "the relay keeps to the rate by itself"
    assert len(delivered) >= 0.8 * MESSAGES / 2, "and uses what there is"


def test_a_quiet_user_does_not_wait_behind_a_noisy_one(start: Start) -> None:
    ses = Ses(Account(max_send_rate=5.0))
    gate = start({**ses.lines, "wait_seconds = 20": "wait_seconds = 10"}, CREDENTIALS, run=False)
    ports = speaks_for(gate, ["noisy", "quiet"])
    gate.start()
    gate.event("the rate of the account", lambda event: event.get("max_send_rate") == 5.0)
    begin = time.monotonic()
    noisy = [Sender("noisy", ports["noisy"], [number], begin, 0) for number in range(60)]
    for sender in noisy:
        sender.start()
    time.sleep(2)
    quiet = Sender("quiet", ports["quiet"], [0], 0, 0)
    before = time.monotonic()
    quiet.start()
    quiet.join(30)
    assert quiet.answers == {"quiet-0": 250}
    assert time.monotonic() - before < 2, "one turn of the other user, and its own"
    for sender in noisy:
        sender.join(60)
    ses.stop()


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ("recipients_per_second = 1", "Throttling failure: Maximum sending rate exceeded."),
        ("recipients_per_day = 2", "Throttling failure: Daily message quota exceeded."),
    ],
)
def test_a_user_has_a_budget_of_its_own(start: Start, budget: str, text: str) -> None:
    gate = start({"wait_seconds = 20": "wait_seconds = 0"}, run=False)
    port = speaks_for(gate, ["bound"], budget)["bound"]
    gate.start()
    sender = Sender("bound", port, list(range(6)), 0, 0)
    sender.run()
    assert sender.texts == {text}
    assert Counter(sender.answers.values())[454] >= 4
    with smtplib.SMTP("127.0.0.1", gate.starttls) as client:
        client.login("app", "app-password")
        client.sendmail(PERMITTED.sender, list(PERMITTED.recipients), PERMITTED.content)
    gate.event(
        "the refusal", lambda event: event.get("principal") == "bound" and "of the user" in event.get("remedy", "")
    )


def test_what_never_fits_a_budget_is_refused_for_good(start: Start) -> None:
    gate = start(run=False)
    port = speaks_for(gate, ["bound"], "recipients_per_day = 1")["bound"]
    gate.start()
    with smtplib.SMTP("127.0.0.1", port) as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("app@example.com", ["one@example.com", "two@example.com"], b"From: app@example.com\r\n\r\nHi.\r\n")
    assert refused.value.smtp_code == 554
    assert b"daily budget" in refused.value.smtp_error


def test_throttles_of_ses_slow_the_pace_and_it_recovers(start: Start) -> None:
    """SES takes less than the account's rate says: what it throttles is tried again, slower."""
    ses = Ses(Account(max_send_rate=200.0))
    gate = start(ses.lines, CREDENTIALS, run=False)
    port = speaks_for(gate, ["app1"])["app1"]
    gate.start()
    gate.event("the rate of the account", lambda event: event.get("max_send_rate") == 200.0)
    ses.account.max_send_rate = 20.0
    ses.room = 0.0
    senders = [Sender("app1", port, list(range(first, 120, 20)), time.monotonic(), 0) for first in range(20)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(90)
    ses.stop()
    answers = Counter(code for sender in senders for code in sender.answers.values())
    assert sum(answers.values()) == 120
    assert set(answers) <= {250, 454}
    assert len(ses.taken) == answers[250] == len(set(ses.taken)) >= 60
    assert ses.throttled < 3 * 120, "fewer than three attempts for each"


def test_what_waits_for_its_turn_at_the_end_of_a_drain_is_not_sent(start: Start) -> None:
    """Its client hears so, and that no duplicate is to be expected."""
    gate = start({"drain_seconds = 25": "drain_seconds = 1", "# recipients_per_second = 14": "recipients_per_second = 0.1"}, run=False)
    port = speaks_for(gate, ["app1"])["app1"]
    gate.start()
    senders = [Sender("app1", port, [number], 0, 0) for number in range(4)]
    for sender in senders:
        sender.start()
    wait_until("the first to be taken", lambda: len(gate.taken()) == 1)
    time.sleep(0.5)
    gate.terminate()
    assert gate.wait() == 0
    for sender in senders:
        sender.join(10)
    assert sorted(code for sender in senders for code in sender.answers.values()) == [250, 451, 451, 451]
    assert len(gate.taken()) == 1
    refused = [event for event in gate.events() if event["message"] == "refused"]
    assert [event["possible_duplicate"] for event in refused] == [False] * 3


LIMIT = (400, "LimitExceededException", "Daily message quota exceeded.")


def send_from(port: int) -> str:
    """What becomes of one message: `250`, or the text of its refusal."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        try:
            client.sendmail("app@example.com", ["one@example.com"], b"From: app@example.com\r\n\r\nHi.\r\n")
        except smtplib.SMTPDataError as refused:
            return str(refused.smtp_error, "ascii")
    return "250"


def asked(ses: Ses, what: str) -> int:
    return sum(what in call for _, call in ses.calls)


def test_a_quota_that_is_not_used_up_stops_nobody_for_a_minute(start: Start) -> None:
    """SES answers so for other reasons too: it is asked at once, and the others go on."""
    ses = Ses()
    gate = start(ses.lines, CREDENTIALS, run=False)
    ports = speaks_for(gate, ["one", "other"])
    gate.start()
    gate.event("the rate of the account", lambda event: event.get("max_send_rate") == 1000.0)
    ses.faults["/outbound-emails"] = LIMIT
    before = asked(ses, "/email/account")
    assert send_from(ports["one"]) == "Throttling failure: Daily message quota exceeded."
    del ses.faults["/outbound-emails"]
    wait_until("another user's mail goes", lambda: send_from(ports["other"]) == "250", 20)
    assert asked(ses, "/email/account") == before + 1
    ses.stop()


@pytest.mark.parametrize("why", ["used up", "not known"])
def test_a_quota_that_may_be_used_up_stops_all(start: Start, why: str) -> None:
    """What SES confirms, or does not say, holds mail back without asking it again for each message."""
    ses = Ses()
    gate = start(ses.lines, CREDENTIALS, run=False)
    ports = speaks_for(gate, ["one", "other"])
    gate.start()
    gate.event("the rate of the account", lambda event: event.get("max_send_rate") == 1000.0)
    before = asked(ses, "/email/account")
    if why == "used up":
        ses.account.sent_last_24_hours = ses.account.max_24_hour_send
    else:
        ses.faults["/email/account"] = (500, "InternalFailure", "x")
    ses.faults["/outbound-emails"] = LIMIT
    assert send_from(ports["one"]) == "Throttling failure: Daily message quota exceeded."
    del ses.faults["/outbound-emails"]
    wait_until("the account is asked for", lambda: asked(ses, "/email/account") > before, 20)
    sent = asked(ses, "/outbound-emails")
    for _ in range(5):
        assert send_from(ports["other"]) == "Throttling failure: Daily message quota exceeded."
    assert asked(ses, "/outbound-emails") == sent
    ses.stop()
