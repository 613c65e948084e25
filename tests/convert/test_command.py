"""The command ``pipeline``: what it prints, writes and returns."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.app import main
from commands.shared.checkout import CHECKOUT
from commands.shared.exit_codes import ExitCode
from tests.support.configured import SETTINGS

DIND = {"kind": "dind", "variant": "socket", "acceptPrivileged": True}
RUNNERS = {
    "builds": {"tags": ["build"], "strategy": "kaniko"},
    "docker": {"tags": ["docker"], "strategy": DIND},
    "deploy": {"tags": ["deploy"], "strategy": "deploy"},
}
KANIKO = {"tags": ["build"], "script": ["/kaniko/executor --context ."]}
HOST = {"tags": ["docker"], "variables": {"DOCKER_HOST": "tcp://x:1"}, "script": ["docker ps"]}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stack, and a checkout with pipelines below it."""
    monkeypatch.setattr("commands.shared.checkout.CHECKOUT", tmp_path)
    _stack(tmp_path, RUNNERS)
    (tmp_path / "app" / ".git").mkdir(parents=True)
    return tmp_path


def _stack(folder: Path, runners: object, **changes: Any) -> None:  # noqa: ANN401 - YAML
    settings = {**SETTINGS, "runners": runners, **changes}
    text = yaml.safe_dump({"config": {"image-builds:settings": settings}})
    (folder / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")


def _run(site: Path, pipeline: object, *options: str) -> int:
    file = site / "app" / ".gitlab-ci.yml"
    file.write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    return main(["pipeline", str(file), *options])


def test_jobs_that_run_unchanged_have_a_line_each(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _run(
        site, {"build": KANIKO, "test": {"script": ["pytest"], "image": "docker.io/python"}}
    )

    assert code == ExitCode.NO_CHANGE
    assert capsys.readouterr().out.splitlines() == [
        ".gitlab-ci.yml:1 build: runs unchanged on runners.builds, kaniko",
        "1 job handles images: 1 runs unchanged; 1 other job",
    ]


def test_a_change_has_its_place_its_reason_and_both_texts(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _run(site, {"run": HOST, "build": {**KANIKO, "tags": ["docker"]}})

    assert code == ExitCode.CHANGES
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ".gitlab-ci.yml:1 run: runs with a change on runners.docker, dind (socket)"
    assert lines[1].startswith("  .gitlab-ci.yml:5 docker-host: DOCKER_HOST is tcp://x:1, and no")
    assert lines[2:4] == ["    - variables:", "    - DOCKER_HOST: tcp://x:1"]
    assert "  least privilege: kaniko, unchanged" in lines


def test_a_job_that_cannot_run_names_a_runner_that_can(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {"tags": ["build"], "image": "docker:27", "script": ["docker run a"]}

    assert _run(site, {"run": job}) == ExitCode.CHANGES
    printed = capsys.readouterr().out
    assert "run: cannot run on runners.builds, kaniko" in printed
    assert "  runners.docker needs less change" in printed


def test_what_suits_may_be_ruled_out_by_the_cluster(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _stack(site, {"builds": RUNNERS["builds"]}, cluster={"kind": "managed"})
    job = {"tags": ["build"], "image": "docker:27", "script": ["docker run a"]}

    _run(site, {"run": job})
    assert "unchanged; this stack cannot have it: it runs" in capsys.readouterr().out


def test_the_folder_gets_json_and_code_quality(site: Path) -> None:
    pipeline = {"include": [{"template": "a.yml"}], "run": HOST, "build": KANIKO}
    _run(site, pipeline, "--output", str(site / "out"))

    data = json.loads((site / "out" / "pipeline.json").read_bytes())
    assert data["counts"] == {"unchanged": 1, "change": 1, "cannot": 0, "others": 0}
    run, build = data["jobs"]
    assert (build["verdict"], build["runner"], build["findings"]) == ("unchanged", "builds", [])
    (finding,) = run["findings"]
    assert finding["change"] == {
        "file": ".gitlab-ci.yml",
        "line": 6,
        "old": "  variables:\n    DOCKER_HOST: tcp://x:1\n",
        "new": "",
        "mechanical": True,
    }
    assert finding["page"] == "docs/reference/pipeline-rules.md#docker-host"
    assert run["leastPrivilege"]["how"] == "with a change"
    assert [problem["fatal"] for problem in data["problems"]] == [False]
    quality = json.loads((site / "out" / "quality.json").read_bytes())
    assert [(item["check_name"], item["severity"]) for item in quality] == [
        ("docker-host", "major"),
        ("pipeline", "info"),
    ]
    assert quality[0]["location"] == {"path": ".gitlab-ci.yml", "lines": {"begin": 7}}
    assert len({item["fingerprint"] for item in quality}) == 2


def test_what_is_written_is_checked_again(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(site, {"run": HOST}, "--write") == ExitCode.NO_CHANGE

    assert capsys.readouterr().out.splitlines()[0] == "1 change is written; what follows is left"
    text = (site / "app" / ".gitlab-ci.yml").read_text(encoding="utf-8")
    assert "DOCKER_HOST" not in text
    assert _run(site, {"build": KANIKO}, "--write") == ExitCode.NO_CHANGE
    assert "written" not in capsys.readouterr().out


def test_templates_are_judged_by_their_strategy(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = {"image": "a/b", "tags": ["build"]}
    at = "$CI_SERVER_FQDN/platform/image-builds"
    includes = [
        {"component": f"{at}/build-image@0.1.0", "inputs": inputs},
        {"component": f"{at}/buildah@0.1.0", "inputs": {**inputs, "job": "other"}},
        {"project": "platform/image-builds", "file": "/templates/kaniko.yml", "inputs": inputs},
        {"component": "example.com/other/scan@1"},
        {"component": f"{at}/scan@0.1.0"},
    ]

    assert _run(site, {"include": includes}) == ExitCode.CHANGES
    printed = capsys.readouterr().out
    assert ":2 build-image: runs unchanged on runners.builds, kaniko" in printed
    assert " other: runs with a change on runners.builds, kaniko" in printed
    assert " kaniko: runs unchanged on runners.builds, kaniko" in printed
    assert "component example.com/other/scan@1 is not read" in printed
    assert printed.count("is not read") == 1


def test_a_job_without_tags_gets_those_of_the_best_runner(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    untagged = {"kind": "userRunner", "runnerType": "instance_type", "runUntagged": True}
    job = {"script": ["/kaniko/executor"]}

    assert _run(site, {"build": job}) == ExitCode.CHANGES
    assert "    + tags: [build]" in capsys.readouterr().out
    _stack(site, {"builds": {**RUNNERS["builds"], "registration": untagged}})
    assert _run(site, {"build": job}) == ExitCode.NO_CHANGE


@pytest.mark.parametrize(
    ("runners", "said"),
    [
        ({}, "Pulumi.dev.yaml: has errors; a preview lists them"),
        ({"deploy": RUNNERS["deploy"]}, "Pulumi.dev.yaml: must have a runner that builds images"),
    ],
    ids=["errors", "no builds"],
)
def test_a_stack_that_builds_nothing_is_one_line(
    runners: object, said: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _stack(site, runners)

    assert _run(site, {}) == ExitCode.FAILED
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_a_file_that_cannot_be_read_fails(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pipeline", str(site / "app" / "none.yml")]) == ExitCode.FAILED
    assert "none.yml:1: cannot be read (no such file or directory)" in capsys.readouterr().out


def test_no_job_is_no_change_and_no_character_commands(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {"tags": ["\x1b[2J"], "script": ["docker ps"]}

    assert _run(site, {}) == ExitCode.NO_CHANGE
    assert "no jobs handle images; 0 other jobs" in capsys.readouterr().out
    _run(site, {"a\x1b[2J": job})
    assert "\x1b" not in capsys.readouterr().out


def test_the_pipeline_of_this_project_is_read_as_it_is() -> None:
    command = [sys.executable, "-m", "commands", "pipeline", ".gitlab-ci.yml", "--stack", "prod"]
    answer = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True)

    assert (answer.returncode, answer.stderr) == (0, "")
