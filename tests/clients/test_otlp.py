"""OpenTelemetry: traces and log lines at a collector, and what happens when it is away."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector import AT_ONCE, Collector, attributes
from conftest import Certificates, Start
from gate import BINARY, Gate, free_port, sesgate, wait_until
from mail import ACCOUNT, PERMITTED, REFUSED, Mail, message_id
from ses import CREDENTIALS, Account, Ses

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"traceparent: 00-{TRACE}-{SPAN}-01"
STRIP = {"[log]": "[otlp]\nstrip_traceparent = true\n[log]"}
ERROR = 2


@pytest.fixture(scope="module", autouse=True)
def has_otlp() -> None:
    features = json.loads(sesgate("version", "--json").stdout)["features"]
    assert "otlp" in features, f"build {BINARY} with `--features otlp`"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.hangs = False
    collector.stop()


def with_fields(mail: Mail, *fields: str) -> Mail:
    return Mail(mail.user, mail.sender, mail.recipients, fields, mail.body)


def send(gate: Gate, mail: Mail, content: bytes | None = None) -> tuple[int, str]:
    """Sends a mail and returns the last reply."""
    with smtplib.SMTP("127.0.0.1", gate.starttls, timeout=30) as client:
        client.login(mail.user, mail.password)
        client.mail(mail.sender)
        for recipient in mail.recipients:
            client.rcpt(recipient)
        code, text = client.data(content or mail.content)
        return code, text.decode()


def transaction(collector: Collector, count: int = 1) -> Any:
    """The root of the only trace, once as many traces have come."""

    def roots() -> list[Any] | None:
        found = [span for span in collector.spans() if span.name == "smtp transaction"]
        return found if len(found) >= count else None

    found = wait_until("the trace", roots)
    assert len(found) == count
    return found[-1]


def children(collector: Collector, root: Any) -> dict[str, Any]:
    spans = [span for span in collector.spans() if span.trace_id == root.trace_id and span is not root]
    return {span.name: span for span in spans if span.parent_span_id == root.span_id}


def test_a_trace_goes_on_from_the_app(start: Start, collector: Collector) -> None:
    gate = start(environment=collector.environment)
    mail = with_fields(PERMITTED, PARENT, "tracestate: app=1,", "\tother=x")
    code, text = send(gate, mail)
    assert code == 250

    root = transaction(collector)
    assert root.trace_id.hex() == TRACE
    assert root.parent_span_id.hex() == SPAN
    assert root.trace_state == "app=1,\tother=x"
    assert (root.kind, root.status.code, root.flags) == (2, 0, 0x301)
    [event] = [event for event in gate.events() if event["message"] == "relayed"]
    assert event["trace_id"] == TRACE
    found = attributes(root.attributes)
    assert found["sesgate.decision"] == event["decision"]
    assert found["messaging.message.id"] == message_id(f"{code} {text}")
    assert found["sesgate.statement"] == event["statement"]
    assert found["sesgate.reply"] == f"{code} {text}"
    for name, value in {
        "network.protocol.name": "smtp",
        "client.address": "127.0.0.1",
        "user.name": "app",
        "sesgate.outcome": "relayed",
        "sesgate.reply_code": 250,
        "sesgate.verdict": "Allowed",
        "sesgate.reverse_path": mail.sender,
        "sesgate.recipients": list(mail.recipients),
        "sesgate.recipient_count": 1,
        "sesgate.from": [mail.sender],
        "sesgate.secure_transport": False,
        "messaging.message.envelope.size": len(mail.content),
    }.items():
        assert found[name] == value, name

    steps = children(collector, root)
    assert list(steps) == ["receive", "pace", "decide", "outbox"]
    at = root.start_time_unix_nano
    assert abs(at / 1e9 - time.time()) < 60
    for step in steps.values():
        assert at <= step.start_time_unix_nano <= step.end_time_unix_nano <= root.end_time_unix_nano
        at = step.start_time_unix_nano
        assert step.trace_state == root.trace_state
    assert len({span.span_id for span in collector.spans()}) == 5

    resource = collector.resource()
    assert resource["service.name"] == "sesgate"
    assert resource["cloud.account.id"] == ACCOUNT
    # The field stays in the mail: nothing is stripped unless that is asked for.
    assert list(gate.taken().values()) == [mail.content]


def test_log_lines_are_those_of_standard_output(start: Start, collector: Collector) -> None:
    gate = start(environment=collector.environment)
    assert send(gate, with_fields(PERMITTED, PARENT))[0] == 250
    gate.terminate()
    assert gate.wait() == 0

    events = {event["message"]: event for event in gate.events()}
    lines = {line.body.string_value: line for line in collector.lines()}
    assert {"starting", "listening", "relayed", "drained"} <= set(lines)
    assert set(lines) == set(events)
    relayed = lines["relayed"]
    assert (relayed.trace_id.hex(), relayed.flags) == (TRACE, 1)
    assert relayed.span_id == transaction(collector).span_id
    assert (relayed.severity_number, relayed.severity_text) == (9, "INFO")
    assert abs(relayed.time_unix_nano / 1e9 - time.time()) < 60
    # Every field of the JSON line, with those of the connection.
    expected = dict(events["relayed"])
    span = expected.pop("span")
    span.pop("name")
    for name in ("message", "timestamp", "level", "target", "trace_id"):
        expected.pop(name)
    assert attributes(relayed.attributes) == {**span, **expected}
    for name in ("starting", "drained"):
        assert (lines[name].trace_id, lines[name].span_id) == (b"", b"")
        assert "trace_id" not in events[name]


def test_without_traceparent_a_trace_begins(start: Start, collector: Collector) -> None:
    gate = start(environment=collector.environment)
    assert send(gate, PERMITTED)[0] == 250
    root = transaction(collector)
    assert (root.parent_span_id, root.flags) == (b"", 0x101)
    assert any(root.trace_id) and root.trace_id.hex() != TRACE
    [event] = [event for event in gate.events() if event["message"] == "relayed"]
    assert event["trace_id"] == root.trace_id.hex()


@pytest.mark.parametrize(
    "fields",
    [
        ("traceparent: 00-0-0-01",),
        (PARENT.upper(),),
        (PARENT + "-",),
        (PARENT.replace("00-", "ff-"),),
        ("traceparent: " + "x" * 10_000,),
        (PARENT, PARENT),
        (PARENT, "traceparent:"),
        ("traceparent: \u00e9",),
    ],
    ids=["short", "upper case", "more", "version", "long", "twice", "twice and empty", "8 bits"],
)
def test_a_malformed_traceparent_refuses_no_mail(
    start: Start, collector: Collector, fields: tuple[str, ...]
) -> None:
    gate = start(environment=collector.environment)
    mail = with_fields(PERMITTED, *fields)
    assert send(gate, mail)[0] == 250
    root = transaction(collector)
    assert root.parent_span_id == b"" and root.trace_id.hex() != TRACE
    assert list(gate.taken().values()) == [mail.content]


def test_a_trace_that_the_app_does_not_record_is_none_here(start: Start, collector: Collector) -> None:
    gate = start(environment=collector.environment)
    assert send(gate, with_fields(PERMITTED, PARENT.replace("-01", "-00")))[0] == 250
    assert send(gate, PERMITTED)[0] == 250
    assert transaction(collector).trace_id.hex() != TRACE
    # Its log lines can be found by it all the same.
    found = wait_until(
        "its log line",
        lambda: [line for line in collector.lines() if line.trace_id.hex() == TRACE] or None,
    )
    assert {line.flags for line in found} == {0}
    assert [event["message"] for event in gate.events() if event.get("trace_id") == TRACE] == ["relayed"]


def test_the_sampler_of_the_environment_counts(start: Start, collector: Collector) -> None:
    gate = start(environment={**collector.environment, "OTEL_TRACES_SAMPLER": "parentbased_always_off"})
    assert send(gate, PERMITTED)[0] == 250
    assert send(gate, with_fields(PERMITTED, PARENT))[0] == 250
    assert transaction(collector).trace_id.hex() == TRACE


def test_a_denial_is_told_and_no_error(start: Start, collector: Collector) -> None:
    gate = start(environment=collector.environment)
    code, text = send(gate, with_fields(REFUSED, PARENT))
    assert code == 554
    root = transaction(collector)
    assert (root.trace_id.hex(), root.status.code) == (TRACE, 0)
    found = attributes(root.attributes)
    assert (found["sesgate.outcome"], found["error.type"]) == ("refused", "denied")
    assert found["sesgate.verdict"] == "ImplicitlyDenied"
    assert found["sesgate.reply"] == f"{code} {text}"
    assert "outbox" not in children(collector, root)


def test_what_cannot_be_read_has_a_trace_too(start: Start, collector: Collector) -> None:
    gate = start(environment=collector.environment)
    assert send(gate, PERMITTED, b"no header section\r\n")[0] == 554
    root = transaction(collector)
    assert attributes(root.attributes)["error.type"] == "unreadable"


@pytest.mark.parametrize(
    ("fault", "attempts", "code", "kind"),
    [
        ((500, "InternalFailure", "for someone@example.com"), 1, 451, "unknown"),
        ((429, "TooManyRequestsException", "slow"), 3, 454, "throttled"),
    ],
    ids=["trouble at SES", "throttle"],
)
def test_trouble_at_ses_is_an_error_with_its_attempts(
    start: Start, collector: Collector, fault: tuple[int, str, str], attempts: int, code: int, kind: str
) -> None:
    ses = Ses(Account())
    ses.faults["outbound-emails"] = fault
    gate = start(ses.lines, environment={**collector.environment, **CREDENTIALS})
    try:
        assert send(gate, PERMITTED)[0] == code
        root = transaction(collector)
        assert root.status.code == ERROR
        assert attributes(root.attributes)["error.type"] == kind
        call = children(collector, root)["SESv2.SendEmail"]
        assert (call.kind, call.status.code) == (3, ERROR)
        assert attributes(call.attributes)["sesgate.attempts"] == attempts
        assert [event.name for event in call.events] == ["attempt"] * attempts
        for event in call.events:
            said = attributes(event.attributes)
            assert (said["http.response.status_code"], said["error.type"]) == fault[:2]
            assert call.start_time_unix_nano <= event.time_unix_nano <= call.end_time_unix_nano
        ses.faults.clear()
        collector.requests.clear()
        assert send(gate, PERMITTED)[0] == 250
        call = children(collector, transaction(collector))["SESv2.SendEmail"]
        assert call.status.code == 0
        [event] = call.events
        assert attributes(event.attributes) == {"http.response.status_code": 200}
    finally:
        ses.stop()


@pytest.mark.parametrize("shown", ["domain", "hash"])
def test_nothing_is_told_that_the_log_would_not(start: Start, collector: Collector, shown: str) -> None:
    gate = start({'addresses = "full"': f'addresses = "{shown}"'}, environment=collector.environment)
    for mail in (PERMITTED, REFUSED):
        send(gate, with_fields(mail, PARENT, "X-Private: private-field"))
    transaction(collector, 2)
    gate.terminate()
    gate.wait()
    told = b"".join(request.body for request in collector.requests)
    assert b"relayed" in told and b"refused" in told
    for secret in (b"app@", b"someone", b"app-password", b"private-field", b"Hello", b"Some One"):
        assert secret not in told, secret
    for secret in (b"app-password", b"private-field", b"Hello", b"Subject"):
        assert secret not in told, secret


@pytest.mark.parametrize("strip", [False, True], ids=["left", "stripped"])
def test_the_fields_are_stripped_whole_when_asked_for(start: Start, strip: bool) -> None:
    gate = start(STRIP if strip else None)
    extra = ("TraceParent:", f"\t00-{TRACE}-{SPAN}-01", "tracestate: a=1,", " b=2", "X-Traceparent: stays")
    mail = with_fields(PERMITTED, *extra, "traceparent: x")
    mail = Mail(mail.user, mail.sender, mail.recipients, mail.extra, ("traceparent: body", *mail.body))
    assert send(gate, mail)[0] == 250
    content = mail.content
    if strip:
        lines = "".join(f"{line}\r\n" for line in extra[:4]).encode()
        for part in (lines, b"traceparent: x\r\n"):
            assert content.count(part) == 1
            content = content.replace(part, b"")
    assert list(gate.taken().values()) == [content]


def test_a_dead_collector_holds_up_nothing(start: Start) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    gate = start(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": dead, **AT_ONCE})
    began = time.monotonic()
    for _ in range(20):
        assert send(gate, PERMITTED)[0] == 250
    assert time.monotonic() - began < 10
    began = time.monotonic()
    gate.terminate()
    assert gate.wait() == 0
    assert time.monotonic() - began < 5
    warnings = [event for event in gate.events() if "were lost" in event["message"]]
    assert {event["url"] for event in warnings} == {f"{dead}/v1/traces", f"{dead}/v1/logs"}
    # Every span that was not taken is counted: the root of each mail and its four parts.
    assert sum(event["lost"] for event in warnings if "spans" in event["message"]) == 20 * 5
    assert all("Connection refused" in event["error"] for event in warnings)


def test_a_collector_that_hangs_holds_up_nothing(start: Start, collector: Collector) -> None:
    collector.hangs = True
    gate = start(environment=collector.environment)
    for _ in range(5):
        assert send(gate, PERMITTED)[0] == 250
    began = time.monotonic()
    gate.terminate()
    assert gate.wait() == 0
    assert time.monotonic() - began < 6
    assert any("did not take the last" in event["message"] for event in gate.events())


def test_a_collector_that_says_no_is_told_about_once(start: Start, collector: Collector) -> None:
    collector.status = 400
    gate = start(environment=collector.environment)
    for _ in range(3):
        assert send(gate, PERMITTED)[0] == 250
        time.sleep(0.2)
    warnings = [event for event in gate.events() if "spans were lost" in event["message"]]
    assert [event["error"] for event in warnings] == ["the answer was 400 Bad Request"]


def test_what_a_collector_cannot_take_now_is_sent_again(start: Start, collector: Collector) -> None:
    collector.status = 503
    gate = start(environment=collector.environment)
    assert send(gate, PERMITTED)[0] == 250
    wait_until("a refusal", lambda: any(request.path == "/v1/traces" for request in collector.refused))
    collector.status = 200
    transaction(collector)


def test_the_end_of_the_relay_sends_what_waits(start: Start, collector: Collector) -> None:
    late = {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_BLRP_SCHEDULE_DELAY": "3600000"}
    gate = start(environment={**collector.environment, **late})
    assert send(gate, PERMITTED)[0] == 250
    assert collector.requests == []
    gate.terminate()
    assert gate.wait() == 0
    transaction(collector)
    assert "drained" in [line.body.string_value for line in collector.lines()]


def behind_tls(certificates: Certificates) -> Collector:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.chain, certificates.key)
    return Collector(tls=tls)


def test_a_collector_behind_tls_is_called_with_the_headers_of_the_environment(
    start: Start, certificates: Certificates
) -> None:
    collector = behind_tls(certificates)
    trusted = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificates.authority),
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hidden",
        "OTEL_SERVICE_NAME": "mail",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    gate = start(environment={**collector.environment, **trusted})
    try:
        assert send(gate, PERMITTED)[0] == 250
        transaction(collector)
        [headers, *_] = [request.headers for request in collector.requests]
        assert headers["authorization"] == "Bearer hidden"
        assert headers["content-type"] == "application/x-protobuf"
        resource = collector.resource()
        assert resource["service.name"] == "mail"
        assert resource["deployment.environment.name"] == "test"
        assert "hidden" not in gate.log.read_text()
    finally:
        collector.stop()


def test_a_collector_whose_certificate_is_not_trusted_is_told_nothing(
    start: Start, certificates: Certificates
) -> None:
    collector = behind_tls(certificates)
    gate = start(environment=collector.environment)
    try:
        assert send(gate, PERMITTED)[0] == 250
        gate.terminate()
        assert gate.wait() == 0
        assert collector.requests == []
    finally:
        collector.stop()


def test_nothing_is_exported_that_is_not_configured(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 4318)) as default:
        default.settimeout(0.5)
        gate = start(environment=AT_ONCE)
        assert send(gate, with_fields(PERMITTED, PARENT))[0] == 250
        with pytest.raises(TimeoutError):
            default.accept()
    assert not any("trace_id" in event for event in gate.events())


def test_what_is_wrong_is_listed_at_once(tmp_path: Path) -> None:
    section = '[otlp]\nendpoint = "collector:4318"\nsample_ratio = 2\nretries = 3\n[log]'
    gate = Gate(tmp_path / "section")
    gate.configure({"[log]": section})
    checked = sesgate("check", "--config", gate.config)
    assert checked.returncode == 78
    line = gate.config.read_text().splitlines().index("[otlp]") + 1
    for place, what in [
        (line + 2, "`sample_ratio` must be a number from 0 to 1"),
        (line + 3, "unknown key `retries`"),
    ]:
        assert any(
            f":{place}:" in shown and what in shown for shown in checked.stderr.splitlines()
        ), checked.stderr
    assert "must be a URL such as `http://127.0.0.1:4318`" in checked.stderr

    gate = Gate(tmp_path / "environment")
    gate.configure()
    wrong = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": "hidden",
    }
    checked = sesgate("check", "--config", gate.config, env=wrong)
    assert checked.returncode == 78
    assert "`OTEL_EXPORTER_OTLP_PROTOCOL` must be `http/protobuf`" in checked.stderr
    assert "`OTEL_EXPORTER_OTLP_HEADERS` must be a list" in checked.stderr
    assert "hidden" not in checked.stderr
