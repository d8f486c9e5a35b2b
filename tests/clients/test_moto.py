"""Amazon SES as upstream, played by moto: what is asked of the SESv2 API and what becomes of its answers.

moto checks that the author is a verified identity and counts recipients, those of the header added.
It takes the feedback address, tags and configuration set without looking at them; what was asked is
therefore read from its recording of the requests, and held against the service model of botocore.
"""

from __future__ import annotations

import base64
import json
import os
import smtplib
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator

from conftest import Certificates, Start
from gate import Gate, accepts, free_port, wait_until
from mail import PERMITTED, REFUSED, Mail, assert_refused, message_id
from test_smtplib import send, starttls

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class Moto:
    """moto as a server."""

    url: str

    def call(self, path: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(f"{self.url}/moto-api/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def sent(self) -> list[dict[str, Any]]:
        """Returns the messages that it took for sending."""
        return json.loads(self.call("data.json"))["ses"]["RawMessage"]

    def requests(self) -> list[dict[str, Any]]:
        """Returns the SendEmail requests since the last reset, each valid by the model of botocore."""
        shape = (
            botocore.session.get_session()
            .get_service_model("sesv2")
            .operation_model("SendEmail")
            .input_shape
        )
        found = []
        for line in self.call("recorder/download-recording").decode().splitlines():
            entry = json.loads(line)
            if not entry["url"].endswith("/v2/email/outbound-emails"):
                continue
            request = json.loads(base64.b64decode(entry["body"]))
            request["Content"]["Raw"]["Data"] = base64.b64decode(request["Content"]["Raw"]["Data"])
            assert not ParamValidator().validate(request, shape).has_errors(), request
            assert entry["headers"]["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
            found.append(request)
        return found


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    directory = tmp_path_factory.mktemp("moto")
    port = free_port()
    with (directory / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={
                "PATH": os.environ["PATH"],
                "MOTO_RECORDER_FILEPATH": str(directory / "recording"),
                "MOTO_ENABLE_RECORDING": "true",
            },
        )
    try:
        wait_until("moto", lambda: process.poll() is not None or accepts(port), 30)
        assert process.poll() is None, (directory / "moto.log").read_text()
        yield Moto(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def moto(moto_server: Moto) -> Moto:
    """moto with example.com as its only verified identity and nothing sent yet."""
    moto_server.call("reset", "POST")
    moto_server.call("recorder/reset-recording", "POST")
    api = boto3.client(
        "sesv2",
        endpoint_url=moto_server.url,
        region_name="us-east-1",
        aws_access_key_id="AKIASETUP",
        aws_secret_access_key="secret",
    )
    api.create_email_identity(EmailIdentity="example.com")
    return moto_server


def ses(start: Start, certificates: Certificates, url: str) -> Gate:
    """A gate that sends to SES at that URL."""
    changes = {
        'kind = "outbox"': 'kind = "ses"',
        'directory = "outbox"': f'endpoint_url = "{url}"',
    }
    return start({**certificates.lines, **changes}, CREDENTIALS)


@pytest.fixture
def client(
    start: Start, certificates: Certificates, trust: ssl.SSLContext, moto: Moto
) -> Iterator[smtplib.SMTP]:
    """A client of a gate before moto, logged in as `app`."""
    with starttls(ses(start, certificates, moto.url), trust) as client:
        client.login("app", "app-password")
        yield client


def test_a_permitted_mail_is_sent_as_it_is(client: smtplib.SMTP, moto: Moto) -> None:
    number = message_id(send(client, PERMITTED))
    [sent] = moto.sent()
    assert sent["id"] == number
    assert sent["raw_data"].encode() == PERMITTED.content
    # moto shows the author of the header as the source, and adds the header's recipients.
    assert (sent["source"], set(sent["destinations"])) == (PERMITTED.sender, {*PERMITTED.recipients})
    [request] = moto.requests()
    assert request == {
        "Content": {"Raw": {"Data": PERMITTED.content}},
        "Destination": {"ToAddresses": list(PERMITTED.recipients)},
        "FeedbackForwardingEmailAddress": PERMITTED.sender,
    }


def test_the_envelope_alone_names_feedback_address_and_recipients(client: smtplib.SMTP, moto: Moto) -> None:
    mail = Mail("app", "app@example.com", ("first@example.com", "hidden@example.com"))
    client.mail("bounces@example.com")
    for recipient in mail.recipients[1:]:
        client.rcpt(recipient)
    code, _ = client.data(mail.content)
    assert code == 250
    [request] = moto.requests()
    assert request["Destination"] == {"ToAddresses": ["hidden@example.com"]}
    assert request["FeedbackForwardingEmailAddress"] == "bounces@example.com"


def test_x_ses_fields_become_parameters(client: smtplib.SMTP, moto: Moto) -> None:
    tags = "X-SES-MESSAGE-TAGS: campaign=autumn, kind=news"
    configuration_set = "X-SES-CONFIGURATION-SET: transactional"
    mail = Mail("app", "app@example.com", ("someone@example.com",), extra=(tags, configuration_set))
    message_id(send(client, mail))
    [request] = moto.requests()
    assert request["EmailTags"] == [
        {"Name": "campaign", "Value": "autumn"},
        {"Name": "kind", "Value": "news"},
    ]
    assert request["ConfigurationSetName"] == "transactional"
    assert b"X-SES" not in request["Content"]["Raw"]["Data"]


def test_what_the_policy_refuses_never_reaches_ses(
    start: Start, certificates: Certificates, trust: ssl.SSLContext, moto: Moto
) -> None:
    gate = ses(start, certificates, moto.url)
    with starttls(gate, trust) as client:
        client.login(REFUSED.user, REFUSED.password)
        assert_refused(gate, REFUSED, send(client, REFUSED))
    assert moto.requests() == []


def test_an_unverified_author_is_refused_in_the_words_of_ses(client: smtplib.SMTP, moto: Moto) -> None:
    mail = Mail("app", "app@example.org", ("someone@example.com",))
    answer = send(client, mail)
    assert answer.startswith("554 Message rejected: "), answer
    assert "app@example.org" in answer
    assert moto.sent() == []
    # The connection goes on.
    message_id(send(client, PERMITTED.renewed()))


@pytest.mark.parametrize("count", [50, 51])
def test_50_recipients_are_the_most(client: smtplib.SMTP, moto: Moto, count: int) -> None:
    # Without a To field, since moto counts the addresses of the header once more.
    content = PERMITTED.content.replace(b"To: someone@example.com\r\n", b"")
    recipients = [f"user{number}@example.com" for number in range(count)]
    client.mail(PERMITTED.sender)
    for recipient in recipients:
        assert client.rcpt(recipient)[0] == 250
    code, text = client.data(content)
    if count == 50:
        assert code == 250
        [request] = moto.requests()
        assert request["Destination"] == {"ToAddresses": recipients}
        assert moto.sent()[0]["destinations"] == recipients
    else:
        assert (code, text) == (554, b"Transaction failed: Recipient count exceeds 50.")
        assert moto.requests() == []


def test_a_failure_of_ses_is_temporary_and_not_tried_again(client: smtplib.SMTP, moto: Moto) -> None:
    # moto fails with HTTP 500 over content that is not UTF-8.
    content = PERMITTED.content.replace(b"Hello", b"Hell\xf6")
    client.mail(PERMITTED.sender)
    client.rcpt(*PERMITTED.recipients)
    assert client.data(content) == (451, b"Temporary service failure")
    assert [request["Content"]["Raw"]["Data"] for request in moto.requests()] == [content]


def test_ses_out_of_reach_is_temporary(
    start: Start, certificates: Certificates, trust: ssl.SSLContext
) -> None:
    gate = ses(start, certificates, f"http://127.0.0.1:{free_port()}")
    with starttls(gate, trust) as client:
        client.sock.settimeout(58)
        client.login("app", "app-password")
        assert send(client, PERMITTED) == "451 Temporary service failure"
        gate.event("an error in the log", lambda event: event.get("level", "").lower() == "error")
