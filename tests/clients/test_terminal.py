"""Colours, lines with a mark, and progress: what a terminal gets, and nothing else does."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from conftest import Start
from gate import BINARY, REPOSITORY

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
MISTAKES = ["check", "--config", "tests/configs/mistakes.toml"]


def run(
    *arguments: str | Path, terminals: str, cwd: Path = REPOSITORY, **variables: str
) -> tuple[str, str, int]:
    """Runs a command with a terminal as `out`, as `err`, both or none; returns what came out of both."""
    streams, reads, child = {}, {}, {}
    for name in ("out", "err"):
        ours, theirs = pty.openpty() if name in terminals.split() else os.pipe()
        reads[ours], child[name], streams[name] = name, theirs, b""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm", **variables}
    process = subprocess.Popen(
        [BINARY, *arguments], cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
        stdout=child["out"], stderr=child["err"],
    )
    for theirs in child.values():
        os.close(theirs)
    end = time.monotonic() + 50
    while reads and time.monotonic() < end:
        for ours in select.select(list(reads), [], [], 1)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # How a terminal says that nobody is left.
                part = b""
            streams[reads[ours]] += part
            if not part:
                os.close(ours)
                del reads[ours]
    status = process.wait(timeout=10)
    return (*(streams[name].decode().replace("\r\n", "\n") for name in ("out", "err")), status)


# Variables, and whether there is colour on a terminal and in a pipe.
COLOURS: dict[str, tuple[Mapping[str, str], bool, bool]] = {
    "nothing": ({}, True, False),
    "NO_COLOR": ({"NO_COLOR": "1"}, False, False),
    "NO_COLOR empty": ({"NO_COLOR": ""}, True, False),
    "TERM=dumb": ({"TERM": "dumb"}, False, False),
    "CLICOLOR_FORCE": ({"CLICOLOR_FORCE": "1"}, True, True),
    "CLICOLOR_FORCE empty": ({"CLICOLOR_FORCE": ""}, True, False),
    "CLICOLOR=0": ({"CLICOLOR": "0"}, False, False),
    "NO_COLOR and CLICOLOR_FORCE": ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, False, False),
}
# Commands that print findings, and where.
COMMANDS = {
    "check": (MISTAKES, "err"),
    "config print": (["config", "print", *MISTAKES[1:]], "err"),
    "lint": (["policy", "lint", "config/policies"], "out"),
    "doctor": (["doctor", *MISTAKES[1:]], "out"),
    "help": (["--help"], "out"),
    "a slip": (["serv"], "err"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", COLOURS)
def test_colours_follow_the_variables(command: str, case: str) -> None:
    variables, on_terminal, in_pipe = COLOURS[case]
    arguments, stream = COMMANDS[command]
    for terminals, wanted in (("out err", on_terminal), ("", in_pipe)):
        out, err, _ = run(*arguments, terminals=terminals, **variables)
        shown = out if stream == "out" else err
        assert bool(ESCAPE.search(shown)) == wanted, shown[:500]


def test_a_terminal_is_asked_for_each_stream() -> None:
    _, err, _ = run(*MISTAKES, terminals="out")
    assert not ESCAPE.search(err)
    out, _, _ = run("policy", "lint", "config/policies", terminals="err")
    assert not ESCAPE.search(out)


def test_check_shows_the_line_below_and_keeps_the_first() -> None:
    _, plain, status = run(*MISTAKES, terminals="")
    assert status == 78
    assert all(re.match(r"tests/configs/[^:]+(:\d+:\d+)?: ", line) for line in plain.splitlines())
    _, shown, _ = run(*MISTAKES, terminals="err")
    shown = ESCAPE.sub("", shown)
    assert [line for line in shown.splitlines() if not re.match(r" *\d* \|", line)] == plain.splitlines()
    text = (REPOSITORY / "tests/configs/mistakes.toml").read_text().splitlines()
    marked = re.findall(r"mistakes\.toml:(\d+):(\d+): .*\n *\1 \| (.*)\n {6}\| ( *)\^\n", shown)
    assert len(marked) > 10
    for number, column, line, blanks in marked:
        assert line == text[int(number) - 1]
        assert len(blanks) == int(column) - 1


def test_lines_with_secrets_are_not_shown() -> None:
    _, shown, _ = run(*MISTAKES, terminals="err")
    text = (REPOSITORY / "tests/configs/mistakes.toml").read_text().splitlines()
    place = text.index('password_hash = "secret"') + 1
    assert f"mistakes.toml:{place}:" in shown
    assert '"secret"' not in shown


def test_a_configuration_from_a_pipe_is_read_once(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    writer = subprocess.Popen(["sh", "-c", 'printf "[server]\\nhostname = 1\\n" >"$1"', "sh", fifo])
    _, err, status = run("check", "--config", fifo, terminals="err")
    assert writer.wait(timeout=10) == 0
    assert status == 78 and f"{fifo}:2:12: " in ESCAPE.sub("", err)


def test_a_hostile_line_does_not_steer_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[server]\nhostname = "\\u001b]0;x\\u0007" # \tü\n"\\u001b[2J" = 1\n')
    for terminals in ("err", ""):
        _, err, _ = run("check", "--config", file, terminals=terminals)
        assert "\x07" not in err and "\x1b]" not in err and "\x1b[2J" not in err


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Cases for a moment: a policy with many statements, asked often."""
    allow = {"Effect": "Allow", "Action": "ses:Send*", "Resource": "arn:aws:ses:*:*:identity/*.example.com"}
    policies = {"Version": "2012-10-17", "Statement": [allow] * 80}
    case = {"policies": policies, "expect": {"decision": "implicit deny"}}
    for number in range(4):
        list_of = [{"name": f"{number}-{index}", **case} for index in range(40)]
        (tmp_path / f"{number}.json").write_text(json.dumps(list_of))
    return tmp_path


