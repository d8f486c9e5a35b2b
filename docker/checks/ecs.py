"""The task of ECS: the fragment by the model of the API, the template by cfn-lint, both by sesgate."""

import json
import re
import shutil
import sys
from pathlib import Path

import botocore.session
import yaml
from botocore.validate import ParamValidator

from .common import Tools, Wrong, image

# What AWS and the parameters of the template stand for.
STANDS_FOR = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "SesgateImage": "sesgate-app",
    "AppImage": "app",
    "User": "app",
    "Identity": "example.com",
    "ConfigurationSet": "transactional",
}


def ecs(docker: Path, tools: Tools) -> str:
    fragment = json.loads((docker / "ecs/task-definition.json").read_text())
    shape = (
        botocore.session.get_session()
        .get_service_model("ecs")
        .operation_model("RegisterTaskDefinition")
        .input_shape
    )
    problems = ParamValidator().validate(fragment, shape)
    if problems.has_errors():
        raise Wrong(f"ecs/task-definition.json: {problems.generate_report()}")
    check_task(fragment["containerDefinitions"], "ecs/task-definition.json", docker, tools)

    template = docker / "ecs/template.yaml"
    # Beside this Python; warnings and advice count too.
    tools.run(Path(sys.executable).with_name("cfn-lint"), "--include-checks", "I", "--", template)
    resources = yaml.load(template.read_text(), Loader=Template)["Resources"]
    containers = lower(resources["TaskDefinition"]["Properties"]["ContainerDefinitions"])
    check_task(containers, "ecs/template.yaml", docker, tools)
    [of_fragment], [of_template] = ([c for c in cs if c["name"] == "sesgate"] for cs in
                                    (fragment["containerDefinitions"], containers))  # fmt: skip
    for key in sorted(of_fragment.keys() | of_template.keys()):
        if key not in ("image", "logConfiguration") and of_fragment.get(key) != of_template.get(key):
            raise Wrong(f"ecs: `{key}` of sesgate is not the same in task-definition.json and template.yaml")
    return "task-definition.json by the model of ECS, template.yaml by cfn-lint, their configurations"


def check_task(containers: list[dict], where: str, docker: Path, tools: Tools) -> None:
    by_name = {each["name"]: each for each in containers}
    sesgate, app = by_name["sesgate"], by_name["app"]
    if app.get("dependsOn") != [{"containerName": "sesgate", "condition": "HEALTHY"}]:
        raise Wrong(f"{where}: the app must wait until sesgate is healthy")
    if not sesgate.get("readonlyRootFilesystem") or sesgate.get("user") != "65532":
        raise Wrong(f"{where}: sesgate needs neither root nor a root file system that is written to")
    # As docker/ecs/Dockerfile lays them out.
    root = image(docker, tools.directory())
    shutil.copytree(docker / "ecs/policies", root / "policies")
    environment = {each["name"]: each["value"] for each in sesgate["environment"]}
    environment = {
        name: re.sub(r"(^|,)/policies/", rf"\g<1>{root}/policies/", value)
        for name, value in environment.items()
    }
    tools.check_config(root, where, environment)


class Template(yaml.SafeLoader):
    """Reads a template of CloudFormation with its functions carried out, as far as a task needs them."""


def _ref(loader: Template, node: yaml.Node) -> str:
    return STANDS_FOR.get(node.value, node.value)


def _sub(loader: Template, node: yaml.Node) -> str:
    return re.sub(r"\$\{([^}]+)\}", lambda found: STANDS_FOR[found.group(1)], node.value)


def _other(loader: Template, suffix: str, node: yaml.Node) -> str:
    return suffix


Template.add_constructor("!Ref", _ref)
Template.add_constructor("!Sub", _sub)
Template.add_multi_constructor("!", _other)


def lower(value):
    """Keys as the API writes them: the template has them in upper case. Names of options stay."""
    if isinstance(value, dict):
        return {
            key[0].lower() + key[1:]: child if key == "Options" else lower(child)
            for key, child in value.items()
        }
    return [lower(child) for child in value] if isinstance(value, list) else value
