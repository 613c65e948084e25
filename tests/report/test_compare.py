import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands import compare as offline
from commands.app import main
from commands.exit_codes import ExitCode, exit_code
from dev.paths import CHECKOUT
from report.model import Report
from report.outputs import html as page
from report.outputs import markdown as note
from tests.support.configured import (
    MISSING,
    SETTINGS,
    STRATEGIES,
    bent,
)

RIGHT = bent(SETTINGS, {"runners.main.resources.limits": {"memory": "1Gi"}})
DIND = {"runners.main.strategy": STRATEGIES["dind"]}
DOOD = {"runners.main.strategy": STRATEGIES["dood"]}


class Clone:
    """A clone of a project with one commit, whose stack file the tests change."""

    def __init__(self, folder: Path) -> None:
        """Make one without a commit."""
        self.folder = folder
        (folder / "components").mkdir()
        (folder / "components" / "config.py").write_text("", encoding="utf-8")
        self._git("init", "--quiet")

    def _git(self, *arguments: str) -> None:
        who = ("-c", "user.name=n", "-c", "user.email=e@example.com")
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(["git", *who, *arguments], cwd=self.folder, env=environment, check=True)

    def commit(self) -> None:
        self._git("add", ".")
        self._git("commit", "--quiet", "--message", "Base")

    def write(
        self,
        changes: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        stack: str = "dev",
    ) -> None:
        """Write a stack file whose settings are right but for the changes."""
        content = {
            "kubernetes:context": "a-cluster",
            "image-builds:settings": bent(RIGHT, dict(changes or {})),
            **(config or {}),
        }
        self.write_text(yaml.safe_dump({"config": content}), stack)

    def write_text(self, text: str, stack: str = "dev") -> None:
        (self.folder / f"Pulumi.{stack}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    folder = tmp_path / "clone"
    folder.mkdir()
    made = Clone(folder)
    made.write()
    made.commit()
    monkeypatch.setattr(offline, "CHECKOUT", folder)
    return made


def _look(stack: str = "dev") -> Report:
    return offline.build_report(stack, "HEAD")


def _mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = main(["compare", "--base", "HEAD", *arguments])

    said = capsys.readouterr().err
    assert code == ExitCode.FAILED
    assert "Traceback" not in said
    return said


class TestWhatIsTold:
    def test_a_stack_file_that_is_the_same_is_one_quiet_line(self, clone: Clone) -> None:
        report = _look()

        assert clone.folder == offline.CHECKOUT
        assert note.write(report).splitlines()[1].startswith("dev: nothing changes. Plan ")
        assert exit_code(report) == ExitCode.NO_CHANGE

    def test_a_switch_is_told_with_its_keys_risks_level_and_what_projects_do(
        self,
        clone: Clone,
    ) -> None:
        clone.write(DOOD)

        report = _look()

        keys = {(key.runner, key.change.path) for key in report.keys}
        assert ("main", "kubernetes.volumes.host_path[docker-socket].host_path") in keys
        raised = {delta.identity for delta in report.deltas if delta.direction == "raised"}
        assert "hostPath/the-job-pod-of-runner-main//var/run/docker.sock" in raised
        assert "podSecurity/Namespace-builds-main/privileged" in raised
        assert any("changes from kaniko to dood" in line for line in report.sentences)
        # The strategy accepts it, as in a preview.
        assert (report.risk, exit_code(report)) == ("accepted", ExitCode.CHANGES)

    def test_a_risk_that_is_not_accepted_stops(self, clone: Clone) -> None:
        clone.write({"runners.main.strategy": "buildkit"})

        report = _look()

        assert exit_code(report) == ExitCode.RISK_RAISED
        assert "podSecurity/Namespace-builds-main/privileged" in report.unaccepted

    def test_an_acceptance_in_the_stack_file_counts_and_is_shown(self, clone: Clone) -> None:
        changes = {"runners.main.strategy": "buildkit"}
        clone.write(changes)
        accepted = dict.fromkeys(_look().unaccepted, "see the ticket")

        clone.write(changes, {"image-builds:acceptedRisks": accepted})
        report = _look()

        assert exit_code(report) == ExitCode.CHANGES
        (file,) = [item for item in report.resources if item.type == "StackFile"]
        assert any("acceptedRisks" in item.path for item in file.properties)

    def test_policies_are_those_of_the_stack_by_its_name(self, clone: Clone) -> None:
        clone.write(DIND, stack="prod")

        rules = {item.rule for item in _look("prod").violations if item.stops}

        assert rules == {"no-dind-in-prod"}

    def test_a_job_that_may_make_pods_in_production_is_one_too(self, clone: Clone) -> None:
        clone.write({"runners.main.strategy": STRATEGIES["buildx"]}, stack="prod")

        rules = {item.rule for item in _look("prod").violations if item.stops}

        assert rules == {"no-buildx-in-prod"}

    def test_a_right_that_jobs_gain_in_a_target_namespace_raises_the_risk(
        self,
        clone: Clone,
    ) -> None:
        right = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}
        runner = {"runners.main.strategy": {"kind": "deploy", "permissions": {"apps": [right]}}}
        clone.write(runner)
        clone.commit()
        wider = {**right, "verbs": ["get", "delete"]}
        clone.write({"runners.main.strategy": {"kind": "deploy", "permissions": {"apps": [wider]}}})

        report = _look()

        assert report.unaccepted == ("right/Role-apps/gitlab-job-main/delete-deployments.apps",)

    def test_a_target_namespace_of_others_is_not_the_stacks(self, clone: Clone) -> None:
        clone.write({"targetNamespaces.apps.create": False})

        assert str(_look().counts) == "1 to update, 1 to delete"

    def test_a_stack_without_faults_violates_nothing(self, clone: Clone) -> None:
        clone.write({"runners.main.concurrent": 3})

        report = _look()

        assert report.violations == ()
        assert "Runner main runs up to 3 jobs at a time, so far 10." in report.sentences

    def test_a_new_stack_is_all_new(self, clone: Clone) -> None:
        clone.write(stack="new")

        report = _look("new")

        assert str(report.counts) == "13 to create"

    def test_a_runner_that_goes_takes_its_namespace_along(self, clone: Clone) -> None:
        other = {"tags": ["other"], "strategy": "kaniko", "registration": "token"}
        clone.write({"runners.other": other})
        clone.commit()
        clone.write()

        report = _look()

        assert str(report.counts) == "1 to update, 9 to delete"
        loud = [item.text for item in report.effects if item.loud]
        assert loud[0].startswith("Namespace builds-other goes")

    def test_a_namespace_with_another_name_is_a_replacement(self, clone: Clone) -> None:
        clone.write({"runners.main.jobNamespace": "elsewhere"})

        assert str(_look().counts) == "2 to update, 6 to replace"

    def test_a_runner_that_the_stack_makes_in_gitlab_needs_no_token(self, clone: Clone) -> None:
        registration = {"kind": "userRunner", "runnerType": "group_type", "groupId": 1}
        clone.write({"runners.main.registration": registration, "registries": []})

        assert exit_code(_look()) == ExitCode.CHANGES

    def test_the_context_may_come_with_a_kubeconfig(self, clone: Clone) -> None:
        secret = {"secure": "v1:PlantedCiphertext"}
        clone.write(config={"kubernetes:context": None, "kubernetes:kubeconfig": secret})

        report = _look()

        assert exit_code(report) == ExitCode.CHANGES
        assert "Planted" not in note.write(report) + page.write(report)


