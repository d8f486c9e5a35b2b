"""`policy lint` as SARIF and `policy test` as JUnit, read by the schema and the readers of others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser import Error, Failure, JUnitXml

from gate import BINARY, REPOSITORY, sesgate

SCHEMA = REPOSITORY / "target/clients/node/node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"

POLICIES = REPOSITORY / "config/policies"
# Documents beside those of config/policies, by file name, with the kinds of findings in them.
BAD = {
    "not-json.json": ("{", ["json-syntax"]),
    "empty.json": ("", ["json-syntax"]),
    "nothing.json": ("{}", ["missing-statement"]),
    "in a folder/50% über #?.json": ('{"Version":"2012-10-17","Statement":[]}', ["missing-statement"]),
    "braces.json": (
        '{"Version": "2008-10-17", "Statement": {"Effect": "Allow", "Action": "ses:SendRawEmail",\r\n'
        '  "Resource": "arn:aws:ses:us-east-1:111122223333:identity/${aws:username}"}}\r\n',
        ["old-version", "variable-in-old-version"],
    ),
}


def lint(folder: Path, *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    done = sesgate("policy", "lint", "--format", "sarif", *arguments, cwd=folder)
    log = json.loads(done.stdout)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator(schema).validate(log)
    [run] = log["runs"]
    return done.returncode, run, done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(POLICIES, tmp_path / "policies")
    for name, (text, _) in BAD.items():
        file = tmp_path / "policies" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text.encode())
    return tmp_path


def place(result: dict[str, Any]) -> tuple[str, int, int, str]:
    [location] = result["locations"]
    physical = location["physicalLocation"]
    assert physical["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
    region = physical["region"]
    return physical["artifactLocation"]["uri"], region["startLine"], region["startColumn"], result["ruleId"]


def test_sarif_says_what_json_says(folder: Path) -> None:
    status, run, _ = lint(folder, "policies")
    done = sesgate("policy", "lint", "--json", "policies", cwd=folder)
    assert status == done.returncode == 2
    findings = json.loads(done.stdout)
    assert len(run["results"]) == len(findings) > 15
    told = {f"{each['message']}; {each['fix']}" if each["fix"] else each["message"] for each in findings}
    assert {each["message"]["text"] for each in run["results"]} == told
    places = [place(each) for each in run["results"]]
    assert places == sorted(places)
    for name, (_, codes) in BAD.items():
        name = name.replace("%", "%25").replace(" ", "%20").replace("ü", "%C3%BC")
        name = name.replace("#", "%23").replace("?", "%3F")
        found = [code for uri, _, _, code in places if uri == f"policies/{name}"]
        assert sorted(found) == codes, name


def test_each_result_has_its_rule(folder: Path) -> None:
    _, run, _ = lint(folder, "policies")
    rules = run["tool"]["driver"]["rules"]
    listed = sesgate("policy", "lint", "--rules").stdout.splitlines()
    assert [rule["id"] for rule in rules] == [line.split()[1] for line in listed]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert rule["defaultConfiguration"]["level"] == result["level"]
    for rule in rules:
        assert rule["shortDescription"]["text"] and rule["help"]["text"] and rule["help"]["markdown"]
        # GitHub sorts by it, and takes no other tag for it.
        assert ("security" in rule["properties"]["tags"]) == ("security-severity" in rule["properties"])


def test_the_same_policies_give_the_same_bytes(folder: Path) -> None:
    # The folder of cases holds no policies.
    files = [file for file in sorted(folder.glob("policies/**/*.json")) if file.parent.name != "cases"]
    relative = [file.relative_to(folder) for file in files]
    first = lint(folder, "policies")[2]
    assert lint(folder, *reversed(relative))[2] == first
    assert lint(folder, *files)[2] == first, "absolute paths in the current folder"
    assert lint(folder, "./policies/../policies")[2] == first
    assert str(folder) not in first


def test_a_fingerprint_stays_when_other_lines_move(folder: Path) -> None:
    file = folder / "policies/from-marketing.json"
    before = lint(folder, file)[1]["results"]
    file.write_text("\n\n" + file.read_text().replace("  ", "    "))
    after = lint(folder, file)[1]["results"]
    assert [each["partialFingerprints"] for each in before] == [each["partialFingerprints"] for each in after]
    assert [place(each) for each in before] != [place(each) for each in after]
    assert all(":" in each["partialFingerprints"]["primaryLocationLineHash"] for each in after)


def test_what_cannot_be_read_is_told(folder: Path) -> None:
    (folder / "latin-1.json").write_bytes(b'{"Version": "\xff"}')
    status, run, _ = lint(folder, "absent.json", "policies/full-access.json", "latin-1.json")
    assert status == 2
    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is False
    told = [each["message"]["text"] for each in invocation["toolExecutionNotifications"]]
    assert [text.partition(":")[0] for text in told] == ["absent.json", "latin-1.json"]
    assert run["results"], "the others are looked at all the same"


@pytest.mark.parametrize("text", ["\n" * 3_000_000, "{" * 200_000, "\r[" * 40_000], ids=["lines", "deep", "returns"])
def test_a_file_may_be_hostile(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, newline="")
    status, run, _ = lint(tmp_path, "a.json")
    assert status == 2 and run["results"]


def test_nothing_to_lint_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text("[]")
    (tmp_path / "notes.txt").write_text("{")
    status, run, _ = lint(tmp_path, ".")
    assert (status, run["results"]) == (2, [])


def test_nothing_found_is_a_log_too(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ses:SendRawEmail",'
        ' "Resource": "arn:aws:ses:us-east-1:111122223333:identity/example.com"}}'
    )
    status, run, _ = lint(tmp_path, "a.json")
    assert (status, run["results"]) == (0, [])
    assert run["invocations"][0]["executionSuccessful"] is True


def test_standard_input_has_findings_too(tmp_path: Path) -> None:
    done = sesgate("policy", "lint", "--format", "sarif", "-", input="{}", cwd=tmp_path)
    [result] = json.loads(done.stdout)["runs"][0]["results"]
    assert place(result)[0] == "-"


def test_json_and_another_format_exclude_each_other() -> None:
    done = sesgate("policy", "lint", "--json", "--format", "sarif", "a.json")
    assert done.returncode == 2 and "--format" in done.stderr


ALLOW = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
# Names of cases; what XML cannot hold is replaced, all else comes back.
NAMES = {
    "plain": "plain",
    "<a href=\"x\">&amp; 'b' ]]> </testcase>": "<a href=\"x\">&amp; 'b' ]]> </testcase>",
    "two\nlines\tand\ra tab": r"two\nlines\tand\ra tab",
    "\0\x01\x08\x0b\x0c\x0e\x1b[31m\x1f\x7f\x85": r"\u{0}\u{1}\u{8}\u{b}\u{c}\u{e}\u{1b}[31m\u{1f}\u{7f}\u{85}",
    "\ufffe\uffff \U0001f4e7 ü": "\ufffd\ufffd \U0001f4e7 ü",
    "": "",
}


def case(name: str, decision: str) -> dict[str, Any]:
    return {"name": name, "policies": ALLOW, "expect": {"decision": decision}}


def play(folder: Path, *arguments: str) -> tuple[int, JUnitXml, str]:
    done = subprocess.run(
        [BINARY, "policy", "test", "--format", "junit", *arguments], cwd=folder, capture_output=True, timeout=30
    )
    return done.returncode, JUnitXml.fromstring(done.stdout), done.stderr.decode()


def test_junit_counts_what_text_counts(tmp_path: Path) -> None:
    cases = [case("passes", "allow"), case("fails", "implicit deny"), case("passes too", "allow")]
    (tmp_path / "cases.json").write_text(json.dumps(cases, indent=1))
    (tmp_path / "policy.json").write_text(json.dumps(ALLOW))
    status, report, errors = play(tmp_path, ".")
    text = sesgate("policy", "test", ".", cwd=tmp_path)
    assert status == text.returncode == 1
    assert text.stdout.endswith("2 passed, 1 failed\n")
    assert (report.tests, report.failures, report.errors, errors) == (3, 1, 0, "")
    [suite] = report
    assert suite.name == "./cases.json"
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (3, 1, 0, 0)
    assert [each.name for each in suite] == ["passes", "fails", "passes too"]
    lines = (tmp_path / "cases.json").read_text().splitlines()
    for each in suite:
        assert each.classname == each._elem.get("file") == "./cases.json"
        assert each.name in lines[int(each._elem.get("line"))]
        assert 0 < each.time < 5
    assert suite.time == pytest.approx(sum(each.time for each in suite), abs=1e-5)
    [failure] = list(suite)[1].result
    assert isinstance(failure, Failure)
    assert failure.message.startswith("expected ImplicitlyDenied, got Allowed by ")
    assert "fails\nexpected ImplicitlyDenied\ngot      Allowed" in failure.text


@pytest.mark.parametrize("decision", ["allow", "explicit deny"])
def test_any_name_is_well_formed(tmp_path: Path, decision: str) -> None:
    (tmp_path / "cases.json").write_text(json.dumps([case(name, decision) for name in NAMES]))
    status, report, _ = play(tmp_path, "cases.json")
    assert status == (0 if decision == "allow" else 1)
    [suite] = report
    assert [each.name for each in suite] == list(NAMES.values())


def test_what_cannot_be_played_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps([case("passes", "allow")]))
    (tmp_path / "broken.json").write_text("[{")
    (tmp_path / "policy.json").write_text(json.dumps(ALLOW))
    files = ["good.json", "broken.json", "absent.json", "policy.json"]
    status, report, errors = play(tmp_path, *files)
    assert status == 2
    assert (report.tests, report.failures, report.errors) == (4, 0, 3)
    assert [suite.name for suite in report] == files
    for suite in list(report)[1:]:
        [only] = suite
        [error] = only.result
        assert isinstance(error, Error)
        assert error.message.startswith(suite.name) and error.message in errors


def test_a_file_name_may_be_any_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\x1b\xff<&>.json")
    (tmp_path / name).write_text(json.dumps([case("passes", "allow")]))
    status, report, _ = play(tmp_path, ".")
    assert status == 0
    assert [suite.name for suite in report] == ["./a\\u{1b}\ufffd<&>.json"]


def test_no_cases_is_a_report_too(tmp_path: Path) -> None:
    status, report, errors = play(tmp_path, ".")
    assert (status, report.tests, errors) == (2, 0, "there are no cases\n")


def test_the_cases_of_this_repository() -> None:
    status, report, errors = play(REPOSITORY, "tests/policies")
    assert (status, report.failures, report.errors, errors) == (0, 0, 0, "")
    assert report.tests > 1500
