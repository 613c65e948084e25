import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.site import Cluster, Site
from dev.generate import templates
from dev.paths import CHECKOUT
from tests.support.pipelines import against_schema, against_shell, resolved

BUILDERS = templates.builders()
TEMPLATES = CHECKOUT / "templates"
SHELL = shutil.which("dash") or "/bin/sh"
TOOLS = {strategy.command.split()[0].rpartition("/")[2] for strategy in BUILDERS.values()}


def _documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all(templates.files()[name]))


def _job(strategy: str) -> dict[str, Any]:
    return _documents(f"{strategy}.yml")[1]["$[[ inputs.job ]]"]


def _run(folder: Path, strategy: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a template's script with tools that print what they are called with."""
    (script,) = _job(strategy)["script"]
    for tool in TOOLS:
        file = folder / tool
        status = variables.get("TOOL_STATUS", "0")
        lines = ("#!/bin/sh", f'printf "{tool}"', 'printf "|%s" "$@"', "echo", f"exit {status}")
        file.write_text("\n".join(lines), encoding="utf-8")
        file.chmod(0o755)
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "BUILD_IMAGE": "r.example.com/app",
        "BUILD_TAG": "1",
        "BUILD_DOCKERFILE": "/src/docker/Dockerfile",
        "BUILD_CONTEXT": "/src",
        "BUILD_ARGS": "",
        "BUILD_PLATFORMS": "",
        "BUILD_CACHE": "false",
        "BUILD_INSECURE": "false",
        **variables,
    }
    return subprocess.run(
        [SHELL, "-c", script.replace("/kaniko/executor", "executor")],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


def _called(folder: Path, strategy: str, **variables: str) -> list[list[str]]:
    answer = _run(folder, strategy, **variables)
    assert answer.returncode == 0, answer.stderr
    return [line.split("|") for line in answer.stdout.splitlines()]


def test_each_committed_template_is_one_of_the_plans() -> None:
    assert {file.name for file in TEMPLATES.iterdir()} == set(templates.files())


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A project's pipeline with a job of each template, and one of each by the switch."""
    inputs = {"image": "r.example.com/app", "tags": ["one", "two"], "build_args": "A=1\nB=2"}
    included: list[dict[str, Any]] = []
    for strategy in BUILDERS:
        own = {"local": f"templates/{strategy}.yml", "inputs": {**inputs, "job": strategy}}
        chosen = {**inputs, "strategy": strategy, "job": f"{strategy} by the switch"}
        switch = {"local": "templates/build-image.yml", "inputs": chosen}
        included += [own, switch]
    folder = tmp_path_factory.mktemp("project")
    return resolved(folder, {"include": included}, TEMPLATES)


@pytest.mark.parametrize("strategy", BUILDERS)
def test_a_template_becomes_a_job_with_the_plans_image(
    pipeline: dict[str, Any], strategy: str
) -> None:
    """It has the inputs of the project."""
    plan = BUILDERS[strategy].plan(Site(cluster=Cluster(kind="managed")))
    job = pipeline[strategy]

    assert job["image"] == {"name": plan.image, "entrypoint": [""]}
    assert job["script"] == _job(strategy)["script"]
    assert (job["stage"], job["tags"]) == ("build", ["one", "two"])
    assert job["retry"] == {"max": 1, "when": ["runner_system_failure", "runner_interrupted"]}
    assert job["variables"] == {
        "BUILD_IMAGE": "r.example.com/app",
        "BUILD_TAG": "$CI_COMMIT_SHORT_SHA",
        "BUILD_DOCKERFILE": "$CI_PROJECT_DIR/Dockerfile",
        "BUILD_CONTEXT": "$CI_PROJECT_DIR/.",
        "BUILD_ARGS": "A=1\nB=2",
        "BUILD_PLATFORMS": "",
        "BUILD_CACHE": "true",
        "BUILD_INSECURE": "false",
    }


@pytest.mark.parametrize("strategy", BUILDERS)
def test_the_switch_becomes_the_job_of_the_strategys_template(
    pipeline: dict[str, Any], strategy: str
) -> None:
    assert pipeline[f"{strategy} by the switch"] == pipeline[strategy]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image": "r.example.com/app", "strategy": "podman"}, "`strategy` input: `podman` cannot"),
        ({"image": "r.example.com/app", "cache": "yes"}, "`cache` input: `yes` cannot be used"),
        ({}, "`image` input: required value has not been provided"),
    ],
)
def test_an_input_that_is_missing_or_no_option_is_refused(
    tmp_path: Path, inputs: dict[str, str], message: str
) -> None:
    include = {"local": "templates/build-image.yml", "inputs": inputs}

    with pytest.raises(AssertionError, match=message):
        resolved(tmp_path, {"include": [include]}, TEMPLATES)


