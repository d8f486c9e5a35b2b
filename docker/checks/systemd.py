"""The units of systemd, how much they may do, and that their sockets are the listeners' addresses."""

import re
import shutil
import tomllib
from pathlib import Path

from .common import Tools, Wrong

UNITS = ["sesgate.service", "sesgate.socket"]
# `systemd-analyze security` counts to 10. The rest of ours is the network and the host's own /etc.
EXPOSURE = 1.2


def systemd(docker: Path, tools: Tools) -> str:
    folder = docker / "systemd"
    config = tools.directory()
    shutil.copytree(folder, config / "etc/sesgate")
    tools.check_config(config, "systemd/sesgate.toml")
    check_sockets(folder)

    analyze = tools.find("systemd-analyze", "the units themselves")
    if not analyze:
        return "sesgate.toml and the addresses in sesgate.socket"
    units = config / "units"
    units.mkdir()
    program = tools.sesgate or "/bin/true"
    for name in UNITS:
        text = (folder / name).read_text()
        (units / name).write_text(text.replace("/usr/local/bin/sesgate", str(program)))
    # It warns of keys that it does not know, and ends with 0 all the same.
    said = tools.run(analyze, "verify", "--man=no", *UNITS, cwd=units)
    if ours := [line for line in said.splitlines() if "sesgate." in line]:
        raise Wrong("; ".join(ours))
    security = tools.run(
        analyze, "security", "--offline=true", "--no-pager", f"--threshold={round(EXPOSURE * 10)}",
        units / "sesgate.service",
    )  # fmt: skip
    exposure = re.search(r"exposure level for sesgate.service: (\S+)", security)
    sysusers = shutil.which("systemd-sysusers")
    if sysusers:
        tools.run(sysusers, "--dry-run", folder / "sysusers.conf")
    return f"{', '.join(UNITS)} (exposure {exposure.group(1)} of 10), sysusers.conf, sesgate.toml"


def check_sockets(folder: Path) -> None:
    """An address that no listener has would make sesgate end at its start."""
    config = tomllib.loads((folder / "sesgate.toml").read_text())
    listeners = {listener["address"] for listener in config["listeners"]}
    sockets = set(re.findall(r"^ListenStream=(\S+)$", (folder / "sesgate.socket").read_text(), re.M))
    if sockets != listeners:
        raise Wrong(f"sesgate.socket has {sorted(sockets)}, sesgate.toml listens on {sorted(listeners)}")
