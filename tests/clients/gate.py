"""A sesgate process: its configuration, its ports and what it wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SESGATE", REPOSITORY / "target/debug/sesgate"))
# Variables for the tests are no settings of sesgate. Read once: pytest changes one between tests, while threads run.
OURS = {name: value for name, value in os.environ.items() if not name.startswith("SESGATE_")}
DEFAULT_CONFIG = REPOSITORY / "config/sesgate.toml"

Found = TypeVar("Found")


def wait_until(what: str, probe: Callable[[], Found | None], seconds: float = 10) -> Found:
    """Returns what `probe` gives once that is neither None nor False; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = probe()
        if found is not None and found is not False:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


PORTS: set[int] = set()


def free_port() -> int:
    """Returns a port of loopback that nobody listens on, and that was not returned before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # A gate asks for several before it listens on any.
        if port not in PORTS:
            PORTS.add(port)
            return port


def accepts(port: int) -> bool:
    """Returns whether something listens on that port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sesgate(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command of sesgate that ends by itself; variables for the tests are no settings of it."""
    options.setdefault("env", OURS)
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30, **options)


def processor_seconds(pid: int) -> float:
    """What a process has used of processors, in its own code and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, float]:
    """Resident memory of a process now (`VmRSS`) and at most (`VmHWM`), in MiB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {what: int(fields[what].split()[0]) / 1024 for what in ("VmRSS", "VmHWM")}


@dataclass
class Gate:
    """`sesgate serve` in a directory of its own, with the default file but for some lines of it."""

    directory: Path
    starttls: int = field(default_factory=free_port)
    implicit: int = field(default_factory=free_port)
    clear: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    environment: Mapping[str, str] = field(default_factory=dict)
    # The program, behind a tool that watches it if there is one.
    command: Sequence[str | Path] = (BINARY,)
    # Further flags of `serve`.
    flags: Sequence[str | Path] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.directory / "sesgate.toml"

    @property
    def outbox(self) -> Path:
        return self.directory / "outbox"

    @property
    def log(self) -> Path:
        return self.directory / "gate.log"

    def configure(self, changes: Mapping[str, str] | None = None) -> None:
        """Copies the default configuration and replaces whole lines of it, the ports always.

        Of lines that are there several times the first is replaced: the first listener has STARTTLS.
        """
        made = shutil.ignore_patterns("outbox", "tls")
        shutil.copytree(DEFAULT_CONFIG.parent, self.directory, ignore=made, dirs_exist_ok=True)
        lines = DEFAULT_CONFIG.read_text().splitlines()
        for old, new in {
            'address = "127.0.0.1:2525"': f'address = "127.0.0.1:{self.starttls}"',
            'address = "127.0.0.1:2465"': f'address = "127.0.0.1:{self.implicit}"',
            'address = "127.0.0.1:2526"': f'address = "127.0.0.1:{self.clear}"',
            'address = "127.0.0.1:8025"': f'address = "127.0.0.1:{self.admin}"',
            **(changes or {}),
        }.items():
            assert old in lines, f"the default file has no line `{old}`"
            lines[lines.index(old)] = new
        self.config.write_text("\n".join(lines) + "\n")

    def start(self, greets: bool = True) -> None:
        """Starts it and waits for the banner, or where that needs a header for the readiness."""
        self.launch()
        try:
            wait_until("the banner", self.greets if greets else self._is_ready)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Starts it and waits for nothing."""
        environment = {"PATH": os.environ["PATH"], **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "serve", "--config", self.config, *self.flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def greets(self) -> bool:
        """Whether it says its banner yet; fails once it has ended."""
        assert self.process is not None
        status = self.process.poll()
        assert status is None, f"sesgate ended with {status}:\n{self.log.read_text()}"
        try:
            with socket.create_connection(("127.0.0.1", self.starttls), timeout=5) as client:
                return client.recv(4) == b"220 "
        except OSError:
            return False

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def descriptors(self) -> int:
        """How many it has open; it lets nobody but root count them under /proc."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=20) as answer:
            series = answer.read().decode().splitlines()
        return int(next(line for line in series if line.startswith("process_open_fds ")).split()[1])

    def terminate(self) -> None:
        """Asks it to drain and end; `wait` for that."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 15) -> int:
        """Waits for its end and returns the exit status; ends it by force when that takes longer."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"sesgate did not end within {seconds} s") from None

    def kill(self) -> None:
        """Ends it at once: it can do nothing more."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ends it at the end of a test, whatever it is doing; no task may have failed by then."""
        if self.process is not None and self.process.poll() is None:
            self.terminate()
            self.wait(35)
        assert "report this as a bug" not in self.log.read_text(), self.log.read_text()

    def taken(self) -> dict[str, bytes]:
        """Returns the content of each message in the outbox by message id."""
        return {file.stem: file.read_bytes() for file in self.outbox.glob("*.eml")}

    def events(self) -> list[dict[str, Any]]:
        """Returns the log lines, each of which must be JSON; the last may be on its way."""
        whole, _, _ = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def event(self, what: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Waits for a line of the log, which may come after the answer, and returns it."""
        return wait_until(what, lambda: next(filter(wanted, self.events()), None))
