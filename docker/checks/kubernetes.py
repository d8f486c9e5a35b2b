"""Objects of Kubernetes: their schemas, what they refer to, what their pods may do, and the
configuration that sesgate finds in its container.

Schemas are of the oldest version that the deployments name and of the newest that is known here.
"""

import base64
import re
import shutil
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml

from .common import Tools, Wrong, image

VERSIONS = ["1.30", "1.37"]
# Secrets that docker/README.md has made by hand.
BY_HAND = {
    "sesgate-users": ["shop"],
    "sesgate-tls": ["tls.crt", "tls.key"],
}
# Of `shop-password`.
HASH = "$argon2id$v=19$m=19456,t=2,p=1$PIMnox46yQc7Ef3QttMOMw$5fxOP2nWI7TpF+FvrFv5uZPlBHrylCG+locyUjGp6Jc"


def kubernetes(docker: Path, tools: Tools) -> str:
    kubectl = tools.find("kubectl", "that kustomize takes docker/kubernetes")
    for name in ("relay", "sidecar"):
        folder = docker / "kubernetes" / name
        told = yaml.safe_load((folder / "kustomization.yaml").read_text())
        if left := {file.name for file in folder.glob("*.yaml")} - {*told["resources"], "kustomization.yaml"}:
            raise Wrong(f"kubernetes/{name}/kustomization.yaml leaves out {sorted(left)}")
        if kubectl:
            objects = list(yaml.safe_load_all(tools.run(kubectl, "kustomize", folder)))
        else:
            objects = plain(folder, told)
        check_objects(objects, f"kubernetes/{name}", docker, tools)
    return f"relay and sidecar by the schemas of {' and '.join(VERSIONS)}, and their configurations"


def plain(folder: Path, told: dict) -> list[dict]:
    """What kustomize makes of a folder, but for names of images and the namespace."""
    objects = [it for file in told["resources"] for it in yaml.safe_load_all((folder / file).read_text())]
    for made in told.get("configMapGenerator", []):
        data = {file: (folder / file).read_text() for file in made["files"]}
        name = {"name": made["name"]}
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": data})
    return objects


def check_objects(objects: list[dict], where: str, docker: Path, tools: Tools) -> None:
    for it in objects:
        check_schema(it, where, tools)
    pods = [it["spec"]["template"] for it in objects if it["kind"] == "Deployment"]
    for pod in pods:
        for container in containers(pod):
            check_security(container, pod["spec"], where)
        check_ports(objects, pod, where)
        [sesgate] = [each for each in containers(pod) if each["name"] == "sesgate"]
        root = file_system(sesgate, pod["spec"], objects, where, docker, tools)
        # What a Secret would say is some text, long enough for a token.
        environment = {
            each["name"]: in_root(each.get("value", "of a Secret that is not here"), sesgate, root)
            for each in sesgate.get("env", [])
        }
        tools.check_config(root, where, environment)
        check_listeners(sesgate, root, where)


def check_schema(it: dict, where: str, tools: Tools) -> None:
    name = f"{where}: {it.get('kind')} {it.get('metadata', {}).get('name')}"
    if it["apiVersion"].startswith("monitoring.coreos.com/"):
        tools.unchecked.append(f"{name} (its schema is that of Prometheus' operator)")
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(it, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(map(str, error.path))
            raise Wrong(f"{name}: {place}: {error.message}") from None
        except (kubernetes_validate.InvalidSchemaError, kubernetes_validate.SchemaNotFoundError) as error:
            raise Wrong(f"{name}: {error}") from None


def containers(pod: dict) -> list[dict]:
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]


def check_security(container: dict, pod: dict, where: str) -> None:
    """The standard `restricted` of Kubernetes, and a root that is not written to."""
    of, its = pod.get("securityContext", {}), container.get("securityContext", {})
    asked = {
        "runAsNonRoot": of.get("runAsNonRoot") is True,
        "seccompProfile": of.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "allowPrivilegeEscalation": its.get("allowPrivilegeEscalation") is False,
        "readOnlyRootFilesystem": its.get("readOnlyRootFilesystem") is True,
        "capabilities": its.get("capabilities", {}).get("drop") == ["ALL"],
    }
    if missing := [key for key, holds in asked.items() if not holds]:
        raise Wrong(f"{where}: container `{container['name']}` is not restricted: {', '.join(missing)}")


