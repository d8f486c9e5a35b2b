"""The story that compose-ses tells, with its files as they are and processes instead of containers.

They run in a network of their own, in which `moto` is this machine. moto is that of the client tests.
"""

import os
import sys
from pathlib import Path

from .common import Tools

SCRIPT = r"""
set -eu
cd "$DOCKER/compose-ses"
ip link set lo up
printf '127.0.0.1 localhost moto\n' >"$SCRATCH/hosts"
mount --bind "$SCRATCH/hosts" /etc/hosts
"$MOTO" -H 127.0.0.1 -p 5000 >"$SCRATCH/moto.log" 2>&1 &
moto=$!
AWS_ACCESS_KEY_ID=AKIAEXAMPLE AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true \
  "$SESGATE" serve --config etc/sesgate.toml >"$SCRATCH/sesgate.log" 2>&1 &
sesgate=$!
trap 'kill $moto $sesgate 2>/dev/null || true; cat "$SCRATCH/sesgate.log"' EXIT
until_it_works() {
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  "$@"
}
until_it_works "$PYTHON" moto.py identity
until_it_works "$SESGATE" healthcheck --config etc/sesgate.toml
"$PYTHON" ../app/send.py
"$PYTHON" moto.py mails
kill -TERM $sesgate
wait $sesgate
"""


def story(docker: Path, tools: Tools) -> str | None:
    # Always this repository's: faults are planted into a copy that has no target/.
    moto = Path(__file__).resolve().parents[2] / "target/clients/venv/bin/moto_server"
    missing = [
        why
        for lacks, why in [
            (not tools.sesgate, "no sesgate under target/"),
            (not moto.exists(), "no moto; `tests/run clients` installs it"),
            (os.geteuid() != 0, "a network of its own needs root"),
        ]
        if lacks
    ]
    if missing:
        tools.unchecked.append(f"no mail was sent: {'; '.join(missing)}")
        return None
    tools.run(
        "timeout", "110", "unshare", "--mount", "--net", "bash", "-c", SCRIPT,
        environment={
            **os.environ,
            "DOCKER": str(docker),
            "SCRATCH": str(tools.directory()),
            "SESGATE": str(tools.sesgate),
            "MOTO": str(moto),
            "MOTO_URL": "http://moto:5000",
            "PYTHON": sys.executable,
        },
    )  # fmt: skip
    return "sesgate relayed the permitted mail to moto and refused the other"
