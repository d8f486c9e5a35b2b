"""Listening sockets that systemd hands over: a restart refuses nobody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gate import BINARY, Gate, free_port, wait_until

# What systemd does between fork and exec: descriptors from 3 on, and who they are for.
HAND_OVER = """
import os, sys
count = int(sys.argv[1])
held = [os.dup(int(number)) for number in sys.argv[2 : 2 + count]]
high = [os.dup2(number, 200 + index) for index, number in enumerate(held)]
for index, number in enumerate(high):
    os.dup2(number, 3 + index)
os.closerange(3 + count, 256)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count)}
os.execv(sys.argv[2 + count], sys.argv[2 + count :])
"""


class Activated(Gate):
    """A gate whose sockets somebody else holds, as systemd does."""

    handed: list[socket.socket]

    def start(self, greets: bool = True) -> None:
        self.launch()
        try:
            wait_until("the banner", self.greets)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Starts it without waiting for anything."""
        numbers = [held.fileno() for held in self.handed]
        command = [BINARY, "serve", "--config", self.config]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", HAND_OVER, str(len(numbers)), *map(str, numbers), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=numbers,
                env={"PATH": os.environ["PATH"], "LISTEN_FDNAMES": ":".join(["mail"] * len(numbers))},
            )


def listening(port: int) -> socket.socket:
    held = socket.create_server(("127.0.0.1", port), backlog=128)
    held.settimeout(10)
    return held


@contextmanager
def activated(directory: Path, handed: list[str]) -> Iterator[Activated]:
    """A gate that is not started yet, with sockets for these of its ports."""
    gate = Activated(directory / "gate")
    gate.configure()
    gate.handed = [listening(getattr(gate, name)) for name in handed]
    try:
        yield gate
    finally:
        if gate.process is not None:
            gate.stop()
        for held in gate.handed:
            held.close()


def test_clients_that_came_before_the_relay_are_served(tmp_path: Path) -> None:
    with activated(tmp_path, ["implicit", "starttls"]) as gate:
        with socket.create_connection(("127.0.0.1", gate.starttls), timeout=20) as early:
            gate.start()
            assert early.recv(4) == b"220 "
        # What was not handed over is bound.
        socket.create_connection(("127.0.0.1", gate.admin), timeout=5).close()


def test_a_restart_refuses_nobody(tmp_path: Path) -> None:
    with activated(tmp_path, ["starttls"]) as gate:
        gate.start()
        end = threading.Event()
        greetings: list[bytes] = []
        failures: list[OSError] = []

        def come_and_go() -> None:
            while not end.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", gate.starttls), timeout=20) as client:
                        greetings.append(client.recv(4))
                except OSError as error:
                    failures.append(error)

        clients = [threading.Thread(target=come_and_go) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for _ in range(3):
                before = len(greetings)
                wait_until("clients", lambda: len(greetings) > before + 20)
                gate.terminate()
                assert gate.wait() == 0
                gate.start()
        finally:
            end.set()
            for client in clients:
                client.join(30)
        assert not failures
        # A client that is accepted in the moment of draining is told to come again.
        assert set(greetings) <= {b"220 ", b"421 "}
        assert greetings.count(b"421 ") <= 3 * len(clients)


@pytest.mark.parametrize("kind", ["another port", "a datagram socket"])
def test_a_socket_that_belongs_to_no_listener_stops_the_start(tmp_path: Path, kind: str) -> None:
    with activated(tmp_path, []) as gate:
        if kind == "another port":
            port = free_port()
            gate.handed = [listening(port)]
            expected = f"socket 1 (`mail`) from systemd listens on 127.0.0.1:{port}, which is not an `address`"
        else:
            gate.handed = [socket.socket(type=socket.SOCK_DGRAM)]
            expected = "socket 1 (`mail`) from systemd is no TCP listener"
        gate.launch()
        assert gate.wait() == 78
        assert expected in gate.log.read_text()


def test_sockets_for_another_process_are_left_alone(tmp_path: Path) -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    gate = Gate(tmp_path / "gate", environment=environment)
    gate.configure()
    gate.start()
    gate.stop()
