"""Jobs have what they extend, refer to and inherit, with the place of each part."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from convert.pipeline.includes import Files
from convert.pipeline.job import PipelineJob
from convert.pipeline.jobs import Jobs
from tests.support.checks import checked, rules


def _jobs(folder: Path, text: str, **files: str) -> dict[str, PipelineJob]:
    """Resolve a pipeline, with other files of the checkout by their names."""
    for name, content in {**files, "pipeline": text}.items():
        (folder / f"{name}.yml").write_text(content, encoding="utf-8")
    found = Files(folder)
    return {job.name: job for job in Jobs(found, found.pipeline(folder / "pipeline.yml"))}


def _script(job: PipelineJob) -> list[str]:
    return [line.command.text for line in job.lines]


def test_anchors_merges_and_references_are_in_place(tmp_path: Path) -> None:
    text = """
.login: &login
  - docker login
.base: &base
  image: docker:27
  variables: {A: base, B: base}
build:
  <<: [*base, {image: other}]
  variables: {A: own}
  before_script:
    - *login
  script:
    - !reference [.more, script]
    - docker push a
.more:
  script: [docker build ., [docker tag a b]]
"""
    job = _jobs(tmp_path, text)["build"]

    assert job.image
    assert job.image.name == "docker:27"
    assert dict(job.environment) == {"A": "own"}
    assert _script(job) == ["docker login", "docker build .", "docker tag a b", "docker push a"]
    assert [line.number for line in job.lines] == [3, 16, 16, 14]


def test_extends_merges_mappings_and_replaces_lists(tmp_path: Path) -> None:
    text = """
.a: {variables: {A: a, B: a}, tags: [a], services: [docker:dind]}
.b: {variables: {B: b}, extends: .a}
build: {extends: [.b], variables: {C: c}, tags: [c], script: docker build .}
"""
    job = _jobs(tmp_path, text)["build"]

    assert dict(job.environment) == {"A": "a", "B": "b", "C": "c"}
    assert [tag.text for tag in job.tags] == ["c"]
    assert job.engine


def test_defaults_reach_jobs_that_do_not_refuse_them(tmp_path: Path) -> None:
    text = """
image: root
variables: {A: everywhere, B: everywhere}
default: {tags: [d], before_script: [echo before]}
all: {script: [x]}
none: {script: [x], inherit: {default: false, variables: false}}
some: {script: [x], inherit: {default: [tags], variables: [A]}}
yes: {script: [x], inherit: {default: true, variables: true}}
"""
    jobs = _jobs(tmp_path, text)

    assert {name: len(job.tags) for name, job in jobs.items()} == {
        "all": 1,
        "none": 0,
        "some": 1,
        "yes": 1,
    }
    assert {name: [*job.environment] for name, job in jobs.items()} == {
        "all": ["A", "B"],
        "none": [],
        "some": ["A"],
        "yes": ["A", "B"],
    }
    assert jobs["all"].image
    assert jobs["none"].image is None


def test_variables_are_expanded_in_images_services_and_tags(tmp_path: Path) -> None:
    text = """
variables: {VERSION: {value: "27", description: x}, ENGINE: "docker:${VERSION}-dind", TAG: build}
build:
  image: {name: "docker:$VERSION", entrypoint: [""], pull_policy: always}
  services:
    - name: $ENGINE
      alias: docker, engine
      command: [--tls=false]
      variables: {DOCKER_TLS_CERTDIR: ""}
  tags: [$TAG]
  script: docker build .
"""
    job = _jobs(tmp_path, text)["build"]

    assert job.image
    assert job.image.name == "docker:27"
    assert [policy.text for policy in job.image.pull_policies] == ["always"]
    (engine,) = job.services
    assert (engine.name, engine.aliases) == ("docker:27-dind", ("docker", "engine"))
    assert (engine.arguments, engine.variables) == (("--tls=false",), {"DOCKER_TLS_CERTDIR": ""})
    assert [tag.text for tag in job.tags] == ["build"]


def test_a_matrix_makes_a_job_for_each_runner(tmp_path: Path) -> None:
    text = """
build:
  parallel: {matrix: [{RUNNER: [a, b], VERSION: ["1", "2"]}]}
  tags: [$RUNNER]
  script: docker build --build-arg $VERSION .
other:
  parallel: {matrix: [{VERSION: "1"}]}
  script: x
"""
    jobs = _jobs(tmp_path, text)

    assert list(jobs) == ["build: [a, 1]", "build: [b, 1]", "other"]


def test_local_includes_are_read_with_their_inputs(tmp_path: Path) -> None:
    text = """
include:
  - local: /docker.yml
    inputs: {job: publish, tags: [a, b]}
  - {local: "more-*.yml"}
publish: {variables: {B: own}}
"""
    template = """
