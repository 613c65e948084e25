"""The comparison of stack files for forks, in a clone of a project with one commit."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands import compare
from commands.app import main
from commands.shared.checkout import CHECKOUT
from commands.shared.exit_codes import ExitCode, exit_code
from dev.local.stack_file import chart_of
from dev.paths import STAND_IN_CHART
from report.errors import ReportError
from report.model import Report
from report.outputs import html, markdown
from tests.support.changes import CHANGES_AND_CODES, FOUR_RUNNERS, ONE_RUNNER
from tests.support.configured import MISSING, STRATEGIES, replace_values
from tests.support.previews import preview_change

DIND = {"runners.main.strategy": STRATEGIES["dind"]}
DOOD = {"runners.main.strategy": STRATEGIES["dood"]}
SERVICE = {"runners.main.strategy": "buildkit-service"}


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
        self._git("commit", "--quiet", "--allow-empty", "--message", "Base")

    def write(
        self,
        changes: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        stack: str = "dev",
    ) -> None:
        """Write a stack file whose settings are right but for the changes."""
        settings = replace_values(ONE_RUNNER.settings, changes or {})
        self.write_config({"image-builds:settings": settings, **(config or {})}, stack)

    def write_config(self, config: Mapping[str, Any], stack: str = "dev") -> None:
        content = {"config": {"kubernetes:context": "a-cluster", **config}}
        self.write_text(yaml.safe_dump(content), stack)

    def write_text(self, text: str, stack: str = "dev") -> None:
        (self.folder / f"Pulumi.{stack}.yaml").write_text(text, encoding="utf-8")

    def start_with(self, changes: Mapping[str, Any]) -> None:
        """Commit a stack file with these changes."""
        self.write(changes)
        self.commit()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    folder = tmp_path / "clone"
    folder.mkdir()
    made = Clone(folder)
    made.write()
    made.commit()
    monkeypatch.setattr(compare, "CHECKOUT", folder)
    return made


def _report(stack: str = "dev") -> Report:
    return compare.build_report(stack, "HEAD")


def _texts(report: Report) -> str:
    return markdown.write(report) + html.write(report)


def _resources(report: Report) -> set[tuple[str, str, str]]:
    return {(item.operation, item.type.rpartition(":")[2], item.name) for item in report.resources}


class TestReport:
    def test_an_equal_stack_file_is_one_quiet_line(self, clone: Clone) -> None:
        report = _report()

        assert clone.folder == compare.CHECKOUT
        assert markdown.write(report).splitlines()[1].startswith("dev: nothing changes. Plan ")
        assert exit_code(report) == ExitCode.NO_CHANGE

    def test_a_switch_shows_keys_risks_and_what_projects_do(self, clone: Clone) -> None:
        clone.write(DOOD)

        report = _report()

        keys = {(key.runner, key.change.path) for key in report.keys}
        assert ("main", "kubernetes.volumes.host_path[docker-socket].host_path") in keys
        raised = {delta.identity for delta in report.risk_changes if delta.direction == "raised"}
        assert "hostPath/the-job-pod-of-runner-main//var/run/docker.sock" in raised
        assert "podSecurity/Namespace-builds-main/privileged" in raised
        assert any("changes from kaniko to dood" in line for line in report.sentences)
        # The strategy accepts it, as in a preview.
        assert (report.risk, exit_code(report)) == ("accepted", ExitCode.CHANGES)

    def test_a_risk_that_is_not_accepted_stops(self, clone: Clone) -> None:
        clone.write({"runners.main.strategy": "buildkit"})

        report = _report()

        assert exit_code(report) == ExitCode.RISK_RAISED
        assert "podSecurity/Namespace-builds-main/privileged" in report.unaccepted

    def test_a_secret_in_plain_text_is_refused(self, clone: Clone) -> None:
        clone.write(config={"image-builds:runnerTokens": {"main": "glrt-InPlainText01"}})

        with pytest.raises(ReportError) as refused:
            _report()

        assert str(refused.value).startswith("image-builds:runnerTokens.main: is in plain text in")
        assert "InPlainText" not in str(refused.value)

    def test_an_acceptance_counts_and_is_shown(self, clone: Clone) -> None:
        changes = {"runners.main.strategy": "buildkit"}
        clone.write(changes)
        accepted = dict.fromkeys(_report().unaccepted, "see the ticket")

        clone.write(changes, {"image-builds:acceptedRisks": accepted})
        report = _report()

        assert exit_code(report) == ExitCode.CHANGES
        (file,) = [item for item in report.resources if item.type == "StackFile"]
        assert any("acceptedRisks" in item.path for item in file.properties)

    @pytest.mark.parametrize(
        ("strategy", "rule"), [("dind", "no-dind-in-prod"), ("buildx", "no-buildx-in-prod")]
    )
    def test_policies_go_by_the_name_of_the_stack(
        self, strategy: str, rule: str, clone: Clone
    ) -> None:
        clone.write({"runners.main.strategy": STRATEGIES[strategy]}, stack="prod")

        assert {item.rule for item in _report("prod").violations if item.stops} == {rule}

    def test_a_permission_of_jobs_in_a_target_raises_the_risk(self, clone: Clone) -> None:
        permission = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}
        key = "runners.main.strategy"
        clone.start_with({key: {"kind": "deploy", "permissions": {"apps": [permission]}}})
        wider = {**permission, "verbs": ["get", "delete"]}
        clone.write({key: {"kind": "deploy", "permissions": {"apps": [wider]}}})

        report = _report()

        assert report.unaccepted == (
            "permission/Role-apps/gitlab-job-main/delete-deployments.apps",
        )

    def test_where_tokens_logins_and_code_go_raises_the_risk(self, clone: Clone) -> None:
        registry = {"host": "evil.example", "push": "out"}
        clone.write(
            {
                "gitlab.url": "https://evil.example",
                "chart.repository": "https://evil.example/charts",
                "registryMirrors": ["evil.example"],
                "registries": [*ONE_RUNNER.settings["registries"], registry],
            },
            {"kubernetes:context": "another-cluster"},
        )

        assert sorted(_report().unaccepted) == [
            "chartSource/the-stack/https://evil.example/charts-(gitlab-runner)",
            "cluster/the-stack/the-cluster-of-context-another-cluster",
            "gitlab/the-stack/https://evil.example",
            "login/the-stack/evil.example-(out)-in-registry-push",
            "mirror/the-stack/evil.example",
        ]

    def test_a_permission_of_managers_raises_the_risk(self, clone: Clone) -> None:
        clone.start_with({})
        clone.write({"runners.main.podDisruptionBudget": True})

        report = _report()

        (identity, *_) = report.unaccepted
        assert identity.startswith("permission/Role-builds-main/gitlab-runner-main/")
        assert ("update", "Role", "main-manager") in _resources(report)

    def test_an_opened_network_policy_raises_the_risk(self, clone: Clone) -> None:
        clone.start_with(SERVICE)
        shared = {"kind": "buildkit-service", "daemonOf": "main", "acceptSharedBuilds": True}
        second = {"tags": ["second"], "strategy": shared, "registration": "token"}
        clone.write({**SERVICE, "runners.second": second})

        report = _report()

        assert report.unaccepted == (
            "reach/NetworkPolicy-builds-main-buildkitd/buildkitd-ingress/ingress-from-namespace-builds-second-on-port-1234",
            "sharedDaemon/runner-second/runner-main",
        )
        assert ("update", "NetworkPolicy", "main-buildkitd-ingress") in _resources(report)

    def test_a_daemon_is_compared_with_all_that_it_has(self, clone: Clone) -> None:
        clone.start_with(SERVICE)
        registry = {"host": "second.example.com", "insecure": True}
        clone.write({**SERVICE, "registries": [*ONE_RUNNER.settings["registries"], registry]})

        found = _resources(_report())

        # Its certificates are made anew by each run of the program, and stay as they are.
        assert {name for kind, name in _kinds(found) if kind == "Secret"} == set()
        assert {("ConfigMap", "main-buildkitd"), ("Deployment", "main-buildkitd")} <= _kinds(found)

    def test_a_target_namespace_of_others_is_not_the_stacks(self, clone: Clone) -> None:
        clone.write({"targetNamespaces.apps.create": False})

        assert str(_report().counts) == "1 to update, 1 to keep"

    def test_a_stack_without_faults_violates_nothing(self, clone: Clone) -> None:
        clone.write({"runners.main.concurrent": 3})

        report = _report()

        assert report.violations == ()
        assert "Runner main runs up to 3 jobs at a time instead of 10." in report.sentences

    def test_a_new_stack_is_all_new(self, clone: Clone) -> None:
        clone.write(stack="new")

        assert str(_report("new").counts) == "17 to create"

    def test_a_runner_that_goes_takes_its_namespace_along(self, clone: Clone) -> None:
        other = {"tags": ["other"], "strategy": "kaniko", "registration": "token"}
        clone.start_with({"runners.other": other})
        clone.write()

        report = _report()

        assert str(report.counts) == "1 to update, 11 to delete"
        loud = [item.text for item in report.effects if item.loud]
        assert loud[0].startswith("Namespace builds-other is deleted")

    def test_a_namespace_with_another_name_is_a_replacement(self, clone: Clone) -> None:
        clone.write({"runners.main.jobNamespace": "elsewhere"})

        assert ("replace", "Namespace", "main-jobs") in _resources(_report())

    def test_a_runner_made_in_gitlab_needs_no_token(self, clone: Clone) -> None:
        registration = {"kind": "userRunner", "runnerType": "group_type", "groupId": 1}
        clone.write({"runners.main.registration": registration, "registries": []})

        report = _report()

        assert ("create", "UserRunner", "main") in _resources(report)
        assert "(known after the update)" in markdown.write(report)

    @pytest.mark.parametrize(
        "cache",
        [
            {"kind": "s3", "bucket": "a"},
            {"kind": "gcs", "bucket": "a"},
            {"kind": "azure", "account": "a", "container": "b"},
        ],
    )
    def test_the_login_of_a_cache_has_a_placeholder(
        self, cache: dict[str, str], clone: Clone
    ) -> None:
        clone.write({"runners.main.cache": {**cache, "credentials": "a"}})

        assert ("create", "Secret", "main-cache") in _resources(_report())

    def test_the_context_may_come_with_a_kubeconfig(self, clone: Clone) -> None:
        secret = {"secure": "v1:PlantedCiphertext"}
        clone.write(config={"kubernetes:context": None, "kubernetes:kubeconfig": secret})

        report = _report()

        # Another kubeconfig can be of another cluster.
        assert [it.partition(":")[0] for it in report.unaccepted] == [
            "cluster/the-stack/the-cluster-of-another-kubeconfig",
            "stackFile/the-stack/kubernetes",
        ]
        assert "Planted" not in _texts(report)


def _kinds(resources: set[tuple[str, str, str]]) -> set[tuple[str, str]]:
    return {(kind, name) for _, kind, name in resources}


# What a comparison reads for itself: both stack files, or one, of any name, with strategies,
# logins, accepted risks and names. All else is what tests/report/test_changes.py reads.
READ_ALIKE = [
    "nothing",
    "first-deployment",
    "kaniko-to-dood",
    "kaniko-to-buildkit-service",
    "kaniko-to-deploy",
    "accepted-in-writing",
    "tag",
    "registry-added",
    "runner-added-by-auto",
    "runner-removed",
    "namespace-renamed",
    "private-addresses-opened",
    "dood-in-prod-accepted",
]


@pytest.mark.parametrize("name", READ_ALIKE)
def test_a_comparison_agrees_with_the_preview(name: str, clone: Clone) -> None:
    """But for changes of the program and of secrets, which are no part of a stack file.

    tests/engine/test_report.py compares the same previews with those of an engine.
    """
    change, _ = CHANGES_AND_CODES[name]
    stack = change.environment
    if not change.first:
        clone.write_config(_config(change.before), stack)
        clone.commit()
    clone.write_config(_config(change.after, change.accepted), stack)

    assert _compared(_report(stack)) == _compared(preview_change(change, FOUR_RUNNERS))


def test_the_chart_of_the_base_need_not_be_there(clone: Clone, tmp_path: Path) -> None:
    """A change that replaces an archive has the new one only."""
    chart = shutil.copytree(STAND_IN_CHART, tmp_path / "gitlab-runner")
    clone.start_with({"chart": chart_of(chart)})
    (chart / "templates" / "more.yaml").write_text("kind: ClusterRoleBinding\n", encoding="utf-8")
    clone.write({"chart": chart_of(chart)})

    report = _report()

    (release,) = [item for item in report.resources if item.type.endswith(":Release")]
    path = 'values.deploymentAnnotations["image-builds/chart-digest"]'
    assert [item.path for item in release.properties] == [path]


def _config(changes: Mapping[str, Any], accepted: tuple[str, ...] = ()) -> dict[str, Any]:
    settings = {"image-builds:settings": replace_values(FOUR_RUNNERS.settings, changes)}
    risks = {"image-builds:acceptedRisks": dict.fromkeys(accepted, "a reason")}
    return settings | (risks if accepted else {})


def _compared(report: Report) -> dict[str, object]:
    """Return what does not depend on lines of the stack file and on values of secrets."""
    return {
        "risk changes": [
            (item.direction, item.what, item.accepted) for item in report.risk_changes
        ],
        "violations": [(item.identity, item.accepted) for item in report.violations],
        "effects": report.effects,
        "keys": report.keys,
        "resources": {item for item in _resources(report) if item[1] != "StackFile"},
    }


class TestGaps:
    def test_a_change_says_what_only_a_preview_can_see(self, clone: Clone) -> None:
        clone.write(DOOD)

        gaps = "\n".join(_report().gaps)

        for gap in ("the cluster and the state", "the objects that charts render", "secrets"):
            assert gap in gaps
        assert "the program of the base" not in gaps

    def test_another_program_is_said_of_equal_stack_files(self, clone: Clone) -> None:
        (clone.folder / "components" / "config.py").write_text("x = 1\n", encoding="utf-8")

        report = _report()

        assert [gap.partition(":")[0] for gap in report.gaps] == ["the program of the base"]
        assert "the program of the base" in markdown.write(report)
        assert "the program of the base" in html.write(report)
        assert exit_code(report) == ExitCode.NO_CHANGE

    @pytest.mark.parametrize(
        ("before", "after", "text"),
        [
            ("secretsprovider: awskms://a\n", "secretsprovider: awskms://b\n", "awskms://b"),
            ("encryptionsalt: v1:a\n", "encryptionsalt: v1:b\n", "another encryptionsalt"),
            ("", "environment: [theirs]\n", "environment: digest"),
        ],
    )
    def test_an_option_beside_the_config_is_a_risk(
        self, before: str, after: str, text: str, clone: Clone
    ) -> None:
        content = (clone.folder / "Pulumi.dev.yaml").read_text(encoding="utf-8")
        clone.write_text(before + content)
        clone.commit()
        clone.write_text(after + content)

        report = _report()

        assert [it.what for it in report.risk_changes if text in it.what] != []
        assert exit_code(report) == ExitCode.RISK_RAISED
        assert [(it.operation, it.type) for it in report.resources] == [("update", "StackFile")]

    def test_a_changed_secret_is_never_read_but_a_gap(self, clone: Clone) -> None:
        tokens = {"main": {"secure": "v1:PlantedCiphertext"}, "unknown": {"secure": "v1:Planted"}}
        clone.write(config={"image-builds:runnerTokens": tokens})

        report = _report()

        assert report.counts.total == 0
        assert any("the stack's secrets" in gap for gap in report.gaps)
        assert "Planted" not in _texts(report)


class TestIsolation:
    def test_nothing_of_the_environment_is_read(
        self, clone: Clone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The SDK looks for keys that the config lacks in the environment."""
        for name in ("KUBECONFIG", "GITLAB_TOKEN", "PULUMI_K8S_CLUSTER_IDENTIFIER"):
            monkeypatch.setenv(name, "Planted")
        for name in ("SETTINGS", "ACCEPTEDRISKS", "RUNNERTOKENS", "REGISTRYCREDENTIALS"):
            monkeypatch.setenv(f"PULUMI_CONFIG_IMAGE_BUILDS_{name}", '{"Planted": "Planted"}')
        monkeypatch.setenv("PULUMI_CONFIG_KUBERNETES_KUBECONFIG", "Planted")
        monkeypatch.setenv("PULUMI_CONFIG_KUBERNETES_CONTEXT", "Planted")
        clone.write(SERVICE, stack="new")

        assert "Planted" not in _texts(_report("new"))

        clone.write_text("config: {}", stack="new")
        with pytest.raises(ReportError) as refused:
            _report("new")
        assert "image-builds:settings: is required" in str(refused.value)
        assert "kubernetes:context: is" in str(refused.value)
        assert "Planted" not in str(refused.value)

    def test_no_placeholder_is_shown_as_a_value(self, clone: Clone) -> None:
        clone.write(stack="new")

        text = _texts(_report("new"))

        assert "[secret]" in text
        assert "glrt-" not in text

    def test_comparisons_in_one_process_are_equal(self, clone: Clone) -> None:
        clone.write(SERVICE)

        assert _report() == _report()

    def test_the_sdk_and_the_program_print_nothing(
        self, clone: Clone, capfd: pytest.CaptureFixture[str]
    ) -> None:
        clone.write(SERVICE)

        _report()

        assert capfd.readouterr() == ("", "")


