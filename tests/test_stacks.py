import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from jsonschema.protocols import Validator

from components.bounds import BUILDS, CLIENT
from components.settings.checks import setting_errors
from components.settings.models import Settings
from components.strategies.deploy import Deploy
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from components.types import Model
from dev.paths import CHECKOUT
from report.errors import ReportError
from report.stack_file import SETTINGS, read_config
from tests.support.schema import keys, schema


def _stack(name: str) -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))


def _settings(name: str) -> Settings:
    return Settings.model_validate(read_config(CHECKOUT / f"Pulumi.{name}.yaml")[SETTINGS])


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_committed_stack_holds_no_error(name: str) -> None:
    settings = _settings(name)

    assert list(setting_errors(settings, settings.plans())) == []


@pytest.fixture(scope="module")
def validator() -> Validator:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_committed_stack_fits_the_schema(name: str, validator: Validator) -> None:
    validator.validate(_stack(name))


def test_the_schema_refuses_an_unknown_key(validator: Validator) -> None:
    stack = _stack("dev")
    stack["config"]["image-builds:settings"]["gitlub"] = {}

    with pytest.raises(jsonschema.ValidationError, match="gitlub"):
        validator.validate(stack)


def test_each_key_has_a_description_for_editors() -> None:
    fields = {
        field
        for model in _models(Model)
        for field, known in model.model_fields.items()
        if field != known.alias
    }

    assert len(keys()) > 200
    for key, value in keys().items():
        description = value.get("description", "")
        assert len(description.split()) >= 3, key
        assert description.endswith("."), key
        assert "``" not in description, key
        assert fields & set(re.findall(r"\w+", description)) == set(), key


def test_the_default_requests_are_described() -> None:
    described = keys()["RunnerSettings.resources"]["description"]

    for request in (*BUILDS.values(), *CLIENT.values()):
        assert request in described


def _models(model: type[Model]) -> Iterator[type[Model]]:
    for kind in model.__subclasses__():
        yield kind
        yield from _models(kind)


def test_dev_uses_the_nodes_daemon_and_an_insecure_registry() -> None:
    settings = _settings("dev")

    assert settings.runners["builds"].strategy == Dood(accept_node_root=True)
    assert settings.registries[0].insecure


def test_prod_builds_with_kaniko_and_deploys_apart_from_it() -> None:
    settings = _settings("prod")
    strategies = {name: runner.strategy for name, runner in settings.runners.items()}

    assert strategies["builds"] == Kaniko()
    deploy = strategies["deploy"]
    assert isinstance(deploy, Deploy)
    assert deploy.permissions.keys() == settings.target_namespaces.keys()


def test_the_project_requires_no_key_of_pulumi() -> None:
    project = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text(encoding="utf-8"))

    assert "config" not in project


@pytest.mark.parametrize("strategy", ["", "dind", "{kind: dood, acceptNodeRoot: true}"])
def test_every_runner_gets_the_strategy_that_is_asked_for(strategy: str) -> None:
    file = CHECKOUT / "Pulumi.prod.yaml"

    runners = read_config(file, strategy)[SETTINGS]["runners"]

    written = _stack("prod")["config"][SETTINGS]["runners"]
    wanted = dict.fromkeys(runners, yaml.safe_load(strategy)) if strategy else {}
    assert runners == {
        name: {**runner, "strategy": wanted[name]} if wanted else runner
        for name, runner in written.items()
    }


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("", {}),
        ("[]", {}),
        ("config:", {}),
        ("config: {image-builds:settings: 1}", {SETTINGS: 1}),
        ("config: {image-builds:settings: {runners: 1}}", {SETTINGS: {"runners": 1}}),
    ],
)
def test_other_errors_are_left_to_the_program(
    tmp_path: Path, text: str, config: dict[str, Any]
) -> None:
    file = tmp_path / "Pulumi.test.yaml"
    file.write_text(text, encoding="utf-8")

    assert read_config(file, "kaniko") == config


def test_a_stack_file_that_is_not_yaml_is_rejected_by_name(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.test.yaml"
    file.write_text("config: [", encoding="utf-8")

    with pytest.raises(ReportError, match=r"Pulumi\.test\.yaml must be YAML"):
        read_config(file)


def test_a_stack_without_a_file_is_rejected() -> None:
    with pytest.raises(ReportError, match=r"Pulumi\.none\.yaml does not exist; name a stack"):
        read_config(CHECKOUT / "Pulumi.none.yaml")


def test_a_strategy_that_is_not_yaml_is_rejected() -> None:
    with pytest.raises(ReportError, match="STRATEGY must be YAML"):
        read_config(CHECKOUT / "Pulumi.dev.yaml", "{kind: dood")
