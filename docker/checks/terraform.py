"""The module of Terraform: its layout, its schema by the provider, and its tests.

The tests plan against a stand-in for AWS. The provider comes from a mirror of this machine, if it has one,
else from the registry; without either, only syntax and layout are checked.
"""

import os
import shutil
from pathlib import Path

import hcl2

from .common import Tools, Wrong

PROVIDER = "registry.terraform.io/hashicorp/aws"
EXAMPLES = ["examples/eks"]
# What `terraform init` says when it cannot get the provider.
AWAY = ("Failed to query available provider packages", "Could not retrieve", "no available releases")


def terraform(docker: Path, tools: Tools) -> str:
    folder = docker / "terraform"
    for file in sorted(folder.rglob("*.tf")):
        try:
            hcl2.loads(file.read_text())
        except Exception as error:
            # The parser has errors of several packages.
            raise Wrong(f"{file.relative_to(docker)}: {error}") from None
    program = tools.find("terraform", "types, provider and tests of docker/terraform")
    if not program:
        return "the syntax"
    copy = tools.directory() / "terraform"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".terraform*"))
    environment = {**os.environ, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    # It may name a file that is not there.
    environment.pop("TF_CLI_CONFIG_FILE", None)

    def run(*command, where: Path = copy) -> str:
        return tools.run(program, *command, "-no-color", environment=environment, cwd=where)

    run("fmt", "-check", "-recursive", "-diff")
    mirror = [f"-plugin-dir={found}"] if (found := plugins()) else []
    for place in [copy, *(copy / example for example in EXAMPLES)]:
        try:
            run("init", "-input=false", "-backend=false", *mirror, where=place)
        except Wrong as wrong:
            if not any(words in str(wrong) for words in AWAY):
                raise
            tools.unchecked.append("provider and tests of docker/terraform (the provider is out of reach)")
            return "the syntax and the layout"
        run("validate", where=place)
    said = run("test").strip().splitlines()[-1]
    return f"the module and {', '.join(EXAMPLES)} by the provider; tests: {said}"


def plugins() -> Path | None:
    """A directory that holds the provider in the layout of a mirror."""
    homes = [Path.home() / ".terraform.d", Path("/usr/share"), Path("/usr/local/share"), Path("/opt")]
    for home in homes:
        for depth in ("", "*/", "*/*/"):
            for found in home.glob(f"{depth}{PROVIDER}"):
                return found.parents[2]
    return None
