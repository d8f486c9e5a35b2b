"""`identities.source = "ses"`: identities, tags, configuration sets and policies come from the account.

The stand-in for SES is ours (`ses.py`); moto is in test_moto_identities.py as far as it goes.
"""

from __future__ import annotations

import json
import smtplib
from typing import Any

from conftest import Start
from gate import Gate, wait_until
from ses import CREDENTIALS, Account, Ses
from test_pace import speaks_for

ARN = "arn:aws:ses:us-east-1:123456789012"
IN_USE = "what SES says of the account is in use"


def allows(gate: Gate, statements: list[dict[str, Any]]) -> None:
    """Replaces the policy of the users that `speaks_for` adds."""
    document = {"Version": "2012-10-17", "Statement": statements}
    (gate.directory / "policies/send-only.json").write_text(json.dumps(document))


def answer(port: int, sender: str = "app@example.com") -> tuple[int, str]:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        try:
            client.sendmail(sender, ["one@example.org"], f"From: {sender}\r\n\r\nHi.\r\n")
            return 250, ""
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code, str(refused.smtp_error, "ascii")


def asking(start: Start, lines: dict[str, str], statements: list[dict[str, Any]]) -> tuple[Gate, int]:
    """A gate that asks SES as these lines of its configuration say, and a port on which `asked` sends."""
    gate = start({**lines, 'source = "config"': 'source = "ses"\ncache = "cache"'}, CREDENTIALS, run=False)
    text = gate.config.read_text()
    gate.config.write_text(text.replace('[[identities.known]]\nname = "example.com"\n', ""))
    allows(gate, statements)
    port = speaks_for(gate, ["asked"])["asked"]
    gate.start()
    return gate, port


def send(resource: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": resource, **more}


def test_messages_are_judged_by_what_ses_says(start: Start) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "ses:*", "Resource": f"{ARN}:identity/example.net"}
    ses = Ses(Account(identities={
        "example.com": {"Tags": [{"Key": "stage", "Value": "production"}], "ConfigurationSetName": "main"},
        "example.net": {"Policies": {"nobody": json.dumps({"Version": "2012-10-17", "Statement": [deny]})}},
        "pending.example": {"VerifiedForSendingStatus": False, "VerificationStatus": "PENDING"},
    }))
    tagged = {"StringEquals": {"aws:ResourceTag/stage": "production"}}
    gate, port = asking(start, ses.lines, [
        send(f"{ARN}:identity/example.com", Condition=tagged),
        send([f"{ARN}:configuration-set/main", f"{ARN}:identity/example.net", f"{ARN}:identity/pending.example"]),
    ])
    wait_until("the identities", lambda: answer(port)[0] == 250, 20)
    code, text = wait_until("example.net", lambda: (got := answer(port, "app@example.net"))[0] != 451 and got, 20)
    assert code == 554 and f"{ARN}:identity/example.net" in text, "its own policy denies it"
    gate.event("the policy", lambda event: event.get("statement") == "identity example.net policy nobody:1: statement 1")
    code, text = answer(port, "app@pending.example")
    assert code == 554 and f"{ARN}:identity/app@pending.example" in text, "what is not verified covers nothing"
    times = [at for at, call in ses.calls if "outbound" not in call]
    assert all(later - earlier > 0.9 for earlier, later in zip(times, times[1:])), "one call a second"
    ses.stop()


def test_until_ses_was_asked_nothing_is_said(start: Start) -> None:
    ses = Ses(Account(identities={"example.com": {}}))
    ses.faults["identit"] = (403, "AccessDeniedException", "no")
    gate, port = asking(start, ses.lines, [send("*")])
    assert answer(port)[0] == 451
    gate.event("what to do", lambda event: event["level"] == "WARN" and "ses:ListEmailIdentities" in json.dumps(event))
    ses.faults.clear()
    wait_until("the recovery", lambda: answer(port)[0] == 250, 90)
    ses.stop()


