"""The real gitlab-runner, where there is one, run as the chart's manager runs it.

It registers with the rendered template, as the chart's entrypoint does, so its config.toml is the
one that it has in a cluster. It takes one job from the coordinator of these tests.
"""

import contextlib
import dataclasses
import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.toolchain import gitlab_runner
from dev.toolchain.programs import ToolchainError
from tests.executor.coordinator import JOB_TOKEN, Coordinator, coordinating
from tests.executor.job import Account
from tests.executor.pod import JOB, PROJECT

_PATIENCE = 180.0
JOB_PAYLOAD: dict[str, Any] = {
    "id": JOB,
    "token": JOB_TOKEN,
    "allow_git_fetch": True,
    "job_info": {
        "name": "build-image",
        "stage": "build",
        "project_id": PROJECT,
        "project_name": "app",
        "project_full_path": "group/app",
    },
    "git_info": {
        "repo_url": "https://gitlab-ci-token@gitlab.example.com/group/app.git",
        "ref": "main",
        "ref_type": "branch",
        "sha": "0" * 40,
        "before_sha": "0" * 40,
        "refspecs": ["+refs/heads/main:refs/remotes/origin/main"],
    },
    "runner_info": {"timeout": 3600},
    "variables": [{"key": "CI_PROJECT_PATH", "value": "group/app", "public": True}],
    "steps": [{"name": "script", "script": ["true"], "timeout": 3600, "when": "on_success"}],
    # GitLab sends one where its own registry is on.
    "credentials": [
        {
            "type": "registry",
            "url": "registry.gitlab.example.com",
            "username": "gitlab-ci-token",
            "password": JOB_TOKEN,
        }
    ],
    # A GitLab that does not announce it gets another reason (gitlab-runner:common/network.go).
    "features": {"trace_sections": True, "failure_reasons": ["runner_interrupted"]},
}


@dataclasses.dataclass(frozen=True)
class Manager:
    """What the chart gives a manager: config.toml's global keys, its template and the token."""

    config: str
    template: str
    token: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The end of a job: what GitLab knows, the runner's config.toml and its log."""

    gitlab: Coordinator
    config: str
    log: str

    @property
    def trace(self) -> str:
        """The job's log."""
        return self.gitlab.trace.decode()


def find() -> Path | None:
    """Return the binary, if there is one of a known version.

    Raises:
        UsageError: the variable names a binary that cannot be used.
    """
    try:
        real = gitlab_runner.installed()
    except ToolchainError as error:
        raise pytest.UsageError(str(error)) from None
    return real and real.file


def take_job(binary: Path, manager: Manager, account: Account, folder: Path) -> Outcome:
    """Register, take one job and run it to its end, with the account's credentials alone."""
    with managing(binary, manager, account, folder, JOB_PAYLOAD) as managed:
        ended = managed.gitlab.ended.wait(_PATIENCE)
    log = managed.log.read_text(encoding="utf-8")
    assert ended, log
    return Outcome(managed.gitlab, (folder / "config.toml").read_text(encoding="utf-8"), log)


@dataclasses.dataclass(frozen=True)
class Managed:
    """A manager that runs, its GitLab, and the file that it logs to."""

    gitlab: Coordinator
    process: subprocess.Popen[bytes]
    log: Path


@contextlib.contextmanager
def managing(
    binary: Path, manager: Manager, account: Account, folder: Path, job: dict[str, Any]
) -> Generator[Managed]:
    """Register as the chart's entrypoint does, and ask for jobs until the block ends.

    Leaving the block early aborts the job, as GitLab Runner does on SIGTERM.
    """
    config, template = folder / "config.toml", folder / "template.toml"
    config.write_text(manager.config, encoding="utf-8")
    template.write_text(manager.template, encoding="utf-8")
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(account)), encoding="utf-8")
    with coordinating(manager.token, job) as gitlab:
        # The chart gives its container the same, but a mounted token in place of a kubeconfig.
        environment = {
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(kubeconfig),
            "CI_SERVER_URL": gitlab.url,
            "CI_SERVER_TOKEN": manager.token,
            "RUNNER_EXECUTOR": "kubernetes",
            "CONFIG_FILE": str(config),
        }
        with (folder / "runner.log").open("w") as log:
            subprocess.run(
                [binary, "register", "--non-interactive", "--template-config", template],
                check=True,
                env=environment,
                stderr=log,
                stdout=log,
            )
            with subprocess.Popen(
                [binary, "run", "--working-directory", folder],
                env=environment,
                stderr=log,
                stdout=log,
            ) as process:
                try:
                    yield Managed(gitlab, process, Path(log.name))
                finally:
                    process.terminate()


def _kubeconfig(account: Account) -> dict[str, Any]:
    name = "manager"
    cluster = {"server": account.server, "certificate-authority": account.certificates}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": account.token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
