"""Every container of the deployments is started, as a process with its files and its variables, in a
network of its own without SES: it must get healthy, have the pages that probes and Prometheus ask for,
and end with 0 after SIGTERM.

That of the chart with an outbox also takes a mail, from a user who logs in.
"""

import os
import sys
from pathlib import Path

from .common import Tools, Wrong
from .compose import compose
from .ecs import ecs
from .helm import helm
from .kubernetes import kubernetes
from .systemd import systemd

SCRIPT = r"""
set -eu
ip link set lo up
"$SESGATE" serve --config "$CONFIG" >"$LOG" 2>&1 &
sesgate=$!
trap 'kill -KILL $sesgate 2>/dev/null || true; tail -n 5 "$LOG"' EXIT
for _ in $(seq 300); do
  if "$SESGATE" healthcheck --config "$CONFIG" >/dev/null 2>&1; then break; fi
  kill -0 $sesgate
  sleep 0.1
done
"$SESGATE" healthcheck --config "$CONFIG"
"$PYTHON" -c "$PAGES"
if [ -n "${MAIL:-}" ]; then
  "$PYTHON" -c "$MAIL"
  [ "$(find "$SESGATE_UPSTREAM_DIRECTORY" -name '*.eml' | wc -l)" -eq 1 ]
fi
kill -TERM $sesgate
wait $sesgate
"""

# What probes and Prometheus ask for.
PAGES = """
import urllib.request
for page, holds in [("livez", "ok"), ("readyz", "ok"), ("metrics", "sesgate_build_info")]:
    with urllib.request.urlopen(f"http://127.0.0.1:8025/{page}", timeout=10) as answer:
        text = answer.read().decode()
        assert holds in text, f"/{page} says {text}"
"""

MAIL = """
import smtplib, ssl
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP("127.0.0.1", 2525, timeout=10) as client:
    client.starttls(context=context)
    client.login("app", "a-password-to-try")
    client.sendmail("app@example.com", "you@example.net", "From: app@example.com\\r\\n\\r\\nHello\\r\\n")
    try:
        client.sendmail("ceo@example.com", "you@example.net", "From: ceo@example.com\\r\\n\\r\\nHello\\r\\n")
    except smtplib.SMTPDataError as error:
        assert error.smtp_code == 554, error
    else:
        raise SystemExit("the mail that no policy permits was taken")
"""


def starts(docker: Path, tools: Tools) -> str | None:
    if not tools.sesgate or os.geteuid() != 0:
        tools.unchecked.append("nothing was started (it needs root, and a sesgate under target/)")
        return None
    # Their findings are told by those checks themselves; here they lay out the containers.
    layout = Tools(sesgate=tools.sesgate, scratch=tools.scratch)
    for check in (compose, ecs, systemd, kubernetes, helm):
        check(docker, layout)
    for container in layout.laid:
        outbox = container.root / "var/lib/sesgate/outbox"
        outbox.mkdir(parents=True, exist_ok=True)
        environment = {
            **container.environment,
            "SESGATE_UPSTREAM_DIRECTORY": str(outbox),
            "SESGATE": str(tools.sesgate),
            "CONFIG": str(container.root / "etc/sesgate/sesgate.toml"),
            "LOG": str(container.root / "log"),
            "PYTHON": sys.executable,
            "PAGES": PAGES,
            "MAIL": MAIL if "outbox-values" in container.where else "",
            # In place of the role.
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        try:
            tools.run(
                "timeout", "90", "unshare", "--net", "bash", "-c", SCRIPT, environment=environment
            )
        except Wrong as wrong:
            raise Wrong(f"{container.where}: {wrong}") from None
    return f"{len(layout.laid)} containers got healthy without SES; one took a mail after STARTTLS and login"
