"""The mails of the tests, and what a client has to be told about them."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gate import Gate

ACCOUNT = "123456789012"
PASSWORDS = {"app": "app-password", "marketing": "marketing-password"}

# Lines that begin with dots, a line of one dot, trailing blanks and an empty last line.
BODY = ["Hello", ".", "..", ".hidden", "trailing blanks  ", "\t", "the end", ""]


@dataclass(frozen=True)
class Mail:
    """One mail and the user of the default configuration who sends it."""

    user: str
    sender: str
    recipients: tuple[str, ...]
    extra: tuple[str, ...] = ()
    body: tuple[str, ...] = tuple(BODY)
    number: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def password(self) -> str:
        return PASSWORDS[self.user]

    @property
    def content(self) -> bytes:
        """The mail with CRLF line ends."""
        lines = [
            f"From: Some One <{self.sender}>",
            *(f"To: {recipient}" for recipient in self.recipients[:1]),
            f"Subject: number {self.number}",
            "Date: Tue, 24 Nov 2026 12:00:00 +0000",
            f"Message-ID: <{self.number}@client.test>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
            *self.extra,
            "",
            *self.body,
        ]
        return "".join(f"{line}\r\n" for line in lines).encode()

    def renewed(self) -> Mail:
        """Returns the same mail with a number of its own."""
        return Mail(self.user, self.sender, self.recipients, self.extra, self.body)


# `app` may write to example.com alone, `marketing` only as marketing@example.com.
PERMITTED = Mail("app", "app@example.com", ("someone@example.com",))
REFUSED = Mail("app", "app@example.com", ("someone@example.net",))
REFUSED_FROM = Mail("marketing", "other@example.com", ("someone@example.net",))


def message_id(text: str) -> str:
    """Returns the id in the answer `250 Ok <id>`, which must occur once in what a client shows."""
    found = re.findall(r"250 Ok ([0-9A-Za-z][0-9A-Za-z-]+)", text)
    assert len(found) == 1, f"{len(found)} answers with a message id in:\n{text}"
    return found[0]


def decision_id(text: str, user: str, resource: str = "identity/example.com") -> str:
    """Returns the id in the denial, whose exact words must be in what a client shows."""
    words = (
        f"554 Access denied: User `arn:aws:iam::{ACCOUNT}:user/{user}' is not authorized to perform "
        f"`ses:SendRawEmail' on resource `arn:aws:ses:us-east-1:{ACCOUNT}:{resource}'"
    )
    assert words in text, f"not the denial expected:\n{text}"
    found = re.search(r" \[([0-9A-Za-z-]+)\]", text.split(words, 1)[1])
    assert found, f"no decision id:\n{text}"
    return found[1]


def assert_taken(gate: Gate, mail: Mail, shown: str) -> None:
    """The client was told the id under which exactly its mail lies in the outbox."""
    number = message_id(shown)
    assert gate.taken()[number] == mail.content
    record = json.loads((gate.outbox / f"{number}.json").read_text())
    assert record["reverse_path"] == mail.sender
    assert record["forward_paths"] == list(mail.recipients)
    assert record["user"] == mail.user


@contextmanager
def nothing_taken(gate: Gate) -> Iterator[None]:
    """Nothing comes into the outbox meanwhile."""
    before = sorted(path.name for path in gate.outbox.glob("*"))
    yield
    assert sorted(path.name for path in gate.outbox.glob("*")) == before


def assert_refused(gate: Gate, mail: Mail, shown: str) -> None:
    """The client was told why in the words of SES, and the log has the decision under that id."""
    number = decision_id(shown, mail.user)
    event = gate.event("the decision in the log", lambda event: event.get("decision") == number)
    assert (event["message"], event["principal"]) == ("refused", mail.user)