def test_progress_is_shown_and_taken_away(cases: Path) -> None:
    out, err, status = run("policy", "test", ".", terminals="err", cwd=cases)
    assert (status, out) == (0, "160 passed, 0 failed\n")
    assert re.search(r"\d+ cases, file [1-4] of 4: \./[0-3]\.json", err)
    # The last thing that happens to the line is that it is cleared.
    assert ESCAPE.sub("", re.split(r"\r|\x1b\[2K", err)[-1]).strip() == ""
    assert "\n" not in err


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [({"CI": "true"}, []), ({"NO_COLOR": "1"}, []), ({"TERM": "dumb"}, []), ({}, ["--quiet"]), ({}, ["-q"])],
    ids=str,
)
def test_progress_is_not_shown(cases: Path, variables: dict[str, str], arguments: list[str]) -> None:
    out, err, _ = run("policy", "test", ".", *arguments, terminals="out err", cwd=cases, **variables)
    assert (out, err) == ("160 passed, 0 failed\n", "")


@pytest.mark.parametrize("format", ["text", "junit"])
def test_progress_never_reaches_a_pipe(cases: Path, format: str) -> None:
    out, err, _ = run("policy", "test", ".", "--format", format, terminals="", cwd=cases, CLICOLOR_FORCE="1")
    assert err == "" and not ESCAPE.search(out)
    assert "160" in out


def test_failures_stand_clear_of_progress(cases: Path) -> None:
    text = (cases / "2.json").read_text().replace("implicit", "explicit")
    (cases / "2.json").write_text(text)
    plain, _, status = run("policy", "test", ".", terminals="", cwd=cases)
    assert status == 1 and "120 passed, 40 failed" in plain
    out, err, _ = run("policy", "test", ".", terminals="out err", cwd=cases)
    assert out == plain and " cases, file " in err


def test_the_doctor_says_what_it_is_at(start: Start) -> None:
    gate = start()
    out, err, _ = run("doctor", "--config", gate.config, terminals="err")
    assert "asking what answers on 127.0.0.1:" in err
    assert ESCAPE.sub("", re.split(r"\r|\x1b\[2K", err)[-1]).strip() == ""
    assert "asking what answers" not in out
    assert run("doctor", "--config", gate.config, "--quiet", terminals="err")[1] == ""
    out, err, _ = run("doctor", "--config", gate.config, "--format", "json", terminals="")
    assert err == "" and json.loads(out)["version"] == 1
