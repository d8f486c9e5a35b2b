"""docker/action: the forms of its files, and its steps run as a runner would, with the binary as the image."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

from gate import BINARY, REPOSITORY

ACTION = REPOSITORY / "docker/action"
FORMS = {"action.yml": "github-actions", "workflow.yml": "github-workflows", "gitlab-ci.yml": "gitlab-ci"}
# A mistake in each file that the check must find.
FAULTS = {
    "action.yml": ("using: composite", "using: compsite"),
    "workflow.yml": ("runs-on: ubuntu-latest", "run-on: ubuntu-latest"),
    "gitlab-ci.yml": ("    when: always", "    when: allways"),
}
IMAGE = "registry.example.com/sesgate:0.1.0"
# Knows the flags that the files use, and no others. `run` has /work read-only, as its volume says.
DOCKER = f"""#!{sys.executable}
import argparse, os, shutil, sys
parser = argparse.ArgumentParser(allow_abbrev=False)
commands = parser.add_subparsers(dest="command", required=True)
run = commands.add_parser("run", allow_abbrev=False)
for flag in ("--rm", "--read-only"):
    run.add_argument(flag, action="store_true", required=True)
for flag in ("--network", "--cap-drop", "--security-opt", "--user", "--volume", "--workdir"):
    run.add_argument(flag, required=True)
run.add_argument("image")
run.add_argument("arguments", nargs=argparse.REMAINDER)
commands.add_parser("create").add_argument("image")
copy = commands.add_parser("cp")
copy.add_argument("source")
copy.add_argument("target")
remove = commands.add_parser("rm")
remove.add_argument("--volumes", action="store_true", required=True)
remove.add_argument("container")
given = parser.parse_args()
if getattr(given, "image", {IMAGE!r}) != {IMAGE!r}:
    sys.exit("Unable to find image")
if given.command == "run":
    folder, inside, mode = given.volume.split(":")
    assert (inside, mode, given.workdir, given.network) == ("/work", "ro", "/work", "none")
    os.chdir(folder)
    os.execv({str(BINARY)!r}, ["/sesgate", *given.arguments])
elif given.command == "create":
    print("container")
elif given.command == "cp":
    assert given.source == "container:/sesgate"
    shutil.copy({str(BINARY)!r}, given.target)
"""

GOOD = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Action": "ses:SendRawEmail",
        "Resource": "arn:aws:ses:us-east-1:111122223333:identity/example.com",
    },
}
WARNED = {**GOOD, "Version": "2008-10-17"}
WRONG = {**GOOD, "Statement": {**GOOD["Statement"], "Effect": "allow"}}
PASSES = [{"name": "passes", "policy_files": "../policies/a b.json", "expect": {"decision": "allow"}}]
FAILS = [{**PASSES[0], "name": "fails", "expect": {"decision": "explicit deny"}}]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("planted", [False, True], ids=["as it is", "with a mistake"])
def test_the_form_is_that_of_its_reader(tmp_path: Path, name: str, planted: bool) -> None:
    text = (ACTION / name).read_text()
    if planted:
        old, new = FAULTS[name]
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / name
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{FORMS[name]}", file],
        capture_output=True, text=True, timeout=50,
    )
    assert (done.returncode != 0) == planted, done.stdout + done.stderr


def test_the_workflow_gives_the_action_what_it_takes() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    workflow = yaml.safe_load((ACTION / "workflow.yml").read_text())
    steps = workflow["jobs"]["policies"]["steps"]
    [step] = [step for step in steps if step.get("uses") == "./docker/action"]
    assert set(step["with"]) <= set(action["inputs"])
    required = {name for name, it in action["inputs"].items() if it.get("required")}
    assert required <= set(step["with"])
    used = set(re.findall(r"steps\.policies\.outputs\.([a-z]+)", (ACTION / "workflow.yml").read_text()))
    assert used <= set(action["outputs"])


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A repository with policies and cases, all good."""
    top = tmp_path / "top"
    (top / "policies").mkdir(parents=True)
    (top / "cases").mkdir()
    write(top / "policies/a b.json", GOOD)
    write(top / "cases/a.json", PASSES)
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin/docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    return top


def write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2))


def environment(top: Path) -> dict[str, str]:
    return {"PATH": f"{top.parent}/bin:{os.environ['PATH']}", "GITHUB_WORKSPACE": str(top)}


def run_action(top: Path, **given: str) -> tuple[bool, dict[str, str], str]:
    """Runs the steps; returns whether the job passed, the outputs, and the log."""
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    values = {f"inputs.{name}": it.get("default", "") for name, it in action["inputs"].items()}
    values |= {f"inputs.{name.replace('_', '-')}": value for name, value in {"image": IMAGE, **given}.items()}

    def expand(text: str) -> str:
        return re.sub(r"\$\{\{ ([a-z.-]+) \}\}", lambda found: values.get(found[1], ""), text)

    log = ""
    passed = True
    for step in action["runs"]["steps"]:
        # What people write stands in variables alone, never in a script.
        assert "${{" not in step["run"]
        if not passed or (step.get("if") == "inputs.cases != ''" and not values["inputs.cases"]):
            continue
        output = top.parent / "output"
        output.write_text("")
        variables = {name: expand(value) for name, value in step["env"].items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=top, env={**environment(top), **variables, "GITHUB_OUTPUT": str(output)},
            capture_output=True, text=True, timeout=30,
        )
        log += done.stdout + done.stderr
        passed = done.returncode == 0
        for line in output.read_text().splitlines():
            name, _, value = line.partition("=")
            values[f"steps.{step.get('id')}.outputs.{name}"] = value
    outputs = {name: expand(it["value"]) for name, it in action["outputs"].items()}
    return passed, outputs, log


