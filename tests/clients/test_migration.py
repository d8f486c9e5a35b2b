"""The examples of config/migration.md: what a reader pastes is taken."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest
import trustme

from gate import sesgate

CONFIG = Path(__file__).resolve().parents[2] / "config"
PAGE = (CONFIG / "migration.md").read_text()
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"^ *```toml\n(.*?)^ *```", PAGE, re.M | re.S)]
BASIS = '[account]\nid = "123456789012"\nregion = "eu-west-1"\n[upstream]\nkind = "ses"\n[[listeners]]\naddress = "127.0.0.1:2525"\n'
# Keys that the tables name as they are written in a file.
KEYS = set(re.findall(r"`([a-z_]+)`", "\n".join(line.split("|")[2] for line in PAGE.splitlines() if line.startswith("|"))))


def test_there_are_examples() -> None:
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("block", BLOCKS, ids=["user", "relay"])
def test_an_example_is_a_configuration(tmp_path: Path, block: str) -> None:
    shutil.copytree(CONFIG / "policies", tmp_path / "policies")
    certificate = trustme.CA().issue_cert("relay.example.com")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "tls.crt"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    file = tmp_path / "sesgate.toml"
    file.write_text(block if "[account]" in block else BASIS + block)
    done = sesgate("check", "--config", file)
    assert done.returncode == 0, done.stderr


def test_each_key_of_the_tables_is_one() -> None:
    reference = (CONFIG / "sesgate.toml").read_text()
    assert len(KEYS) > 12
    assert not {key for key in KEYS if not re.search(rf"\b{key}\b", reference)} - {"role_arn", "source_profile"}
