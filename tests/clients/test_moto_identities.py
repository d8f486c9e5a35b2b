"""`identities.source = "ses"` against moto: list, tags, configuration sets and policies that boto3 put there.

moto plays ListEmailIdentities, GetEmailIdentity and SendEmail in every test of this file. It has no
GetAccount (404, an HTML page), says VerifiedForSendingStatus false of identities that it lists as
verified, and cannot change the configuration set of an identity; nor does it know policies when it is
asked to send. What needs more of SES is played by `ses.py`, in test_identities.py and test_pace.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from conftest import Start
from gate import Gate, free_port, wait_until
from test_identities import ARN, IN_USE, answer, asking, send
from test_moto import Moto, moto_server  # noqa: F401


@pytest.fixture
def api(moto_server: Moto) -> Any:  # noqa: F811
    """An account without identities, as boto3 sees it."""
    moto_server.call("reset", "POST")
    return boto3.client(
        "sesv2",
        endpoint_url=moto_server.url,
        region_name="us-east-1",
        aws_access_key_id="AKIASETUP",
        aws_secret_access_key="secret",
    )


def policy(effect: str, identity: str) -> str:
    statement = {
        "Sid": "Owner",
        "Effect": effect,
        "Principal": {"AWS": "arn:aws:iam::123456789012:user/asked"},
        "Action": ["ses:SendEmail", "ses:SendRawEmail"],
        "Resource": f"{ARN}:identity/{identity}",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def at(url: str) -> dict[str, str]:
    """The lines of a gate that asks moto, which does not say whether the account is in the sandbox."""
    return {
        'kind = "outbox"': f'kind = "ses"\nendpoint_url = "{url}"',
        "# sandbox = false": "sandbox = false",
    }


def settled(port: int, sender: str) -> tuple[int, str]:
    """Returns the answer once the identity was read: until then it is 451."""
    return wait_until(sender, lambda: (got := answer(port, sender))[0] != 451 and got, 20)


def test_what_boto3_put_there_decides(start: Start, moto_server: Moto, api: Any) -> None:  # noqa: F811
    api.create_email_identity(
        EmailIdentity="example.com",
        ConfigurationSetName="main",
        Tags=[{"Key": "stage", "Value": "production"}],
    )
    api.create_email_identity(EmailIdentity="boss@example.com")
    api.create_email_identity_policy(
        EmailIdentity="boss@example.com", PolicyName="nobody", Policy=policy("Deny", "boss@example.com")
    )
    api.create_email_identity(EmailIdentity="example.net")
    api.create_email_identity_policy(
        EmailIdentity="example.net", PolicyName="lent", Policy=policy("Allow", "example.net")
    )
    api.create_email_identity(EmailIdentity="example.org")
    # No statement names example.net: the policy of that identity is enough in its own account.
    allowed = [f"{ARN}:configuration-set/main", f"{ARN}:identity/boss@example.com"]
    tagged = {"StringEquals": {"aws:ResourceTag/stage": "production"}}
    gate, port = asking(start, at(moto_server.url), [send(allowed), send("*", Condition=tagged)])
    assert settled(port, "app@example.com") == (250, "")
    assert settled(port, "app@example.net") == (250, "")
    code, text = settled(port, "boss@example.com")
    assert code == 554 and f"{ARN}:identity/boss@example.com" in text, text
    gate.event(
        "its policy",
        lambda event: event.get("statement") == "identity boss@example.com policy nobody:1: statement `Owner`",
    )
    code, text = settled(port, "app@example.org")
    assert code == 554 and f"{ARN}:identity/example.org" in text, "without the tag nothing allows it"
    assert {message["source"] for message in moto_server.sent()} == {"app@example.com", "app@example.net"}


def test_without_get_account_the_rest_is_read(start: Start, moto_server: Moto, api: Any) -> None:  # noqa: F811
    api.create_email_identity(EmailIdentity="example.com")
    gate, port = asking(start, at(moto_server.url), [send(f"{ARN}:identity/example.com")])
    assert settled(port, "app@example.com") == (250, "")
    gate.event("the right that fails", lambda event: event.get("right") == "ses:GetAccount")
    warned = [line for line in gate.log.read_text().splitlines() if '"ses:GetAccount"' in line]
    assert len(warned) == 1, warned


def test_an_identity_in_use_does_not_wait_for_a_thousand(start: Start, moto_server: Moto, api: Any) -> None:  # noqa: F811
    """Two pages of 1000; at a call a second their details would take a quarter of an hour."""
    for number in range(1001):
        api.create_email_identity(EmailIdentity=f"d{number:04}.example")
    api.create_email_identity(EmailIdentity="example.com")
    gate, port = asking(start, at(moto_server.url), [send(f"{ARN}:identity/example.com")])
    gate.event("the list", lambda event: event["message"] == IN_USE and event["identities"] == 1002)
    assert answer(port)[0] == 451, "its policies are not known yet"
    assert settled(port, "app@example.com") == (250, "")


def test_what_was_read_outlives_ses(start: Start, moto_server: Moto, api: Any) -> None:  # noqa: F811
    """The second start finds nobody at the endpoint: denials stay, and nothing is sent."""
    api.create_email_identity(EmailIdentity="example.com")
    api.create_email_identity(EmailIdentity="example.net")
    api.create_email_identity_policy(
        EmailIdentity="example.net", PolicyName="nobody", Policy=policy("Deny", "example.net")
    )
    gate, port = asking(start, at(moto_server.url), [send("*")])
    assert settled(port, "app@example.com") == (250, "")
    assert settled(port, "app@example.net")[0] == 554
    gate.stop()
    [kept] = (gate.directory / "cache").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in Path(kept).read_text().splitlines()]
    assert (lines[0]["account"], lines[0]["identities"]) == ("123456789012", 2)
    text = gate.config.read_text()
    gate.config.write_text(text.replace(moto_server.url, f"http://127.0.0.1:{free_port()}"))
    gate.start()
    code, text = answer(port, "app@example.net")
    assert code == 554 and f"{ARN}:identity/example.net" in text, text
    assert len(moto_server.sent()) == 1
