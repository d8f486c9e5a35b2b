"""A mail that was answered 250 is in the outbox, whatever happens to the process (decision 1).

This ends the process, not the machine: that files are synced before the answer is not seen here.
"""

from __future__ import annotations

import base64
import json
import random
import smtplib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from conftest import Start
from gate import Gate, accepts, wait_until
from mail import PERMITTED, Mail, message_id
from test_smtplib import send

SENDERS = 6
ROUNDS = 3


class Sender(threading.Thread):
    """Sends mails one after the other until the connection breaks."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(daemon=True)
        self.gate = gate
        self.tried: dict[str, Mail] = {}
        self.answered: dict[str, Mail] = {}
        self.fault: Exception | None = None

    def run(self) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", self.gate.starttls, timeout=10) as client:
                client.login("app", "app-password")
                while True:
                    mail = PERMITTED.renewed()
                    self.tried[mail.number] = mail
                    self.answered[message_id(send(client, mail))] = mail
        except (OSError, smtplib.SMTPException):
            pass
        except Exception as error:
            self.fault = error


def killed_under_load(gate: Gate) -> tuple[dict[str, Mail], dict[str, Mail]]:
    """Kills and restarts the gate a few times under load; returns what was tried and answered."""
    answered: dict[str, Mail] = {}
    tried: dict[str, Mail] = {}
    for _ in range(ROUNDS):
        senders = [Sender(gate) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        wait_until("mail under way", lambda: all(len(sender.answered) > 2 for sender in senders))
        time.sleep(random.uniform(0, 0.3))
        gate.kill()
        for sender in senders:
            sender.join(15)
            assert not sender.is_alive()
            assert sender.fault is None, repr(sender.fault)
            answered |= sender.answered
            tried |= sender.tried
        wait_until("the port to be free", lambda: not accepts(gate.starttls))
        gate.start()
    return tried, answered


def test_kill_9_loses_no_mail_that_was_answered(start: Start) -> None:
    gate = start()
    tried, answered = killed_under_load(gate)
    taken = gate.taken()
    lost = answered.keys() - taken.keys()
    assert not lost, f"{len(lost)} of {len(answered)} answered mails are not in the outbox"
    assert all(taken[number] == mail.content for number, mail in answered.items())
    # What lies there without an answer is whole as well, and was sent by a client.
    sent = {mail.content for mail in tried.values()}
    assert all(content in sent for content in taken.values())
    assert len(set(taken.values())) == len(taken), "a mail lies there twice"
    print(f"{len(answered)} answered, {len(taken)} in the outbox, {len(tried)} tried")


class FakeSes(ThreadingHTTPServer):
    """Takes every message, slowly, and remembers it before it answers."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), TakeMessage)
        self.taken: list[bytes] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class TakeMessage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeSes

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(random.uniform(0, 0.01))
        self.server.taken.append(base64.b64decode(request["Content"]["Raw"]["Data"]))
        answer = json.dumps({"MessageId": f"0100-{len(self.server.taken)}-{random.random()}"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        pass


def test_kill_9_loses_no_mail_that_ses_was_to_take(start: Start) -> None:
    ses = FakeSes()
    gate = start(
        {'kind = "outbox"': f'kind = "ses"\nendpoint_url = "http://127.0.0.1:{ses.server_port}"'},
        {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"},
    )
    _, answered = killed_under_load(gate)
    ses.shutdown()
    lost = [mail for mail in answered.values() if mail.content not in ses.taken]
    assert not lost, f"{len(lost)} of {len(answered)} answered mails did not reach SES"
    assert len(set(ses.taken)) == len(ses.taken), "SES took a mail twice"
