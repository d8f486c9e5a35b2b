"""The calls of AWS that `sesgate doctor` makes, played on loopback.

moto has no GetAccount, and lists identities only where older SDKs asked; it checks no credentials and
denies nothing. What SES and STS say in those cases is written here after their API references.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HEALTHY_ACCOUNT = {
    "ProductionAccessEnabled": True,
    "SendingEnabled": True,
    "EnforcementStatus": "HEALTHY",
    "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 100.0},
}
VERIFIED = {
    "IdentityType": "DOMAIN",
    "VerifiedForSendingStatus": True,
    "VerificationStatus": "SUCCESS",
    "Policies": {},
    "Tags": [],
}
ROLE = "arn:aws:sts::123456789012:assumed-role/relay/i-0123456789"


@dataclass
class Refusal:
    """An error of AWS."""

    status: int
    code: str
    message: str


@dataclass
class World:
    """What AWS would say; `refusals` holds an error for a call by its name."""

    account: dict[str, Any] = field(default_factory=lambda: dict(HEALTHY_ACCOUNT))
    identities: dict[str, dict[str, Any]] = field(default_factory=lambda: {"example.com": dict(VERIFIED)})
    arn: str = ROLE
    refusals: dict[str, Refusal] = field(default_factory=dict)
    clock_ahead: float = 0
    calls: list[tuple[float, str]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)


class FakeAws(ThreadingHTTPServer):
    """SESv2 and STS at one address."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.world = World()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeAws

    def do_GET(self) -> None:
        path = urllib.parse.unquote(self.path)
        if "Authorization" not in self.headers:
            self.refuse(Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token"))
        elif path == "/v2/email/account":
            self.call("GetAccount", lambda: self.server.world.account)
        elif path.startswith("/v2/email/identities/"):
            name = path.removeprefix("/v2/email/identities/")
            found = self.server.world.identities.get(name)
            missing = Refusal(404, "NotFoundException", f"Email identity {name} does not exist.")
            self.call("GetEmailIdentity", lambda: found or missing)
        else:
            self.refuse(Refusal(404, "UnknownOperationException", path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        world = self.server.world
        if self.path == "/":
            self.call("GetCallerIdentity", lambda: world.arn, is_sts=True)
        elif self.path.startswith("/v2/email/list-identities"):
            listed = [self.info(*identity) for identity in world.identities.items()]
            self.call("ListEmailIdentities", lambda: {"EmailIdentities": listed})
        elif self.path == "/v2/email/outbound-emails":
            world.sent.append(json.loads(body))
            self.call("SendEmail", lambda: {"MessageId": "0100-doctor"})
        else:
            self.refuse(Refusal(404, "UnknownOperationException", self.path))

    @staticmethod
    def info(name: str, identity: dict[str, Any]) -> dict[str, Any]:
        return {
            "IdentityName": name,
            "IdentityType": identity["IdentityType"],
            "SendingEnabled": identity["VerifiedForSendingStatus"],
            "VerificationStatus": identity["VerificationStatus"],
        }

    def call(self, name: str, answer: Any, is_sts: bool = False) -> None:
        world = self.server.world
        world.calls.append((time.monotonic(), name))
        said = world.refusals.get(name) or answer()
        if isinstance(said, Refusal):
            self.refuse(said, is_sts)
        elif is_sts:
            account = said.split(":")[4]
            self.reply(
                200,
                f"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{said}</Arn><UserId>AROA</UserId>"
                f"<Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
            )
        else:
            self.reply(200, json.dumps(said))

    def refuse(self, refusal: Refusal, is_sts: bool = False) -> None:
        if is_sts:
            error = f"<Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
            self.reply(refusal.status, f"<ErrorResponse>{error}</ErrorResponse>")
        else:
            self.reply(refusal.status, json.dumps({"message": refusal.message}), refusal.code)

    def reply(self, status: int, text: str, code: str | None = None) -> None:
        content = text.encode()
        self.send_response(status)
        if code:
            self.send_header("x-amzn-ErrorType", code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.server.world.clock_ahead)

    def log_message(self, *arguments: object) -> None:
        pass
