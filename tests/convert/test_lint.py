"""Includes that are not local, resolved by a GitLab that the tests make up."""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from commands.app import main
from commands.shared.exit_codes import ExitCode
from tests.support.configured import SETTINGS
from tests.support.servers import Headers, Reply, new_ca, serving

TOKEN = "glpat-PlantedLintToken1"
DIND = {"kind": "dind", "acceptPrivileged": True}
RUNNERS = {
    "builds": {"tags": ["build"], "strategy": "kaniko"},
    "docker": {"tags": ["docker"], "strategy": DIND},
}
ELSEWHERE: Mapping[str, Any] = {
    "docker.yml": {
        ".base": {"variables": {"DOCKER_HOST": "tcp://x:1"}, "tags": ["docker"]},
        "theirs": {"extends": ".base", "script": ["docker build ."]},
    }
}
CI = ".gitlab-ci.yml"


def _over(below: Any, above: Any) -> Any:  # noqa: ANN401 - YAML
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    entries, more = cast("Mapping[str, Any]", below), cast("Mapping[str, Any]", above)
    return {**entries, **{key: _over(entries.get(key), value) for key, value in more.items()}}


class LintDouble:
    """A GitLab that has files of other projects, and resolves includes and ``extends``."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.fails: Reply | None = None

    def __call__(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        if self.fails:
            return self.fails
        if headers.get("PRIVATE-TOKEN") != TOKEN:
            return Reply(HTTPStatus.UNAUTHORIZED, {"message": f"401 {headers}"})
        if (method, path) != ("POST", "/api/v4/projects/team%2Fapp/ci/lint"):
            return Reply(HTTPStatus.NOT_FOUND, {"message": "404 Project Not Found"})
        content = yaml.safe_load(json.loads(body)["content"])
        self.asked.append(content)
        merged: dict[str, Any] = {}
        for include in content.pop("include"):
            if include["file"] not in ELSEWHERE:
                errors = ["This is\nwrong", f"Project file `{include['file']}` does not exist!"]
                return Reply(HTTPStatus.OK, {"valid": False, "errors": errors, "merged_yaml": None})
            merged = _over(merged, ELSEWHERE[include["file"]])
        merged = _over(merged, content)
        for name, job in merged.items():
            if base := job.get("extends"):
                merged[name] = _over(merged[base], job)
        answer: Any = {"valid": True, "errors": [], "merged_yaml": yaml.safe_dump(merged)}
        return Reply(HTTPStatus.OK, answer)


@pytest.fixture
def lint() -> LintDouble:
    return LintDouble()


@pytest.fixture
def address(lint: LintDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the GitLab, which the stack's file has."""
    ca = new_ca()
    monkeypatch.setattr("commands.shared.checkout.CHECKOUT", tmp_path)
    monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
    (tmp_path / "app" / ".git").mkdir(parents=True)
    with serving(lint, ca) as address:
        instance = {"url": f"https://{address}", "caCertificates": ca.certificate}
        settings = {**SETTINGS, "runners": RUNNERS, "gitlab": instance}
        text = yaml.safe_dump({"config": {"image-builds:settings": settings}})
        (tmp_path / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")
        yield address


def _run(folder: Path, pipeline: object, *options: str) -> int:
    file = folder / "app" / CI
    file.write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    return main(["pipeline", str(file), "--project", "team/app", *options])


def _included(*files: str) -> list[dict[str, Any]]:
    return [{"project": "ci/shared", "file": file, "ref": 12} for file in files]


@pytest.mark.usefixtures("address")
def test_jobs_that_other_projects_have_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = {"extends": ".base", "script": ["docker run x"], "variables": {"A": "b"}}
    own = {"include": _included("docker.yml"), "ours": ours}

    assert _run(tmp_path, own) == ExitCode.CHANGES
    printed = capsys.readouterr().out
    assert f"{CI}:2 theirs: runs with a change on runners.docker" in printed
    assert f"  {CI}:2 docker-host: DOCKER_HOST is tcp://x:1" in printed
    assert f"{CI}:5 ours: runs with a change on runners.docker" in printed
    assert "is not read" not in printed


@pytest.mark.usefixtures("address")
def test_a_job_over_an_include_keeps_its_own_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lint: LintDouble
) -> None:
    own = {
        "include": [{"local": "ci/own.yml"}, *_included("docker.yml")],
        "theirs": {"variables": {"DOCKER_HOST": "tcp://y:2"}, "retry": 1},
    }
    (tmp_path / "app" / "ci").mkdir()
    local = tmp_path / "app" / "ci" / "own.yml"
    local.write_text("local:\n  tags: [docker]\n  script: docker ps\n  retry: 2\n", "utf-8")

    assert _run(tmp_path, own, "--write") == ExitCode.CHANGES
    printed = capsys.readouterr().out
    assert "1 change is written" in printed
    assert "tcp://x:1" in printed  # what the include sets counts again
    assert "tcp://y:2" not in (tmp_path / "app" / CI).read_text("utf-8")
    first, second = lint.asked
    assert first["local"]["retry"] == second["local"]["retry"] == 2


@pytest.mark.usefixtures("address")
def test_an_include_that_gitlab_does_not_find_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = {"tags": ["docker"], "script": ["docker build ."]}

    assert _run(tmp_path, {"include": _included("none.yml"), "ours": ours}) == ExitCode.NO_CHANGE
    printed = capsys.readouterr().out
    assert "ours: runs unchanged on runners.docker" in printed
    assert f"{CI}:2: GitLab cannot resolve the includes, so their jobs are not checked" in printed
    assert "checked: This is wrong; Project file `none.yml` does not exist!" in printed


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(HTTPStatus.FORBIDDEN, {"message": TOKEN}), "may not do this; it needs the role"),
        (Reply(HTTPStatus.NOT_FOUND, {"message": TOKEN}), "correct --project"),
        (Reply(HTTPStatus.TOO_MANY_REQUESTS, {}, {"Retry-After": "60"}), "answers 429: try again"),
        (
            Reply(HTTPStatus.OK, f"<html>{TOKEN}", {"Content-Type": "text/html"}),
            "API does not answer",
        ),
    ],
    ids=["403", "404", "429", "a page"],
)
def test_a_refusal_is_one_line_without_the_token(
    reply: Reply, said: str, tmp_path: Path, lint: LintDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    lint.fails = reply

    assert _run(tmp_path, {"include": _included("docker.yml")}) == ExitCode.FAILED
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert TOKEN not in printed.out + printed.err


def test_a_gitlab_that_does_not_answer_is_one_line(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(file.read_text("utf-8").replace(address, "localhost:1"), encoding="utf-8")

    assert _run(tmp_path, {"include": _included("docker.yml")}) == ExitCode.FAILED
    assert "https://localhost:1: GitLab's API does not answer; check" in capsys.readouterr().err


@pytest.mark.usefixtures("address")
def test_a_project_needs_a_token_and_only_for_includes(
    tmp_path: Path,
    lint: LintDouble,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _run(tmp_path, {}) == ExitCode.NO_CHANGE
    assert lint.asked == []
    monkeypatch.delenv("GITLAB_TOKEN")

    assert _run(tmp_path, {}) == ExitCode.FAILED
    assert "GITLAB_TOKEN must be set for --project" in capsys.readouterr().err