class TestWhatIsNotLookedAt:
    def test_a_change_says_what_only_a_preview_can_see(self, clone: Clone) -> None:
        clone.write(DOOD)

        gaps = "\n".join(_look().gaps)

        for gap in ("the state", "the objects that charts render", "secrets"):
            assert gap in gaps
        assert "the program of the base" not in gaps

    def test_another_program_is_told_though_the_stack_file_is_the_same(self, clone: Clone) -> None:
        (clone.folder / "components" / "config.py").write_text("x = 1\n", encoding="utf-8")

        report = _look()

        assert [gap.partition(":")[0] for gap in report.gaps] == ["the program of the base"]
        assert "- Not looked at: the program of the base" in note.write(report)
        assert "Not looked at: the program of the base" in page.write(report)
        assert exit_code(report) == ExitCode.NO_CHANGE

    def test_a_secret_is_never_read_but_its_change_leaves_a_gap(self, clone: Clone) -> None:
        tokens = {"main": {"secure": "v1:PlantedCiphertext"}, "unknown": "PlantedInPlain"}
        clone.write(config={"image-builds:runnerTokens": tokens})

        report = _look()

        assert report.counts.total == 0
        assert any("the stack's secrets" in gap for gap in report.gaps)
        assert "Planted" not in note.write(report) + page.write(report)