class TestErrors:
    def _error(self, capfd: pytest.CaptureFixture[str], stack: str = "dev") -> str:
        code = main(["compare", "--stack", stack, "--base", "HEAD", "--output", "unused"])

        said = capfd.readouterr()
        assert (code, said.out) == (ExitCode.FAILED, "")
        assert "Traceback" not in said.err
        return said.err

    def test_one_in_the_stack_file_reads_as_in_a_preview(
        self, clone: Clone, capfd: pytest.CaptureFixture[str]
    ) -> None:
        clone.write({"runners.main.tagz": ["x"]})

        assert self._error(capfd) == (
            "Pulumi.dev.yaml: 1 error in the config of this stack; nothing was changed:\n"
            "image-builds:settings.runners.main.tagz: is an unknown key; did you mean tags?\n"
        )

    def test_one_in_the_base_names_the_commit(
        self, clone: Clone, capfd: pytest.CaptureFixture[str]
    ) -> None:
        clone.start_with({"gitlab": MISSING})
        clone.write()

        said = self._error(capfd)

        assert said.startswith("Pulumi.dev.yaml of the base, ")
        assert "image-builds:settings.gitlab: is required; add it" in said

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("config: [", "Pulumi.dev.yaml must be YAML"),
            ("config:\n  image-builds:settings: x", "image-builds:settings: must be a mapping"),
            ("config: {}", "image-builds:settings: is required; add it"),
            ("config: {}", "kubernetes:context: is required"),
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
    def test_what_is_not_a_config_has_no_traceback(
        self, text: str, message: str, clone: Clone, capfd: pytest.CaptureFixture[str]
    ) -> None:
        clone.write_text(text)

        assert message in self._error(capfd)

    def test_a_stack_without_a_file_is_named(
        self, clone: Clone, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert clone.folder.is_dir()
        assert "Pulumi.none.yaml does not exist" in self._error(capfd, "none")

    def test_a_missing_base_says_how_to_get_it(
        self, clone: Clone, capfd: pytest.CaptureFixture[str]
    ) -> None:
        code = main(["compare", "--base", "0123abc", "--output", str(clone.folder)])

        assert code == ExitCode.FAILED
        assert capfd.readouterr().err.startswith(
            "--base: '0123abc' must be a commit of this clone; name one, or fetch it: git fetch"
        )


class TestCommand:
    def test_it_writes_and_prints_note_and_page(
        self, clone: Clone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        clone.write(DOOD)
        output = tmp_path / "build" / "offline"

        code = compare.run("dev", base="HEAD", output=output)

        assert code == ExitCode.CHANGES
        assert (output / "note.md").read_text(encoding="utf-8") == markdown.write(_report())
        assert (output / "report.html").read_text(encoding="utf-8") == html.write(_report())
        said = capsys.readouterr().out
        assert "dev: 3 to update; risk raised and accepted in the stack file" in said
        assert said.endswith(f"Full report: {output / 'report.html'}\n")

    def test_no_change_names_no_page(
        self, clone: Clone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert clone.folder.is_dir()

        code = compare.run("dev", base="HEAD", output=tmp_path)

        assert code == ExitCode.NO_CHANGE
        assert "browser" not in capsys.readouterr().out

    def test_it_needs_no_program_but_git(self, tmp_path: Path) -> None:
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
