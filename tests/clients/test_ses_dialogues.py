"""The published dialogues of the SES SMTP endpoint, reply by reply, with swaks before sesgate.

Each file of `ses_dialogues/` is what the endpoint of SES says and what sesgate says instead:

    # What it shows, and where it is published.
    @ swaks ARGUMENTS            the client; or `@ lines tls`, `@ lines clear`: the C lines, one by one
    @ gate OLD LINE => NEW LINE  a line of the default configuration, replaced
    @ ses STATUS CODE MESSAGE    what the SES API answers; without it the outbox takes the mail
    @ hold                       one more client is connected meanwhile
    C: a command                 sent by the client
    S: a reply                   said by SES and by sesgate
    S- a reply                   said by SES, not by sesgate; the next line says why, else the heading
    S+ a reply | reason          said by sesgate, not by SES, and why
    ...                          anything, up to the next line of the file that fits

`{id}` stands for an id, `{any}` for any text: where SES says something else each time. After the last
line nothing more may come.
"""

from __future__ import annotations

import json
import re
import shlex
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conftest import Certificates, Start
from gate import Gate, wait_until
from test_crash import FakeSes, TakeMessage

FILES = sorted((Path(__file__).parent / "ses_dialogues").glob("*.smtp"))
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Troubled(FakeSes):
    """Answers with an error until it recovers, and takes messages from then on."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__()
        self.error: tuple[int, str, str] | None = (status, code, message)
        self.RequestHandlerClass = Answer

    def recover(self) -> None:
        self.error = None


class Answer(TakeMessage):
    server: Troubled

    def do_POST(self) -> None:
        if self.server.error is None:
            super().do_POST()
            return
        status, code, message = self.server.error
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps({"message": message}).encode()
        self.send_response(status)
        self.send_header("x-amzn-errortype", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def towards(ses: FakeSes) -> dict[str, str]:
    """The lines of the default file that make that SES the upstream."""
    return {
        'kind = "outbox"': 'kind = "ses"',
        'directory = "outbox"': f'endpoint_url = "http://127.0.0.1:{ses.server_port}"',
    }


@dataclass
class Script:
    """One file, read."""

    client: list[str] = field(default_factory=list)
    changes: dict[str, str] = field(default_factory=dict)
    error: tuple[int, str, str] | None = None
    hold: bool = False
    # What sesgate and its client say, `...` included.
    lines: list[str] = field(default_factory=list)
    # What SES says.
    published: list[str] = field(default_factory=list)


def read(file: Path) -> Script:
    script = Script()
    for number, line in enumerate(file.read_text().splitlines(), 1):
        where = f"{file.name}:{number}: {line}"
        kind, _, text = line.partition(" ")
        if kind == "@":
            name, _, rest = text.partition(" ")
            if name in ("swaks", "lines"):
                script.client = [name, *shlex.split(rest)]
            elif name == "gate":
                old, arrow, new = rest.partition(" => ")
                assert arrow, where
                script.changes[old] = new
            elif name == "ses":
                status, code, message = rest.split(" ", 2)
                script.error = (int(status), code, message)
            else:
                assert line == "@ hold", where
                script.hold = True
        elif kind in ("C:", "S:", "..."):
            script.lines.append(line)
            script.published += [text] if kind == "S:" else []
        elif kind == "S+":
            reply, bar, reason = text.rpartition(" | ")
            assert bar and reason, f"a difference without a reason: {where}"
            script.lines.append(f"S: {reply}")
        elif kind == "S-":
            script.published.append(text)
        else:
            assert kind in ("#", ""), where
    assert script.client and script.published, f"{file.name} says nothing"
    assert script.client[0] == "swaks" or "..." not in script.lines, f"{file.name}: `...` is for swaks"
    return script


def fits(pattern: str, line: str) -> bool:
    parts = re.split(r"(\{id\}|\{any\})", pattern)
    meaning = {"{id}": r"[0-9A-Za-z-]{8,}", "{any}": ".*"}
    return re.fullmatch("".join(meaning.get(part) or re.escape(part) for part in parts), line) is not None


def compare(script: Script, dialogue: list[str]) -> None:
    """Each line of the dialogue is the next of the script."""
    shown = "\n".join(dialogue)
    rest = iter(dialogue)
    skipping = False
    for wanted in script.lines:
        if wanted == "...":
            skipping = True
            continue
        for line in rest:
            if fits(wanted, line):
                break
            assert skipping, f"wanted `{wanted}`, found `{line}` in:\n{shown}"
        else:
            raise AssertionError(f"wanted `{wanted}`, which did not come:\n{shown}")
        skipping = False
    left = list(rest)
    assert skipping or not left, f"more than wanted: {left} in:\n{shown}"


def swaks(script: Script, gate: Gate) -> list[str]:
    arguments = script.client[1:]
    port = gate.implicit if "-tlsc" in arguments else gate.starttls
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(port), "--timeout", "20", "--ehlo", "client.test",
         "--suppress-data", *arguments],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return [said for line in (done.stdout + done.stderr).splitlines() if (said := spoken(line))]


def spoken(line: str) -> str | None:
    """A line of the dialogue that swaks shows; ` -> ` and `<- ` in clear, `~` under TLS, `*` unexpected."""
    if found := re.match(r"(?: (?:->|~>|\*>)|(<- |<~ |<\*\*|<~\*)) (.*)", line):
        return f"S: {found[2]}" if found[1] else f"C: {found[2]}"
    return None


def lines(script: Script, gate: Gate, trust: ssl.SSLContext) -> Iterator[str]:
    """Sends the C lines and reads as many as the script has S lines, then whatever comes up to the end."""
    tls = script.client[1:] == ["tls"]
    with ExitStack() as opened:
        connection = opened.enter_context(
            socket.create_connection(("127.0.0.1", gate.implicit if tls else gate.starttls), timeout=10)
        )
        if tls:
            connection = opened.enter_context(trust.wrap_socket(connection, server_hostname="localhost"))
        replies = opened.enter_context(connection.makefile("r", encoding="ascii", newline="\r\n"))
        for line in script.lines:
            if line.startswith("C: "):
                connection.sendall(f"{line[3:]}\r\n".encode())
                yield line
            else:
                yield f"S: {replies.readline().removesuffix(chr(10)).removesuffix(chr(13))}"
        # The gate closed: nothing more can come.
        yield from (f"S: {line.rstrip()}" for line in replies)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_says_what_ses_says(
    start: Start, certificates: Certificates, trust: ssl.SSLContext, file: Path
) -> None:
    script = read(file)
    changes = {**certificates.lines, **script.changes}
    if script.error:
        changes |= towards(Troubled(*script.error))
    gate = start(changes, KEYS)
    with ExitStack() as opened:
        if script.hold:
            wait_until("a place", lambda: holds(opened, gate))
        if script.client[0] == "swaks":
            dialogue = swaks(script, gate)
        else:
            dialogue = list(lines(script, gate, trust))
    compare(script, dialogue)


def holds(opened: ExitStack, gate: Gate) -> bool:
    """Connects and stays, unless the connection that saw the gate start still counts."""
    held = opened.enter_context(socket.create_connection(("127.0.0.1", gate.starttls), timeout=5))
    return held.recv(4) == b"220 "


def test_there_are_dialogues() -> None:
    assert len(FILES) > 20


@pytest.mark.parametrize(
    "dialogue",
    [
        ["S: 220 gate", "C: QUIT", "S: 221 Goodbye"],
        ["S: 220 gate", "C: QUIT"],
        ["S: 220 gate", "C: QUIT", "S: 221 Bye", "S: 221 Bye"],
        ["S: 220 gate", "S: 220 gate", "C: QUIT", "S: 221 Bye"],
    ],
)
def test_a_difference_is_noticed(dialogue: list[str]) -> None:
    with pytest.raises(AssertionError):
        compare(Script(lines=["S: 220 {any}", "C: QUIT", "S: 221 Bye"]), dialogue)
