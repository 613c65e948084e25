import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.settings.models import Settings
from components.site import Cluster, Site
from components.strategies import Strategy
from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.kaniko import Kaniko
from tests.executor.globs import matches
from tests.support.configured import FORMS, SETTINGS
from tests.support.pages import MOVE_A_PIPELINE, blocks
from tests.support.pipelines import against_schema, resolved
from tests.support.runners import rendered

PAGE = MOVE_A_PIPELINE.read_text(encoding="utf-8")
DOCKER, BUILDX, KANIKO, BUILDKIT, BUILDAH, SECRET, STACK = map(
    yaml.safe_load, blocks(MOVE_A_PIPELINE, "yaml")
)
PIPELINES = {
    "docker": DOCKER,
    "buildx": BUILDX,
    "kaniko": KANIKO,
    "buildkit": BUILDKIT,
    "buildah": BUILDAH,
    "secret": SECRET,
}
ENGINES = ["dind", "dind-tls"]


def _runner(strategy: Strategy) -> dict[str, Any]:
    """A runner of config.toml that serves such jobs, with its environment as a table."""
    plan = strategy.plan(Site(cluster=Cluster(kind="onPrem")))
    (content,) = tomllib.loads(rendered(plan, environment={}))["runners"]
    return {**content, "environment": dict(line.split("=", 1) for line in content["environment"])}


def _run(folder: Path, strategy: Strategy, job: dict[str, Any], tool: Path) -> list[str]:
    """Run a job as the runner would; return how its one tool, which says so, was called."""
    runner = _runner(strategy)
    programs = folder / "bin"
    programs.mkdir()
    for name in ("cat", "cp", "env", "ln", "mkdir", "sed"):
        (programs / name).symlink_to(shutil.which(name) or name)
    tool.parent.mkdir(exist_ok=True)
    line = f'echo "{tool.name} $*" >>"{folder}/called"'
    tool.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    tool.chmod(0o755)
    (folder / "home").mkdir()
    login = folder / "etc" / "image-builds" / "docker" / "config.json"
    login.parent.mkdir(parents=True)
    login.write_text('{"auths": {}}', encoding="utf-8")
    given = {
        "CI_COMMIT_SHORT_SHA": "1234abcd",
        "CI_PROJECT_DIR": "/builds/app",
        "CI_REGISTRY": "registry.example.com",
        "CI_REGISTRY_IMAGE": "registry.example.com/app",
        "CI_REGISTRY_PASSWORD": "PlantedPassword",
        "CI_REGISTRY_USER": "writer",
    }
    # GitLab Runner's order: the job's variables outrank the runner's.
    environment = {**runner["environment"], **given, **job["variables"]}
    script = "\n".join([runner["pre_build_script"], *job["script"]])
    subprocess.run(
        ["/bin/sh", "-eu", "-c", _moved(script, folder)],
        env={
            **{name: _moved(value, folder) for name, value in environment.items()},
            "HOME": str(folder / "home"),
            "PATH": str(programs),
        },
        check=True,
    )
    return (folder / "called").read_text(encoding="utf-8").splitlines()


def _moved(text: str, folder: Path) -> str:
    """Put what is in the root of a job's container into ``folder``."""
    return re.sub(r"(?<![\w.-])/(?=(kaniko|tmp|etc)/)", f"{folder}/", text)


