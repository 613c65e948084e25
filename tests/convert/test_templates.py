"""The templates of this project run unchanged where they belong."""

import shutil
from pathlib import Path

import pytest
import yaml

from dev.paths import CHECKOUT
from tests.support.checks import checked, stack, verdict
from tests.support.configured import STRATEGIES

TEMPLATES = CHECKOUT / "templates"
KINDS = [kind for kind in STRATEGIES if (TEMPLATES / f"{kind}.yml").exists()]
WITHOUT_ENGINE = ["buildpacks", "manifest", "promote"]
INPUTS = {"image": "registry.example.com/team/app", "tags": ["build"]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_runs_on_the_runner_of_its_strategy(kind: str, project: Path) -> None:
    settings = stack({"build": STRATEGIES[kind]})
    for name, more in ((kind, {}), ("build-image", {"strategy": kind})):
        include = {"local": f"templates/{name}.yml", "inputs": {**INPUTS, **more}}
        result = checked(project, {"include": include}, settings)

        assert (verdict(result), result.problems) == ("unchanged", ())


@pytest.mark.parametrize("kind", ["kaniko", "buildkit-service", "dind"])
@pytest.mark.parametrize("name", WITHOUT_ENGINE)
def test_a_template_that_asks_nothing_runs_anywhere(name: str, kind: str, project: Path) -> None:
    include = {"local": f"templates/{name}.yml", "inputs": INPUTS}
    result = checked(project, {"include": include}, stack({"build": STRATEGIES[kind]}))

    assert (verdict(result), result.problems) == ("unchanged", ())


def test_a_template_without_tags_has_those_of_its_inputs(tmp_path: Path) -> None:
    text = (TEMPLATES / "kaniko.yml").read_text(encoding="utf-8")
    (tag,) = next(yaml.safe_load_all(text))["spec"]["inputs"]["tags"]["default"]
    include = {"component": "example.com/platform/image-builds/kaniko@1"}

    result = checked(tmp_path, {"include": include}, stack({"kaniko": "kaniko"}, tags=[tag]))

    assert verdict(result) == "unchanged"


@pytest.mark.parametrize(
    ("condition", "jobs"),
    [
        ('"a" == "a"', ["build"]),
        ('"a" == "b"', []),
        ('"a" != "b"', ["build"]),
        ('"a" != "a"', []),
        ("$A == 'b'", ["build"]),
    ],
)
def test_an_include_is_read_where_its_rules_may_hold(
    condition: str, jobs: list[str], tmp_path: Path
) -> None:
    job = {"build": {"tags": ["kaniko"], "script": ["/kaniko/executor"]}}
    (tmp_path / "a.yml").write_text(yaml.safe_dump(job), encoding="utf-8")
    include = {"local": "a.yml", "rules": [{"if": condition}]}

    assert [item.job for item in checked(tmp_path, {"include": include}).verdicts] == jobs
