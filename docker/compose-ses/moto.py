"""Sees to it that moto has the identity example.com (`identity`), or shows its mails (`mails`).

`mails` ends with 0 when there is exactly the one that the policy permits.
"""

import json
import os
import sys
import urllib.error
import urllib.request

MOTO = os.environ.get("MOTO_URL", "http://127.0.0.1:5000")
# moto reads from the credentials which service and region are meant; it checks no signature.
SIGNED = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/ses/aws4_request"


def identity() -> int:
    request = urllib.request.Request(
        f"{MOTO}/v2/email/identities",
        data=json.dumps({"EmailIdentity": "example.com"}).encode(),
        headers={"Content-Type": "application/json", "Authorization": SIGNED},
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        if "AlreadyExists" not in error.headers.get("x-amzn-errortype", "") + error.read().decode():
            raise
    print("example.com is an identity")
    return 0


def mails() -> int:
    with urllib.request.urlopen(f"{MOTO}/moto-api/data.json", timeout=10) as answer:
        taken = json.load(answer)["ses"]["RawMessage"]
    for mail in taken:
        print(f"moto took a mail from {mail['source']} to {', '.join(mail['destinations'])}:")
        print(mail["raw_data"])
    return 0 if [mail["source"] for mail in taken] == ["app@example.com"] else 1


if __name__ == "__main__":
    sys.exit({"identity": identity, "mails": mails}[sys.argv[1]]())