def rules(top: Path, name: str = "sesgate.sarif") -> list[str]:
    [run] = json.loads((top / name).read_text())["runs"]
    return [result["ruleId"] for result in run["results"]]


def test_good_policies_pass(top: Path) -> None:
    passed, outputs, log = run_action(top, cases="cases")
    assert passed, log
    assert outputs == {"sarif": "sesgate.sarif", "junit": "sesgate.xml"}
    assert rules(top) == []
    report = JUnitXml.fromfile(str(top / "sesgate.xml"))
    assert (report.tests, report.failures, report.errors) == (1, 0, 0)
    assert "nothing found" in log and "1 passed, 0 failed" in log


# A policy beside the good one, inputs, and whether the job passes.
FINDINGS = [
    (WARNED, {}, True),
    (WARNED, {"fail_on": "warning"}, False),
    (WARNED, {"fail_on": "never"}, True),
    (WRONG, {}, False),
    (WRONG, {"fail_on": "warning"}, False),
    (WRONG, {"fail_on": "never"}, True),
]


@pytest.mark.parametrize(("policy", "inputs", "passes"), FINDINGS)
def test_findings_fail_as_they_should(top: Path, policy: Any, inputs: dict[str, str], passes: bool) -> None:
    write(top / "policies/other.json", policy)
    passed, outputs, log = run_action(top, cases="cases", **inputs)
    assert passed == passes, log
    # Both files are there whatever is in them.
    assert outputs == {"sarif": "sesgate.sarif", "junit": "sesgate.xml"}
    assert len(rules(top)) == 1
    assert "policies/other.json:" in log


def test_a_failed_case_fails_it(top: Path) -> None:
    write(top / "cases/b.json", FAILS)
    passed, outputs, log = run_action(top, cases="cases", fail_on="never")
    assert not passed and "not every case passed" in log
    assert outputs["sarif"] and JUnitXml.fromfile(str(top / outputs["junit"])).failures == 1


def test_without_cases_nothing_is_played(top: Path) -> None:
    passed, outputs, _ = run_action(top)
    assert passed and outputs == {"sarif": "sesgate.sarif", "junit": ""}


def test_paths_are_lines_and_may_be_anything(top: Path) -> None:
    write(top / "policies/$(touch pwned); --kind `x`.json", WARNED)
    write(top / "--json", WARNED)
    paths = "policies/a b.json\n\npolicies/$(touch pwned); --kind `x`.json\n--json\n"
    passed, outputs, log = run_action(top, policies=paths, sarif="it is here.sarif")
    assert passed, log
    assert rules(top, outputs["sarif"]) == ["old-version", "old-version"]
    assert not (top / "pwned").exists()


MISTAKES = [
    {"image": "absent"},
    {"kind": "idenity"},
    {"policies": ""},
    {"fail_on": "errors"},
    {"sarif": "no/such/folder.sarif"},
    {"policies": "absent"},
    {"cases": "absent"},
]


@pytest.mark.parametrize("inputs", MISTAKES, ids=str)
def test_a_wrong_input_fails_it(top: Path, inputs: dict[str, str]) -> None:
    passed, _, log = run_action(top, **inputs)
    assert not passed and log.strip()


def run_gitlab(top: Path) -> subprocess.CompletedProcess[str]:
    job = yaml.safe_load((ACTION / "gitlab-ci.yml").read_text())["policies"]
    variables = {name: str(value) for name, value in job["variables"].items()}
    # GitLab runs the lines in one shell, which ends at the first that fails.
    script = "set -e\n" + "\n".join(job["script"])
    shell = shutil.which("dash") or "sh"
    return subprocess.run(
        [shell, "-c", script], cwd=top, env={**environment(top), **variables},
        capture_output=True, text=True, timeout=30,
    )


@pytest.mark.parametrize(
    ("policy", "cases", "passes"),
    [(GOOD, PASSES, True), (WARNED, PASSES, True), (WRONG, PASSES, False), (GOOD, FAILS, False)],
)
def test_gitlab(top: Path, policy: Any, cases: Any, passes: bool) -> None:
    write(top / "policies/other.json", policy)
    write(top / "cases/b.json", cases)
    done = run_gitlab(top)
    assert (done.returncode == 0) == passes, done.stdout + done.stderr
    assert len(rules(top)) == (0 if policy is GOOD else 1)
    assert JUnitXml.fromfile(str(top / "sesgate.xml")).tests == 2