spec: {inputs: {job: {}, image: {default: "docker:27"}, tags: {}, none: {}}}
---
$[[ inputs.job ]]:
  image: $[[ inputs.image ]]
  tags: $[[ inputs.tags ]]
  variables: {A: "x $[[ inputs.job ]]", B: template, C: "$[[ inputs.none ]]", D: }
  script: [docker build .]
"""
    more = {f"more-{name}": f"{name}: {{script: [x]}}" for name in ("one", "two")}
    jobs = _jobs(tmp_path, text, docker=template, **more)

    assert list(jobs) == ["publish", "one", "two"]
    job = jobs["publish"]
    assert [tag.text for tag in job.tags] == ["a", "b"]
    assert dict(job.environment) == {
        "A": "x publish",
        "B": "own",
        "C": "$[[ inputs.none ]]",
        "D": "",
    }


def test_other_includes_are_listed_with_what_to_do(tmp_path: Path) -> None:
    includes = [
        {"template": "Docker.gitlab-ci.yml"},
        {"project": "a/b", "file": "/c.yml"},
        {"remote": "https://example.com/a.yml"},
        "https://example.com/b.yml",
        {"local": "$FOLDER/a.yml"},
    ]

    result = checked(tmp_path, {"include": includes})

    assert len(result.problems) == 5
    assert all("is not read" in each.text and "--merged" in each.text for each in result.problems)
    assert checked(tmp_path, {"include": includes}, merged=True).problems == ()


def test_child_pipelines_of_the_checkout_are_checked_too(tmp_path: Path) -> None:
    child = {"build": {"tags": ["dood"], "script": ["docker build ."]}}
    (tmp_path / "child.yml").write_text(yaml.safe_dump(child), encoding="utf-8")
    pipeline: dict[str, Any] = {
        "a": {"trigger": {"include": [{"local": "/child.yml"}, "child.yml"]}},
        "b": {"trigger": {"include": [{"artifact": "made.yml", "job": "x"}]}},
        "c": {"trigger": "group/project"},
        "d": {"trigger": {"include": "../outside.yml"}},
    }

    result = checked(tmp_path, pipeline)

    assert [(item.file, item.job) for item in result.verdicts] == [("child.yml", "build")]
    assert ["child pipeline is not read" in each.text for each in result.problems] == [True, True]


def test_scripts_of_the_project_are_read(tmp_path: Path) -> None:
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "build.sh").write_text("docker build .\nntpd -q\n", encoding="utf-8")
    job = {"tags": ["dood"], "image": "docker:27", "script": ["sh ./ci/build.sh", "ci/none.sh"]}

    result = checked(tmp_path, {"build": job})

    assert rules(result) == ["privileged-job"]


def test_a_file_that_is_only_copied_is_no_script(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a\nRUN apk add b\n", encoding="utf-8")
    (tmp_path / "build").write_text("ntpd -q\n", encoding="utf-8")
    script = ["cat Dockerfile", "cp Dockerfile x", "docker build ."]
    job = {"tags": ["dood"], "script": script}

    assert rules(checked(tmp_path, {"job": job})) == []


def test_steps_have_scripts_too(tmp_path: Path) -> None:
    job = _jobs(tmp_path, "build: {run: [{name: a, script: docker build .}, {name: b, step: c}]}")

    assert _script(job["build"]) == ["docker build ."]


def test_rows_of_a_matrix_may_have_different_variables(tmp_path: Path) -> None:
    matrix = "[{RUNNER: a, CLOUD: x}, {RUNNER: b}]"
    jobs = _jobs(
        tmp_path,
        f"build: {{parallel: {{matrix: {matrix}}}, tags: [$RUNNER], script: docker build}}",
    )

    assert list(jobs) == ["build: [a, x]", "build: [b]"]


def test_variables_of_rules_are_known_where_no_other_sets_them(tmp_path: Path) -> None:
    text = """
workflow: {rules: [{if: $A, variables: {ENGINE: docker}}]}
variables: {TAG: own}
build:
  tags: [$RUNNER]
  image: $ENGINE:$TAG
  rules:
    - {if: $B, variables: {RUNNER: first, TAG: other}}
    - {if: $C, variables: {RUNNER: second}}
  script: docker build .
"""
    job = _jobs(tmp_path, text)["build"]

    assert [tag.text for tag in job.tags] == ["first"]
    assert job.image
    assert job.image.name == "docker:own"


@pytest.mark.parametrize("key", ["id_tokens", "identity", "secrets"])
def test_an_identity_that_gitlab_gives_is_known(key: str, tmp_path: Path) -> None:
    job = _jobs(tmp_path, f"build: {{script: docker build ., {key}: {{a: b}}}}")["build"]

    assert job.has_identity
