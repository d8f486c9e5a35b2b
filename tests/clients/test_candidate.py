"""Candidate policies are tried beside those in force: they are told of, and change nothing."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Start
from gate import Gate, sesgate, wait_until
from mail import PERMITTED
from test_admin import metrics, page
from test_decision_log import FILE, VALIDATOR, read
from test_heavy import heavy
from test_reload import IN_USE, hang_up

GROUPLESS = 'policies = ["policies/recipients-example-com.json"]'
TRIED = {GROUPLESS: f'{GROUPLESS}\npolicies_candidate = ["policies/tried.json"]'}
EVERYTHING = {"Effect": "Allow", "Action": "ses:*", "Resource": "*"}
COUNTED = "sesgate_candidate_differences_total"


def write(file: Path, *statements: dict[str, object]) -> Path:
    """Writes a policy whose statements begin at lines 5, 6, ..."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(json.dumps(statement) for statement in statements)
    file.write_text('{\n"Version": "2012-10-17",\n"Statement":\n[\n' + text + "\n]}\n")
    return file


def send(gate: Gate, recipient: str = "someone@example.com", content: bytes = PERMITTED.content) -> int:
    with smtplib.SMTP("127.0.0.1", gate.clear, timeout=20) as client:
        client.login("app", "app-password")
        client.mail(PERMITTED.sender)
        client.rcpt(recipient)
        return client.data(content)[0]


def tried(gate: Gate, number: int = 1) -> list[Any]:
    """What each record says of the candidate, once there are so many: they come after the replies."""
    file = gate.directory / "decisions.jsonl"
    ended = lambda: [record for record in read(file) if record["event"] in ("relayed", "refused")]
    records = wait_until(f"{number} records", lambda: len(found := ended()) >= number and found)
    for record in records:
        VALIDATOR.validate(record)
    return [record.get("candidate") for record in records]


def status(gate: Gate) -> Any:
    return json.loads(page(gate, "status")[1])["candidate"]


@pytest.fixture
def logged(start: Start) -> Iterator[Start]:
    """Starts a gate that keeps a decision log in its directory."""

    def begin(lines: dict[str, str] | None = None, **options: Any) -> Gate:
        return start({FILE: 'file = "decisions.jsonl"', **(lines or {})}, **options)

    return begin


def test_what_comes_out_otherwise_is_in_record_metrics_and_status(logged: Start) -> None:
    gate = logged(TRIED, run=False)
    no_loud = {"Sid": "NotLoud", "Effect": "Deny", "Action": "ses:*", "Resource": "*"}
    no_loud["Condition"] = {"StringLike": {"ses:FromDisplayName": "*LOUD*"}}
    file = write(gate.directory / "policies/tried.json", EVERYTHING, no_loud)
    gate.start()
    loud = PERMITTED.content.replace(b"Some One", b"LOUD One")
    assert send(gate) == 250
    assert send(gate, content=loud) == 250
    assert send(gate, "someone@example.net") == 554
    assert send(gate, "someone@example.net", loud) == 554
    denies = {"decision": "ExplicitlyDenied", "statement": f"{file}:6: statement `NotLoud`"}
    allows = {"decision": "Allowed", "statement": f"{file}:5: statement 1"}
    assert tried(gate, 4) == [None, denies, allows, denies]
    found = metrics(gate)
    assert {key[2]: value for key, value in found.items() if key[0] == COUNTED and key[1] == "app"} == {
        "denies": 1,
        "allows": 1,
        "denies_otherwise": 1,
    }
    differences = {"allows": 1, "denies": 1, "denies_otherwise": 1, "unknown": 0}
    assert status(gate) == {
        "in_use": True,
        "problems": [],
        "matches_no_policy": [],
        "users": [{"user": "app", "differences": differences}],
    }
    # The line of the ordinary log says the same.
    lines = [line.get("candidate") for line in gate.events() if line["message"] in ("relayed", "refused")]
    assert lines == [None, ",".join(denies.values()), ",".join(allows.values()), ",".join(denies.values())]
    assert len(gate.taken()) == 2


def test_a_group_may_have_one(logged: Start) -> None:
    lines = {
        GROUPLESS: f'{GROUPLESS}\ngroups = ["apps"]',
        'policies = ["policies/send-only.json"]': "policies_candidate = []",
    }
    gate = logged(lines)
    # Nothing is attached to the group, and nothing else is tried.
    assert send(gate) == 250 and tried(gate) == [None]
    write(gate.directory / "policies/group.json", {**EVERYTHING, "Effect": "Deny"})
    text = gate.config.read_text()
    gate.config.write_text(text.replace("policies_candidate = []", 'policies_candidate = ["policies/group.json"]'))
    hang_up(gate, IN_USE)
    assert send(gate) == 250
    assert [said and said["decision"] for said in tried(gate, 2)] == [None, "ExplicitlyDenied"]


