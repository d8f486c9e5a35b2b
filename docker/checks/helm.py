"""The chart of Helm: Helm's own lint, templates and schema, then what check_objects asks of the result."""

import json
from pathlib import Path

import helm_python
import yaml

from .common import Tools, Wrong
from .kubernetes import check_objects

CHART = "helm/sesgate"
# Values that the schema or the templates must refuse, and the word that must be in the refusal.
REFUSED = {
    "no account": ({"account": {"id": "", "region": ""}}, "account"),
    "no users": ({"users": []}, "users"),
    "an unknown key": ({"replicas": 3}, "replicas"),
    "an account that is a number": ({"account": {"id": 111122223333, "region": "eu-west-1"}}, "id"),
    "a policy that is not there": ({"users": [{"name": "a", "policies": ["b.json"]}]}, "b.json"),
    "a login without a hash": ({"passwords": {"existingSecret": ""}}, "shop"),
    "a password that is no hash": ({"passwords": {"hashes": {"shop": "secret"}}}, "hashes"),
    "no listener": (
        {"listeners": {"smtp": {"enabled": False}, "smtps": {"enabled": False}}},
        "listeners",
    ),
}


def helm(docker: Path, tools: Tools) -> str:
    folder = docker / CHART
    tried = sorted((folder / "ci").glob("*-values.yaml"))
    try:
        chart = helm_python.Chart.load(folder)
    except helm_python.HelmError as error:
        raise Wrong(f"{CHART}: {error}") from None
    with chart:
        for file in tried:
            values = yaml.safe_load(file.read_text())
            where = f"{CHART} with ci/{file.name}"
            lint(folder, values, where)
            check_objects(render(chart, values, where), where, docker, tools)
        notes(chart, folder)
        base = yaml.safe_load((folder / "ci/relay-values.yaml").read_text())
        for what, (values, word) in REFUSED.items():
            try:
                render(chart, {**base, **values}, CHART)
            except Wrong as wrong:
                if word in str(wrong):
                    continue
                raise Wrong(f"{CHART}: {what}: expected `{word}` in: {wrong}") from None
            raise Wrong(f"{CHART}: {what} is taken")
        unknown = set(chart.values) ^ set(json.loads((folder / "values.schema.json").read_text())["properties"])
        if unknown - {"global"}:
            raise Wrong(f"{CHART}: values.yaml and its schema differ in {sorted(unknown)}")
    return f"Helm {helm_python.helm_sdk_version()}, {len(tried)} sets of values, {len(REFUSED)} refused"


def notes(chart: helm_python.Chart, folder: Path) -> None:
    """Clients that the default NetworkPolicy keeps out are told of, and how to read the outbox is."""
    everything = yaml.safe_load((folder / "ci/everything-values.yaml").read_text())
    named = {**everything["networkPolicy"], "clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
    outbox = yaml.safe_load((folder / "ci/outbox-values.yaml").read_text())
    for values, warns, word in (
        (everything, True, "ipBlock"),
        ({**everything, "networkPolicy": named}, False, "doctor"),
        ({**everything, "networkPolicy": {"enabled": False}}, False, "doctor"),
        (outbox, False, "/proc/1/root/var/lib/sesgate/outbox"),
    ):
        rendered = chart.render(values, name="mail", namespace="mail")
        [text] = [text for path, text in rendered.items() if path.endswith("NOTES.txt")]
        if ("WARNING" in text) != warns or word not in text:
            raise Wrong(f"{CHART}: NOTES.txt says: {text}")


def lint(folder: Path, values: dict, where: str) -> None:
    report = helm_python.lint(folder, values, strict=True, kube_version="v1.30.0")
    said = [each["error"] for each in report["messages"] if each["severity"] > 1] + report["errors"]
    if said:
        raise Wrong(f"{where}: {'; '.join(map(str, said))}")


def render(chart: helm_python.Chart, values: dict, where: str) -> list[dict]:
    try:
        rendered = chart.render(values, name="mail", namespace="mail")
        texts = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
        return [it for text in texts for it in yaml.safe_load_all(text) if it]
    except (helm_python.HelmError, yaml.YAMLError) as error:
        raise Wrong(f"{where}: {error}") from None
