"""A stand-in for SES on loopback: an account with a rate and identities, and what it took.

It plays SendEmail, GetAccount, ListEmailIdentities and GetEmailIdentity of the SESv2 API. It knows no
policies, but checks the signature of every request with botocore, and that none is an hour old.
"""

from __future__ import annotations

import base64
import calendar
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


@dataclass
class Account:
    """What GetAccount says, and what SendEmail keeps to."""

    max_send_rate: float = 1000.0
    max_24_hour_send: float = 50_000.0
    sent_last_24_hours: float = 0.0
    production: bool = True
    sending: bool = True
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)


class Ses(ThreadingHTTPServer):
    """One account; `taken` are the messages, `calls` the method and path of every request."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, account: Account | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.account = account or Account()
        self.taken: list[bytes] = []
        self.throttled = 0
        self.calls: list[tuple[float, str]] = []
        self.faults: dict[str, tuple[int, str, str]] = {}
        self.lock = threading.Lock()
        self.room = self.account.max_send_rate
        self.filled = time.monotonic()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def lines(self) -> dict[str, str]:
        """The line of the default file that makes it the upstream."""
        return {'kind = "outbox"': f'kind = "ses"\nendpoint_url = "http://127.0.0.1:{self.server_port}"'}

    def take(self, message: bytes, recipients: int) -> str | None:
        """The message id, or none over the rate: one second's worth, and a message may overdraw it."""
        with self.lock:
            now = time.monotonic()
            rate = self.account.max_send_rate
            self.room = min(rate, self.room + (now - self.filled) * rate)
            self.filled = now
            if self.room < 1:
                self.throttled += 1
                return None
            self.room -= recipients
            self.taken.append(message)
            return f"0100-{len(self.taken)}"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is two writes: the second would wait for the acknowledgement of the first, which is delayed.
    disable_nagle_algorithm = True
    server: Ses

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.noted(sent):
            return
        body = json.loads(sent or b"{}")
        if self.path.endswith("/outbound-emails"):
            message = base64.b64decode(body["Content"]["Raw"]["Data"])
            message_id = self.server.take(message, len(body["Destination"]["ToAddresses"]))
            if message_id is None:
                self.refuse(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
            else:
                self.answer(200, {"MessageId": message_id})
        else:
            self.listing()

    def do_GET(self) -> None:
        if self.noted(b""):
            return
        account = self.server.account
        path = self.path.partition("?")[0]
        if path == "/v2/email/account":
            self.answer(200, {
                "ProductionAccessEnabled": account.production,
                "SendingEnabled": account.sending,
                "EnforcementStatus": "HEALTHY",
                "SendQuota": {
                    "Max24HourSend": account.max_24_hour_send,
                    "MaxSendRate": account.max_send_rate,
                    "SentLast24Hours": account.sent_last_24_hours,
                },
            })
        elif path == "/v2/email/identities":
            self.listing()
        else:
            name = unquote(path.removeprefix("/v2/email/identities/"))
            identity = account.identities.get(name)
            if identity is None:
                self.refuse(404, "NotFoundException", f"Email identity {name} does not exist.")
            else:
                kind = "EMAIL_ADDRESS" if "@" in name else "DOMAIN"
                self.answer(200, {"IdentityType": kind, "VerifiedForSendingStatus": True, "VerificationStatus": "SUCCESS", **identity})

    def listing(self) -> None:
        self.answer(200, {"EmailIdentities": [
            {
                "IdentityName": name,
                "IdentityType": "EMAIL_ADDRESS" if "@" in name else "DOMAIN",
                "SendingEnabled": identity.get("VerifiedForSendingStatus", True),
                "VerificationStatus": "SUCCESS",
            }
            for name, identity in self.server.account.identities.items()
        ]})

    def noted(self, body: bytes) -> bool:
        """Remembers the call; whether it was answered with a fault of the test, or has a wrong signature."""
        self.server.calls.append((time.monotonic(), f"{self.command} {self.path}"))
        if not self.is_signed(body):
            self.refuse(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
            return True
        for part, fault in self.server.faults.items():
            if part in self.path:
                self.refuse(*fault)
                return True
        return False

    def is_signed(self, body: bytes) -> bool:
        """Whether botocore signs this request the same, and it is of this hour."""
        # Not above: `faults` uses this module in programs that need the standard library alone.
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        header = self.headers["Authorization"] or ""
        parts = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/ses/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)",
            header,
        )
        if parts is None or parts[1] != CREDENTIALS["AWS_ACCESS_KEY_ID"]:
            return False
        names = parts[3].split(";")
        # What the service insists on: the host, the time, and every header of its own.
        own = {name.lower() for name in self.headers if name.lower().startswith("x-amz-")}
        if not {"host", "x-amz-date", *own} <= set(names):
            return False
        stamp = self.headers["X-Amz-Date"]
        age = time.time() - calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
        request = AWSRequest(
            method=self.command,
            url=f"http://{self.headers['Host']}{self.path}",
            data=body,
            headers={name: self.headers[name] for name in names},
        )
        request.context["timestamp"] = stamp
        signer = SigV4Auth(Credentials(*CREDENTIALS.values()), "ses", parts[2])
        expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return expected == parts[4] and abs(age) < 3600

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, {"message": message}, code)

    def answer(self, status: int, body: dict[str, Any], code: str | None = None) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        if code:
            self.send_header("x-amzn-errortype", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        pass
