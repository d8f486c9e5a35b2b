"""The admin port: readiness and its reasons, metrics, status, and a reload for whoever has the token."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import smtplib
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from conftest import Start
from gate import Gate, sesgate, wait_until
from mail import PERMITTED, REFUSED
from ses import CREDENTIALS, Account, Ses

TOKEN = "0123456789abcdef"
WITH_TOKEN = {'# token = "made by: openssl rand -hex 32"': f'token = "{TOKEN}"'}
UNREADABLE = PERMITTED.content.replace(b"From: ", b"From: one@example.com, ", 1).replace(b"MIME", b"From: x\r\nMIME", 1)


def page(gate: Gate, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{gate.admin}/{path}", method=method, headers=headers)
    try:
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    return answer.status, answer.read().decode()


def metrics(gate: Gate) -> dict[tuple[str, ...], float]:
    """Each series by its name and the values of its labels; the strict parser of OpenMetrics reads it."""
    status, text = page(gate, "metrics")
    assert status == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def send(gate: Gate, content: bytes = PERMITTED.content, recipient: str = "someone@example.com") -> int:
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=20) as client:
        client.starttls(context=ssl._create_unverified_context())
        client.login("app", "app-password")
        client.mail(PERMITTED.sender)
        client.rcpt(recipient)
        return client.data(content)[0]


def test_metrics_count_what_clients_were_told(start: Start) -> None:
    gate = start()
    assert [send(gate), send(gate)] == [250, 250]
    assert send(gate, recipient=REFUSED.recipients[0]) == 554
    assert send(gate, UNREADABLE) == 554
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=20) as client, pytest.raises(smtplib.SMTPException):
        client.login("app", "wrong")
    found = metrics(gate)
    listener = f"127.0.0.1:{gate.starttls}"
    file = f"{gate.directory}/policies/recipients-example-com.json:4: statement 1"
    size = len(PERMITTED.content)
    for name, value in {
        ("sesgate_messages_total", "app", "relayed", "250"): 2,
        ("sesgate_messages_total", "app", "denied", "554"): 1,
        ("sesgate_messages_total", "app", "unreadable", "554"): 1,
        ("sesgate_decisions_total", "app", "Allowed", file): 2,
        ("sesgate_decisions_total", "app", "ImplicitlyDenied", "none"): 1,
        ("sesgate_relayed_bytes_total", "app"): 2 * size,
        ("sesgate_relayed_recipients_total", "app"): 2,
        ("sesgate_logins_total", "accepted"): 4,
        # smtplib tries PLAIN, then LOGIN.
        ("sesgate_logins_total", "invalid"): 2,
        ("sesgate_tls_handshakes_total", listener, "TLSv1_3"): 4,
        ("sesgate_upstream_seconds_count", "taken"): 2,
        # What is refused is not kept, and how long it takes to come says nothing.
        ("sesgate_reception_seconds_count",): 2,
        ("sesgate_decision_seconds_count",): 3,
        ("sesgate_ready",): 1,
        ("sesgate_message_memory_bytes", "used"): 0,
    }.items():
        assert found.get(name) == value, (name, found)
    # Looking whether it greets is a connection too.
    assert found["sesgate_connections_total", listener, "accepted"] >= 5
    assert found["process_resident_memory_bytes",] > 1_000_000
    names = {name for name, *_ in found}
    assert all(name.startswith(("sesgate_", "process_")) for name in names), names


def test_metrics_and_status_show_no_address_and_no_secret(start: Start) -> None:
    gate = start(WITH_TOKEN)
    assert send(gate) == 250
    for path in ("metrics", "status"):
        status, text = page(gate, path)
        assert status == 200
        for secret in ("@example.com", "argon2id", TOKEN, "app-password"):
            assert secret not in text, (path, secret)


def test_status_names_what_is_loaded(start: Start) -> None:
    gate = start()
    status = json.loads(page(gate, "status")[1])
    assert status["ready"] is True and status["not_ready_because"] == []
    loaded = {entry["file"]: entry["sha256"] for entry in status["configuration"]["files"]}
    assert loaded[str(gate.config)] == hashlib.sha256(gate.config.read_bytes()).hexdigest()
    policy = gate.directory / "policies/from-marketing.json"
    assert loaded[str(policy)] == hashlib.sha256(policy.read_bytes()).hexdigest()
    listeners = status["listeners"]
    assert [listener["tls"] for listener in listeners] == ["starttls", "implicit", "off"]
    assert listeners[0]["certificate"]["self_signed"] is True


def test_the_first_page_says_what_there_is(gate: Gate) -> None:
    status, text = page(gate, "")
    assert status == 200
    for name in ("/livez", "/readyz", "/metrics", "/status", "/reload"):
        assert name in text


def reload(gate: Gate, token: str) -> int:
    return page(gate, "reload", "POST", Authorization=f"Bearer {token}")[0]


def test_a_reload_needs_the_token(start: Start) -> None:
    gate = start(WITH_TOKEN)
    assert page(gate, "reload")[0] == 405
    assert page(gate, "reload", "POST")[0] == 401
    assert reload(gate, TOKEN[:-1]) == 401
    assert reload(gate, "") == 401
    assert ("sesgate_reloads_total", "in_use") not in metrics(gate)
    assert reload(gate, TOKEN) == 202
    wait_until("the reload", lambda: metrics(gate).get(("sesgate_reloads_total", "in_use")) == 1)


def test_a_refused_reload_is_told_until_one_works(start: Start) -> None:
    gate = start(WITH_TOKEN)
    right = gate.config.read_text()
    gate.config.write_text(right + "\n[nonsense]\n")
    assert reload(gate, TOKEN) == 202
    wait_until("the refusal", lambda: metrics(gate)["sesgate_configuration_refused",] == 1)
    status = json.loads(page(gate, "status")[1])
    assert status["configuration"]["last_reload_refused"]["problems"] == 1
    assert status["ready"] is True
    gate.config.write_text(right)
    assert reload(gate, TOKEN) == 202
    wait_until("the reload", lambda: metrics(gate)["sesgate_configuration_refused",] == 0)


def test_without_a_token_there_is_no_reload(gate: Gate) -> None:
    assert reload(gate, "") == 404
    assert reload(gate, TOKEN) == 404


@pytest.fixture
def ses() -> Iterator[Ses]:
    ses = Ses(Account())
    yield ses
    ses.shutdown()


def not_ready(gate: Gate) -> str | None:
    status, text = page(gate, "readyz")
    return text if status == 503 else None


def test_it_is_not_ready_without_credentials(start: Start, ses: Ses) -> None:
    # A provider is there and has none at the moment; where none is there the start is refused.
    nobody = "http://127.0.0.1:1/credentials"
    gate = start(ses.lines, {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONTAINER_CREDENTIALS_FULL_URI": nobody})
    text = wait_until("the reason", lambda: "not looked for" not in (not_ready(gate) or "not looked for") and not_ready(gate))
    # What the chain says of files and roles is in the log.
    assert text == "credentials: there are none; see the log\n"
    assert metrics(gate)["sesgate_ready",] == 0
    event = gate.event("what to do", lambda event: "no AWS credentials" in event["message"])
    assert event["level"] == "ERROR"
    assert send(gate) == 451
    done = sesgate("healthcheck", "--config", gate.config)
    assert done.returncode == 1 and "credentials: " in done.stderr, done
    # It lives all the same, so that nobody restarts it for that.
    assert page(gate, "livez")[0] == 200
    assert sesgate("healthcheck", "--live", "--config", gate.config).returncode == 0


@pytest.mark.parametrize("source", ["config", "ses"])
def test_without_credentials_one_line_says_what_was_tried_and_what_to_do(start: Start, ses: Ses, source: str) -> None:
    nobody = "http://127.0.0.1:1/credentials"
    variables = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONTAINER_CREDENTIALS_FULL_URI": nobody}
    gate = start({**ses.lines, 'source = "config"': f'source = "{source}"'}, variables)
    told = gate.event("the credentials", lambda event: "there are no AWS credentials" in event["message"])
    assert told["level"] == "ERROR" and "AWS_PROFILE" in told["remedy"]
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in told["looked_for"]
    assert [send(gate) for _ in range(3)] == [451] * 3
    gate.stop()
    refused = [event for event in gate.events() if event["message"] == "refused"]
    assert len(refused) == 3
    for event in refused:
        assert event["error"].startswith("there are no AWS credentials: "), event
        assert event["remedy"] == told["remedy"]
    # Nothing else speaks of it, neither the readers of the account nor a library.
    grave = [event for event in gate.events() if event["level"] in ("WARN", "ERROR")]
    others = [event for event in grave if event not in refused and event != told]
    assert [event for event in others if event["target"] != "sesgate::cli::serve"] == []
    assert all(len(event.get("error", "")) < 500 for event in gate.events())
    text = gate.log.read_text()
    assert "DispatchFailure" not in text and "ProviderError" not in text
    # SES was never asked, so nothing of what it says can be in use.
    assert "what SES says of the account is in use" not in text


def test_it_is_not_ready_while_ses_has_paused_the_account(start: Start, ses: Ses) -> None:
    ses.account.sending = False
    gate = start(ses.lines, CREDENTIALS)
    wait_until("the reason", lambda: "sending: " in (not_ready(gate) or ""))
    assert metrics(gate)["sesgate_ses_sending_enabled",] == 0


def test_rate_and_quota_are_gauges(start: Start, ses: Ses) -> None:
    ses.account.max_send_rate, ses.account.max_24_hour_send, ses.account.sent_last_24_hours = 14.0, 50_000.0, 7.0
    gate = start(ses.lines, CREDENTIALS)
    wait_until("the rate", lambda: metrics(gate).get(("sesgate_rate_recipients_per_second", "allowed")) == 14)
    assert send(gate) == 250
    found = metrics(gate)
    assert found["sesgate_quota_recipients", "most"] == 50_000
    assert found["sesgate_quota_recipients", "used"] == 8


def test_errors_of_ses_are_counted_by_their_code(start: Start, ses: Ses) -> None:
    gate = start(ses.lines, CREDENTIALS)
    ses.faults["outbound-emails"] = (400, "MessageRejected", "no")
    assert send(gate) == 554
    found = metrics(gate)
    assert found["sesgate_ses_errors_total", "MessageRejected"] == 1
    assert found["sesgate_messages_total", "app", "rejected", "554"] == 1


def test_whoever_holds_all_connections_does_not_keep_a_probe_out(gate: Gate) -> None:
    held = [socket.create_connection(("127.0.0.1", gate.admin), timeout=5) for _ in range(200)]
    for one in held:
        try:
            one.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n")
        except OSError:
            # It gave way already.
            pass
    assert page(gate, "readyz") == (200, "ok\n")
    for one in held:
        one.close()


def test_probes_of_mail_ports_are_silent(start: Start) -> None:
    gate = start()
    gate.event("the last line of the start", lambda event: "told over HTTP" in event["message"])
    before = len(gate.events())
    for port in (gate.starttls, gate.implicit):
        for _ in range(5):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
    assert send(gate) == 250
    gate.event("the mail", lambda event: event["message"] == "relayed")
    assert [event["message"] for event in gate.events()[before:]] == ["relayed"]


def test_alerts_and_dashboard_ask_for_metrics_that_exist(start: Start, ses: Ses) -> None:
    gate = start(ses.lines, CREDENTIALS)
    wait_until("the rate", lambda: ("sesgate_quota_recipients", "most") in metrics(gate))
    assert send(gate) == 250
    ses.faults["outbound-emails"] = (400, "MessageRejected", "no")
    assert send(gate) == 554
    assert gate.process is not None
    gate.process.send_signal(signal.SIGHUP)
    wait_until("the reload", lambda: ("sesgate_reloads_total", "in_use") in metrics(gate))
    text = page(gate, "metrics")[1]
    families = {name: kind for _, _, name, kind in (line.split(" ", 3) for line in text.splitlines() if "# TYPE" in line)}
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"], "gauge": [""]}
    exist = {name + suffix for name, kind in families.items() for suffix in suffixes[kind]}
    docker = Path(__file__).resolve().parents[2] / "docker"
    rules = (docker / "prometheus/rules.yaml").read_text()
    dashboard = (docker / "grafana/sesgate.json").read_text()
    asked = set(re.findall(r"\b(?:sesgate|process)_[a-z0-9_]+", rules + dashboard))
    assert len(asked) > 20
    assert asked <= exist, asked - exist


def test_status_has_no_hash_of_a_secret(start: Start, tmp_path: Path) -> None:
    # The hash of a file tells whoever guesses what is in it whether the guess was right.
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    gate = start(environment={"SESGATE_ADMIN_TOKEN_FILE": str(secret)})
    assert reload(gate, TOKEN) == 202
    text = page(gate, "status")[1]
    loaded = {entry["file"]: entry["sha256"] for entry in json.loads(text)["configuration"]["files"]}
    assert loaded[str(secret)] is None
    assert hashlib.sha256(secret.read_bytes()).hexdigest() not in text


def test_a_connection_outlasts_any_number_that_came_and_went(gate: Gate) -> None:
    kept = HTTPConnection("127.0.0.1", gate.admin, timeout=10)
    for _ in range(2):
        for _ in range(80):
            assert page(gate, "livez") == (200, "ok\n")
        kept.request("GET", "/livez")
        assert kept.getresponse().read() == b"ok\n"
    kept.close()