@pytest.mark.parametrize("strategy", BUILDERS)
def test_a_templates_script_is_clean_shell(strategy: str) -> None:
    assert against_shell("\n".join(_job(strategy)["script"])) == ""


def test_the_schema_of_gitlab_accepts_every_template(
    tmp_path: Path, pipeline: dict[str, Any]
) -> None:
    """With its inputs and jobs."""
    heads = {name: _documents(name)[0] for name in templates.files()}
    files = [tmp_path / name for name in (*heads, "pipeline.yml")]
    for file, content in zip(files, (*heads.values(), pipeline), strict=True):
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    assert against_schema(*files) == ""


def test_gitlabs_own_schema_takes_the_projects_pipeline() -> None:
    assert against_schema(CHECKOUT / ".gitlab-ci.yml") == ""


SCHEDULABLE = ("lint", "test", "preview-dev", "preview-prod", "deploy-dev", "deploy-prod", "drift")


def test_a_scheduled_pipeline_only_detects_drift(tmp_path: Path) -> None:
    pipeline = yaml.safe_load((CHECKOUT / ".gitlab-ci.yml").read_text(encoding="utf-8"))

    resolved_jobs = resolved(tmp_path, pipeline)
    jobs = {name: resolved_jobs[name] for name in SCHEDULABLE}

    scheduled = '$CI_PIPELINE_SOURCE == "schedule"'
    other = '$CI_PIPELINE_SOURCE != "schedule"'
    conditions = {name: [rule["if"] for rule in job["rules"]] for name, job in jobs.items()}
    assert all(scheduled in condition for condition in conditions.pop("drift"))
    for name in ("preview-dev", "preview-prod"):
        assert all("MERGE_REQUEST" in condition for condition in conditions.pop(name))
    assert [name for name, found in conditions.items() if other not in found[0]] == []


def test_a_fork_gets_the_comparison_and_no_preview(tmp_path: Path) -> None:
    """The comparison needs no secret."""
    pipeline = yaml.safe_load((CHECKOUT / ".gitlab-ci.yml").read_text(encoding="utf-8"))

    jobs = resolved(tmp_path, pipeline)

    # A fork's pipeline may run in the fork, so CI_PROJECT_ID does not help.
    own = "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_MERGE_REQUEST_PROJECT_ID"
    for name in ("preview-dev", "preview-prod"):
        assert [own in rule["if"] for rule in jobs[name]["rules"]] == [True, True]
    (rule,) = jobs["preview-fork"]["rules"]
    assert own.replace("==", "!=") in rule["if"]
    assert '$CI_PIPELINE_SOURCE == "merge_request_event"' in rule["if"]
    assert "environment" not in jobs["preview-fork"]
    assert "pulumi" not in json.dumps([jobs["preview-fork"][key] for key in ("image", "script")])


def test_gitlabs_own_schema_refuses_a_job_with_an_unknown_key(tmp_path: Path) -> None:
    file = tmp_path / "bad.yml"
    file.write_text("job: {script: [date], imagee: x}", encoding="utf-8")

    assert "imagee" in against_schema(file)


def test_every_strategy_that_builds_has_its_script_and_no_other() -> None:
    scripts = {file.stem for file in templates.SCRIPTS.glob("*.sh")}

    assert scripts == set(BUILDERS)


@pytest.mark.parametrize("strategy", BUILDERS)
def test_shellcheck_accepts_a_build_script_as_it_is(strategy: str) -> None:
    assert against_shell(templates.SCRIPTS / f"{strategy}.sh") == ""


def test_shellcheck_refuses_a_script_that_splits_words() -> None:
    assert "SC2086" in against_shell("rm $1\n")


@pytest.mark.parametrize("strategy", BUILDERS)
def test_no_input_is_read_as_shell(strategy: str) -> None:
    assert "$[[" not in _job(strategy)["script"][0]


def test_the_switch_offers_every_strategy_and_passes_every_input() -> None:
    head, body = _documents("build-image.yml")
    inputs = head["spec"]["inputs"]
    (include,) = body["include"]

    assert inputs.pop("strategy")["options"] == list(BUILDERS)
    assert include["inputs"] == {name: f"$[[ inputs.{name} ]]" for name in inputs}
    for strategy in BUILDERS:
        assert _documents(f"{strategy}.yml")[0]["spec"]["inputs"] == inputs


def test_kaniko_is_called_with_the_runners_flags(tmp_path: Path) -> None:
    flags = "--insecure-registry=a --registry-mirror=b"

    (call,) = _called(tmp_path, "kaniko", KANIKO_FLAGS=flags, BUILD_CACHE="true")

    assert call == [
        "executor",
        *flags.split(),
        "--cache=true",
        "--cache-repo",
        "r.example.com/app/cache",
        "--context",
        "/src",
        "--dockerfile",
        "/src/docker/Dockerfile",
        "--destination",
        "r.example.com/app:1",
    ]


