"""What the fault tests and `../soak` share: a ledger of every mail, clients that try again, and an SES
that cannot be relied on.

Each mail goes to a recipient of its own, so that lines of the log can be told apart by it. Only the
standard library is needed here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import smtplib
import socket
import struct
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

import ses

SENDER = "app@example.com"
# The environment of the image that makes a difference here (docker/Dockerfile).
AS_IN_THE_IMAGE = {"MALLOC_MMAP_THRESHOLD_": "1048576"}
# What SES may do with a call, and how often relative to the others. `took-` means that it has taken the
# message by then, whatever it says.
FAULTS = {
    "take": 60,
    "throttle": 6,
    "reject": 3,
    "reset-unread": 4,
    "reset-read": 4,
    "took-reset": 4,
    "took-cut": 3,
    "stall": 1,
    "took-stall": 1,
    "error": 4,
    "took-error": 3,
    "rubbish": 3,
    "took-rubbish": 3,
    "no-id": 3,
    "took-no-id": 3,
}


def digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def mail(size: int = 1024, domain: str = "example.com") -> tuple[str, bytes]:
    """A new mail of about that many bytes, and its number: the local part of its recipient."""
    number = uuid.uuid4().hex
    head = f"From: {SENDER}\r\nTo: {number}@{domain}\r\nSubject: {number}\r\n\r\n".encode()
    line = b"a line of a mail, of the length that most lines have in them\r\n"
    return number, head + line * max(1, (size - len(head)) // len(line))


@dataclass
class Account:
    """What became of one mail: the answers of the relay, none where the connection broke instead."""

    digest: bytes
    answers: list[int | None] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)


class Ledger:
    """What clients were told of each mail, and what the upstream took."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sent: dict[str, Account] = {}
        self.taken: Counter[str] = Counter()
        self.foreign: list[str] = []
        self.kills: list[float] = []

    def sends(self, number: str, content: bytes) -> None:
        with self.lock:
            self.sent[number] = Account(digest(content))

    def answer(self, number: str, code: int | None, text: str = "") -> None:
        with self.lock:
            self.sent[number].answers.append(code)
            self.sent[number].texts.append(text)
            self.sent[number].moments.append(time.monotonic())

    def takes(self, content: bytes) -> None:
        """The upstream took this; it must be what a client sent, byte for byte."""
        number = content.partition(b"\r\nTo: ")[2].partition(b"@")[0].decode("ascii", "replace")
        with self.lock:
            if number not in self.sent or self.sent[number].digest != digest(content):
                self.foreign.append(number)
            self.taken[number] += 1

    def killed(self) -> None:
        """The relay ends here and now: lines of the log that it had not written yet are no more."""
        with self.lock:
            self.kills.append(time.monotonic())

    def codes(self) -> Counter[int | None]:
        """How many answers there were of each code."""
        with self.lock:
            return Counter(code for account in self.sent.values() for code in account.answers)

    def faults(self, events: Iterable[dict[str, Any]]) -> list[str]:
        """What is wrong, given the log: nothing, if both promises were kept.

        A mail may be taken as often as it was answered 250, and once more for each line of the log
        that says so, for each connection that broke before the answer, and for each 451 whose line
        may have been lost: a thread of its own writes them, so that a kill leaves the last out.
        """
        announced: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        for event in events:
            refused[event.get("recipients", "").partition("@")[0]] += event["message"] == "refused"
            if event.get("possible_duplicate") is True or "duplicate" in event.get("remedy", ""):
                announced[event["recipients"].partition("@")[0]] += 1
        found = [f"{number} was taken but never sent like that" for number in self.foreign]
        for number, account in self.sent.items():
            answered, taken = account.answers.count(250), self.taken[number]
            unknown = announced[number] + account.answers.count(None)
            unknown += self.unlogged(account, refused[number])
            if answered > taken:
                found.append(f"{number} is lost: {account.answers}, taken {taken} times")
            if taken > answered + unknown:
                found.append(f"{number} was taken {taken} times unannounced: {account.answers}, {unknown} unknown")
        return found

    def unlogged(self, account: Account, lines: int) -> int:
        """Answers just before a kill for which the log has no line at all."""
        answers = zip(account.answers, account.moments)
        late = sum(code == 451 and any(abs(at - kill) < 0.5 for kill in self.kills) for code, at in answers)
        refused = sum(code is not None and code != 250 for code in account.answers)
        return min(late, max(0, refused - lines))

    def summary(self) -> str:
        twice = sum(count > 1 for count in self.taken.values())
        codes = sorted(self.codes().items(), key=str)
        return f"{len(self.sent)} mails, answers {codes}, {sum(self.taken.values())} taken, {twice} more than once"