def check_ports(objects: list[dict], pod: dict, where: str) -> None:
    """Names of ports, and selectors, are only words to a schema."""
    labels = pod["metadata"]["labels"]
    names = {port["name"] for each in containers(pod) for port in each.get("ports", [])}
    used = set()
    for it in objects:
        spec = it.get("spec", {})
        selector = {
            "Service": lambda spec: spec["selector"],
            "Deployment": lambda spec: spec["selector"]["matchLabels"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
        }.get(it["kind"], lambda spec: {})(spec)
        if not selector.items() <= labels.items():
            raise Wrong(f"{where}: {it['kind']} selects {selector}, the pods have {labels}")
        if it["kind"] == "Service":
            used |= {port["targetPort"] for port in spec["ports"]}
        if it["kind"] == "NetworkPolicy":
            used |= {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
    for container in containers(pod):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if http := container.get(probe, {}).get("httpGet"):
                used.add(http["port"])
    services = [it for it in objects if it["kind"] == "Service"]
    for it in (it for it in objects if it["kind"] == "ServiceMonitor"):
        asked = {endpoint["port"] for endpoint in it["spec"]["endpoints"]}
        found = [
            each
            for each in services
            if it["spec"]["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
            and asked <= {port["name"] for port in each["spec"]["ports"]}
        ]
        if len(found) != 1:
            raise Wrong(f"{where}: the ServiceMonitor finds {len(found)} Services with port {sorted(asked)}")
    if unknown := used - names:
        raise Wrong(f"{where}: no container has a port named {sorted(unknown)}")


def check_listeners(container: dict, root: Path, where: str) -> None:
    """The ports of the container are those of the configuration."""
    config = tomllib.loads((root / "etc/sesgate/sesgate.toml").read_text())
    if "ports" not in container:
        return
    addresses = [each["address"] for each in config["listeners"]] + [config["admin"]["address"]]
    listening = {int(address.rpartition(":")[2]) for address in addresses}
    if (ports := {port["containerPort"] for port in container["ports"]}) != listening:
        raise Wrong(f"{where}: the container has ports {sorted(ports)}, sesgate {sorted(listening)}")


def file_system(
    container: dict, pod: dict, objects: list[dict], where: str, docker: Path, tools: Tools
) -> Path:
    """Lays out what the container finds: the image, and what is mounted over it."""
    root = image(docker, tools.directory())
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            raise Wrong(f"{where}: there is no volume `{mount['name']}`")
        place = root / mount["mountPath"].lstrip("/")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        volume = volumes[mount["name"]]
        kinds = (volume.get(kind, {}) for kind in ("projected", "secret", "configMap"))
        # What Kubernetes gives where nothing is said.
        mode = next((kind["defaultMode"] for kind in kinds if "defaultMode" in kind), 0o644)
        for source in volume.get("projected", {}).get("sources", [volume]):
            for path, content in files(source, objects, where, tools):
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                (place / path).write_text(content)
                (place / path).chmod(mode)
    return root


def files(source: dict, objects: list[dict], where: str, tools: Tools) -> list[tuple[str, str]]:
    if "configMap" in source:
        kind, of = "ConfigMap", source["configMap"]
        name = of["name"]
    elif "secret" in source:
        kind, of = "Secret", source["secret"]
        name = of.get("name") or of["secretName"]
    else:
        return []
    data = content(kind, name, objects, where, tools)
    items = of.get("items") or [{"key": key, "path": key} for key in data]
    for item in items:
        if item["key"] not in data:
            raise Wrong(f"{where}: {kind} `{name}` has no `{item['key']}`")
    return [(item["path"], data[item["key"]]) for item in items]


def content(kind: str, name: str, objects: list[dict], where: str, tools: Tools) -> dict[str, str]:
    for it in objects:
        if (it["kind"], it["metadata"]["name"]) == (kind, name):
            data = it.get("data") or {}
            if kind == "Secret":
                data = {key: base64.b64decode(text).decode() for key, text in data.items()}
            return {**data, **it.get("stringData", {})}
    if kind == "Secret" and name == "sesgate-tls":
        return dict(zip(BY_HAND[name], certificate(tools), strict=True))
    if kind == "Secret" and name in BY_HAND:
        return dict.fromkeys(BY_HAND[name], HASH)
    raise Wrong(f"{where}: there is no {kind} `{name}`, and docker/README.md has none made")


def certificate(tools: Tools) -> tuple[str, str]:
    folder = tools.directory()
    tools.run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "365", "-subj", "/CN=sesgate.sesgate.svc", "-addext", "subjectAltName=DNS:sesgate.sesgate.svc",
        "-keyout", folder / "tls.key", "-out", folder / "tls.crt",
    )  # fmt: skip
    return (folder / "tls.crt").read_text(), (folder / "tls.key").read_text()


def in_root(value: str, container: dict, root: Path) -> str:
    """A setting with its paths below `root`; lists of paths are written with commas."""
    for mount in container.get("volumeMounts", []):
        value = re.sub(rf"(^|,){re.escape(mount['mountPath'])}/", rf"\g<1>{root}{mount['mountPath']}/", value)
    return value