@pytest.mark.parametrize(
    ("strategy", "client"),
    [
        ("buildkit", ["buildctl-daemonless.sh"]),
        ("buildkit-service", ["buildctl", "--tlsdir=/etc/image-builds/buildkitd"]),
    ],
)
def test_buildkit_is_called_for_several_platforms_with_its_cache(
    tmp_path: Path, strategy: str, client: list[str]
) -> None:
    (call,) = _called(
        tmp_path,
        strategy,
        BUILDKIT_FLAGS="--tlsdir=/etc/image-builds/buildkitd",
        BUILD_PLATFORMS="linux/amd64,linux/arm64",
        BUILD_CACHE="true",
        BUILD_INSECURE="true",
    )

    cache = "type=registry,ref=r.example.com/app:cache,registry.insecure=true"
    assert call == [
        *client,
        "build",
        *("--opt", "platform=linux/amd64,linux/arm64"),
        *("--import-cache", cache, "--export-cache", f"{cache},mode=max"),
        *("--frontend", "dockerfile.v0"),
        *("--local", "context=/src", "--local", "dockerfile=/src/docker"),
        *("--opt", "filename=Dockerfile"),
        "--output",
        "type=image,name=r.example.com/app:1,push=true,registry.insecure=true",
    ]


def test_buildx_pushes_for_several_platforms_with_its_cache(tmp_path: Path) -> None:
    (call,) = _called(
        tmp_path,
        "buildx",
        BUILD_PLATFORMS="linux/amd64,linux/arm64",
        BUILD_CACHE="true",
        BUILD_INSECURE="true",
    )

    cache = "type=registry,ref=r.example.com/app:cache,registry.insecure=true"
    assert call == [
        *("docker", "buildx", "build"),
        *("--platform", "linux/amd64,linux/arm64"),
        *("--cache-from", cache, "--cache-to", f"{cache},mode=max"),
        *("--file", "/src/docker/Dockerfile"),
        *("--output", "type=image,name=r.example.com/app:1,push=true,registry.insecure=true"),
        "/src",
    ]


def test_buildah_builds_a_manifest_and_pushes_all_of_it(tmp_path: Path) -> None:
    build, push = _called(tmp_path, "buildah", BUILD_INSECURE="true")

    assert build[:2] == ["buildah", "build"]
    assert "--tls-verify=false" in build
    assert push[:4] == ["buildah", "manifest", "push", "--all"]
    assert push[-1] == "docker://r.example.com/app:1"


@pytest.mark.parametrize("strategy", ["dind", "dood"])
def test_docker_pushes_what_it_built_and_its_cache(tmp_path: Path, strategy: str) -> None:
    build, *pushes = _called(tmp_path, strategy, BUILD_CACHE="true")

    assert build[:2] == ["docker", "build"]
    assert build[-1] == "/src"
    assert pushes == [
        ["docker", "push", "r.example.com/app:1"],
        ["docker", "push", "r.example.com/app:cache"],
    ]


@pytest.mark.parametrize("strategy", BUILDERS)
def test_build_arguments_arrive_whole(tmp_path: Path, strategy: str) -> None:
    call = _called(tmp_path, strategy, BUILD_ARGS="A=one two *\nB=$(id)")[0]

    prefix = "build-arg:" if strategy in {"buildkit", "buildkit-service"} else ""
    assert f"{prefix}A=one two *" in call
    assert f"{prefix}B=$(id)" in call


@pytest.mark.parametrize("strategy", ["kaniko", "dind", "dood"])
def test_a_tool_for_one_platform_refuses_two(tmp_path: Path, strategy: str) -> None:
    answer = _run(tmp_path, strategy, BUILD_PLATFORMS="linux/amd64,linux/arm64")

    assert answer.returncode == 1
    assert "use buildkit" in answer.stderr
    assert answer.stdout == ""


@pytest.mark.parametrize("strategy", ["dind", "dood"])
def test_only_an_engine_allows_an_insecure_registry(tmp_path: Path, strategy: str) -> None:
    answer = _run(tmp_path, strategy, BUILD_INSECURE="true")

    assert answer.returncode == 1
    assert "set registries[].insecure" in answer.stderr


@pytest.mark.parametrize("strategy", BUILDERS)
def test_a_failed_build_fails_the_job_and_pushes_nothing(tmp_path: Path, strategy: str) -> None:
    answer = _run(tmp_path, strategy, TOOL_STATUS="3")

    assert answer.returncode == 3
    assert len(answer.stdout.splitlines()) == 1


def test_buildahs_template_leaves_plain_http_to_registries_conf(tmp_path: Path) -> None:
    for call in _called(tmp_path, "buildah"):
        assert not any(word.startswith("--tls-verify") for word in call)
