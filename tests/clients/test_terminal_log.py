"""The log at a terminal: one short line first, the details behind it or below; no client writes lines of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import smtplib
import subprocess
import time
from pathlib import Path

import pytest

from gate import BINARY, Gate, accepts, wait_until
from mail import REFUSED
from test_terminal import ESCAPE


def watched(gate: Gate, terminal: bool, do: object, **variables: str) -> str:
    """What `sesgate serve --set log.format=text` shows while something is done."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [BINARY, "serve", "--config", gate.config, "--set", "log.format=text"],
        env={"PATH": os.environ["PATH"], "TERM": "xterm", **variables},
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    try:
        wait_until("it to listen", lambda: accepts(gate.clear))
        # Its sockets are open before it listens for signals; a greeting comes after both.
        smtplib.SMTP("localhost", gate.clear, timeout=20).close()
        do()  # type: ignore[operator]
    finally:
        process.terminate()
    shown, end = b"", time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            part = os.read(ours, 65536)
        except OSError:  # How a terminal says that nobody is left.
            part = b""
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=30) == 0
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    gate = Gate(tmp_path)
    gate.configure()
    return gate


def refuse(gate: Gate) -> None:
    with smtplib.SMTP("localhost", gate.clear, timeout=20) as client:
        client.ehlo('a"b')
        client.login(REFUSED.user, REFUSED.password)
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail(REFUSED.sender, list(REFUSED.recipients), REFUSED.content)


def test_a_refusal_is_a_short_line_and_its_details(gate: Gate) -> None:
    shown = watched(gate, True, lambda: refuse(gate), NO_COLOR="1")
    assert not ESCAPE.search(shown)
    lines = shown.splitlines()
    [at] = [at for at, line in enumerate(lines) if "refused" in line]
    assert re.fullmatch(
        r"\S+Z  INFO refused app: app@example\.com to someone@example\.net, 554, "
        r"\S+/recipients-example-com\.json:4: Allow statement 1 \(identity\) condition "
        r"`ForAllValues:StringLike` on `ses:Recipients` does not hold",
        lines[at],
    ), lines[at]
    details = lines[at + 1]
    assert details.startswith("      ") and 'reply="554 Access denied: ' in details
    assert 'peer=127.0.0.1:' in details.replace('"', "") and " decision=" in details
    # Every line is a first one, or is set in.
    assert all(re.match(r"\S+Z +(INFO|WARN|ERROR) |      ", line) for line in lines), shown


def test_it_is_coloured_unless_told_otherwise(gate: Gate) -> None:
    assert "\x1b[1m\x1b[32m INFO" in watched(gate, True, lambda: None)


def test_elsewhere_a_line_is_a_line(gate: Gate) -> None:
    shown = watched(gate, False, lambda: refuse(gate))
    assert len([line for line in shown.splitlines() if "refused" in line and "554" in line]) == 1
    assert not any(line.startswith(" " * 6) for line in shown.splitlines())
