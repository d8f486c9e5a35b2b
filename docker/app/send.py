"""An app beside sesgate: sends a mail that the policy permits and one that it does not.

Prints what sesgate answers; the exit status is 0 when it took the first and refused the second.
"""

import os
import smtplib
import sys
import time
from email.message import EmailMessage
from email.policy import SMTP


def connect(host: str, port: int) -> smtplib.SMTP:
    """Connects, for up to 20 s while sesgate starts."""
    for _ in range(40):
        try:
            return smtplib.SMTP(host, port, timeout=10)
        except ConnectionRefusedError:
            time.sleep(0.5)
    return smtplib.SMTP(host, port, timeout=10)


def send(client: smtplib.SMTP, recipient: str) -> tuple[int, str]:
    """Sends a mail and returns the answer to its content."""
    message = EmailMessage(SMTP)
    message["From"] = "App <app@example.com>"
    message["To"] = recipient
    message["Subject"] = "A mail of the app"
    message.set_content("Hello\n")
    client.ehlo_or_helo_if_needed()
    client.mail("app@example.com")
    client.rcpt(recipient)
    code, text = client.data(message.as_bytes())
    print(f"{recipient}: {code} {text.decode()}", flush=True)
    return code, text.decode()


def main() -> int:
    host = os.environ.get("SMTP_HOST", "127.0.0.1")
    port = int(os.environ.get("SMTP_PORT", "2525"))
    with connect(host, port) as client:
        permitted, _ = send(client, "someone@example.com")
        refused, reason = send(client, "someone@example.net")
    return 0 if permitted == 250 and refused == 554 and reason.startswith("Access denied: ") else 1


if __name__ == "__main__":
    sys.exit(main())
