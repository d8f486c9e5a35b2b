"""`sesgate doctor`: a line for each thing that is looked at, and how to mend what is wrong.

SES and STS are those of `fake_aws`, but for one test against moto.
"""

from __future__ import annotations

import datetime
import json
import os
import pty
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from conftest import Start
from fake_aws import VERIFIED, FakeAws, Refusal
from gate import BINARY, DEFAULT_CONFIG, Gate, free_port, sesgate
from test_moto import Moto, moto, moto_server  # noqa: F401

SECRET = "wJalrXUtnFEMI-a-secret-key"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"
PENDING = {**VERIFIED, "VerifiedForSendingStatus": False, "VerificationStatus": "PENDING"}
IDENTITY = 'name = "example.com"'


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    server = FakeAws()
    yield server
    server.shutdown()
    server.server_close()


class Doctor:
    """A gate that is not started, and what the doctor says of it."""

    def __init__(self, directory: Path, url: str) -> None:
        self.gate = Gate(directory / "gate")
        self.url = url
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_STS": url,
            "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
        }
        self.configure({})

    def configure(self, changes: Mapping[str, str], url: str | None = None) -> None:
        upstream = {'kind = "outbox"': f'kind = "ses"\nendpoint_url = "{url or self.url}"'}
        self.gate.configure({**upstream, **changes})

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = sesgate("doctor", "--config", self.gate.config, *arguments, env=self.environment)
        assert SECRET not in done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done

    def findings(self, *arguments: str, status: int | None = None) -> list[dict[str, Any]]:
        done = self.run("--format", "json", *arguments)
        report = json.loads(done.stdout)
        found = report["checks"]
        has_failed = any(it["status"] == "failed" for it in found)
        assert report["status"] == ("failed" if has_failed else "ok")
        for name, number in report["counts"].items():
            assert number == len([it for it in found if it["status"] == name])
        assert done.returncode == (int(has_failed) if status is None else status), done.stdout + done.stderr
        # Whoever reads a failure or a warning learns what to do.
        assert all(it["fix"] for it in found if it["status"] in ("failed", "warning")), found
        return found

    def one(self, check: str, status: str, *arguments: str, exits: int | None = None) -> dict[str, Any]:
        """Returns the only finding of a check with that status."""
        found = self.findings(*arguments, status=exits)
        fitting = [it for it in found if (it["check"], it["status"]) == (check, status)]
        assert len(fitting) == 1, json.dumps(found, indent=1)
        return fitting[0]


@pytest.fixture
def doctor(tmp_path: Path, aws: FakeAws) -> Doctor:
    return Doctor(tmp_path, aws.url)


CHECKS = [
    *("configuration", "users", "certificates", "limits", "ports"),
    *("region", "clock", "credentials", "caller", "account", "identities", "sending"),
]


def test_all_is_well(doctor: Doctor, aws: FakeAws) -> None:
    found = doctor.findings("--send-from", "app@example.com")
    worrying = [it for it in found if it["status"] != "ok" and it["check"] not in ("configuration", "limits")]
    assert worrying == []
    assert list(dict.fromkeys(it["check"] for it in found)) == CHECKS
    seen = {it["check"]: it["seen"] for it in found}
    assert "us-east-1" in seen["region"] and aws.url in seen["region"]
    assert "ASIAEXAMPLE from the environment" in seen["credentials"]
    assert aws.world.arn in seen["caller"]
    assert any("100 of 50000 sent" in it["seen"] and "14 a second" in it["seen"] for it in found)
    assert "0100-doctor" in seen["sending"]
    [sent] = aws.world.sent
    assert sent["Destination"] == {"ToAddresses": ["success@simulator.amazonses.com"]}
    assert "FromEmailAddress" not in sent


def test_calls_that_send_nothing_are_a_second_apart(doctor: Doctor, aws: FakeAws) -> None:
    doctor.findings()
    times = [at for at, name in aws.world.calls if name != "GetCallerIdentity"]
    assert len(times) == 3
    assert all(later - earlier > 0.9 for earlier, later in zip(times, times[1:]))


def test_no_mail_is_sent_unasked(doctor: Doctor, aws: FakeAws) -> None:
    skipped = doctor.one("sending", "skipped")
    assert "--send-from sesgate@example.com" in skipped["fix"]
    assert aws.world.sent == []


