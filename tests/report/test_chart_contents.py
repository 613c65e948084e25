"""What a report says of a chart whose contents it cannot see, or cannot compare."""

import dataclasses
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from commands.shared.exit_codes import ExitCode, exit_code
from components.gitlab_runner.archive import digest_of
from components.workloads import CHART_DIGEST
from report.analysis import assemble
from report.inputs.charts import Charts
from report.inputs.events import RELEASE, read
from report.inputs.templates import unseen
from report.model import Report
from report.redact import Scrubber
from tests.support.previews import pre_event, stack_file

URN = f"urn:pulumi:prod::image-builds::{RELEASE}::builds"
RENDERED = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: manager, namespace: builds}
"""
BINDING = """\
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: metrics-reader}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: gitlab-job-builds, namespace: builds-jobs}]
"""
RESTRICTED = {
    "podSecurityContext": {"runAsUser": 100, "seccompProfile": {"type": "RuntimeDefault"}},
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
REPOSITORY = {"repo": "https://charts"}
OTHER = "chartContents/the-chart-of-release-builds/"
RULE = "predictable-charts/release-builds/"


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder with charts, and a program that renders what a chart has in ``rendered.yaml``."""

    path: Path

    @property
    def helm(self) -> Path:
        """It prints the file, or takes the archive that a repository serves."""
        program = self.path / "helm"
        program.write_text(
            "#!/bin/bash\n"
            f'if [ "$1" = pull ]; then cp {self.path}/served.tgz "$8/"; exit; fi\n'
            'if [ -d "$3" ]; then cat "$3/rendered.yaml"; else tar -xOf "$3" c/rendered.yaml; fi\n',
            encoding="utf-8",
        )
        program.chmod(0o755)
        return program

    def chart(self, name: str = "chart", more: str = "", **files: str) -> Path:
        """Write a chart that renders a manager and ``more``."""
        found = self.path / name
        shutil.rmtree(found, ignore_errors=True)
        (found / "templates").mkdir(parents=True)
        (found / "Chart.yaml").write_text("version: 0.94.1\n", encoding="utf-8")
        (found / "rendered.yaml").write_text(RENDERED + more, encoding="utf-8")
        for file, text in files.items():
            (found / "templates" / f"{file}.yaml").write_text(text, encoding="utf-8")
        return found

    def serve(self, chart: Path) -> str:
        """Let the repository serve a chart, and return the digest of its archive."""
        file = self.path / "served.tgz"
        with tarfile.open(file, "w:gz") as tar:
            tar.add(chart, "c")
        return digest_of(file)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _inputs(chart: Path | str, digest: str, concurrent: int = 1, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    marks = {"deploymentAnnotations": {CHART_DIGEST: digest}} if digest else {}
    return {
        "name": "gitlab-runner-builds",
        "namespace": "builds",
        "chart": str(chart),
        "version": "0.94.1",
        "values": {
            "concurrent": concurrent,
            "runners": {"config": "[[runners]]\n"},
            **RESTRICTED,
            **marks,
        },
        **more,
    }


def _held(chart: Path, concurrent: int = 1) -> dict[str, Any]:
    return _inputs(chart, digest_of(chart), concurrent)


def _report(
    folder: Folder,
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any] | None,
    *accepted: str,
    environment: str = "prod",
) -> Report:
    operation = "create" if old is None else "delete" if new is None else "update"
    plan = read([pre_event(operation, URN, RELEASE, old=old, new=new)], Scrubber())
    file = stack_file({"runners": {"builds": {}}}, accepted)
    source = assemble.Source(environment=environment, stack_file=file, settings={})
    with Charts(folder.helm) as charts:
        return assemble.report(plan, source, charts, Scrubber())


def _raised(report: Report) -> list[str]:
    raised = (item for item in report.risk_changes if item.direction == "raised" and item.weighs)
    return [item.identity for item in raised]


def test_a_chart_that_is_the_same_is_compared(folder: Folder) -> None:
    chart = folder.chart()

    report = _report(folder, _held(chart, concurrent=2), _held(chart))

    assert (report.risk, report.gaps, report.violations) == ("unchanged", (), ())
    assert report.objects == ()


def test_other_contents_are_a_risk_and_judged_as_new(folder: Folder) -> None:
    """Its path is the same, so what it contained before is gone."""
    old = _held(folder.chart())
    new = _held(folder.chart(more=BINDING))

    report = _report(folder, old, new)

    first, *others = sorted(_raised(report), key=lambda item: not item.startswith(OTHER))
    assert first.startswith(f"{OTHER}0.94.1-(SHA-256-{digest_of(folder.path / 'chart')[:12]}")
    assert any("cluster-admin" in item for item in others)
    assert exit_code(report) == ExitCode.RISK_RAISED
    assert "another one" in report.gaps[0]
    assert report.objects == ()
    (effect,) = report.effects
    assert "restarts" in effect.text


def test_other_contents_can_be_accepted_once(folder: Folder) -> None:
    old, new = _held(folder.chart()), _held(folder.chart(note="# harmless"))
    (identity,) = _raised(_report(folder, old, new))

    accepted = _report(folder, old, new, identity)
    later = _report(folder, new, _held(folder.chart(note="# harmless too")), identity)

    assert (accepted.risk, exit_code(accepted)) == ("accepted", ExitCode.CHANGES)
    assert exit_code(later) == ExitCode.RISK_RAISED


def test_a_chart_deployed_without_a_digest_may_have_been_any(folder: Folder) -> None:
    chart = folder.chart()

    report = _report(folder, _inputs(chart, ""), _held(chart))

    assert [item.partition("0.94.1")[0] for item in _raised(report)] == [OTHER]