def test_a_start_without_ses_uses_what_was_kept(start: Start) -> None:
    """The user's policy allows the identity by its ARN alone, which is known from SES."""
    ses = Ses(Account(identities={"example.com": {}}))
    gate, port = asking(start, ses.lines, [send(f"{ARN}:identity/example.com")])
    wait_until("the identities", lambda: answer(port)[0] == 250, 20)
    gate.stop()
    assert list((gate.directory / "cache").iterdir()), "written at the end at the latest"
    ses.faults["identit"] = ses.faults["account"] = (500, "InternalFailure", "no")
    gate.start()
    assert answer(port) == (250, "")
    gate.stop()

    [kept] = (gate.directory / "cache").iterdir()
    kept.write_text("{ broken")
    gate.start()
    assert answer(port)[0] == 451
    gate.event("the report", lambda event: event["level"] == "WARN" and "is not used" in event["message"])
    ses.faults.clear()
    wait_until("the recovery", lambda: answer(port)[0] == 250, 90)
    ses.stop()


def test_a_policy_that_cannot_be_read_makes_nothing_sure(start: Start) -> None:
    broken = json.dumps({"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "ses:*", "Condition": {"Strange": {}}}]})
    ses = Ses(Account(identities={"example.com": {"Policies": {"strange": broken}}, "example.net": {}}))
    gate, port = asking(start, ses.lines, [send("*")])
    wait_until("the other identity", lambda: answer(port, "app@example.net")[0] == 250, 20)
    assert answer(port)[0] == 451
    gate.event("the reason", lambda event: event["level"] == "ERROR" and "policy `strange`" in event.get("error", ""))
    ses.stop()


def test_a_sandbox_is_noticed(start: Start) -> None:
    ses = Ses(Account(production=False, identities={"example.com": {}}))
    gate, port = asking(start, ses.lines, [send(f"{ARN}:identity/example.com")])
    gate.event("the account", lambda event: event.get("production_access") is False)
    code, text = wait_until("the identities", lambda: (got := answer(port))[0] == 554 and got, 20)
    assert f"{ARN}:identity/one@example.org" in text, "the recipient is a resource too"
    ses.stop()


def test_a_listed_identity_hides_nothing_that_ses_says(start: Start) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "ses:*", "Resource": f"{ARN}:identity/example.com"}
    ses = Ses(Account(identities={
        "example.com": {"Policies": {"nobody": json.dumps({"Version": "2012-10-17", "Statement": [deny]})}},
        "example.net": {"ConfigurationSetName": "main"},
    }))
    gate = start({
        **ses.lines,
        'source = "config"': 'source = "ses"',
        'name = "example.com"': 'name = "example.com"\n[[identities.known]]\nname = "example.net"',
    }, CREDENTIALS, run=False)
    allows(gate, [send("*"), {"Effect": "Deny", "Action": "ses:*", "Resource": f"{ARN}:configuration-set/main"}])
    port = speaks_for(gate, ["asked"])["asked"]
    gate.start()
    for sender, denied in {"app@example.com": "identity/example.com", "app@example.net": "configuration-set/main"}.items():
        code, text = wait_until(sender, lambda: (got := answer(port, sender))[0] != 451 and got, 20)
        assert code == 554 and f"{ARN}:{denied}" in text
    assert not ses.taken
    ses.stop()


def test_a_sandbox_that_nobody_knows_of_is_not_guessed(start: Start) -> None:
    ses = Ses(Account(production=False, identities={"example.com": {}}))
    ses.faults["account"] = (403, "AccessDeniedException", "no")
    gate, port = asking(start, ses.lines, [send("*")])
    gate.event("the identities", lambda event: event["message"] == IN_USE and event["identities"] == 1)
    assert answer(port)[0] == 451
    gate.event("the reason", lambda event: "ses:GetAccount" in event.get("error", "") and event["level"] == "ERROR")
    assert not ses.taken
    ses.stop()
