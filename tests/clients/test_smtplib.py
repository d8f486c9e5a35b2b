"""smtplib of Python: every way to connect and log in, and what one connection can do."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage

import pytest

from gate import Gate
from mail import (
    PERMITTED,
    REFUSED,
    REFUSED_FROM,
    Mail,
    assert_refused,
    assert_taken,
    message_id,
    nothing_taken,
)

Open = Callable[[Gate, ssl.SSLContext], smtplib.SMTP]


def starttls(gate: Gate, trust: ssl.SSLContext) -> smtplib.SMTP:
    client = smtplib.SMTP("localhost", gate.starttls, timeout=20)
    client.starttls(context=trust)
    return client


def implicit(gate: Gate, trust: ssl.SSLContext) -> smtplib.SMTP:
    return smtplib.SMTP_SSL("localhost", gate.implicit, timeout=20, context=trust)


def in_clear(gate: Gate, trust: ssl.SSLContext) -> smtplib.SMTP:
    return smtplib.SMTP("localhost", gate.starttls, timeout=20)


def send(client: smtplib.SMTP, mail: Mail, *options: str) -> str:
    """Sends a mail and returns the answer to its content."""
    client.ehlo_or_helo_if_needed()
    assert client.mail(mail.sender, options) == (250, b"Ok")
    for recipient in mail.recipients:
        assert client.rcpt(recipient) == (250, b"Ok")
    code, text = client.data(mail.content)
    return f"{code} {text.decode('ascii')}"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("connect", [starttls, implicit, in_clear])
def test_sends_what_the_policy_permits(
    gate: Gate, trust: ssl.SSLContext, connect: Open, mechanism: str
) -> None:
    mail = PERMITTED.renewed()
    with connect(gate, trust) as client:
        client.ehlo()
        client.user, client.password = mail.user, mail.password
        login = client.auth_plain if mechanism == "PLAIN" else client.auth_login
        assert client.auth(mechanism, login) == (235, b"Authentication successful.")
        assert_taken(gate, mail, send(client, mail))
        assert client.quit() == (221, b"Bye")


@pytest.mark.parametrize("mail", [REFUSED, REFUSED_FROM], ids=["recipient", "author"])
@pytest.mark.parametrize("connect", [starttls, implicit, in_clear])
def test_refuses_what_the_policy_does_not(
    gate: Gate, trust: ssl.SSLContext, connect: Open, mail: Mail
) -> None:
    with connect(gate, trust) as client, nothing_taken(gate):
        client.login(mail.user, mail.password)
        assert_refused(gate, mail, send(client, mail))


def test_offers_what_ses_offers(gate: Gate, trust: ssl.SSLContext) -> None:
    with in_clear(gate, trust) as client:
        client.ehlo()
        assert list(client.esmtp_features)[0] == "8bitmime"
        # smtplib takes the last line, `250 Ok`, for an extension.
        assert set(client.esmtp_features) == {"8bitmime", "size", "pipelining", "starttls", "auth", "ok"}
        assert client.esmtp_features["size"] == "41943040"
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
        client.starttls(context=trust)
        client.ehlo()
        assert set(client.esmtp_features) == {"8bitmime", "size", "pipelining", "auth", "ok"}


def test_takes_content_of_8_bits(gate: Gate, trust: ssl.SSLContext) -> None:
    mail = Mail("app", "app@example.com", ("someone@example.com",), body=("Grüße, 你好", "…"))
    with starttls(gate, trust) as client:
        client.login(mail.user, mail.password)
        assert_taken(gate, mail, send(client, mail, "BODY=8BITMIME"))


def test_takes_many_messages_of_a_connection(gate: Gate, trust: ssl.SSLContext) -> None:
    with starttls(gate, trust) as client:
        client.login("app", "app-password")
        for _ in range(10):
            permitted, refused = PERMITTED.renewed(), REFUSED.renewed()
            assert_taken(gate, permitted, send(client, permitted))
            with nothing_taken(gate):
                assert_refused(gate, refused, send(client, refused))
            client.rset()


def test_one_recipient_that_is_not_permitted_refuses_the_message(
    gate: Gate, trust: ssl.SSLContext
) -> None:
    mail = Mail("app", "app@example.com", ("someone@example.com", "someone@example.net"))
    with starttls(gate, trust) as client, nothing_taken(gate):
        client.login(mail.user, mail.password)
        assert_refused(gate, mail, send(client, mail))


def test_removes_the_fields_that_are_not_for_recipients(gate: Gate, trust: ssl.SSLContext) -> None:
    removed = (
        "Return-Path: <app@example.com>",
        "Bcc: hidden@example.com,",
        "\tother@example.com",
        "X-SES-MESSAGE-TAGS: campaign=autumn, kind=news",
        "X-SES-Unheard-Of: anything",
    )
    kept = ("X-Sesame: open", "X-Folded: one\r\n  two")
    mail = Mail("app", "app@example.com", ("someone@example.com",), extra=(kept[0], *removed, kept[1]))
    with starttls(gate, trust) as client:
        client.login(mail.user, mail.password)
        number = message_id(send(client, mail))
    expected = mail.content
    for line in removed:
        expected = expected.replace(f"{line}\r\n".encode(), b"", 1)
    assert gate.taken()[number] == expected


def test_takes_what_the_email_package_composes(gate: Gate, trust: ssl.SSLContext) -> None:
    message = EmailMessage()
    message["From"] = "Jürgen Groß <marketing@example.com>"
    message["To"] = "Zoë <zoe@example.net>, someone@example.org"
    message["Subject"] = "Ein Gruß " * 20
    message.set_content("Grüße\n.\n")
    message.add_alternative("<p>Grüße</p>", subtype="html")
    message.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="octet-stream")
    message.set_boundary("=-=-=")
    with starttls(gate, trust) as client:
        client.login("marketing", "marketing-password")
        before = gate.taken()
        assert client.send_message(message) == {}
    [content] = [content for number, content in gate.taken().items() if number not in before]
    assert content == message.as_bytes(policy=message.policy.clone(linesep="\r\n", utf8=False))


def test_a_wrong_password_can_be_corrected(gate: Gate, trust: ssl.SSLContext) -> None:
    with starttls(gate, trust) as client:
        # smtplib tries both mechanisms; the third failure of a connection would end it.
        with pytest.raises(smtplib.SMTPAuthenticationError) as error:
            client.login("app", "marketing-password")
        assert error.value.args == (535, b"Authentication Credentials Invalid")
        client.login("app", "app-password")
        mail = PERMITTED.renewed()
        assert_taken(gate, mail, send(client, mail))


def test_an_unknown_user_is_answered_like_a_wrong_password(gate: Gate, trust: ssl.SSLContext) -> None:
    with starttls(gate, trust) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as error:
            client.login("nobody", "app-password")
        assert error.value.args == (535, b"Authentication Credentials Invalid")


def test_takes_no_mail_without_a_login(gate: Gate, trust: ssl.SSLContext) -> None:
    with starttls(gate, trust) as client:
        client.ehlo()
        assert client.mail("app@example.com") == (530, b"Authentication required")


def test_refuses_a_size_over_the_limit_before_it_is_sent(gate: Gate, trust: ssl.SSLContext) -> None:
    with starttls(gate, trust) as client:
        client.login("app", "app-password")
        assert client.mail("app@example.com", ["SIZE=41943041"]) == (552, b"Message is too long.")


def test_a_large_message_arrives_whole(gate: Gate, trust: ssl.SSLContext) -> None:
    mail = Mail("app", "app@example.com", ("someone@example.com",), body=("." + "x" * 900,) * 10_000)
    with implicit(gate, trust) as client:
        client.login(mail.user, mail.password)
        assert_taken(gate, mail, send(client, mail))


def test_an_untrusted_certificate_is_noticed(gate: Gate) -> None:
    with smtplib.SMTP("localhost", gate.starttls, timeout=20) as client:
        with pytest.raises(ssl.SSLCertVerificationError):
            client.starttls(context=ssl.create_default_context())
