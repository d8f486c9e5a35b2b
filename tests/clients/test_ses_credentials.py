"""SES SMTP credentials that an app holds today keep working: `user import-ses` makes their hash."""

from __future__ import annotations

import smtplib
import ssl

import pytest

from conftest import Certificates, Start
from gate import Gate, sesgate
from mail import PERMITTED, message_id
from test_smtplib import send, starttls

USER = "AKIAIOSFODNN7EXAMPLE"

# Secret access keys and the SMTP passwords of SES for them, published by
# hashicorp/terraform-provider-aws, internal/service/iam/access_key_test.go.
KNOWN = [
    ("some+secret+key", "eu-central-1", "BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2"),
    ("another+secret+key", "eu-central-1", "BBbphbrQmrKMx42d1N6+C7VINYEBGI5v9VsZeTxwskfh"),
    ("some+secret+key", "us-west-1", "BH+jbMzper5WwlwUar9E1ySBqHa9whi0GPo+sJ0mVYJj"),
    ("another+secret+key", "us-west-1", "BKVmjjMDFk/qqw8EROW99bjCS65PF8WKvK5bSr4Y6EqF"),
]
OLD, NEW = KNOWN[0], KNOWN[1]
APP_HASH = (
    'password_hash = "$argon2id$v=19$m=19456,t=2,p=1$xgzbOD+8Y3yuB2CR/wYuWg$DKr8oymffvlIYPoYWp78e4Tw0ZjGn1dcVKfxSpjQke0"'
)


def imported(secret: str, region: str) -> str:
    """The hash that the command prints for the SMTP password of a secret access key."""
    done = sesgate("user", "import-ses", "--region", region, input=f"{secret}\n")
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr
    return done.stdout.strip()


def ses_user(start: Start, certificates: Certificates, line: str) -> Gate:
    """A gate whose user `app` has the SES user name and that line for its passwords."""
    return start({**certificates.lines, 'name = "app"': f'name = "{USER}"', APP_HASH: line})


def logs_in(gate: Gate, trust: ssl.SSLContext, password: str) -> tuple[int, bytes] | None:
    """None when the password is good and carries a mail, otherwise the refusal."""
    with starttls(gate, trust) as client:
        try:
            client.login(USER, password)
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code, error.smtp_error
        number = message_id(send(client, PERMITTED))
        assert gate.taken()[number] == PERMITTED.content
        return None


REFUSAL = (535, b"Authentication Credentials Invalid")


@pytest.mark.parametrize(("secret", "region", "password"), KNOWN)
def test_an_app_keeps_its_user_name_and_password(
    start: Start, certificates: Certificates, trust: ssl.SSLContext, secret: str, region: str, password: str
) -> None:
    gate = ses_user(start, certificates, f'password_hash = "{imported(secret, region)}"')
    assert logs_in(gate, trust, password) is None
    others = [other for *_, other in KNOWN if other != password]
    assert logs_in(gate, trust, others[0]) == REFUSAL
    # The secret itself is no password.
    assert logs_in(gate, trust, secret) == REFUSAL


@pytest.mark.parametrize(
    ("expires", "answer"),
    [
        ("2999-12-31", None),
        ("2020-01-31", REFUSAL),
        ("2020-01-31T12:00:00Z", REFUSAL),
    ],
)
def test_two_passwords_while_one_is_being_replaced(
    start: Start,
    certificates: Certificates,
    trust: ssl.SSLContext,
    expires: str,
    answer: tuple[int, bytes] | None,
) -> None:
    old, new = imported(*OLD[:2]), imported(*NEW[:2])
    gate = ses_user(
        start, certificates, f'passwords = [{{ hash = "{old}", expires = "{expires}" }}, {{ hash = "{new}" }}]'
    )
    assert logs_in(gate, trust, NEW[2]) is None
    assert logs_in(gate, trust, OLD[2]) == answer
