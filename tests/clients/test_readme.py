"""The first hour with README.md: what a reader pastes does what the page says."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate import BINARY, REPOSITORY, Gate
from mail import decision_id, message_id

README = (REPOSITORY / "README.md").read_text()
START = README.split("## Start\n", 1)[1].split("\n## ", 1)[0]
POLICIES = (REPOSITORY / "config/policies/README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", START, re.M | re.S)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """The default configuration, where the reader has it."""
    gate = Gate(tmp_path_factory.mktemp("repository") / "config")
    gate.configure()
    gate.start()
    yield gate
    gate.stop()


def paste(gate: Gate, word: str) -> tuple[int, str]:
    """Runs the one block of the page that has this word; returns the exit status and what is shown."""
    [block] = [block for block in BLOCKS if word in block]
    folder = gate.directory.parent
    bin = folder / "bin"
    bin.mkdir(exist_ok=True)
    if not (bin / "sesgate").exists():
        (bin / "sesgate").symlink_to(BINARY)
    done = subprocess.run(
        ["sh", "-c", block.replace("127.0.0.1:2526", f"127.0.0.1:{gate.clear}")],
        cwd=folder, env={"PATH": f"{bin}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_page_says_how_the_command_gets_onto_the_path_before_it_is_used() -> None:
    first = next(block for block in BLOCKS if "sesgate" in block)
    assert first.splitlines()[0] == "cargo install --path . --locked"


def test_a_mail_that_passes(gate: Gate) -> None:
    status, shown = paste(gate, "curl")
    assert status == 0, shown
    assert message_id(shown) in gate.taken()


def test_a_mail_that_is_refused_and_why(gate: Gate) -> None:
    status, shown = paste(gate, "swaks")
    assert status != 0
    decision_id(shown, "marketing")
    # The reply as the page shows it, but for the id.
    line = next(line for line in START.splitlines() if line.startswith("<"))
    assert line.split(" [")[0] in shown
    status, shown = paste(gate, "policy explain")
    assert status == 1
    told = re.search(r"^  config/policies.*\n    seen .*", START, re.M)
    assert told and told[0] in shown


def test_the_cases_of_the_pages_are_there_and_pass(gate: Gate) -> None:
    status, shown = paste(gate, "policy test")
    assert (status, shown) == (0, "3 passed, 0 failed\n")
    shown_cases = re.findall(r'^```json\n\[\n(  \{\n    "name".*?)\n\]\n```', POLICIES, re.M | re.S)
    files = [file.read_text() for file in (REPOSITORY / "config/policies/cases").iterdir()]
    assert len(shown_cases) == 2
    assert all(any(case in file for file in files) for case in shown_cases)


def test_the_table_of_replies_has_what_the_first_hour_meets() -> None:
    table = README.split("## Replies", 1)[1].split("\n## ", 1)[0]
    for code in ("501", "530", "535", "538", "554"):
        assert re.search(rf"^\| `{code} ", table, re.M), code