def test_text_has_a_line_for_each_finding(doctor: Doctor, aws: FakeAws) -> None:
    aws.world.account["SendingEnabled"] = False
    done = doctor.run()
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("failed   account"))
    assert "sending is paused" in lines[at]
    assert lines[at + 1].split()[0] == "fix:"
    assert "put-account-sending-attributes" in lines[at + 1]
    assert "1 failed" in lines[-1]
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("no_color", [False, True])
def test_colour_is_for_terminals_that_want_it(doctor: Doctor, no_color: bool) -> None:
    doctor.gate.configure()
    ours, theirs = pty.openpty()
    environment = {**doctor.environment, "TERM": "xterm-256color", **({"NO_COLOR": "1"} if no_color else {})}
    with subprocess.Popen(
        [BINARY, "doctor", "--config", doctor.gate.config],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:
            pass
        os.close(ours)
    assert process.returncode == 0
    assert b"outbox" in shown
    assert (b"\x1b[" in shown) is not no_color


def test_an_outbox_needs_no_ses(doctor: Doctor) -> None:
    doctor.gate.configure()
    found = doctor.findings()
    statuses = {it["check"]: it["status"] for it in found}
    assert statuses["outbox"] == "ok"
    assert {statuses[check] for check in CHECKS[5:]} == {"skipped"}
    doctor.gate.configure({'directory = "outbox"': 'directory = "sesgate.toml"'})
    assert "no directory" in doctor.one("outbox", "failed")["seen"]


def test_an_unusable_configuration_is_78_and_hides_nothing(doctor: Doctor, aws: FakeAws) -> None:
    doctor.configure({"drain_seconds = 25": "drain_secnds = 25"})
    found = doctor.findings(status=78)
    [failed] = [it for it in found if it["status"] == "failed"]
    assert (failed["check"], "drain_secnds" in failed["seen"]) == ("configuration", True)
    assert "GetAccount" in [name for _, name in aws.world.calls]
    doctor.gate.config.write_text("[server")
    found = doctor.findings(status=78)
    assert {it["status"] for it in found if it["check"] != "configuration"} == {"skipped"}


# What is wrong at AWS; the check that tells, how; words of what was seen, and of the remedy.
AT_AWS = {
    "sandbox": (
        {"account": {"ProductionAccessEnabled": False}},
        ("account", "warning", "sandbox", "put-account-details"),
    ),
    "paused": (
        {"account": {"SendingEnabled": False}},
        ("account", "failed", "paused", "put-account-sending-attributes"),
    ),
    "probation": (
        {"account": {"EnforcementStatus": "PROBATION"}},
        ("account", "warning", "PROBATION", "Reputation"),
    ),
    "shutdown": (
        {"account": {"EnforcementStatus": "SHUTDOWN"}},
        ("account", "failed", "SHUTDOWN", "Support"),
    ),
    "quota nearly used": (
        {"account": {"SendQuota": {"Max24HourSend": 1000, "MaxSendRate": 5, "SentLast24Hours": 900}}},
        ("account", "warning", "90 %", "request-service-quota-increase"),
    ),
    "quota used": (
        {"account": {"SendQuota": {"Max24HourSend": 1000, "MaxSendRate": 5, "SentLast24Hours": 1000}}},
        ("account", "failed", "100 %", "request-service-quota-increase"),
    ),
    "account may not be read": (
        {"refusals": {"GetAccount": Refusal(403, "AccessDeniedException", "not authorized")}},
        ("account", "warning", "not authorized", "ses:GetAccount"),
    ),
    "list may not be read": (
        {"refusals": {"ListEmailIdentities": Refusal(403, "AccessDeniedException", "not authorized")}},
        ("identities", "warning", "not authorized", "ses:ListEmailIdentities"),
    ),
    "identity missing": (
        {"identities": {}},
        ("identities", "failed", "`example.com` is not there", "create-email-identity"),
    ),
    "identity not verified": (
        {"identities": {"example.com": PENDING}},
        ("identities", "failed", "PENDING", "DkimAttributes"),
    ),
    "configuration set": (
        {"identities": {"example.com": {**VERIFIED, "ConfigurationSetName": "transactional"}}},
        ("identities", "warning", "`transactional` at SES", 'configuration_set = "transactional"'),
    ),
    "tags": (
        {"identities": {"example.com": {**VERIFIED, "Tags": [{"Key": "stage", "Value": "production"}]}}},
        ("identities", "warning", "tags", '"stage" = "production"'),
    ),
    "sending authorization policy": (
        {"identities": {"example.com": {**VERIFIED, "Policies": {"partner": '{"Version":"2012-10-17"}'}}}},
        ("identities", "warning", "policy `partner`", "get-email-identity-policies"),
    ),
    "clock far off": ({"clock_ahead": 400}, ("clock", "failed", "behind SES", "set-ntp")),
    "clock a little off": ({"clock_ahead": -60}, ("clock", "warning", "ahead of SES", "set-ntp")),
    "another account": (
        {"arn": "arn:aws:iam::999999999999:user/relay"},
        ("caller", "failed", "999999999999", 'id = "999999999999"'),
    ),
    "another partition": (
        {"arn": "arn:aws-cn:iam::123456789012:user/relay"},
        ("caller", "failed", "aws-cn", 'partition = "aws-cn"'),
    ),
    "the root user": ({"arn": "arn:aws:iam::123456789012:root"}, ("caller", "warning", "owner", "role")),
    "STS out of order": (
        {"refusals": {"GetCallerIdentity": Refusal(400, "SomethingNew", "no")}},
        ("caller", "warning", "SomethingNew", "AWS_ENDPOINT_URL_STS"),
    ),
    "unknown access key": (
        {"refusals": {"GetCallerIdentity": Refusal(403, "InvalidClientTokenId", "No such token")}},
        ("caller", "failed", "InvalidClientTokenId", "list-access-keys"),
    ),
    "expired token": (
        {"refusals": {"GetCallerIdentity": Refusal(403, "ExpiredToken", "The token has expired")}},
        ("caller", "failed", "ExpiredToken", "aws sso login"),
    ),
    "wrong secret, quoted with the token": (
        {"refusals": {"GetAccount": Refusal(403, "SignatureDoesNotMatch", f"x-amz-security-token:{TOKEN} x")}},
        ("account", "failed", "x-amz-security-token:*** x", "secret access key"),
    ),
}


def played(directory: Path, changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the findings when AWS is changed so."""
    server = FakeAws()
    try:
        for what, value in changes.items():
            current = getattr(server.world, what)
            setattr(server.world, what, {**current, **value} if what in ("account", "refusals") else value)
        return Doctor(directory, server.url).findings()
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def at_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[list[dict[str, Any]]]]]:
    """All of them side by side, since each waits a second between calls."""
    with ThreadPoolExecutor(8) as pool:
        yield {
            name: pool.submit(played, tmp_path_factory.mktemp("aws"), changes)
            for name, (changes, _) in AT_AWS.items()
        }


@pytest.mark.parametrize("name", AT_AWS)
def test_what_is_wrong_at_aws(at_aws: dict[str, Future[list[dict[str, Any]]]], name: str) -> None:
    _, (check, status, seen, fix) = AT_AWS[name]
    found = at_aws[name].result()
    fitting = [it for it in found if (it["check"], it["status"]) == (check, status)]
    assert len(fitting) == 1, json.dumps(found, indent=1)
    assert seen in fitting[0]["seen"]
    assert fix in fitting[0]["fix"]


def test_a_policy_of_ses_may_be_written_otherwise(doctor: Doctor, aws: FakeAws) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "111122223333"},
        "Action": ["ses:SendRawEmail"],
        "Resource": "arn:aws:ses:us-east-1:123456789012:identity/example.com",
    }
    ours = {"Version": "2012-10-17", "Statement": [statement]}
    theirs = json.dumps({"Statement": statement, "Version": "2012-10-17"}, separators=(",", ":"))
    aws.world.identities = {"example.com": {**VERIFIED, "Policies": {"x": theirs}}}
    listed = {IDENTITY: f'{IDENTITY}\npolicies = ["policies/ours.json"]'}
    doctor.configure(listed)
    (doctor.gate.directory / "policies/ours.json").write_text(json.dumps(ours, indent=4))
    assert [it for it in doctor.findings() if it["check"] == "identities" and it["status"] != "ok"] == []
    aws.world.identities = {"example.com": dict(VERIFIED)}
    assert "no policy like" in doctor.one("identities", "warning")["seen"]


def test_a_complete_list_lacks_nothing(doctor: Doctor, aws: FakeAws) -> None:
    aws.world.identities |= {"example.org": dict(VERIFIED), "pending.example": PENDING}
    assert "warning" not in [it["status"] for it in doctor.findings() if it["check"] == "identities"]
    doctor.configure({"authoritative = false": "authoritative = true"})
    found = doctor.one("identities", "warning")
    assert "example.org" in found["seen"]
    assert 'name = "example.org"' in found["fix"]
    assert "pending.example" not in json.dumps(found)


def test_only_twenty_identities_are_looked_at(doctor: Doctor, aws: FakeAws) -> None:
    names = [f"d{number}.example" for number in range(21)]
    aws.world.identities |= {name: dict(VERIFIED) for name in names}
    more = "".join(f'\n[[identities.known]]\nname = "{name}"' for name in names)
    doctor.configure({IDENTITY: IDENTITY + more})
    found = doctor.one("identities", "skipped")
    assert found["seen"].startswith("2 more")
    assert "doctor --all" in found["fix"]
    assert [name for _, name in aws.world.calls].count("GetEmailIdentity") == 20


def test_what_is_denied_once_is_not_asked_again(doctor: Doctor, aws: FakeAws) -> None:
    aws.world.refusals["GetEmailIdentity"] = Refusal(403, "AccessDeniedException", "no")
    doctor.configure({IDENTITY: f'{IDENTITY}\n[[identities.known]]\nname = "example.org"'})
    found = doctor.one("identities", "warning")
    assert "ses:GetEmailIdentity" in found["fix"]
    assert [name for _, name in aws.world.calls].count("GetEmailIdentity") == 1


def test_a_role_that_may_not_send_gets_its_policy(doctor: Doctor, aws: FakeAws) -> None:
    resource = "arn:aws:ses:us-east-1:123456789012:configuration-set/first"
    text = f"User `{aws.world.arn}' is not authorized to perform `ses:SendRawEmail' on resource `{resource}'"
    aws.world.refusals["SendEmail"] = Refusal(403, "AccessDeniedException", text)
    found = doctor.one("sending", "failed", "--send-from", "app@mail.example.com")
    assert "put-role-policy --role-name relay" in found["fix"]
    command, _, document = found["fix"].partition("\n")
    sending, reading = json.loads(document)["Statement"]
    assert sorted(sending["Action"]) == ["ses:SendEmail", "ses:SendRawEmail"]
    assert sending["Resource"] == [resource, "arn:aws:ses:us-east-1:123456789012:identity/example.com"]
    assert reading["Action"] == ["ses:GetAccount", "ses:ListEmailIdentities", "ses:GetEmailIdentity"]


SENDING = {
    "MessageRejected": (400, "create-email-identity"),
    "SendingPausedException": (400, "put-account-sending-attributes"),
    "MailFromDomainNotVerifiedException": (400, "MX record"),
}


@pytest.mark.parametrize("code", SENDING)
def test_why_a_mail_is_not_taken(doctor: Doctor, aws: FakeAws, code: str) -> None:
    status, fix = SENDING[code]
    aws.world.refusals["SendEmail"] = Refusal(status, code, "No.")
    found = doctor.one("sending", "failed", "--send-from", "app@example.com")
    assert code in found["seen"] and fix in found["fix"]


def test_no_credentials(doctor: Doctor) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del doctor.environment[name]
    found = doctor.findings()
    [failed] = [it for it in found if it["status"] == "failed"]
    assert failed["check"] == "credentials" and "role" in failed["fix"]
    assert "(" not in failed["seen"], "no values of Rust"
    skipped = {it["check"]: it["seen"] for it in found if it["status"] == "skipped"}
    assert list(skipped) == ["caller", "account", "identities", "sending"]
    assert all("no credentials" in because for because in skipped.values())
    # The clock needs none.
    assert "clock" in [it["check"] for it in found if it["status"] == "ok"]


def test_a_long_lived_key_is_warned_of(doctor: Doctor) -> None:
    del doctor.environment["AWS_SESSION_TOKEN"]
    doctor.environment["AWS_ACCESS_KEY_ID"] = "AKIAEXAMPLE"
    found = doctor.one("credentials", "warning")
    assert "AKIAEXAMPLE" in found["seen"] and "role" in found["fix"]


@pytest.mark.parametrize(("hours", "status"), [(-1, "failed"), (5, "ok")])
def test_when_credentials_end_is_told(doctor: Doctor, tmp_path: Path, hours: int, status: str) -> None:
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours, minutes=5)
    made = {"Version": 1, "AccessKeyId": "ASIAPROCESS", "SecretAccessKey": SECRET, "SessionToken": TOKEN}
    made["Expiration"] = ends.strftime("%Y-%m-%dT%H:%M:%SZ")
    (tmp_path / "made.json").write_text(json.dumps(made))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(f"[default]\ncredential_process = cat {tmp_path}/made.json\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del doctor.environment[name]
    found = doctor.one("credentials", status)
    if status == "ok":
        assert "a profile with a credential process, good for 5 h" in found["seen"]
    else:
        assert "expired" in found["seen"].lower() and "aws sso login" in found["fix"]


class Nothing(BaseHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_each_step_to_ses_is_named(doctor: Doctor) -> None:
    doctor.configure({}, f"http://127.0.0.1:{free_port()}")
    found = doctor.findings("--timeout", "3")
    [failed] = [it for it in found if it["status"] == "failed"]
    assert failed["check"] == "region" and "connect: " in failed["seen"] and "nc -vz" in failed["fix"]
    assert {it["check"] for it in found if it["status"] == "skipped"} == {"clock", *CHECKS[9:]}
    doctor.configure({}, "http://ses.invalid")
    assert "DNS: " in doctor.one("region", "failed", "--timeout", "3")["seen"]
    # Certificates of an authority that this host does not know.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), Nothing) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        doctor.configure({}, f"https://localhost:{server.server_port}")
        found = doctor.one("region", "failed", "--timeout", "3")
        server.shutdown()
    assert "TLS: " in found["seen"] and "openssl s_client" in found["fix"]


def test_a_server_that_says_nothing_ends_the_wait(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        doctor.configure({}, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "no answer within 1s" in doctor.one("region", "failed", "--timeout", "1")["seen"]


def test_a_region_without_ses_is_named(doctor: Doctor) -> None:
    changes = {'kind = "outbox"': 'kind = "ses"', 'region = "us-east-1"': 'region = "eu-wset-1"'}
    doctor.gate.configure(changes)
    found = doctor.one("region", "failed", "--timeout", "3", exits=1)
    assert "email.eu-wset-1.amazonaws.com" in found["seen"]
    assert "did you mean `eu-west-1`?" in found["fix"]


def test_a_running_relay_is_recognised(start: Start, doctor: Doctor) -> None:
    doctor.gate = start()
    found = [it for it in doctor.findings() if it["check"] == "ports"]
    assert [it["status"] for it in found] == ["ok"] * 4
    assert all("a running sesgate answers" in it["seen"] for it in found)


def test_a_port_of_somebody_else_is_named(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", doctor.gate.starttls)) as other:

        def greet() -> None:
            client, _ = other.accept()
            client.sendall(b"220 localhost ESMTP Postfix\r\n")

        threading.Thread(target=greet, daemon=True).start()
        found = doctor.one("ports", "failed")
    assert "ESMTP Postfix" in found["seen"]
    assert f"ss -ltnp 'sport = :{doctor.gate.starttls}'" in found["fix"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_privileged_port_is_named(doctor: Doctor) -> None:
    start = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if int(start.read_text()) <= 25:
        pytest.skip("here every port is open to everybody")
    doctor.gate.starttls = 25
    doctor.gate.configure()
    for directory in (doctor.gate.directory, *doctor.gate.directory.parents):
        if directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o755)
    done = subprocess.run(
        [BINARY, "doctor", "--config", doctor.gate.config],
        capture_output=True,
        text=True,
        timeout=30,
        user=65534,
        env=doctor.environment,
    )
    assert "127.0.0.1:25: cannot be bound: Permission denied" in done.stdout
    assert "cap_net_bind_service" in done.stdout


def certificate(directory: Path, authority: trustme.CA, *names: str, days: float = 90) -> dict[str, str]:
    """Writes a certificate; returns the lines that name it."""
    now = datetime.datetime.now(datetime.UTC)
    issued = authority.issue_cert(
        *names, not_before=now - datetime.timedelta(days=30), not_after=now + datetime.timedelta(days=days)
    )
    issued.cert_chain_pems[0].write_to_path(directory / "tls.crt")
    issued.private_key_pem.write_to_path(directory / "tls.key")
    return {
        '# certificate = "/etc/sesgate/tls.crt"': f'certificate = "{directory}/tls.crt"',
        '# key = "/etc/sesgate/tls.key"': f'key = "{directory}/tls.key"',
    }


# Names and days of a certificate, how the check ends, words of what was seen.
CERTIFICATES = {
    "good": (["localhost"], 90.5, "ok", "good for 90 days"),
    "wildcard of another": (["*.example.com"], 90, "failed", "*.example.com, not for `localhost`"),
    "expired": (["localhost"], -1, "failed", "expired on"),
    "soon": (["localhost"], 9.5, "warning", "expires in 9 days"),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates(doctor: Doctor, tmp_path: Path, name: str) -> None:
    names, days, status, seen = CERTIFICATES[name]
    doctor.gate.configure(certificate(tmp_path, trustme.CA(), *names, days=days))
    found = [it for it in doctor.findings() if "tls.crt" in it["seen"]]
    assert [it["status"] for it in found] == [status]
    assert seen in found[0]["seen"]


def test_a_self_signed_certificate_and_a_strange_key(doctor: Doctor, tmp_path: Path) -> None:
    authority = trustme.CA()
    lines = certificate(tmp_path, authority, "localhost")
    authority.cert_pem.write_to_path(tmp_path / "tls.crt")
    authority.private_key_pem.write_to_path(tmp_path / "tls.key")
    doctor.gate.configure(lines)
    assert "self-signed" in doctor.one("certificates", "warning")["seen"]
    trustme.CA().private_key_pem.write_to_path(tmp_path / "tls.key")
    found = doctor.one("certificates", "failed", exits=78)
    assert "openssl pkey" in found["fix"]


PASSWORD = next(
    line for line in DEFAULT_CONFIG.read_text().splitlines() if line.startswith("password_hash = ")
)
HASH = PASSWORD.removeprefix("password_hash = ")


def expiring(*days: int | None) -> dict[str, str]:
    """Passwords that expire in so many days, in the place of the first of the default file."""
    today = datetime.datetime.now(datetime.UTC).date()
    entries = [
        f"{{ hash = {HASH} }}"
        if number is None
        else f'{{ hash = {HASH}, expires = "{today + datetime.timedelta(days=number)}" }}'
        for number in days
    ]
    return {PASSWORD: f"passwords = [{', '.join(entries)}]"}


# Days until passwords end, how the check comes out, words of what was seen and of the remedy.
PASSWORDS = {
    "the only one expired": ((-2,), "failed", "cannot log in", "hash-password"),
    "one of two expired": ((-2, None), "warning", "expired on", "remove it"),
    "the last one ends soon": ((-2, 5), "warning", "expires in", "hash-password"),
    "one ends soon, the other stays": ((5, None), None, "", ""),
    "much later": ((100,), None, "", ""),
}


@pytest.mark.parametrize("name", PASSWORDS)
def test_passwords_that_end(doctor: Doctor, name: str) -> None:
    days, status, seen, fix = PASSWORDS[name]
    doctor.gate.configure(expiring(*days))
    found = [it for it in doctor.findings() if it["check"] == "users"]
    if status is None:
        assert [it["status"] for it in found] == ["ok"]
    else:
        fitting = [it for it in found if it["status"] == status and seen in it["seen"]]
        assert fitting and fix in fitting[0]["fix"], found
        assert HASH.strip('"') not in json.dumps(found)


def test_a_user_without_policy(doctor: Doctor) -> None:
    doctor.gate.configure({'policies = ["policies/from-marketing.json"]': "policies = []"})
    assert "`marketing` has no policy" in doctor.one("users", "warning")["seen"]


# Open files that are allowed, for 1000 connections.
LIMITS = {800: "failed", 1500: "warning", 4000: "ok"}


@pytest.mark.parametrize("files", LIMITS)
def test_open_files(doctor: Doctor, files: int) -> None:
    doctor.gate.configure()
    command = f'ulimit -n {files} && exec "$0" doctor --format json --config "$1"'
    done = subprocess.run(
        ["bash", "-c", command, BINARY, doctor.gate.config],
        capture_output=True,
        text=True,
        timeout=30,
        env=doctor.environment,
    )
    [found] = [it for it in json.loads(done.stdout)["checks"] if it["check"] == "limits"]
    assert found["status"] == LIMITS[files]
    assert files == 4000 or "ulimit -n 2064" in found["fix"]


def test_against_moto(doctor: Doctor, moto: Moto) -> None:  # noqa: F811
    """STS, GetEmailIdentity and SendEmail of moto; it has no GetAccount, and no list where it is asked."""
    doctor.environment["AWS_ENDPOINT_URL_STS"] = moto.url
    doctor.configure({}, moto.url)
    found = doctor.findings("--send-from", "app@example.com")
    statuses = {(it["check"], it["status"]) for it in found}
    assert {("caller", "ok"), ("sending", "ok"), ("account", "failed")} <= statuses
    assert any(it["seen"].startswith("`example.com`: verified") for it in found)
    [sent] = moto.sent()
    assert sent["source"] == "app@example.com"
    refused = doctor.one("sending", "failed", "--send-from", "app@example.org")
    assert "MessageRejected" in refused["seen"]
