"""What pipelines run with the secrets of a stack is pinned by digest."""

import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.paths import CHECKOUT
from dev.toolchain import programs
from report.analysis.rule import is_production
from tests.support.pipelines import resolved

INSTALL = CHECKOUT / ".ci" / "install.py"
RUN = CHECKOUT / ".ci" / "run"
CATALOGUE = """
[[programs]]
names = ["tool"]
module = "tool"
source = "example.com/tool"
[programs.archives.{system}]
url = "{url}/tool-v{{version}}.tar.gz"
digest = "{digest}"
member = "tool/tool"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without packages, with a tool whose release is a file on this machine."""
    with tarfile.open(tmp_path / "tool-v1.2.3.tar.gz", "w:gz") as tar:
        for name in ("tool/tool", "tool/tool-language-python", "docs/page"):
            content = f"#!/bin/sh\necho {name}\n".encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    (tmp_path / "requirements.lock").touch()
    module = tmp_path / "dev" / "modules" / "tool"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module example.com/local\n\nrequire example.com/tool v1.2.3\n")
    return tmp_path


def _install(project: Path, system: str = "", digest: str = "") -> subprocess.CompletedProcess[str]:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    actual = hashlib.sha256((project / "tool-v1.2.3.tar.gz").read_bytes()).hexdigest()
    text = CATALOGUE.format(
        system=system or f"{platform.system().lower()}-{machine}",
        url=project.as_uri(),
        digest=digest or actual,
    )
    (project / "dev" / "programs.toml").write_text(text)
    command = [sys.executable, INSTALL, "tool"]
    return subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)


def test_a_program_is_installed_beside_python_with_its_plugins(project: Path) -> None:
    answer = _install(project)

    folder = project / ".venv" / "bin"
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "tool 1.2.3\n"
    assert subprocess.check_output([folder / "tool"], text=True) == "tool/tool\n"
    assert os.access(folder / "tool-language-python", os.X_OK)
    assert not (folder / "page").exists()


def test_an_archive_with_another_digest_is_not_installed(project: Path) -> None:
    answer = _install(project, digest="0" * 64)

    assert answer.returncode == 1
    assert f"but dev/programs.toml pins {'0' * 64}" in answer.stderr
    assert not (project / ".venv" / "bin" / "tool").exists()


def test_a_machine_without_an_archive_is_refused(project: Path) -> None:
    answer = _install(project, system="plan9-mips")

    assert answer.returncode == 1
    assert "pins no archive of tool for" in answer.stderr


@pytest.mark.parametrize("name", ["pulumi", "helm"])
def test_what_pipelines_install_is_pinned_by_sha256(name: str) -> None:
    archives = programs.load()[name].archives

    assert {"linux-amd64", "linux-arm64"} <= archives.keys()
    assert {archive.algorithm for archive in archives.values()} == {"sha256"}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The jobs of the project's pipeline for GitLab with a stack's environment, or for forks."""
    pipeline = yaml.safe_load((CHECKOUT / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    everything = resolved(tmp_path_factory.mktemp("project"), pipeline)
    return {
        name: job
        for name, job in everything.items()
        if isinstance(job, dict) and ("environment" in job or "commands compare" in json.dumps(job))
    }


def test_gitlabs_jobs_with_secrets_run_only_what_is_pinned(jobs: dict[str, Any]) -> None:
    assert len(jobs) == 10
    for job in jobs.values():
        image = job["image"]
        assert re.search(r"@sha256:[0-9a-f]{64}$", image.get("name", image))
        assert "cache" not in job
        lines = [*job.get("before_script", []), *job["script"]]
        if "PREVIEW_PROGRAM" in lines[0]:
            # It takes the program of the default branch, which installs then.
            lines = lines[1:]
        assert lines[0].startswith(".ci/install.py")
        assert re.findall(r"pip install|make |apt-get|tests/", json.dumps(lines)) == []


@pytest.fixture
def github() -> dict[str, Any]:
    file = CHECKOUT / ".github" / "workflows" / "pipeline.yml"
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def test_githubs_jobs_install_only_what_is_pinned(github: dict[str, Any]) -> None:
    jobs = [job for name, job in github["jobs"].items() if name != "check"]
    steps = [step for job in jobs for step in job["steps"]]
    scripts = "\n".join(step["run"] for step in steps if "run" in step)

    assert ".ci/install.py pulumi helm" in scripts
    assert re.findall(r"pip install|make |apt-get|tests/", scripts) == []
    assert [step for step in steps if "cache" in step.get("with", {})] == []


def test_gitlab_deploys_stacks_of_production_by_hand() -> None:
    pipeline = yaml.safe_load((CHECKOUT / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    by_hand = {
        job["variables"]["STACK"]: any(rule.get("when") == "manual" for rule in job["rules"])
        for name, job in pipeline.items()
        if name.startswith("deploy-")
    }

    assert by_hand == {stack: is_production(stack, None) for stack in ("dev", "prod")}


def test_lint_and_test_are_the_commands_of_ci() -> None:
    pipeline = yaml.safe_load((CHECKOUT / ".gitlab-ci.yml").read_text(encoding="utf-8"))

    assert {name: pipeline[name]["script"] for name in ("lint", "test")} == {
        "lint": [".ci/run lint"],
        "test": [".ci/run test"],
    }


def test_github_deploys_what_passed_the_commands_of_ci(github: dict[str, Any]) -> None:
    check = github["jobs"]["check"]

    assert [step["run"] for step in check["steps"] if "run" in step] == [
        ".ci/run lint",
        ".ci/run test",
    ]
    assert github["jobs"]["deploy"]["needs"] == "check"


def test_githubs_secrets_are_at_the_steps_that_need_them(github: dict[str, Any]) -> None:
    """No action, and no job or workflow as a whole, has one."""
    with_secrets: list[str] = []
    for job in github["jobs"].values():
        for step in job.pop("steps"):
            if "secrets." in str(step):
                assert "uses" not in step
                with_secrets.append(step["run"])

    assert "secrets." not in str(github)
    assert len(with_secrets) == 3
    assert all(".ci/with-kubeconfig " in script for script in with_secrets)


def test_drift_on_github_waits_for_no_approval(github: dict[str, Any]) -> None:
    environments = {name: job.get("environment") for name, job in github["jobs"].items()}

    assert environments["deploy"] == "${{ matrix.stack }}"
    assert environments["drift"] == "${{ matrix.stack }}-drift"
    assert "environment" not in github["jobs"]["check"]


def test_the_kubeconfig_is_there_for_one_command_only(tmp_path: Path) -> None:
    pulumi = tmp_path / "pulumi"
    pulumi.write_text('#!/bin/sh\necho "$@" in "$PULUMI_CREDENTIALS_PATH" >"$LOG"\n')
    pulumi.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "KUBECONFIG_CONTENT": "planted",
    }
    script = 'stat -c %a "$KUBECONFIG"; cat "$KUBECONFIG"; echo "/$KUBECONFIG_CONTENT"; exit 3'
    answer = subprocess.run(
        [CHECKOUT / ".ci" / "with-kubeconfig", "sh", "-c", script],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (answer.returncode, answer.stdout) == (3, "600\nplanted/\n")
    login, folder = (tmp_path / "log").read_text(encoding="utf-8").strip().split(" in ")
    assert login == "login --non-interactive"
    assert not Path(folder).exists()


def test_an_unknown_part_of_ci_is_refused() -> None:
    answer = subprocess.run([RUN, "all-of-it"], check=False, capture_output=True, text=True)

    assert answer.returncode == 64
    assert "[lint|test|node]" in answer.stderr
