"""Configuration by environment variables: a sidecar without a file, secrets in files, and bad input."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import socket
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gate import BINARY, Gate, sesgate, wait_until
from mail import PERMITTED

ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "ses:SendRawEmail",
            "Resource": "*",
            "Condition": {"StringEquals": {"ses:FromAddress": PERMITTED.sender}},
        }
    ],
}
IN_USE = "the configuration was read again and is in use"
REFUSED = "the configuration was read again and cannot be used"


class Sidecar(Gate):
    """A gate in an empty directory, with nothing but variables."""

    def start(self, greets: bool = True) -> None:
        self.directory.mkdir(exist_ok=True)
        self.environment = {
            "AWS_REGION": "eu-west-1",
            "SESGATE_ACCOUNT_ID": "111122223333",
            "SESGATE_UPSTREAM_KIND": "outbox",
            "SESGATE_UPSTREAM_DIRECTORY": "outbox",
            "SESGATE_LISTENER_ADDRESS": f"127.0.0.1:{self.starttls}",
            "SESGATE_ADMIN_ADDRESS": f"127.0.0.1:{self.admin}",
            "SESGATE_USER_NAME": "app",
            "SESGATE_USER_POLICY": json.dumps(ALLOWED),
            **self.environment,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve"],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        wait_until("the banner", self.greets)

    def connect(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.starttls, timeout=20)

    def count(self, start: str) -> int:
        return sum(event["message"].startswith(start) for event in self.events())


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Callable[..., Sidecar]]:
    gates: list[Sidecar] = []

    def begin(**environment: str) -> Sidecar:
        gates.append(Sidecar(tmp_path / "sidecar", environment=environment))
        gates[-1].start()
        return gates[-1]

    yield begin
    for gate in gates:
        gate.stop()


def answer(client: smtplib.SMTP, sender: str = PERMITTED.sender) -> int:
    content = PERMITTED.content.replace(PERMITTED.sender.encode(), sender.encode())
    code, _ = client.mail(sender)
    if code != 250:
        return code
    client.rcpt(PERMITTED.recipients[0])
    return client.data(content)[0]


def test_a_sidecar_needs_neither_file_nor_login(sidecar: Callable[..., Sidecar]) -> None:
    gate = sidecar()
    with gate.connect() as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features and "starttls" not in client.esmtp_features
        assert answer(client) == 250
        assert answer(client, "other@example.com") == 554
    relayed = gate.event("relayed", lambda event: event["message"] == "relayed")
    assert relayed["principal"] == "app"
    assert relayed["statement"].startswith("$SESGATE_USER_POLICY:1")
    starting = gate.event("starting", lambda event: event["message"] == "starting")
    assert "config" not in starting
    assert "SESGATE_USER_POLICY" in starting["environment"] and "AWS_REGION" in starting["environment"]
    health = sesgate("healthcheck", env=gate.environment, cwd=gate.directory)
    assert health.returncode == 0, health.stderr
    explained = sesgate(
        "policy", "explain", "--user", "app", "--from", PERMITTED.sender, "--rcpt", "a@b.example",
        env=gate.environment, cwd=gate.directory,
    )  # fmt: skip
    assert explained.stdout.startswith("allowed"), explained


def test_a_password_in_a_variable_asks_for_login_and_is_shown_nowhere(sidecar: Callable[..., Sidecar]) -> None:
    gate = sidecar(SESGATE_USER_PASSWORD="hunter2-hunter2")
    with gate.connect() as client:
        assert answer(client) == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("app", "wrong")
        client.login("app", "hunter2-hunter2")
        assert answer(client) == 250
    printed = sesgate("config", "print", env=gate.environment, cwd=gate.directory)
    assert printed.returncode == 0, printed.stderr
    [user] = tomllib.loads(printed.stdout)["users"]
    assert user["password_hash"] == "********"
    for text in (printed.stdout, gate.log.read_text()):
        assert "hunter2" not in text


def test_a_secret_that_is_replaced_in_its_file_is_taken_up(sidecar: Callable[..., Sidecar], tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("first-password\n")
    gate = sidecar(SESGATE_USER_PASSWORD_FILE=str(secret))
    assert gate.process is not None
    client = gate.connect()
    client.login("app", "first-password")
    # Reading the same again ends nothing.
    gate.process.send_signal(signal.SIGHUP)
    wait_until("the reload", lambda: gate.count(IN_USE) == 1)
    assert answer(client) == 250
    # A file that is being written is empty for a moment: all or nothing.
    secret.write_text("")
    gate.process.send_signal(signal.SIGHUP)
    wait_until("the refusal", lambda: gate.count(REFUSED) == 1)
    gate.event(
        "the reason",
        lambda event: event["message"] == f"SESGATE_USER_PASSWORD_FILE: `{secret}` is empty",
    )
    assert answer(client) == 250
    # A new one is noticed without being told.
    secret.write_text("second-password\n")
    wait_until("the change to be noticed", lambda: gate.count(IN_USE) == 2, 25)
    assert answer(client) == 530
    with gate.connect() as other:
        other.login("app", "second-password")
        assert answer(other) == 250


def test_everything_that_keeps_it_from_starting_is_told_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mail, socket.create_server(("127.0.0.1", 0)) as health:
        ports = mail.getsockname()[1], health.getsockname()[1]
        refused = sesgate(
            "serve",
            cwd=tmp_path,
            env={
                "AWS_EC2_METADATA_DISABLED": "true",
                "SESGATE_LOG_LEVLE": "debug",
                "SESGATE_ACCOUNT_ID": "111122223333",
                "SESGATE_UPSTREAM_KIND": "ses",
                "SESGATE_LISTENER_ADDRESS": f"127.0.0.1:{ports[0]}",
                "SESGATE_LISTENER_CERTIFICATE": "no.crt",
                "SESGATE_LISTENER_KEY": "no.key",
                "SESGATE_ADMIN_ADDRESS": f"127.0.0.1:{ports[1]}",
                "SESGATE_USER_NAME": "app",
                "SESGATE_USER_PASSWORD": "secret-of-mine",
                "SESGATE_USER_POLICIES": "no.json",
            },
        )
    assert refused.returncode == 78
    assert refused.stdout == ""
    lines = refused.stderr.splitlines()
    expected = [
        "SESGATE_ACCOUNT_REGION: `region` is missing in `account`; AWS_REGION says it too",
        "SESGATE_LOG_LEVLE: no such setting; did you mean SESGATE_LOG_LEVEL?",
        "SESGATE_LISTENER_CERTIFICATE: `no.crt` cannot be read: ",
        "SESGATE_USER_POLICIES: `no.json` cannot be read: ",
        f"SESGATE_LISTENER_ADDRESS: cannot listen on `127.0.0.1:{ports[0]}`: Address already in use (os error 98); `ss -ltnp 'sport = :{ports[0]}'` ",
        f"environment: cannot listen on `127.0.0.1:{ports[1]}`, `address` of `[admin]`: Address already in use (os error 98); `ss -ltnp 'sport = :{ports[1]}'` ",
        'environment: `kind = "ses"` needs credentials of AWS: none in the environment, ',
    ]
    for start in expected:
        assert any(line.startswith(start) for line in lines), (start, refused.stderr)
    assert len(lines) == len(expected), refused.stderr
    assert "secret-of-mine" not in refused.stderr


def test_an_outbox_that_cannot_be_used_is_told_with_the_rest(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    gate = Gate(tmp_path / "gate")
    gate.configure({'level = "info"': 'level = "loud"', 'directory = "outbox"': f'directory = "{tmp_path}/outbox"'})
    refused = sesgate("serve", "--config", gate.config)
    assert refused.returncode == 78
    assert "`level` must be" in refused.stderr
    assert f"the outbox directory `{tmp_path}/outbox` cannot be used: " in refused.stderr


def test_flags_are_over_variables_and_these_over_the_file(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    gate.configure()
    environment = {"PATH": os.environ["PATH"], "SESGATE_CONFIG": str(gate.config)}
    environment |= {"SESGATE_LOG_LEVEL": "debug", "SESGATE_RATE_WAIT_SECONDS": "7"}
    printed = sesgate("config", "print", "--json", "--set", "rate.wait_seconds=9", env=environment, cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    found = {it["key"]: (it["value"], it["from"]) for it in json.loads(printed.stdout)}
    assert found["rate.wait_seconds"] == (9, "--set rate.wait_seconds")
    assert found["log.level"] == ("debug", "SESGATE_LOG_LEVEL")
    assert found["log.format"][1].startswith(f"{gate.config}:")
    assert found["upstream.calls"] == (256, "default")


def test_what_is_printed_serves_as_a_file(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    gate.configure()
    before = tomllib.loads(gate.config.read_text())
    printed = sesgate("config", "print", "--config", gate.config).stdout
    hashes = [user["password_hash"] for user in before["users"]]
    for stored in hashes:
        printed = printed.replace('"********"', f'"{stored}"', 1)
    gate.config.write_text(printed)
    again = sesgate("config", "print", "--config", gate.config)
    assert again.returncode == 0, again.stderr
    assert tomllib.loads(again.stdout) == tomllib.loads(sesgate("config", "print", "--config", gate.config).stdout)
    assert [user["password_hash"] for user in tomllib.loads(printed)["users"]] == hashes
    gate.start()
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=20) as client:
        client.login("app", "app-password")
        assert answer(client) == 250
    gate.stop()


def test_the_file_of_the_image_gives_way_to_the_variables(tmp_path: Path) -> None:
    folder = Path(__file__).resolve().parents[2]
    image = tmp_path / "sesgate.toml"
    image.write_text((folder / "docker/etc/sesgate/sesgate.toml").read_text())
    (tmp_path / "policies").symlink_to(folder / "config/policies")
    alone = tomllib.loads(sesgate("config", "print", "--config", image).stdout)
    assert alone["listeners"][0]["user"] == "app" and len(alone["listeners"]) == 1
    assert alone["account"] == {"id": "123456789012", "region": "us-east-1", "partition": "aws", "organization_paths": [], "service_control_policies": []}
    environment = {
        "AWS_REGION": "eu-central-1",
        "SESGATE_USER_ARN": "arn:aws:iam::111122223333:user/shop",
        "SESGATE_USER_NAME": "shop",
        "SESGATE_USER_POLICY": json.dumps(ALLOWED),
        "SESGATE_UPSTREAM_KIND": "ses",
        "SESGATE_USER_PASSWORD": "a-password",
    }
    printed = sesgate("config", "print", "--config", image, env=environment)
    assert printed.returncode == 0, printed.stderr
    merged = tomllib.loads(printed.stdout)
    assert [user["name"] for user in merged["users"]] == ["shop"]
    assert merged["users"][0]["policies"] == [] and json.loads(merged["users"][0]["policy"]) == ALLOWED
    [listener] = merged["listeners"]
    assert listener["address"] == "127.0.0.1:2525" and listener["auth_in_clear"] and "user" not in listener
    assert merged["account"]["id"] == "111122223333" and merged["account"]["region"] == "eu-central-1"
    assert merged["upstream"]["kind"] == "ses"


def test_a_file_that_nobody_named_is_told_with_the_region_that_it_beats(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "config")
    gate.configure()
    variables = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "eu-west-1",
        "SESGATE_USER_NAME": "app",
        "SESGATE_USER_PASSWORD": "of this user alone",
        "SESGATE_UPSTREAM_KIND": "outbox",
    }
    found = sesgate("check", cwd=tmp_path, env=variables)
    assert found.returncode == 0
    told = [line for line in found.stderr.splitlines() if "--no-config" in line]
    assert told == [
        "warning: config/sesgate.toml: is read as well, since it lies where sesgate was started, and the region is "
        "`us-east-1`, not `eu-west-1` of AWS_REGION; `--no-config` leaves it out, `--config FILE` names another"
    ]
    # A file that was named is meant.
    named = sesgate("check", "--config", "config/sesgate.toml", cwd=tmp_path, env=variables)
    assert named.returncode == 0 and "--no-config" not in named.stderr
    # The first hour has nothing of it.
    plain = sesgate("check", cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    assert plain.returncode == 0 and "--no-config" not in plain.stderr
    alone = sesgate("config", "print", "--no-config", cwd=tmp_path, env=variables | {"SESGATE_ACCOUNT_ID": "111122223333"})
    assert tomllib.loads(alone.stdout)["account"]["region"] == "eu-west-1"
    both = sesgate("check", "--no-config", "--config", "config/sesgate.toml", cwd=tmp_path)
    assert both.returncode == 2
