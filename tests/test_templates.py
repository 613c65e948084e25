import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.plan import BuildPlan
from components.site import Cluster, Site
from dev.generate import templates
from dev.paths import CHECKOUT
from tests.support.pipelines import against_schema, against_shell, resolved
from tests.support.templates import documents, inputs_of, job_of

BUILDERS = templates.builders()
TEMPLATES = CHECKOUT / "templates"


DEFAULTS = {
    "BUILD_SECRETS": "",
    "BUILD_SSH": "",
    "BUILD_CACHE_MODE": "",
    "BUILD_PROVENANCE": "false",
    "BUILD_SBOM": "false",
    "BUILD_INSECURE": "false",
}
"""The variables of the inputs that some tools do not know."""
UNKNOWN = {
    "kaniko": {"secrets", "ssh", "provenance", "sbom", "cache_mode"},
    "buildah": {"provenance", "sbom", "cache_mode"},
    "dind": {"cache_mode", "insecure_registry"},
    "dood": {"cache_mode", "insecure_registry"},
}


def _plan(strategy: str) -> BuildPlan:
    return BUILDERS[strategy].plan(Site(cluster=Cluster(kind="managed")))


def _known(strategy: str) -> dict[str, str]:
    unknown = {templates.OPTIONAL[name] for name in UNKNOWN.get(strategy, ())}
    return {name: value for name, value in DEFAULTS.items() if name not in unknown}


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
    job = pipeline[strategy]

    assert job["image"] == {"name": _plan(strategy).image, "entrypoint": [""]}
    assert job["script"] == job_of(strategy)["script"]
    assert (job["stage"], job["tags"]) == ("build", ["one", "two"])
    assert job["retry"] == {"max": 1, "when": ["runner_system_failure", "runner_interrupted"]}
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE != "merge_request_event"'}]
    assert job["timeout"] == "1h"
    assert job["artifacts"] == {"paths": ["image-builds/"], "reports": {"dotenv": "image.env"}}
    optional = {name: job["variables"].pop(name, None) for name in templates.OPTIONAL.values()}
    assert {name: optional[name] for name in _known(strategy)} == _known(strategy)
    assert job["variables"] == {
        "BUILD_IMAGE": "r.example.com/app",
        "BUILD_TAG": "$CI_COMMIT_SHORT_SHA",
        "BUILD_MORE_TAGS": "",
        "BUILD_DESTINATIONS": "",
        "BUILD_DOCKERFILE": "$CI_PROJECT_DIR/Dockerfile",
        "BUILD_CONTEXT": "$CI_PROJECT_DIR/.",
        "BUILD_TARGET": "",
        "BUILD_ARGS": "A=1\nB=2",
        "BUILD_LABELS": "",
        "BUILD_OCI_LABELS": "true",
        "BUILD_PLATFORMS": "",
        "BUILD_CACHE": "true",
        "BUILD_CACHE_REFERENCE": "",
        "BUILD_FLAGS": "",
        "BUILD_SKIP_EXISTING": "false",
        "BUILD_OUTPUT": "IMAGE",
    }


@pytest.mark.parametrize("strategy", BUILDERS)
def test_the_switch_becomes_the_job_of_the_strategys_template(
    pipeline: dict[str, Any], strategy: str
) -> None:
    """It has the variables of all inputs, so that the script can refuse what it does not know."""
    switched, own = pipeline[f"{strategy} by the switch"], pipeline[strategy]

    defaults = {name: switched["variables"].pop(name) for name in templates.OPTIONAL.values()}
    assert defaults == DEFAULTS
    assert {**switched["variables"], **_known(strategy)} == own["variables"] | _known(strategy)
    assert {**switched, "variables": None} == {**own, "variables": None}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image": "r.example.com/app", "strategy": "podman"}, "`strategy` input: `podman` cannot"),
        ({"image": "r.example.com/app", "cache": "yes"}, "`cache` input: `yes` cannot be used"),
    ],
)
def test_an_input_that_is_no_option_is_refused(
    tmp_path: Path, inputs: dict[str, str], message: str
) -> None:
    include = {"local": "templates/build-image.yml", "inputs": inputs}

    with pytest.raises(AssertionError, match=message):
        resolved(tmp_path, {"include": [include]}, TEMPLATES)


@pytest.mark.parametrize("strategy", BUILDERS)
def test_a_templates_script_is_clean_shell(strategy: str) -> None:
    assert against_shell("\n".join(job_of(strategy)["script"])) == ""


def test_the_schema_of_gitlab_accepts_every_template(
    tmp_path: Path, pipeline: dict[str, Any]
) -> None:
    """With its inputs and jobs; and the project's own pipeline."""
    heads = {name: documents(Path(name).stem)[0] for name in templates.files()}
    files = [tmp_path / name for name in (*heads, "pipeline.yml")]
    for file, content in zip(files, (*heads.values(), pipeline), strict=True):
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    assert against_schema(*files, CHECKOUT / ".gitlab-ci.yml") == ""


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


def test_every_component_has_its_script_and_no_other() -> None:
    scripts = {file.stem for file in templates.SCRIPTS.glob("*.sh")}
    jobs = {file.stem for file in (templates.SCRIPTS / "jobs").glob("*.sh")}

    assert scripts == set(BUILDERS)
    assert jobs == {name for name, job in templates.JOBS.items() if job.tool}


@pytest.mark.parametrize("strategy", BUILDERS)
def test_shellcheck_accepts_a_build_script_as_it_is(strategy: str) -> None:
    assert against_shell(templates.SCRIPTS / f"{strategy}.sh") == ""


def test_shellcheck_refuses_a_script_that_splits_words() -> None:
    assert "SC2086" in against_shell("rm $1\n")


@pytest.mark.parametrize("strategy", BUILDERS)
def test_no_input_is_read_as_shell(strategy: str) -> None:
    assert "$[[" not in job_of(strategy)["script"][0]


def test_the_switch_offers_every_strategy_and_passes_every_input() -> None:
    head, body = documents("build-image")
    inputs = head["spec"]["inputs"]
    default, other = (include["inputs"] for include in body["include"])
    job = body["$[[ inputs.job ]]"]["variables"]

    assert inputs.pop("strategy")["options"] == list(BUILDERS)
    passed = {**other, **{name: job[variable] for name, variable in templates.OPTIONAL.items()}}
    assert passed == {name: f"$[[ inputs.{name} ]]" for name in inputs}
    assert {**default, "tool_image": other["tool_image"]} == other
    for strategy in BUILDERS:
        own = inputs_of(strategy)
        assert own.pop("tool_image")["default"] == _plan(strategy).image
        unknown = {"tool_image", *UNKNOWN.get(strategy, ())}
        assert own == {name: value for name, value in inputs.items() if name not in unknown}


def test_the_switch_takes_the_projects_copy_of_the_tool(tmp_path: Path) -> None:
    inputs = {"tool_image": "mirror.example.com/kaniko:1"}
    include = {"local": "templates/build-image.yml", "inputs": inputs}

    job = resolved(tmp_path, {"include": [include]}, TEMPLATES)["build-image"]

    assert job["image"]["name"] == "mirror.example.com/kaniko:1"
    assert job["variables"]["BUILD_IMAGE"] == "$CI_REGISTRY_IMAGE"
