"""`policy explain` says of each listener what the running relay does."""

from __future__ import annotations

import json
import smtplib
from pathlib import Path

import pytest

from conftest import Start
from gate import Gate, free_port, sesgate
from mail import PERMITTED

# What a listener without login says of its clients.
STATED = {
    "nothing": "",
    "address": 'source_ip = "10.1.2.3"',
    "vpc": 'vpc = "vpc-0123456789abcdef0"',
    "endpoint": 'vpc_endpoint = "vpce-0123456789abcdef0"\nsource_ip = "10.1.2.3"',
    "tls": "secure_transport = true",
}
CONDITIONS = {
    "loopback": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
    "pod": {"IpAddress": {"aws:SourceIp": "10.1.2.3"}},
    "pod in a VPC": {"IpAddress": {"aws:VpcSourceIp": "10.1.2.3"}},
    "TLS": {"Bool": {"aws:SecureTransport": "true"}},
    "VPC": {"StringEquals": {"aws:SourceVpc": "vpc-0123456789abcdef0"}},
    "endpoint": {"StringEquals": {"aws:SourceVpce": "vpce-0123456789abcdef0"}},
    "user": {"StringEquals": {"aws:username": "app"}},
}


@pytest.fixture
def listeners(start: Start) -> tuple[Gate, dict[str, int]]:
    """A gate with a listener for each of STATED beside those of the default file."""
    ports = {name: free_port() for name in STATED}
    more = "".join(
        f'\n[[listeners]]\naddress = "127.0.0.1:{ports[name]}"\ntls = "off"\nuser = "app"\n{stated}\n'
        for name, stated in STATED.items()
    )
    gate = start({'bare_lf = "refuse"': f'bare_lf = "refuse"\n{more}'}, run=False)
    return gate, ports


def policy_of(gate: Gate) -> Path:
    return gate.directory / "policies/recipients-example-com.json"


def is_sent(port: int) -> bool:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        try:
            client.sendmail(PERMITTED.sender, list(PERMITTED.recipients), PERMITTED.content)
        except smtplib.SMTPDataError as refused:
            assert refused.smtp_code == 554
            return False
    return True


@pytest.mark.parametrize("condition", CONDITIONS)
def test_it_says_what_the_relay_does(
    listeners: tuple[Gate, dict[str, int]], tmp_path: Path, condition: str
) -> None:
    gate, ports = listeners
    policy = {"Statement": {"Effect": "Allow", "Action": "ses:*", "Resource": "*"}}
    policy["Statement"]["Condition"] = CONDITIONS[condition]
    policy_of(gate).write_text(json.dumps(policy))
    gate.start()
    message = tmp_path / "message.eml"
    message.write_bytes(PERMITTED.content)
    recipients = [word for recipient in PERMITTED.recipients for word in ("--rcpt", recipient)]
    for name, port in ports.items():
        asked = ["--listener", str(port), "--from", PERMITTED.sender, *recipients, "--message", message]
        told = sesgate("policy", "explain", "--config", gate.config, *asked)
        assert told.returncode in (0, 1), told.stderr
        assert (told.returncode == 0) == is_sent(port), f"{name}\n{told.stdout}"
