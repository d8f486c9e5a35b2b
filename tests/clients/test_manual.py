"""Help, manual pages and completions, as readers and shells take them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gate import BINARY, sesgate


def commands(path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command that the help names, the whole program first."""
    shown = sesgate(*path, "--help").stdout
    found = [path]
    if part := re.search(r"^Commands:\n((?:  .*\n)+)", shown, re.MULTILINE):
        names = re.findall(r"^  ([a-z][a-z-]*) ", part[1], re.MULTILINE)
        found += [below for name in names if name != "help" for below in commands((*path, name))]
    return found


COMMANDS = commands() if BINARY.is_file() else []


def test_the_commands_are_found() -> None:
    assert ("policy", "lint") in COMMANDS and len(COMMANDS) > 12


@pytest.mark.parametrize("command", COMMANDS, ids=lambda it: " ".join(it) or "sesgate")
def test_help_says_what_it_is_for_and_how_it_ends(command: tuple[str, ...]) -> None:
    done = sesgate(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    first = done.stdout.splitlines()[0]
    assert 10 < len(first) <= 100 and first[0].isupper()
    assert "Exit status:\n" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert sesgate(*command, "-h").returncode == 0


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man") / "new" / "man1"
    done = sesgate("man", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def test_each_command_has_a_page(pages: Path) -> None:
    names = {"-".join(("sesgate", *command)) + ".1" for command in COMMANDS}
    assert {file.name for file in pages.iterdir()} == names
    assert sesgate("man").stdout == (pages / "sesgate.1").read_text()


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff here")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda it: " ".join(it) or "sesgate")
def test_a_page_is_good_roff(pages: Path, command: tuple[str, ...]) -> None:
    file = pages / ("-".join(("sesgate", *command)) + ".1")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-k", file], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Bold is struck over, or an escape sequence.
    text = re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"):
        assert re.search(rf"^{heading}$", text, re.MULTILINE), heading
    for other in re.findall(r"\b(sesgate[a-z-]*)\(1\)", text):
        assert (pages / f"{other}.1").is_file(), other


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = sesgate("man", tmp_path / "file/man1")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path}/file/man1: ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_its_script(tmp_path: Path, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    file = tmp_path / "script"
    file.write_text(sesgate("completions", shell).stdout)
    done = subprocess.run([shell, "-n", file], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["elvish", "powershell"])
def test_there_are_scripts_for_other_shells(shell: str) -> None:
    done = sesgate("completions", shell)
    assert done.returncode == 0 and "import-ses" in done.stdout


# What is typed, and words that bash offers then.
COMPLETED = {
    "sesgate ": {"serve", "check", "policy", "user", "doctor", "version", "completions", "man"},
    "sesgate pol": {"policy"},
    "sesgate policy l": {"lint"},
    "sesgate policy lint --f": {"--format"},
    "sesgate policy lint --format ": {"text", "json", "sarif"},
    "sesgate policy test --format j": {"junit"},
    "sesgate user i": {"import-ses"},
    "sesgate completions ": {"bash", "zsh", "fish"},
    "sesgate check --config fi": {"file.toml"},
}


@pytest.mark.parametrize("typed", COMPLETED)
def test_bash_completes(tmp_path: Path, typed: str) -> None:
    (tmp_path / "file.toml").write_text("")
    script = """
        set -u; source <("$1" completions bash)
        read -r -a COMP_WORDS <<<"$2"; [[ $2 != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2}
        _sesgate sesgate "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", BINARY, typed],
        cwd=tmp_path, capture_output=True, text=True, timeout=30,
    )
    offered = set(done.stdout.split())
    assert offered >= COMPLETED[typed], done.stderr
    if not typed.endswith(" "):
        assert offered == COMPLETED[typed]


# What is typed, and what is meant.
MISTAKES = {
    ("serv",): "'serve'",
    ("start",): "'serve'",
    ("validate",): "'check'",
    ("status",): "'healthcheck'",
    ("policy", "lin"): "'lint'",
    ("policy", "lint", "--jsn"): "'--json'",
    ("check", "--confg", "a.toml"): "'--config'",
    ("policy", "test", "--format", "junitt", "a"): "'junit'",
}


@pytest.mark.parametrize("typed", MISTAKES, ids=" ".join)
def test_a_slip_is_answered_with_what_is_meant(typed: tuple[str, ...]) -> None:
    done = sesgate(*typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert "similar" in done.stderr and MISTAKES[typed] in done.stderr
