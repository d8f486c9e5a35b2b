"""SIGHUP and changed files: everything is read again and swapped together, or nothing (decision 19)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import smtplib
import ssl
import time
from pathlib import Path

import pytest
import trustme

from conftest import Start
from gate import Gate, wait_until
from mail import PERMITTED

IN_USE = "the configuration was read again and is in use"
REFUSED = "the configuration was read again and cannot be used"
NOTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}


def logged_in(gate: Gate) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", gate.starttls, timeout=20)
    client.login("app", "app-password")
    return client


def answer(client: smtplib.SMTP) -> int:
    """The code of the answer to the permitted message."""
    code, _ = client.mail(PERMITTED.sender)
    if code != 250:
        return code
    for recipient in PERMITTED.recipients:
        client.rcpt(recipient)
    return client.data(PERMITTED.content)[0]


def count(gate: Gate, start: str) -> int:
    return sum(event["message"].startswith(start) for event in gate.events())


def hang_up(gate: Gate, outcome: str) -> None:
    before = count(gate, outcome)
    assert gate.process is not None
    gate.process.send_signal(signal.SIGHUP)
    wait_until(outcome, lambda: count(gate, outcome) > before)


def edit(gate: Gate, old: str, new: str) -> None:
    text = gate.config.read_text()
    assert old in text, old
    # Of the first listener, where there are several.
    gate.config.write_text(text.replace(old, new, 1))


def policy(gate: Gate) -> Path:
    return gate.directory / "policies/recipients-example-com.json"


def test_a_policy_counts_for_open_connections_from_the_next_decision(start: Start) -> None:
    gate = start()
    client = logged_in(gate)
    assert answer(client) == 250
    allowed = policy(gate).read_text()
    policy(gate).write_text(json.dumps(NOTHING))
    assert answer(client) == 250, "nothing is read before it is asked for"
    hang_up(gate, IN_USE)
    assert answer(client) == 554
    policy(gate).write_text(allowed)
    hang_up(gate, IN_USE)
    assert answer(client) == 250


def test_the_decision_at_the_end_of_data_is_by_the_policy_of_that_moment(start: Start) -> None:
    gate = start()
    client = logged_in(gate)
    client.mail(PERMITTED.sender)
    client.rcpt(PERMITTED.recipients[0])
    client.putcmd("data")
    assert client.getreply()[0] == 354
    client.send(PERMITTED.content.replace(b"\r\n.", b"\r\n.."))
    policy(gate).write_text(json.dumps(NOTHING))
    hang_up(gate, IN_USE)
    client.send(b".\r\n")
    assert client.getreply()[0] == 554


def test_a_user_that_is_taken_away_is_refused_at_the_next_mail(start: Start) -> None:
    gate = start()
    client = logged_in(gate)
    assert answer(client) == 250
    edit(gate, 'name = "app"', 'name = "renamed"')
    hang_up(gate, IN_USE)
    assert answer(client) == 530
    with pytest.raises(smtplib.SMTPAuthenticationError):
        logged_in(gate)


@pytest.mark.parametrize(
    "line",
    [
        'source_ip = "10.1.2.3"',
        "secure_transport = true",
        'vpc_endpoint = "vpce-0123456789abcdef0"',
        'tls = "off"\nuser = "marketing"',
    ],
)
def test_a_listener_that_speaks_otherwise_ends_what_came_through_it(start: Start, line: str) -> None:
    gate = start()
    client = logged_in(gate)
    unchanged = logged_in(gate)
    assert answer(client) == 250
    hang_up(gate, IN_USE)
    assert answer(unchanged) == 250
    old = 'tls = "starttls"\n# PEM' if line.startswith("tls") else "auth_in_clear = true"
    new = f"{line}\n# PEM" if line.startswith("tls") else f"{old}\n{line}"
    text = gate.config.read_text()
    assert old in text
    if line.startswith("tls"):
        text = text.replace("auth_in_clear = true", "", 1)
    gate.config.write_text(text.replace(old, new, 1))
    hang_up(gate, IN_USE)
    code, text = client.mail(PERMITTED.sender)
    assert (code, text) == (421, b"Service not available, closing transmission channel")


def test_a_listener_that_speaks_otherwise_has_content_under_way_sent_again(start: Start) -> None:
    gate = start()
    client = logged_in(gate)
    client.mail(PERMITTED.sender)
    client.rcpt(PERMITTED.recipients[0])
    client.putcmd("data")
    assert client.getreply()[0] == 354
    client.send("From: app@example.com\r\n\r\nHello\r\n")
    edit(gate, "auth_in_clear = true", 'auth_in_clear = true\nsource_ip = "10.1.2.3"')
    hang_up(gate, IN_USE)
    client.send(b".\r\n")
    assert client.getreply() == (451, b"Temporary service failure")
    assert client.mail(PERMITTED.sender)[0] == 421
    assert gate.taken() == {}


def test_a_password_that_is_replaced_ends_what_logged_in_with_it(start: Start) -> None:
    gate = start()
    client = logged_in(gate)
    assert answer(client) == 250
    [ours] = [line for line in gate.config.read_text().splitlines() if line.startswith("password_hash") and "xgzbOD" in line]
    [theirs] = [line for line in gate.config.read_text().splitlines() if line.startswith("password_hash") and line != ours]
    edit(gate, ours, theirs)
    hang_up(gate, IN_USE)
    assert answer(client) == 530


def test_a_password_that_expires_ends_what_logged_in_with_it(start: Start) -> None:
    gate = start(run=False)
    [ours] = [line for line in gate.config.read_text().splitlines() if line.startswith("password_hash") and "xgzbOD" in line]
    end = time.time() + 6
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    stored = ours.partition("=")[2].strip()
    edit(gate, ours, f'passwords = [{{ hash = {stored}, expires = "{moment}" }}]')
    gate.start()
    client = logged_in(gate)
    assert answer(client) == 250
    time.sleep(max(0.0, end - time.time()) + 0.1)
    assert answer(client) == 530


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("drain_seconds = 25", "drain_second = 25", "unknown key `drain_second`"),
        ('policies = ["policies/recipients-example-com.json"]', 'policies = ["gone.json"]', "gone.json` cannot be read"),
        ('kind = "outbox"', 'kind = "ses"', "`[upstream]` changed, which needs a restart"),
        ('level = "info"', 'level = "warn"', "`[log]` changed, which needs a restart"),
    ],
)
def test_what_cannot_be_used_changes_nothing(start: Start, old: str, new: str, problem: str) -> None:
    gate = start()
    client = logged_in(gate)
    before = gate.config.read_text()
    edit(gate, old, new)
    marketing = gate.directory / "policies/from-marketing.json"
    marketing.write_text(json.dumps(NOTHING))
    hang_up(gate, REFUSED)
    gate.event(problem, lambda event: problem in event["message"] and event["level"] == "ERROR")
    assert answer(client) == 250
    assert answer(logged_in(gate)) == 250
    gate.config.write_text(before)
    hang_up(gate, IN_USE)


def test_changed_files_are_noticed_through_the_links_that_kubernetes_swaps(start: Start) -> None:
    gate = start(run=False)
    folder = gate.directory / "policies"
    first, second = gate.directory / "..first", gate.directory / "..second"
    folder.rename(first)
    shutil.copytree(first, second)
    (second / "recipients-example-com.json").write_text(json.dumps(NOTHING))
    data = gate.directory / "..data"
    data.symlink_to("..first")
    folder.symlink_to("..data")
    gate.start()
    client = logged_in(gate)
    assert answer(client) == 250
    swap = gate.directory / "..data_tmp"
    swap.symlink_to("..second")
    os.rename(swap, data)
    wait_until("the change to be noticed", lambda: count(gate, IN_USE) == 1, 20)
    assert answer(client) == 554


def certificate(gate: Gate) -> None:
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(gate.directory / "tls.key")
    issued.cert_chain_pems[0].write_to_path(gate.directory / "tls.crt")


def shown(gate: Gate) -> str:
    """The certificate that a new client sees."""
    return ssl.get_server_certificate(("127.0.0.1", gate.implicit))


def test_a_certificate_is_renewed_and_a_broken_one_is_not(start: Start) -> None:
    gate = start(run=False)
    certificate(gate)
    edit(gate, 'tls = "implicit"', 'tls = "implicit"\ncertificate = "tls.crt"\nkey = "tls.key"')
    gate.start()
    before = shown(gate)
    assert before == (gate.directory / "tls.crt").read_text()
    certificate(gate)
    hang_up(gate, IN_USE)
    after = shown(gate)
    assert after != before and after == (gate.directory / "tls.crt").read_text()
    (gate.directory / "tls.key").write_text("no key")
    hang_up(gate, REFUSED)
    assert shown(gate) == after


def test_the_certificate_made_at_start_up_stays(start: Start) -> None:
    gate = start()
    before = shown(gate)
    hang_up(gate, IN_USE)
    assert shown(gate) == before


def test_limits_are_those_of_the_connection_s_beginning(start: Start) -> None:
    gate = start()
    edit(gate, "message_bytes = 41943040", "message_bytes = 2048")
    hang_up(gate, IN_USE)
    client = logged_in(gate)
    assert client.esmtp_features["size"] == "2048"
