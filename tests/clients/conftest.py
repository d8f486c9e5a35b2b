"""Fixtures: certificates, and sesgate processes that are always ended."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

pytest.register_assert_rewrite("gate", "mail")

from gate import BINARY, Gate


@dataclass(frozen=True)
class Certificates:
    """A certificate for localhost and 127.0.0.1, and the authority that clients trust."""

    authority: Path
    chain: Path
    key: Path

    @property
    def lines(self) -> dict[str, str]:
        """The lines of the default file that name certificate and key."""
        return {
            '# certificate = "/etc/sesgate/tls.crt"': f'certificate = "{self.chain}"',
            '# key = "/etc/sesgate/tls.key"': f'key = "{self.key}"',
            'tls = "implicit"': f'tls = "implicit"\ncertificate = "{self.chain}"\nkey = "{self.key}"',
        }


@pytest.fixture(scope="session", autouse=True)
def binary() -> Path:
    """The relay under test."""
    if not BINARY.is_file():
        pytest.exit(f"{BINARY} is missing: build it first, or run tests/run", returncode=2)
    return BINARY


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    found = Certificates(directory / "ca.pem", directory / "chain.pem", directory / "key.pem")
    authority.cert_pem.write_to_path(found.authority)
    for part in issued.cert_chain_pems:
        part.write_to_path(found.chain, append=True)
    issued.private_key_pem.write_to_path(found.key)
    return found


@pytest.fixture(scope="session")
def trust(certificates: Certificates) -> ssl.SSLContext:
    """TLS that accepts nothing but the certificate of the gate."""
    return ssl.create_default_context(cafile=str(certificates.authority))


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Gate]:
    """The default configuration with a certificate that clients can check, for every test that only sends."""
    gate = Gate(tmp_path_factory.mktemp("gate"))
    gate.configure(certificates.lines)
    gate.start()
    yield gate
    gate.stop()


Start = Callable[..., Gate]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a gate of the test's own, with lines of the default file replaced."""
    gates: list[Gate] = []

    def begin(
        changes: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        run: bool = True,
    ) -> Gate:
        gate = Gate(tmp_path / f"gate{len(gates)}", environment=environment or {})
        gate.configure(changes)
        gates.append(gate)
        if run:
            gate.start()
        return gate

    yield begin
    for gate in gates:
        gate.stop()
