"""The real gitlab-runner, where there is one, run as the chart's manager runs it.

It registers with the rendered template, as the chart's entrypoint does, so that its config.toml is
the one that it has in a cluster, and takes one job from a coordinator of our own.
"""

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config import Chart
from tests.executor.coordinator import JOB_TOKEN, Coordinator, coordinating
from tests.executor.job import Account
from tests.executor.keys import RUNNERS
from tests.executor.pod import JOB, PROJECT

VARIABLE = "GITLAB_RUNNER_BIN"
PINNED = RUNNERS[Chart().version]
_PATIENCE = 180.0
_JOB: dict[str, Any] = {
    "id": JOB,
    "token": JOB_TOKEN,
    "allow_git_fetch": True,
    "job_info": {
        "name": "build-image",
        "stage": "build",
        "project_id": PROJECT,
        "project_name": "app",
        "project_full_path": "team/app",
    },
    "git_info": {
        "repo_url": "https://gitlab-ci-token@gitlab.example.com/team/app.git",
        "ref": "main",
        "ref_type": "branch",
        "sha": "0" * 40,
        "before_sha": "0" * 40,
        "refspecs": ["+refs/heads/main:refs/remotes/origin/main"],
    },
    "runner_info": {"timeout": 3600},
    "variables": [{"key": "CI_PROJECT_PATH", "value": "team/app", "public": True}],
    "steps": [{"name": "script", "script": ["true"], "timeout": 3600, "when": "on_success"}],
    # GitLab sends one where it has a registry of its own.
    "credentials": [
        {
            "type": "registry",
            "url": "registry.gitlab.example.com",
            "username": "gitlab-ci-token",
            "password": JOB_TOKEN,
        },
    ],
    "features": {"trace_sections": True},
}


@dataclasses.dataclass(frozen=True)
class Manager:
    """What the chart gives a manager: config.toml's global keys, its template and the token."""

    config: str
    template: str
    token: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of the job, as GitLab has it, and what the runner printed."""

    gitlab: Coordinator
    config: str
    log: str

    @property
    def trace(self) -> str:
        """The job's log."""
        return self.gitlab.trace.decode()


def find() -> Path | None:
    """Return the pinned version's binary, if there is one.

    Raises:
        UsageError: the one that was named is not there, or is another version.
    """
    named = os.environ.get(VARIABLE, "")
    file = shutil.which(named or "gitlab-runner")
    found = _version(file) if file else ""
    if named and found != PINNED:
        message = f"{VARIABLE}={named}: is {found or 'not there'}; name gitlab-runner {PINNED}"
        raise pytest.UsageError(message)
    return Path(file) if file and found == PINNED else None


def _version(file: str) -> str:
    answer = subprocess.run([file, "--version"], check=True, capture_output=True, text=True)
    stated = re.search(r"Version:\s+v?(\S+)", answer.stdout)
    return stated[1] if stated else "of no stated version"


def take_job(binary: Path, manager: Manager, account: Account, folder: Path) -> Outcome:
    """Register, take one job and run it to its end, with no credentials but the account's."""
    config, template = folder / "config.toml", folder / "template.toml"
    config.write_text(manager.config, encoding="utf-8")
    template.write_text(manager.template, encoding="utf-8")
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(account)), encoding="utf-8")
    with coordinating(manager.token, _JOB) as gitlab:
        # What the chart gives its container; a kubeconfig is in place of the mounted token.
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
                    ended = gitlab.ended.wait(_PATIENCE)
                finally:
                    process.terminate()
        text = (folder / "runner.log").read_text(encoding="utf-8")
        assert ended, text
    return Outcome(gitlab, config.read_text(encoding="utf-8"), text)


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
