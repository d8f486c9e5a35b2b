"""What `src/build.rs` says of the commit, wherever the sources lie."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="no git here")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("build") / "build"
    command = ["rustc", "--edition=2024", "-Dwarnings", "-Aunknown_lints", "-o", program, TOP / "src/build.rs"]
    subprocess.run(command, check=True, timeout=50)
    return program


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A package, not yet in any repository."""
    folder = tmp_path / "package"
    (folder / "src").mkdir(parents=True)
    for name in ("src/main.rs", "Cargo.toml", "Cargo.lock", "README.md"):
        (folder / name).write_text("as it was\n")
    return folder


def repository(folder: Path) -> str:
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=all")
    return git(folder, "rev-parse", "HEAD")


def run(script: Path, folder: Path, **variables: str) -> tuple[dict[str, str], list[str]]:
    """Returns what the program is told, and everything else that cargo is."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"CARGO_PKG_VERSION": "1.2.3", "TARGET": "t", "RUSTC": "rustc", **variables}
    done = subprocess.run(
        [script], cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    told, others = {}, []
    for line in done.stdout.splitlines():
        if found := re.fullmatch("cargo::rustc-env=BUILD_SESGATE_([A-Z]+)=(.*)", line):
            told[found[1]] = found[2]
        else:
            others.append(line.removeprefix("cargo::"))
    return told, others


def test_without_git_it_is_unknown(script: Path, sources: Path) -> None:
    told, others = run(script, sources)
    assert (told["COMMIT"], told["VERSION"]) == ("unknown", "1.2.3")
    for line in others:
        kind, _, name = line.partition("=")
        assert kind == "rerun-if-env-changed" or (sources / name).exists(), line


def test_the_environment_comes_first(script: Path, sources: Path) -> None:
    repository(sources)
    told, _ = run(script, sources, SESGATE_COMMIT="v1.2.3-4-gabcdef")
    assert (told["COMMIT"], told["VERSION"]) == ("v1.2.3-4-gabcdef", "1.2.3 (v1.2.3-4-gabcdef)")


def test_an_empty_variable_is_none(script: Path, sources: Path) -> None:
    assert run(script, sources, SESGATE_COMMIT=" ")[0]["COMMIT"] == "unknown"


@pytest.mark.parametrize("name", ["a b", "a\ncargo::rustc-cfg=b", "`date`", "x" * 65])
def test_another_text_than_a_name_stops_the_build(script: Path, sources: Path, name: str) -> None:
    _, others = run(script, sources, SESGATE_COMMIT=name)
    errors = [line for line in others if line.startswith("error=")]
    assert len(errors) == 1 and "SESGATE_COMMIT" in errors[0]


def test_the_commit_of_git(script: Path, sources: Path) -> None:
    commit = repository(sources)
    told, others = run(script, sources)
    assert (told["COMMIT"], told["VERSION"]) == (commit, f"1.2.3 ({commit[:12]})")
    watched = [line.partition("=")[2] for line in others if line.startswith("rerun-if-changed=")]
    assert {".git/HEAD", ".git/logs/HEAD", ".git/refs/heads/main", "src"} <= set(watched)
    assert ".git/index" not in watched and "README.md" not in watched


@pytest.mark.parametrize("name", ["src/main.rs", "src/new.rs", "Cargo.lock"])
def test_sources_that_differ_are_told(script: Path, sources: Path, name: str) -> None:
    commit = repository(sources)
    (sources / name).write_text("changed\n")
    assert run(script, sources)[0]["COMMIT"] == f"{commit}-dirty"


def test_other_files_may_differ(script: Path, sources: Path) -> None:
    commit = repository(sources)
    (sources / "README.md").write_text("changed\n")
    assert run(script, sources)[0]["COMMIT"] == commit


def test_a_detached_head_and_a_worktree(script: Path, sources: Path) -> None:
    commit = repository(sources)
    git(sources, "worktree", "add", "--quiet", "--detach", "../other")
    told, _ = run(script, sources.parent / "other")
    assert told["COMMIT"] == commit


def test_the_repository_of_something_else_is_not_taken(script: Path, sources: Path) -> None:
    (sources.parent / "other.txt").write_text("something else\n")
    repository(sources.parent)
    assert run(script, sources)[0]["COMMIT"] == "unknown"
