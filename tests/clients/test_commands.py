"""The commands of sesgate beside `serve`, and the default file as it is."""

from __future__ import annotations

import json
import re
import smtplib
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from conftest import Start
from gate import BINARY, DEFAULT_CONFIG, Gate, free_port, sesgate
from mail import PERMITTED, assert_taken
from test_smtplib import send


def test_check_is_content_with_the_default_file() -> None:
    done = sesgate("check", "--config", DEFAULT_CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_finds_the_default_file_by_itself() -> None:
    done = sesgate("check", cwd=DEFAULT_CONFIG.parents[1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_default_file_serves_with_nothing_but_other_ports(start: Start) -> None:
    gate = start()
    with smtplib.SMTP("localhost", gate.starttls, timeout=20) as client:
        client.login(PERMITTED.user, PERMITTED.password)
        mail = PERMITTED.renewed()
        assert_taken(gate, mail, send(client, mail))


BROKEN = {
    "unknown key": ("drain_seconds = 25", "drain_secnds = 25", "drain_seconds"),
    "wrong type": ("connections = 1000", 'connections = "many"', "connections"),
    "wrong address": ('address = "127.0.0.1:2465"', 'address = "127.0.0.1"', "127.0.0.1"),
    "missing policy": (
        'policies = ["policies/from-marketing.json"]',
        'policies = ["policies/absent.json"]',
        "absent.json",
    ),
    "AUTH in clear beyond loopback": (
        'address = "127.0.0.1:2525"',
        'address = "0.0.0.0:2525"',
        "auth_in_clear",
    ),
}


def broken(gate: Gate, names: list[str]) -> dict[str, int]:
    """Writes a file with those mistakes; returns the line of each."""
    gate.configure()
    lines = DEFAULT_CONFIG.read_text().splitlines()
    places = {}
    for name in names:
        old, new, _ = BROKEN[name]
        places[name] = lines.index(old) + 1
        lines[places[name] - 1] = new
    gate.config.write_text("\n".join(lines) + "\n")
    return places


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, name: str, command: str) -> None:
    gate = Gate(tmp_path)
    line = broken(gate, [name])[name]
    done = sesgate(command, "--config", gate.config)
    assert done.returncode == 78
    shown = done.stdout + done.stderr
    found = re.findall(rf"{re.escape(str(gate.config))}:(\d+)\S*:? (.*)", shown)
    assert any(BROKEN[name][2] in text for _, text in found), shown
    if name != "AUTH in clear beyond loopback":
        assert str(line) in [number for number, _ in found], shown


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    broken(gate, list(BROKEN))
    done = sesgate("check", "--config", gate.config)
    assert done.returncode == 78
    for _, _, words in BROKEN.values():
        assert words in done.stdout + done.stderr


def test_a_policy_that_cannot_be_read_stops_it(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.configure()
    policy = tmp_path / "policies/from-marketing.json"
    policy.write_text(policy.read_text().replace('"String', '"Strin'))
    for command in ("check", "serve"):
        done = sesgate(command, "--config", gate.config)
        assert done.returncode == 78
        assert re.search(r"from-marketing\.json:\d+", done.stdout + done.stderr), done.stderr


def test_a_missing_file_is_told() -> None:
    done = sesgate("check", "--config", "absent/sesgate.toml")
    assert done.returncode == 78
    assert "absent/sesgate.toml" in done.stdout + done.stderr


def test_healthcheck_follows_the_process(start: Start) -> None:
    gate = start()
    done = sesgate("healthcheck", "--config", gate.config)
    assert done.returncode == 0, done.stdout + done.stderr
    gate.terminate()
    assert gate.wait() == 0
    assert sesgate("healthcheck", "--config", gate.config).returncode == 1


@pytest.mark.parametrize("path", ["livez", "readyz"])
def test_health_is_told_over_http(gate: Gate, path: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{gate.admin}/{path}", timeout=10) as answer:
        assert answer.status == 200


def test_other_pages_of_the_admin_address_are_not_found(gate: Gate) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"http://127.0.0.1:{gate.admin}/absent", timeout=10)
    assert error.value.code == 404


def test_hash_password_makes_a_hash_that_logs_in(start: Start) -> None:
    done = sesgate("user", "hash-password", input="a new password\n")
    assert done.returncode == 0, done.stderr
    [value] = done.stdout.split()
    old = next(
        line for line in DEFAULT_CONFIG.read_text().splitlines() if line.startswith("password_hash = ")
    )
    gate = start({old: f'password_hash = "{value}"'})
    with smtplib.SMTP("localhost", gate.starttls, timeout=20) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("marketing", "marketing-password")
        assert client.login("marketing", "a new password")[0] == 235


def test_a_password_never_reaches_the_log(start: Start) -> None:
    gate = start({'level = "info"': 'level = "trace"'})
    with smtplib.SMTP("localhost", gate.starttls, timeout=20) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("marketing", "a wrong password")
        client.login("app", "app-password")
    for reply in ("535 Authentication Credentials Invalid", "235 Authentication successful."):
        gate.event(reply, lambda event, reply=reply: event.get("reply") == reply)
    log = gate.log.read_text()
    # The last two are the base64 of LOGIN and PLAIN.
    for secret in ("a wrong password", "app-password", "YXBwLXBhc3N3b3Jk", "AGFwcABhcHAtcGFzc3dvcmQ="):
        assert secret not in log


def test_the_version_is_told() -> None:
    done = subprocess.run([BINARY, "--version"], capture_output=True, text=True, timeout=10)
    assert re.fullmatch(r"sesgate \d+\.\d+\.\d+( \([0-9A-Za-z._+-]+\))?\n", done.stdout)


def test_what_it_was_built_from_is_told() -> None:
    told = json.loads(sesgate("version", "--json").stdout)
    assert set(told) == {"version", "commit", "target", "rustc", "features", "entropy"}
    shown = sesgate("version").stdout
    assert shown.splitlines()[0] == f"sesgate {told['version']}"
    for value in (told["commit"], told["target"], told["rustc"].removeprefix("rustc ")):
        assert value and f" {value}\n" in shown
    assert ", ".join(told["features"]) in shown
    # The setting of `.cargo/config.toml` reached the build.
    assert told["entropy"] == "kernel" and "entropy:  kernel\n" in shown


def test_a_port_in_use_is_told(start: Start, tmp_path: Path) -> None:
    first = start()
    second = Gate(tmp_path / "second", starttls=first.starttls, implicit=free_port(), admin=free_port())
    second.configure()
    done = sesgate("serve", "--config", second.config)
    assert done.returncode not in (0, None)
    assert str(first.starttls) in done.stdout + done.stderr


def test_strict_fails_for_warnings(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.configure()
    content = sesgate("check", "--strict", "--config", gate.config)
    assert content.returncode == 0 and "ready to serve" in content.stderr
    # An identity that nobody lists.
    policy = tmp_path / "policies/from-marketing.json"
    text = policy.read_text()
    assert '"Resource": "*"' in text
    resource = '"Resource": "arn:aws:ses:us-east-1:123456789012:identity/example.org"'
    policy.write_text(text.replace('"Resource": "*"', resource))
    plain = sesgate("check", "--config", gate.config)
    assert plain.returncode == 0 and "ready to serve" in plain.stderr
    strict = sesgate("check", "--strict", "--config", gate.config)
    assert strict.returncode == 1
    assert strict.stderr.splitlines()[-1].endswith("2 warnings, which `--strict` does not let pass")


def test_a_warning_is_never_called_an_error(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.configure()
    policy = tmp_path / "policies/from-marketing.json"
    policy.write_text(policy.read_text().replace('"ses:SendRawEmail"', '"ses:SendRawMail"'))
    done = sesgate("check", "--config", gate.config)
    assert "warning: " in done.stderr
    assert "error[" not in done.stderr
    assert "user `marketing` can send nothing: the Allow is for `ses:SendEmail`" in done.stderr
    doctor = sesgate("doctor", "--config", gate.config, "--format", "json")
    assert "user `marketing` can send nothing" in doctor.stdout