def test_a_pipeline_of_the_page_is_one_for_gitlab(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.yml" for name in PIPELINES]
    for file in files:
        file.write_text(yaml.safe_dump(PIPELINES[file.stem]), encoding="utf-8")
    # Their jobs have the same name.
    written = {name: job for name, pipeline in PIPELINES.items() for job in pipeline.values()}
    (tmp_path / "project").mkdir()

    jobs = resolved(tmp_path / "project", written)

    assert against_schema(*files) == ""
    for name, job in written.items():
        image = job["image"]
        assert jobs[name]["script"] == job["script"]
        assert jobs[name]["image"] == (image if isinstance(image, dict) else {"name": image})


@pytest.mark.parametrize("job", [DOCKER["build"], BUILDX["build"]], ids=["docker", "buildx"])
def test_dind_admits_the_services_and_dood_admits_any(job: dict[str, Any]) -> None:
    (service,) = job["services"]

    allowed = _runner(FORMS["dind"])["kubernetes"]["allowed_services"]
    assert any(matches(glob, service) for glob in allowed)
    assert service == f"{job['image']}-dind"
    assert "allowed_services" not in _runner(FORMS["dood"])["kubernetes"]


@pytest.mark.parametrize("name", ["dind-tls", "dind-rootless"])
def test_with_tls_the_runners_engine_rejects_them(name: str) -> None:
    (service,) = DOCKER["build"]["services"]

    allowed = _runner(FORMS[name])["kubernetes"]["allowed_services"]
    assert not any(matches(glob, service) for glob in allowed)


@pytest.mark.parametrize("name", [*ENGINES, "dood"])
def test_the_docker_pipeline_runs_and_may_log_in_itself(name: str, tmp_path: Path) -> None:
    called = _run(tmp_path, FORMS[name], DOCKER["build"], tmp_path / "bin" / "docker")

    image = "registry.example.com/app:1234abcd"
    assert called[-3:] == [
        "docker login -u writer -p PlantedPassword registry.example.com",
        f"docker build -f /builds/app/Dockerfile -t {image} /builds/app",
        f"docker push {image}",
    ]
    config = tmp_path / "tmp" / ".docker" / "config.json"
    assert os.access(config, os.W_OK)


def test_the_kaniko_pipeline_has_the_default_image_and_folder() -> None:
    """The folder is the one of the logins."""
    job = KANIKO["build"]

    assert job["image"]["name"] == Kaniko().image.partition("@")[0]
    assert job["variables"]["DOCKER_CONFIG"] == _runner(Kaniko())["environment"]["DOCKER_CONFIG"]


@pytest.mark.parametrize("name", ["kaniko", "dind", "dood", "buildx"])
def test_the_kaniko_pipeline_runs_with_the_login_that_it_writes(name: str, tmp_path: Path) -> None:
    called = _run(tmp_path, FORMS[name], KANIKO["build"], tmp_path / "kaniko" / "executor")

    assert called == [
        "executor --context /builds/app --dockerfile /builds/app/Dockerfile "
        "--destination registry.example.com/app:1234abcd --cache=true --cleanup"
    ]
    written = (tmp_path / "kaniko" / ".docker" / "config.json").read_text(encoding="utf-8")
    login = {"username": "writer", "password": "PlantedPassword"}
    assert json.loads(written) == {"auths": {"registry.example.com": login}}


IMAGE = "registry.example.com/app:1234abcd"


def test_the_buildkit_pipeline_pushes_with_its_own_login(tmp_path: Path) -> None:
    """It writes to the home, as GitLab's recipe does, and BuildKit reads what the runner says."""
    called = _run(
        tmp_path, FORMS["buildkit"], BUILDKIT["build"], tmp_path / "bin" / "buildctl-daemonless.sh"
    )

    (line,) = called
    assert line.endswith(f"--output type=image,name={IMAGE},push=true")
    read = (tmp_path / "tmp" / ".docker" / "config.json").read_text(encoding="utf-8")
    login = {"username": "writer", "password": "PlantedPassword"}
    assert json.loads(read) == {"auths": {"registry.example.com": login}}


def test_the_buildah_pipeline_runs_as_it_is(tmp_path: Path) -> None:
    called = _run(tmp_path, FORMS["buildah"], BUILDAH["build"], tmp_path / "bin" / "buildah")

    assert called == [
        "buildah login -u writer --password-stdin registry.example.com",
        f"buildah build -t {IMAGE} .",
        f"buildah push {IMAGE}",
    ]


def test_the_pipelines_of_a_tool_name_its_default_image() -> None:
    assert BUILDKIT["build"]["image"]["name"] == Buildkit().image
    assert BUILDAH["build"]["image"] == Buildah().image


def test_the_stack_file_of_the_page_is_one() -> None:
    settings = Settings.model_validate({**SETTINGS, **STACK})

    assert list(settings.target_namespaces) == ["apps-prod"]
    assert settings.registries[0].pull == "pull"


def test_the_page_names_every_strategy_for_each_pipeline() -> None:
    kinds = {strategy.kind for strategy in FORMS.values()} - {"deploy"}
    sections = re.findall(
        r"^## (?:Docker|Buildx|Kaniko)[^\n]*\n(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE
    )

    assert [kinds - set(re.findall(r"`([\w-]+)`", section)) for section in sections] == [set()] * 3