class Client(threading.Thread):
    """Delivers mails one after the other, and tries each again until that is settled."""

    def __init__(
        self,
        ledger: Ledger,
        connect: Callable[[], smtplib.SMTP],
        sizes: Iterable[int],
        pause: float = 0.05,
        domain: str = "example.com",
    ) -> None:
        super().__init__(daemon=True)
        self.ledger, self.connect, self.sizes, self.pause, self.domain = ledger, connect, sizes, pause, domain
        self.client: smtplib.SMTP | None = None
        self.stopping = threading.Event()
        self.settled = 0
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            for size in self.sizes:
                if self.stopping.is_set():
                    break
                self.deliver(*mail(size, self.domain))
        except Exception as fault:
            self.fault = fault
        finally:
            if self.client is not None:
                self.client.close()

    def deliver(self, number: str, content: bytes) -> None:
        self.ledger.sends(number, content)
        while True:
            try:
                code = self.attempt(number, content)
            except (OSError, smtplib.SMTPException):
                if self.client is not None:
                    self.client.close()
                self.client, code = None, 421
            if code == 250 or 500 <= code:
                self.settled += 1
                return
            if self.stopping.wait(self.pause):
                return

    def attempt(self, number: str, content: bytes) -> int:
        if self.client is None:
            self.client = self.connect()
        client = self.client
        for code, _ in (client.mail(SENDER, [f"size={len(content)}"]), client.rcpt(f"{number}@{self.domain}")):
            if code != 250:
                client.rset()
                return code
        client.putcmd("data")
        code, _ = client.getreply()
        if code != 354:
            return code
        try:
            client.send(content + b".\r\n")
            code, text = client.getreply()
        except (OSError, smtplib.SMTPException):
            self.ledger.answer(number, None)
            raise
        self.ledger.answer(number, code, text.decode("ascii"))
        if code == 421:
            raise smtplib.SMTPServerDisconnected("told to go")
        return code


def login(port: int, source: str = "127.0.0.1", timeout: float = 20) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", port, timeout=timeout, source_address=(source, 0))
    client.login("app", "app-password")
    return client


