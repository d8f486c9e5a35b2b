"""What the checks share: running tools, and asking sesgate about a configuration."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


# Warnings of sesgate that are meant: the policies of the image are those of the SES guide, word for word;
# a certificate made at start-up is for trying.
MEANT = ("recipients-example-com.json", "the certificate is made at start-up")


class Wrong(Exception):
    """A deployment is not as it has to be."""


@dataclass
class Container:
    """What sesgate finds in one container: files below `root`, and its variables."""

    where: str
    root: Path
    environment: dict[str, str]


@dataclass
class Tools:
    """What a check may use, and what it could not."""

    sesgate: Path | None
    scratch: Path
    unchecked: list[str] = field(default_factory=list)
    laid: list[Container] = field(default_factory=list)

    def find(self, program: str, what: str) -> str | None:
        """The program, or a note that `what` was not checked."""
        found = shutil.which(program)
        if not found:
            self.unchecked.append(f"{what} (no {program} here)")
        return found

    def run(self, *command, environment: dict[str, str] | None = None, **options) -> str:
        """Runs a tool; what it says when it fails is what is wrong."""
        ended = subprocess.run(
            [str(each) for each in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            env=environment or os.environ,
            **options,
        )
        if ended.returncode != 0:
            raise Wrong(f"{Path(str(command[0])).name}: {ended.stdout.strip()}")
        return ended.stdout

    def directory(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.scratch))

    def check_config(self, root: Path, where: str, environment: dict[str, str] | None = None) -> None:
        """Has sesgate check the configuration in a file system that begins at `root`.

        Warnings count: a configuration that others copy should have none.
        """
        if not self.sesgate:
            self.unchecked.append(f"the configuration of {where} (no sesgate under target/)")
            return
        file = root / "etc/sesgate/sesgate.toml"
        # Settings of whoever runs this are not those of a container.
        ours = {name: text for name, text in os.environ.items() if not name.startswith(("SESGATE", "AWS"))}
        environment = {**ours, **(environment or {})}
        self.laid.append(Container(where, root, environment))
        try:
            said = self.run(self.sesgate, "check", "--config", file, environment=environment)
        except Wrong as wrong:
            raise Wrong(f"{where}: {wrong}".replace(f"{root}/", "")) from None
        for line in said.splitlines():
            if "warning" in line.lower() and not any(words in line for words in MEANT):
                raise Wrong(f"{where}: {line}".replace(f"{root}/", ""))


def image(docker: Path, root: Path) -> Path:
    """Lays out what the image has in /etc, as the Dockerfile says."""
    shutil.copytree(docker / "etc", root / "etc")
    shutil.copytree(docker.parent / "config/policies", root / "etc/sesgate/policies")
    return root