def test_an_archive_whose_predecessor_is_still_there_is_compared(folder: Folder) -> None:
    old, new = _held(folder.chart("old")), _held(folder.chart("new", more=BINDING))

    report = _report(folder, old, new)

    assert [item.identity for item in report.objects] == ["ClusterRoleBinding metrics-reader"]
    assert not any(item.startswith(OTHER) for item in _raised(report))
    assert any("cluster-admin" in item for item in _raised(report))


def test_a_repository_that_serves_another_chart_is_a_violation(folder: Folder) -> None:
    digest = folder.serve(folder.chart())
    inputs = _inputs("gitlab-runner", digest, repositoryOpts=REPOSITORY)
    held = _report(folder, None, inputs)
    folder.serve(folder.chart(more=BINDING))

    report = _report(folder, None, inputs)

    assert (held.violations, held.gaps) == ((), ())
    assert [item.identity for item in report.violations] == [
        f"{RULE}all-objects,-which-cannot-be-rendered"
    ]
    assert exit_code(report) == ExitCode.RISK_RAISED
    assert f"with the digest {digest}" in report.gaps[0]


def test_a_repository_without_a_digest_is_believed(folder: Folder) -> None:
    folder.serve(folder.chart())

    report = _report(folder, None, _inputs("gitlab-runner", "", repositoryOpts=REPOSITORY))

    assert (report.violations, report.gaps) == ((), ())


LOOKUP = '{{ if lookup "v1" "Namespace" "" "kube-system" }}'


def test_production_refuses_a_template_that_asks_the_cluster(folder: Folder) -> None:
    new = _held(folder.chart(role=LOOKUP))
    identity = f"{RULE}lookup-in-templates/role.yaml"

    report = _report(folder, None, new)
    accepted = _report(folder, None, new, identity)
    elsewhere = _report(folder, None, new, environment="dev")

    assert [item.identity for item in report.violations] == [identity]
    assert exit_code(report) == ExitCode.RISK_RAISED
    assert exit_code(accepted) == exit_code(elsewhere) == ExitCode.CHANGES
    gap = "what release builds installs by lookup in templates/role.yaml"
    assert report.gaps == elsewhere.gaps == (gap,)


def test_without_helm_production_stops(folder: Folder) -> None:
    plan = read([pre_event("create", URN, RELEASE, new=_held(folder.chart()))], Scrubber())
    source = assemble.Source(environment="prod", stack_file=stack_file({}), settings={})

    report = assemble.report(plan, source, Charts(None), Scrubber())

    assert [item.rule for item in report.violations] == ["predictable-charts"]
    assert report.gaps == (assemble.NO_HELM,)


def test_a_chart_that_cannot_be_read_may_install_anything(folder: Folder) -> None:
    """Even if something was rendered."""
    file = folder.path / "chart.tgz"
    file.write_text("no archive", encoding="utf-8")
    inputs = _inputs(file, digest_of(file))
    plan = read([pre_event("create", URN, RELEASE, new=inputs)], Scrubber())
    source = assemble.Source(environment="prod", stack_file=stack_file({}), settings={})

    with Charts(folder.helm) as charts:
        charts.promise(inputs).set_result([])
        report = assemble.report(plan, source, charts, Scrubber())

    assert [item.rule for item in report.violations] == ["predictable-charts"]


def test_a_deleted_release_needs_no_chart(folder: Folder) -> None:
    report = _report(folder, _inputs(folder.path / "gone", "0" * 64), None)

    assert (report.violations, _raised(report)) == ((), [])
    assert len(report.gaps) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LOOKUP, ["lookup"]),
        ('{{/* " */}}{{ "}}" | lookup "v1" }}', ["lookup"]),
        ('{{ \'"\' }} {{ "}}" | lookup }}', ["lookup"]),
        ('{{ "{{/*" }}{{ lookup }}{{ "*/}}" }}', ["lookup"]),
        ("{{ tpl `{{ lookup }}` . }}", ["lookup"]),
        ("{{- if $.Release.IsUpgrade -}}", ["IsUpgrade"]),
        ('{{ if ne .Capabilities.KubeVersion.Minor "34" }}', ["Capabilities"]),
        ('{{ if not (.Capabilities.APIVersions.Has "autoscaling/v2") }}', ["Capabilities"]),
        (
            '{{ if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}{{ else }}{{ end }}',
            ["Capabilities"],
        ),
        ("{{ if gt (now | unixEpoch) 1 }}{{ randInt 0 2 }}", ["now", "randInt"]),
        ("annotations: {helm.sh/hook: post-install}", ["a hook"]),
        ("{{/* lookup */}} {{- /* now */ -}} look up what to do now", []),
        ('{{ if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}{{ end }}', []),
        ('{{- if .Capabilities.APIVersions.Has "autoscaling/v2" }}{{- else }}{{ end }}', []),
        ('{{ .Values.revisionHistoryLimit }} {{ tpl (toYaml .) $ }} {{ "a" | quote }}', []),
    ],
)
def test_a_template_may_ask_for_values_only(text: str, found: list[str]) -> None:
    files = {"templates/a.yaml": text.encode(), "values.yaml": b"a: 1\n"}

    assert list(unseen(files)) == [f"{what} in templates/a.yaml" for what in found]


def test_what_helm_installs_beside_templates_is_found() -> None:
    files = {"crds/a.yaml": b"", "charts/b/crds/c.yaml": b"", "charts/d.tgz": b"", "README.md": b""}

    assert list(unseen(files)) == [
        "a custom resource definition in charts/b/crds/c.yaml",
        "another chart in charts/d.tgz",
        "a custom resource definition in crds/a.yaml",
    ]