class ChaoticSes(ThreadingHTTPServer):
    """Takes messages into a ledger, or does with a call what `weights` say, at random but seeded."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(
        self, ledger: Ledger, seed: int = 0, weights: dict[str, int] | None = None, port: int = 0, stall: float = 3
    ) -> None:
        super().__init__(("127.0.0.1", port), ChaoticAnswer)
        self.ledger, self.weights, self.stall = ledger, weights or {"take": 1}, stall
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.did: Counter[str] = Counter()
        self.open: set[socket.socket] = set()
        self.stopping = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def lines(self) -> dict[str, str]:
        """The lines of the default file that make it the upstream."""
        return {
            'kind = "outbox"': f'kind = "ses"\nendpoint_url = "http://127.0.0.1:{self.server_port}"',
            "ask_ses = true": "ask_ses = false",
            # Without a rate the first throttle would set one of a few a second, for a minute.
            "# recipients_per_second = 14": "recipients_per_second = 5000",
        }

    def next(self) -> str:
        with self.lock:
            [kind] = self.random.choices(list(self.weights), self.weights.values())
            self.did[kind] += 1
            return kind

    def calm(self) -> None:
        """From now on it does what it should."""
        self.weights = {"take": 1}

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass

    def stop(self) -> None:
        """Gone: nobody listens, and every connection is cut."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self.lock:
            for connection in self.open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class ChaoticAnswer(ses.Answer):
    protocol_version = "HTTP/1.1"
    server: ChaoticSes

    def do_POST(self) -> None:
        kind = self.server.next()
        what = kind.removeprefix("took-")
        if kind == "reset-unread":
            self.reset()
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        if kind == "take" or kind.startswith("took-"):
            self.server.ledger.takes(base64.b64decode(json.loads(body)["Content"]["Raw"]["Data"]))
        del body
        if what == "take":
            self.answer(200, {"MessageId": f"0100-{uuid.uuid4()}"})
        elif what == "throttle":
            self.answer(429, {"message": "Maximum sending rate exceeded."}, "TooManyRequestsException")
        elif what == "reject":
            self.answer(400, {"message": "Illegal content."}, "MessageRejected")
        elif what in ("reset", "reset-read"):
            self.reset()
        elif what == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Mess")
            self.close_connection = True
        elif what == "stall":
            self.server.stopping.wait(self.server.stall)
            if kind == "took-stall":
                self.answer(200, {"MessageId": f"0100-{uuid.uuid4()}"})
            else:
                self.answer(503, {"message": "late"}, "ServiceUnavailable")
        elif what == "error":
            self.answer(500, {"message": "no"}, "InternalFailure")
        elif what == "rubbish":
            self.wfile.write(bytes(range(256)) * 4)
            self.close_connection = True
        elif what == "no-id":
            self.answer(200, {})
        else:
            raise AssertionError(kind)

    def reset(self) -> None:
        """Ends the connection with RST."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()


class Hostile(threading.Thread):
    """Holds connections that never log in and behave badly; one that is cut off is replaced. Half of
    them wait for a reply before each line, as they should, the others for nothing."""

    HABITS: tuple[bytes, ...] = (
        b"",
        b"EHLO x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
        b"A" * 5000 + b"\r\n",
        # Guesses the password of the user that good clients log in as.
        b"EHLO x\r\nAUTH PLAIN AGFwcAB3cm9uZw==\r\n",
        b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nDATA\r\n",
        b"NOOP\r\n" * 200,
        b"\x00\xff\r\n" * 50,
        b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<smuggled@example.com>\r\n",
    )

    def __init__(self, ports: list[int], sources: list[str], count: int, seed: int = 0, pause: float = 0.2) -> None:
        super().__init__(daemon=True)
        self.ports, self.sources, self.count, self.pause = ports, sources, count, pause
        self.random = random.Random(seed)
        self.held: dict[socket.socket, bytes] = {}
        self.patient: set[socket.socket] = set()
        self.waiting: set[socket.socket] = set()
        self.stopping = threading.Event()
        self.replies: Counter[str] = Counter()
        self.opened = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            while len(self.held) < self.count and not self.stopping.is_set():
                self.begin()
            for connection in list(self.held):
                self.bother(connection)
            self.stopping.wait(self.pause)
        for connection in self.held:
            connection.close()
        self.held.clear()

    def begin(self) -> None:
        connection = socket.socket()
        connection.bind((self.random.choice(self.sources), 0))
        try:
            connection.connect(("127.0.0.1", self.random.choice(self.ports)))
        except OSError:
            connection.close()
            self.stopping.wait(self.pause)
            return
        connection.setblocking(False)
        self.opened += 1
        self.held[connection] = self.random.choice(self.HABITS)
        if self.random.random() < 0.5:
            self.patient.add(connection)
            self.waiting.add(connection)

    def bother(self, connection: socket.socket) -> None:
        """Writes a little or all of the rest, and reads what there is."""
        try:
            rest = self.held[connection]
            if connection in self.waiting:
                pass
            elif rest and connection in self.patient:
                self.held[connection] = rest[connection.send(rest[: rest.find(b"\n") + 1 or None]) :]
                self.waiting.add(connection)
            elif rest:
                some = len(rest) if self.random.random() < 0.5 else 1
                self.held[connection] = rest[connection.send(rest[:some]) :]
            elif self.random.random() < 0.02:
                raise ConnectionError("had enough")
            reply = connection.recv(65536)
            if not reply:
                raise ConnectionError("cut off")
            self.waiting.discard(connection)
            self.replies.update(line[:3].decode("ascii", "replace") for line in reply.split(b"\r\n") if line)
        except BlockingIOError:
            pass
        except OSError:
            connection.close()
            self.patient.discard(connection)
            self.waiting.discard(connection)
            del self.held[connection]


def finish(clients: Iterable[threading.Thread], seconds: float) -> None:
    """Waits for clients, none of which may have failed."""
    end = time.monotonic() + seconds
    for client in clients:
        client.join(max(0.0, end - time.monotonic()))
        assert not client.is_alive(), f"{client} still runs after {seconds} s"
        assert getattr(client, "fault", None) is None, repr(client.fault)