def test_a_folder_stands_for_the_policies_of_the_same_paths(logged: Start, tmp_path: Path) -> None:
    folder = tmp_path / "candidate"
    file = write(folder / "policies/recipients-example-com.json", EVERYTHING)
    stray = write(folder / "policies/recipients-example.com.json", EVERYTHING)
    gate = logged(run=False)
    gate.flags = ("--candidate", folder)
    gate.start()
    assert send(gate, "someone@example.net") == 554
    assert tried(gate) == [{"decision": "Allowed", "statement": f"{file}:5: statement 1"}]
    told = status(gate)
    assert [user["user"] for user in told["users"]] == ["app"] and told["in_use"]
    assert len(told["matches_no_policy"]) == 1 and told["matches_no_policy"][0].startswith(f"{stray}: stands for no policy")
    assert any(line["level"] == "WARN" and str(stray) in line["message"] for line in gate.events())
    # Files that appear, change or go are noticed as those of the configuration are.
    stray.unlink()
    write(file, {**EVERYTHING, "Effect": "Deny"})
    hang_up(gate, IN_USE)
    assert status(gate)["matches_no_policy"] == []
    assert send(gate, "someone@example.net") == 554
    assert tried(gate, 2)[-1]["decision"] == "ExplicitlyDenied"
    file.unlink()
    hang_up(gate, IN_USE)
    assert send(gate) == 250 and tried(gate, 3)[-1] is None
    assert status(gate)["users"] == []


def test_files_of_a_folder_are_watched(logged: Start, tmp_path: Path) -> None:
    folder = tmp_path / "candidate"
    folder.mkdir()
    # Links that lead back are followed no second time.
    for name in "abcd":
        (folder / name).symlink_to(folder)
    gate = logged(run=False)
    gate.flags = ("--candidate", folder)
    gate.start()
    assert status(gate)["users"] == []
    write(folder / "policies/recipients-example-com.json", {**EVERYTHING, "Effect": "Deny"})
    wait_until("the new file", lambda: status(gate)["users"] != [], 30)
    assert send(gate) == 250
    assert [said["decision"] for said in tried(gate)] == ["ExplicitlyDenied"]


@pytest.mark.parametrize("how", ["key", "missing", "folder"])
def test_a_broken_candidate_counts_as_absent_as_a_whole(logged: Start, tmp_path: Path, how: str) -> None:
    gate = logged({} if how == "folder" else TRIED, run=False)
    file = gate.directory / "policies/tried.json"
    if how == "folder":
        file = tmp_path / "candidate/policies/recipients-example-com.json"
        # That of the other user is right, and is not tried either.
        write(tmp_path / "candidate/policies/from-marketing.json", EVERYTHING)
        gate.flags = ("--candidate", tmp_path / "candidate")
    if how != "missing":
        write(file, {"Effect": "Allow", "Action": "ses:*", "Resource": "*", "Condition": {"StringLikes": {"a": "b"}}})
    gate.start()
    assert send(gate) == 250 and tried(gate) == [None]
    told = status(gate)
    assert not told["in_use"] and len(told["problems"]) == 1
    errors = [line["message"] for line in gate.events() if line["level"] == "ERROR"]
    assert errors[0] == told["problems"][0]
    assert errors[1].startswith("candidate policies cannot be read, and none is tried")
    if how == "missing":
        assert f"`{file}` cannot be read" in errors[0] and errors[0].startswith(f"{gate.config}:")
    else:
        assert errors[0].startswith(f"{file}:5:") and "StringLikes" in errors[0]
    # `check` warns of it, and passes.
    checked = sesgate("check", "--config", gate.config, *gate.flags)
    assert checked.returncode == 0 and errors[0] in checked.stderr
    # Other changes are taken up, and a candidate that is mended is.
    write(file, {**EVERYTHING, "Effect": "Deny"})
    hang_up(gate, IN_USE)
    assert send(gate) == 250
    assert tried(gate, 2)[-1]["decision"] == "ExplicitlyDenied"
    assert status(gate)["in_use"]


def test_a_mistyped_key_stops_the_start(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    gate.configure({GROUPLESS: f"{GROUPLESS}\npolicies_candidat = []"})
    checked = sesgate("serve", "--config", gate.config)
    assert checked.returncode == 78
    assert "did you mean `policies_candidate`" in checked.stderr


def test_what_takes_too_many_steps_is_unknown(logged: Start) -> None:
    gate = logged(TRIED, run=False)
    write(gate.directory / "policies/recipients-example-com.json", EVERYTHING)
    words = [[f"*word{number}*" for number in range(first, first + 100)] for first in range(0, 2_000, 100)]
    conditions = [{"ForAnyValue:StringLike": {"ses:Recipients": some}} for some in words]
    denies = [{**EVERYTHING, "Effect": "Deny", "Condition": condition} for condition in conditions]
    write(gate.directory / "policies/tried.json", EVERYTHING, *denies)
    gate.start()
    assert send(gate, content=heavy()) == 250
    assert tried(gate) == [{"decision": "unknown"}]
    assert metrics(gate)[(COUNTED, "app", "unknown")] == 1


def test_without_a_candidate_nothing_is_said(logged: Start) -> None:
    gate = logged()
    assert send(gate) == 250 and tried(gate) == [None]
    assert status(gate) is None
    assert not any(key[0] == COUNTED for key in metrics(gate))


def test_the_intention_has_it_as_well(logged: Start) -> None:
    gate = logged({**TRIED, 'audit = "best-effort"': 'audit = "required"'}, run=False)
    write(gate.directory / "policies/tried.json", {**EVERYTHING, "Effect": "Deny"})
    gate.start()
    assert send(gate) == 250
    assert len(tried(gate)) == 1
    records = read(gate.directory / "decisions.jsonl")
    assert [record["event"] for record in records] == ["permitted", "relayed"]
    assert records[0]["candidate"] == records[1]["candidate"] and records[0]["candidate"]["decision"] == "ExplicitlyDenied"
