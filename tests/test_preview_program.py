"""Previews that run the default branch's program on the stack file of a merge request."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.paths import CHECKOUT

SECRET = "planted-passphrase"
LEAK = "import os; print(os.environ['PULUMI_CONFIG_PASSPHRASE'])"


def _load(name: str) -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / name).read_text(encoding="utf-8"))


def _script(system: str) -> str:
    """Return what the pipeline runs before it installs anything, and what it then knows."""
    if system == "GitLab":
        return _load(".gitlab-ci.yml")[".preview"]["before_script"][0]
    steps = _load(".github/workflows/pipeline.yml")["jobs"]["preview"]["steps"]
    (step,) = [step for step in steps if step.get("name", "").startswith("Take the program")]
    assert step["if"] == "vars.PREVIEW_PROGRAM == 'default-branch'"
    return f"{step['run']}. $GITHUB_ENV\n"


class Project:
    """A clone at a branch whose program prints the passphrase, and whose chart is its own."""

    def __init__(self, folder: Path) -> None:
        """Make it, with its origin, whose default branch is ``main``."""
        self.folder = folder / "clone"
        origin = folder / "origin"
        origin.mkdir()
        self._git("init", "--quiet", "--initial-branch=main", at=origin)
        self.commit(origin, {"__main__.py": "print('main')", "Pulumi.prod.yaml": "config: {a: 1}"})
        self._git("clone", "--quiet", origin.as_uri(), str(self.folder), at=folder)
        self._git("switch", "--quiet", "--create", "branch", at=self.folder)
        changes = {
            "__main__.py": LEAK,
            "sitecustomize.py": LEAK,
            ".ci/install.py": LEAK,
            "chart/Chart.yaml": "name: evil",
            "Pulumi.prod.yaml": "config: {a: 2}",
        }
        self.commit(self.folder, changes)
        (self.folder / "conftest.py").write_text(LEAK, encoding="utf-8")

    def commit(self, repository: Path, files: dict[str, str]) -> None:
        for name, text in files.items():
            (repository / name).parent.mkdir(exist_ok=True)
            (repository / name).write_text(text, encoding="utf-8")
        self._git("add", ".", at=repository)
        self._git("commit", "--quiet", "--message", "Change it", at=repository)

    def _git(self, *arguments: str, at: Path) -> str:
        who = ("-c", "user.name=n", "-c", "user.email=e@example.com")
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        return subprocess.check_output(
            ["git", *who, *arguments], cwd=at, env=environment, text=True
        ).strip()

    def preview(self, script: str, program: str) -> str:
        """Run the script of a pipeline and then the program, and return what they print."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PREVIEW_PROGRAM": program,
            "STACK": "prod",
            "CI_COMMIT_SHA": self._git("rev-parse", "HEAD", at=self.folder),
            "CI_DEFAULT_BRANCH": "main",
            "BRANCH": "main",
            "GITHUB_ENV": str(self.folder.parent / "env"),
            "PULUMI_CONFIG_PASSPHRASE": SECRET,
        }
        after = 'python __main__.py; echo "settings: $(cat "${SETTINGS_FROM:-/dev/null}")"'
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{script}\n{after}"],
            cwd=self.folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout


@pytest.mark.parametrize("system", ["GitLab", "GitHub"])
def test_a_branch_cannot_have_its_program_print_a_secret(system: str, tmp_path: Path) -> None:
    project = Project(tmp_path)

    output = project.preview(_script(system), "default-branch")

    assert output.splitlines() == ["main", "settings: config: {a: 2}"]
    left = {file.name for file in project.folder.iterdir()}
    assert left == {".git", "__main__.py", "Pulumi.prod.yaml"}


def test_no_earlier_job_has_left_a_hook_in_the_clone() -> None:
    assert _load(".gitlab-ci.yml")[".preview"]["variables"]["GIT_STRATEGY"] == "clone"


def test_without_the_mode_the_branch_has_it(tmp_path: Path) -> None:
    """This is what a preview does by default, and why the mode is there."""
    output = Project(tmp_path).preview(_script("GitLab"), "merge-request")

    assert SECRET in output
    assert output.endswith("settings: \n")


def test_a_stack_file_that_links_to_a_secret_is_not_followed(tmp_path: Path) -> None:
    project = Project(tmp_path)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(SECRET, encoding="utf-8")
    (project.folder / "Pulumi.prod.yaml").unlink()
    (project.folder / "Pulumi.prod.yaml").symlink_to(kubeconfig)
    project.commit(project.folder, {})

    output = project.preview(_script("GitLab"), "default-branch")

    assert output.splitlines() == ["main", f"settings: {kubeconfig}"]


@pytest.mark.parametrize("system", ["GitLab", "GitHub"])
def test_the_preview_takes_the_settings_that_were_set_aside(system: str) -> None:
    if system == "GitLab":
        (script,) = _load(".gitlab-ci.yml")[".preview"]["script"]
    else:
        steps = _load(".github/workflows/pipeline.yml")["jobs"]["preview"]["steps"]
        (script,) = [step["run"] for step in steps if step.get("name") == "Preview"]

    assert '${SETTINGS_FROM:+--settings-from "$SETTINGS_FROM"}' in script
