"""`policy new` at a terminal: it asks for what no flag says."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from pathlib import Path

from gate import BINARY, sesgate

QUESTION_ENDS = ": "
END_OF_INPUT = "\x04"


def answer(folder: Path, *flags: str, answers: list[str]) -> tuple[str, str, int]:
    """Answers each question in its turn; returns what was asked, what was printed, and the exit status."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [BINARY, "policy", "new", *flags], cwd=folder, stdin=theirs, stderr=theirs,
        stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"], "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    asked, pending, end = "", "", time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            part = os.read(ours, 65536).decode()
        except OSError:  # How a terminal says that nobody is left.
            break
        asked, pending = asked + part, pending + part
        if pending.endswith(QUESTION_ENDS) and answers:
            given = answers.pop(0)
            os.write(ours, given.encode() if given == END_OF_INPUT else f"{given}\n".encode())
            pending = ""
    os.close(ours)
    assert process.stdout
    printed = process.stdout.read().decode()
    process.stdout.close()
    assert not answers, asked
    return asked.replace("\r\n", "\n"), printed, process.wait(timeout=10)


def test_answers_are_what_flags_would_say(tmp_path: Path) -> None:
    asked, printed, status = answer(
        tmp_path,
        answers=["app@example.com, @shop.example", "", "", "example.com", "rival.example", "", "192.0.2.0/24"],
    )
    assert status == 0, asked
    flags = [
        "--from", "app@example.com", "--from", "@shop.example", "--to-domain", "example.com",
        "--deny-to", "rival.example", "--network", "192.0.2.0/24",
    ]  # fmt: skip
    assert printed == sesgate("policy", "new", *flags).stdout
    (tmp_path / "cases.json").write_text(printed)
    assert sesgate("policy", "test", tmp_path / "cases.json").returncode == 0


def test_an_answer_that_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    asked, printed, status = answer(
        tmp_path, "--display-name", "Shop", "--feedback", "bounces@example.com",
        answers=["app", "app@example.com", "", "", "08:00-18:00", "", ""],
    )  # fmt: skip
    assert status == 0, asked
    assert asked.count("As whom may it send?") == 2
    assert "  Missing final '@domain'; write app@example.com, or @example.com for all\n" in asked
    assert "  IAM knows moments and no time of the day" in asked
    # Of what a flag says nothing is asked.
    assert "display name" not in asked and "bounces go" not in asked
    assert json.loads(printed)["about"].endswith(
        "--from app@example.com --display-name Shop --feedback bounces@example.com"
    )


def test_the_end_of_the_answers_ends_the_questions(tmp_path: Path) -> None:
    asked, printed, status = answer(tmp_path, "--from", "app@example.com", answers=["", END_OF_INPUT])
    assert "To which domain" not in asked
    assert (status, json.loads(printed)["about"]) == (0, "sesgate policy new --from app@example.com"), asked


def test_nothing_is_asked_where_nothing_should_be(tmp_path: Path) -> None:
    asked, printed, status = answer(tmp_path, "--from", "app@example.com", "--no-questions", answers=[])
    assert (asked, status) == ("", 0)
    assert "app@example.com" in printed
    # Nobody is there to answer.
    assert sesgate("policy", "new").returncode == 2