class TestMistakes:
    def test_one_in_the_stack_file_is_told_as_in_a_preview(
        self,
        clone: Clone,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        clone.write({"runners.main.tagz": ["x"]})

        assert _mistake(capsys) == (
            "Pulumi.dev.yaml: 1 mistake in the config of this stack; nothing was changed:\n"
            "image-builds:settings.runners.main.tagz: is an unknown key; did you mean tags?\n"
        )

    def test_one_in_the_base_says_of_which_commit(
        self,
        clone: Clone,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        clone.write({"gitlab": MISSING})
        clone.commit()
        clone.write()

        said = _mistake(capsys)

        assert said.startswith("Pulumi.dev.yaml of the base, ")
        assert "image-builds:settings.gitlab: is required; add it" in said

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("config: [", "Pulumi.dev.yaml is no YAML; correct it"),
            ("config:\n  image-builds:settings: x", "is no object; write it as a YAML mapping"),
            ("config: {}", "image-builds:settings: is missing; add it"),
            ("config: {}", "kubernetes:context: is missing"),
            (
                "config:\n  image-builds:settings: {2026-11-25: x}",
                "Pulumi.dev.yaml: a key is a date, or a value holds itself; put the key in quotes",
            ),
            (
                "config:\n  image-builds:settings: &a {a: *a}",
                "Pulumi.dev.yaml: a key is a date, or a value holds itself",
            ),
        ],
    )
    def test_what_is_no_config_is_told_without_a_traceback(
        self,
        text: str,
        told: str,
        clone: Clone,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        clone.write_text(text)

        assert told in _mistake(capsys)

    def test_a_stack_without_a_file_is_told(
        self,
        clone: Clone,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert clone.folder.is_dir()
        assert "Pulumi.none.yaml does not exist" in _mistake(capsys, "--stack", "none")

    def test_a_base_that_is_not_there_says_how_to_get_it(
        self,
        clone: Clone,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert clone.folder.is_dir()

        said = _mistake(capsys, "--base", "0123abc")

        assert said.startswith("--base: '0123abc' must be a commit of this clone; name one")


class TestCommand:
    def test_it_writes_note_and_page_and_prints_them(
        self,
        clone: Clone,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        clone.write(DOOD)
        output = tmp_path / "build" / "offline"

        code = offline.run("dev", base="HEAD", output=output)

        assert code == ExitCode.CHANGES
        assert (output / "note.md").read_text(encoding="utf-8") == note.write(_look())
        assert (output / "report.html").read_text(encoding="utf-8") == page.write(_look())
        said = capsys.readouterr().out
        assert "dev: 3 to update; risk raised, and accepted in the stack file" in said
        assert said.endswith(f"The whole report, for a browser: {output / 'report.html'}\n")

    def test_no_change_names_no_page(
        self,
        clone: Clone,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert clone.folder.is_dir()

        code = offline.run("dev", base="HEAD", output=tmp_path)

        assert code == ExitCode.NO_CHANGE
        assert "browser" not in capsys.readouterr().out

    def test_it_needs_no_program_but_git_and_nothing_of_the_environment(
        self,
        tmp_path: Path,
    ) -> None:
        git = tmp_path / "bin" / "git"
        git.parent.mkdir()
        git.symlink_to(shutil.which("git") or "")
        command = [sys.executable, "-m", "commands", "compare", "--base", "HEAD"]
        answer = subprocess.run(
            [*command, "--output", str(tmp_path / "output")],
            cwd=CHECKOUT,
            env={"PATH": str(git.parent)},
            check=False,
            capture_output=True,
            encoding="utf-8",
        )

        assert answer.returncode in {ExitCode.NO_CHANGE, ExitCode.CHANGES, ExitCode.RISK_RAISED}, (
            answer.stderr
        )
        assert answer.stderr == ""
        assert answer.stdout.startswith("dev: ")
