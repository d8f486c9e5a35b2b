"""The compose files: their schema, and the configuration that sesgate finds in its container."""

import shutil
from pathlib import Path

import yaml

from .common import Tools, Wrong, image

FILES = ["compose.yaml", "compose-ses/compose.yaml"]


def compose(docker: Path, tools: Tools) -> str:
    composer = tools.find("docker-compose", "the schema of the compose files")
    for name in FILES:
        file = docker / name
        if composer:
            try:
                tools.run(composer, "--file", file, "config", "--quiet")
            except Wrong as wrong:
                raise Wrong(f"{name}: {wrong}") from None
        check_service(file, docker, tools)
    return f"{', '.join(FILES)}; their configurations"


def check_service(file: Path, docker: Path, tools: Tools) -> None:
    services = yaml.safe_load(file.read_text())["services"]
    for name, service in services.items():
        for mount in binds(service):
            if not (file.parent / mount[0]).exists():
                raise Wrong(f"{file.name}: `{name}` mounts `{mount[0]}`, which does not exist")
    service = services["sesgate"]
    if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
        raise Wrong(f"{file.name}: sesgate needs neither a root that is written to nor capabilities")
    root = image(docker, tools.directory())
    for source, target in binds(service):
        place = root / target.lstrip("/")
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(file.parent / source, place)
    tools.check_config(root, f"{file.parent.name}/{file.name}")


def binds(service: dict) -> list[tuple[str, str]]:
    """What is mounted from beside the file, and where."""
    mounts = [mount.split(":") for mount in service.get("volumes", [])]
    return [(mount[0], mount[1]) for mount in mounts if mount[0].startswith(".")]
