"""nodemailer, the mail library of Node.js."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import Certificates
from gate import REPOSITORY, Gate
from mail import PERMITTED, REFUSED, Mail, assert_refused, assert_taken, message_id, nothing_taken

SCRIPT = Path(__file__).with_name("nodemailer_send.js")
MODULES = REPOSITORY / "target/clients/node/node_modules"

WAYS: dict[str, dict[str, Any]] = {
    "starttls": {"requireTLS": True},
    "starttls-login": {"requireTLS": True, "authMethod": "LOGIN"},
    "implicit": {"secure": True},
    "pooled": {"requireTLS": True, "pool": True, "maxConnections": 2, "maxMessages": 3},
}


def nodemailer(
    gate: Gate, certificates: Certificates, way: str, user: str, mails: list[dict[str, Any]]
) -> list[dict[str, str]]:
    """Sends mails at once over one transport; returns its result for each."""
    transport = {
        "host": "localhost",
        "port": gate.implicit if way == "implicit" else gate.starttls,
        "auth": {"user": user, "pass": f"{user}-password"},
        "tls": {"ca": certificates.authority.read_text()},
        **WAYS[way],
    }
    done = subprocess.run(
        ["node", SCRIPT],
        input=json.dumps({"transport": transport, "mails": mails}),
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(MODULES)},
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def raw(mail: Mail) -> dict[str, Any]:
    """The mail as bytes that nodemailer does not compose."""
    return {
        "envelope": {"from": mail.sender, "to": list(mail.recipients)},
        "raw": mail.content.decode(),
    }


@pytest.mark.parametrize("way", WAYS)
def test_permitted(gate: Gate, certificates: Certificates, way: str) -> None:
    mail = PERMITTED.renewed()
    [result] = nodemailer(gate, certificates, way, mail.user, [raw(mail)])
    assert_taken(gate, mail, result["response"])


@pytest.mark.parametrize("way", WAYS)
def test_refused(gate: Gate, certificates: Certificates, way: str) -> None:
    mail = REFUSED.renewed()
    with nothing_taken(gate):
        [result] = nodemailer(gate, certificates, way, mail.user, [raw(mail)])
    assert_refused(gate, mail, result["error"])


def test_a_pool_sends_many_and_goes_on_after_a_refusal(gate: Gate, certificates: Certificates) -> None:
    mails = [(REFUSED if number % 4 == 3 else PERMITTED).renewed() for number in range(12)]
    results = nodemailer(gate, certificates, "pooled", "app", [raw(mail) for mail in mails])
    for number, (mail, result) in enumerate(zip(mails, results, strict=True)):
        if number % 4 == 3:
            assert_refused(gate, mail, result["error"])
        else:
            assert_taken(gate, mail, result["response"])


def test_takes_what_nodemailer_composes(gate: Gate, certificates: Certificates) -> None:
    composed = {
        "from": {"name": "Jürgen Groß", "address": "marketing@example.com"},
        "to": ["Zoë <zoe@example.net>", "someone@example.org"],
        "bcc": "hidden@example.net",
        "subject": "Ein Gruß ✓",
        "text": "Grüße",
        "html": "<p>Grüße</p>",
        "attachments": [{"filename": "größe.txt", "content": "x" * 5000}],
    }
    [result] = nodemailer(gate, certificates, "starttls", "marketing", [composed])
    content = gate.taken()[message_id(result["response"])]
    assert b"marketing@example.com" in content
    assert b"hidden@example.net" not in content
