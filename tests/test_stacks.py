import json
from typing import Any

import jsonschema
import pytest
import yaml

from components.combinations import setting_mistakes
from components.config import Deploy, Dood, Kaniko, Settings
from tools import schema
from tools.local import CHECKOUT


def _stack(name: str) -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))


def _settings(name: str) -> Settings:
    return Settings.model_validate(_stack(name)["config"]["image-builds:settings"])


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_committed_stack_holds_no_mistake(name: str) -> None:
    assert list(setting_mistakes(_settings(name))) == []


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_committed_stack_fits_the_schema(name: str) -> None:
    jsonschema.validate(_stack(name), json.loads(schema.text()))


def test_the_schema_refuses_an_unknown_key() -> None:
    stack = _stack("dev")
    stack["config"]["image-builds:settings"]["gitlub"] = {}

    with pytest.raises(jsonschema.ValidationError, match="gitlub"):
        jsonschema.validate(stack, json.loads(schema.text()))


def test_the_committed_schema_is_that_of_the_models() -> None:
    assert schema.FILE.read_text(encoding="utf-8") == schema.text()


def test_dev_uses_the_nodes_engine_and_an_insecure_registry() -> None:
    settings = _settings("dev")

    assert settings.runners["builds"].strategy == Dood(accept_node_root=True)
    assert settings.registries[0].insecure


def test_prod_builds_with_kaniko_and_deploys_apart_from_it() -> None:
    settings = _settings("prod")
    strategies = {name: runner.strategy for name, runner in settings.runners.items()}

    assert strategies["builds"] == Kaniko()
    deploy = strategies["deploy"]
    assert isinstance(deploy, Deploy)
    assert deploy.rights.keys() == settings.target_namespaces.keys()


def test_the_project_declares_every_key_that_is_read() -> None:
    project = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text(encoding="utf-8"))

    assert set(project["config"]) == {"settings", "runnerTokens", "registryCredentials"}
