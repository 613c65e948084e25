import dataclasses
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pulumi import automation as auto
from rich.console import Console

from commands import drift
from commands.app import main
from commands.shared.exit_codes import ExitCode, exit_code
from commands.shared.publishing import TOKEN, publish_issue
from report.analysis import drift as analysis
from report.inputs import additions, helm, live
from report.inputs.events import read_refresh
from report.inputs.preview import Preview
from report.model import ObjectChange, Report
from report.outputs import gitlab, phrases, terminal
from report.outputs import html as page
from report.outputs import markdown as note
from report.redact import Scrubber
from report.tree import Pair
from tests.support.previews import diagnostic, pre_event, received

ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
RELEASE = "kubernetes:helm.sh/v3:Release"
NAMESPACE = "kubernetes:core/v1:Namespace"
USER_RUNNER = "gitlab:index/userRunner:UserRunner"
RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
UPDATE = "PULUMI_K8S_ENABLE_PATCH_FORCE=true pulumi up --stack test --refresh"
WIDER = {**RULE, "verbs": ["get", "*"]}


def _urn(kind: str, name: str) -> str:
    return f"urn:pulumi:test::image-builds::{kind}::{name}"


def refreshed(  # noqa: PLR0913 - the fields of an event
    kind: str,
    operation: str,
    inputs: dict[str, Any],
    *,
    outputs: dict[str, Any] | None,
    new: dict[str, Any] | None = None,
    diff: tuple[str, ...] = (),
) -> list[Any]:
    """The events of one resource's refresh."""
    urn = _urn(kind, "one")
    state = {"type": kind, "urn": urn, "parent": ""}
    sides: dict[str, Any] = {"old": {**state, "inputs": inputs, "outputs": inputs}}
    if outputs is not None:
        sides["new"] = {**state, "inputs": new or inputs, "outputs": outputs}
    detailed = {path: {"diffKind": "update"} for path in diff}
    metadata = {"op": operation, "urn": urn, "type": kind, "detailedDiff": detailed, **sides}
    return [
        pre_event("refresh", urn, kind, old=inputs, new=inputs),
        received("resOutputsEvent", {"metadata": metadata}),
    ]


def _report(
    events: list[Any],
    releases: dict[str, live.Release] | None = None,
    *,
    added: tuple[dict[str, Any], ...] = (),
    context: str | None = "ctx",
) -> Report:
    plan = read_refresh(events, Scrubber())
    seen = Preview(plan=plan, settings={}, state="then", scrub=Scrubber())
    return analysis.report("test", seen, releases or {}, added, context)


def test_a_permission_the_provider_overlooks_is_restored() -> None:
    role = {"kind": "Role", "metadata": {"name": "r", "namespace": "n"}, "rules": [RULE]}

    report = _report(refreshed(ROLE, "same", role, outputs={**role, "rules": [WIDER]}))

    assert [item.path for item in report.resources[0].properties] == ["rules[0].verbs[1]"]
    assert report.undo == ("kubectl delete Role r --namespace n --context ctx", UPDATE)
    assert exit_code(report) == ExitCode.RISK_RAISED
    assert "To accept" not in note.write(report)


def _item(kind: str, version: str, name: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """An object that somebody has added, in namespace n unless it is one of the cluster."""
    home = {} if kind.startswith("Cluster") else {"namespace": "n"}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **home}, **fields}


RBAC = "rbac.authorization.k8s.io/v1"
ACCOUNT = {"kind": "ServiceAccount", "name": "job", "namespace": "n"}
ADDED = (
    _item("ClusterRoleBinding", RBAC, "b", roleRef={"kind": "ClusterRole"}, subjects=[ACCOUNT]),
    _item("Deployment", "apps/v1", "d", spec={"template": {"spec": {"hostPID": True}}}),
    _item("NetworkPolicy", "networking.k8s.io/v1", "p", spec={"ingress": [{}]}),
    _item("Secret", "v1", "s", type="Opaque"),
)


def test_what_others_added_is_listed_with_its_risk() -> None:
    """Of a pod only its name is shown, since its variables can be secret."""
    report = _report([], added=ADDED)

    text = note.write(report)
    assert phrases.heading(report) == "test: 4 added outside of Pulumi; risk RAISED"
    assert exit_code(report) == ExitCode.RISK_RAISED
    assert [item.what for item in report.risk_changes if item.weighs] == [
        "Deployment n/d has hostPID",
        "ServiceAccount n/job has the permissions of ClusterRole None in all namespaces",
        "NetworkPolicy n/p allows ingress from everywhere",
        "Deployment n/d is new in namespace n",
    ]
    assert "+ subjects[job].namespace: n" in text
    assert "+ spec.ingress[0]: {}" in text
    assert "spec.template" not in text
    assert report.undo == (
        "kubectl delete ClusterRoleBinding b --context ctx",
        "kubectl delete Deployment d --namespace n --context ctx",
        "kubectl delete NetworkPolicy p --namespace n --context ctx",
        "kubectl delete Secret s --namespace n --context ctx",
    )
    assert _report([], added=ADDED[:1], context=None).undo == (
        "kubectl delete ClusterRoleBinding b",
    )


def test_additions_are_counted_beside_other_drift() -> None:
    gone = refreshed(ROLE, "delete", {"kind": "Role"}, outputs=None)
    role = {"kind": "Role", "metadata": {"name": "r"}, "rules": [RULE]}
    other = refreshed(ROLE, "same", role, outputs={**role, "rules": [WIDER]})
    report = _report([*gone, *other], added=ADDED[3:])

    assert "1 added and 1 changed outside of Pulumi" in phrases.heading(report)


def test_what_a_stack_has_is_known_by_kind_and_place() -> None:
    config = '[[runners]]\n[runners.kubernetes]\nnamespace = "jobs"\n'
    values = {"runners": {"config": config}}
    release = {"name": "r", "namespace": "managers", "values": values}
    deployment = {"kind": "Deployment", "metadata": {"name": "d"}}
    makes = {"resources": ["deployments"], "verbs": ["create"]}
    role = {"kind": "Role", "metadata": {"name": "x", "namespace": "jobs"}, "rules": [makes]}
    namespace = {"kind": "Namespace", "metadata": {"name": "managers"}}
    plan = read_refresh(
        [
            pre_event("same", _urn(RELEASE, "one"), RELEASE, old=release, new=release),
            pre_event("same", _urn(ROLE, "job"), ROLE, old=role, new=role),
            *(
                pre_event("same", _urn(NAMESPACE, name), NAMESPACE, old=inputs, new=inputs)
                for name, inputs in (
                    ("managers", namespace),
                    ("target-apps", {"kind": "Namespace", "metadata": {"name": "apps"}}),
                )
            ),
        ],
        Scrubber(),
    )
    found = live.Release(objects=Pair({"Deployment d": deployment}, {}), changes=())

    known = analysis.known(plan, {_urn(RELEASE, "one"): found})

    assert known == additions.Known(
        namespaces=frozenset({"managers"}),
        job_namespaces=frozenset({"jobs"}),
        workshops=frozenset({"jobs"}),
        objects=frozenset(
            {
                ("Deployment", "managers", "d"),
                ("Namespace", "", "apps"),
                ("Namespace", "", "managers"),
                ("Role", "jobs", "x"),
            }
        ),
        releases=frozenset({("managers", "r")}),
    )


def test_what_the_provider_sees_is_taken_back_by_an_update() -> None:
    role = {"kind": "Role", "metadata": {"name": "r"}, "rules": [RULE]}
    changed = {**role, "rules": [{**RULE, "verbs": ["watch"]}]}

    report = _report(refreshed(ROLE, "update", role, outputs=changed, new=changed))

    assert report.undo == (UPDATE,)


def test_what_is_gone_counts_as_deleted() -> None:
    report = _report(refreshed(ROLE, "delete", {"kind": "Role"}, outputs=None))

    assert phrases.heading(report) == "test: 1 deleted outside of Pulumi; risk unchanged"
    assert exit_code(report) == ExitCode.CHANGES


def test_other_resources_are_compared_by_their_inputs() -> None:
    report = _report(
        refreshed(USER_RUNNER, "update", {"tag": "a"}, outputs={"token": "x"}, new={"tag": "b"})
    )

    (change,) = report.resources
    assert [(item.path, item.old, item.new) for item in change.properties] == [("tag", "a", "b")]


def test_a_resource_of_which_only_outputs_differ_has_not_drifted() -> None:
    report = _report(refreshed(USER_RUNNER, "update", {"tag": "a"}, outputs={"seen": "now"}))

    assert (report.resources, report.undo, exit_code(report)) == ((), (), ExitCode.NO_CHANGE)


def test_a_secret_that_only_the_provider_compares_is_listed() -> None:
    metadata = {"name": "s", "namespace": "n"}
    secret = {"kind": "Secret", "metadata": metadata, "data": {"token": "[secret]"}}
    kind = "kubernetes:core/v1:Secret"

    report = _report(refreshed(kind, "update", secret, outputs=secret, diff=("data.token",)))

    assert [item.path for item in report.resources[0].properties] == ["data.token"]
    assert [item.what for item in report.risk_changes] == [
        "Secret n/s has other contents than the stack gave it: somebody changed it"
    ]


def test_power_that_somebody_gave_a_pod_is_drift_with_its_risk() -> None:
    """The program does not set the field, and the API server has no default for it."""
    template = {"spec": {"containers": [{"name": "c", "image": "a:1"}]}}
    wanted = {
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {"template": template},
    }
    spec = {**template["spec"], "hostPID": True, "dnsPolicy": "ClusterFirst"}
    found = {**wanted, "spec": {"template": {"spec": spec}, "replicas": 1}}

    report = _report(refreshed("kubernetes:apps/v1:Deployment", "same", wanted, outputs=found))

    assert [item.path for item in report.resources[0].properties] == ["spec.template.spec.hostPID"]
    assert [item.what for item in report.risk_changes] == ["Deployment n/d has hostPID"]


def test_config_toml_is_listed_key_by_key_with_its_risk() -> None:
    text = "[[runners]]\n[runners.kubernetes]\nprivileged = {}\n"
    objects = [
        {
            "Service n/s": {"kind": "Service"},
            "ConfigMap n/a": {"kind": "ConfigMap", "data": {"x": "y"}},
            "ConfigMap n/b": {
                "kind": "ConfigMap",
                "data": {"config.template.toml": text.format(value)},
            },
        }
        for value in ("false", "true")
    ]
    change = live.object_changes(
        objects[0]["ConfigMap n/b"], objects[1]["ConfigMap n/b"], Scrubber()
    )
    found = live.Release(
        objects=Pair(objects[0], objects[1]),
        changes=(ObjectChange(operation="update", identity="ConfigMap n/b", properties=change),),
    )
    inputs = {"name": "r", "namespace": "n", "values": {"runners": {"config": "x = 1"}}}
    events = refreshed(RELEASE, "same", inputs, outputs={})

    report = _report(events, {_urn(RELEASE, "one"): found})

    assert [item.change.path for item in report.keys] == ["kubernetes.privileged"]
    assert report.resources == ()
    assert exit_code(report) == ExitCode.RISK_RAISED
    assert report.undo == ("helm uninstall r --namespace n --kube-context ctx", UPDATE)


def test_every_output_says_how_to_take_it_back() -> None:
    report = _report(refreshed(ROLE, "delete", {"kind": "Role"}, outputs=None))

    printed = io.StringIO()
    terminal.write(report, Console(file=printed))
    for text in (note.write(report), page.write(report), printed.getvalue()):
        assert report.undo[0] in text
        assert "test: 1 deleted outside of Pulumi" in text
    assert "Compared with the state of then." in page.write(report)


class Stack:
    """A stack whose refresh sends these events."""

    name = "test"
    workspace = SimpleNamespace(env_vars={"KUBECONFIG": "theirs"})

    def __init__(self, events: list[Any]) -> None:
        """Take the events."""
        self.events = events

    def preview_refresh(self, *, on_event: Any) -> None:  # noqa: ANN401 - the SDK's
        for event in self.events:
            on_event(event)

    def get_all_config(self) -> dict[str, auto.ConfigValue]:
        return {"kubernetes:context": auto.ConfigValue("ctx")}

    def export_stack(self) -> auto.Deployment:
        return auto.Deployment(version=3, deployment={"manifest": {"time": "then"}})


@pytest.fixture(autouse=True)
def _nothing_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster to which nobody has added anything."""

    def read(*_: object) -> list[Any]:
        return []

    monkeypatch.setattr(additions, "read", read)


def _look(events: list[Any]) -> Report:
    return drift.build_report(cast("auto.Stack", Stack(events)), Path("helm"))


def test_every_release_that_is_there_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def release(*given: object) -> live.Release:
        asked.append(given[1:4])
        return live.Release(objects=Pair({}, {}), changes=())

    monkeypatch.setattr(live, "read_release", release)
    inputs = {"name": "r", "namespace": "n"}

    assert exit_code(_look(refreshed(RELEASE, "same", inputs, outputs={}))) == ExitCode.NO_CHANGE
    assert exit_code(_look(refreshed(RELEASE, "delete", inputs, outputs=None))) == ExitCode.CHANGES
    assert asked == [(live.Kubeconfig("theirs", "ctx"), "r", "n")]


def test_what_could_not_be_looked_at_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def release(*_: object) -> live.Release:
        message = "what to do"
        raise live.LiveError(message)

    monkeypatch.setattr(live, "read_release", release)

    report = _look(refreshed(RELEASE, "same", {"name": "r"}, outputs={}))

    assert (report.errors, exit_code(report)) == (("what to do",), ExitCode.FAILED)
    assert phrases.heading(report) == "test: the cluster cannot be compared"


def test_a_refresh_that_fails_is_a_failure() -> None:
    report = _look([diagnostic("connection refused")])

    assert exit_code(report) == ExitCode.FAILED
    assert "API server" in report.errors[0]


QUIET = _report([])
DRIFTED = _report(refreshed(ROLE, "delete", {"kind": "Role"}, outputs=None))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    """Reports to find, in place of a comparison with a cluster."""
    found: list[Report] = []

    def build_report(*_: object) -> Report:
        return found[0]

    def select(name: str, **_: object) -> str:
        return name

    def find() -> Path:
        return Path("helm")

    monkeypatch.delenv("CI_PROJECT_ID", raising=False)
    monkeypatch.setattr(auto, "select_stack", select)
    monkeypatch.setattr(drift, "build_report", build_report)
    monkeypatch.setattr(helm, "find", find)
    return found


@pytest.mark.parametrize("report", [QUIET, DRIFTED], ids=["quiet", "drifted"])
def test_files_are_written_where_something_differs(
    tmp_path: Path, seen: list[Report], capsys: pytest.CaptureFixture[str], report: Report
) -> None:
    seen.append(report)
    folder = tmp_path / "out"

    assert main(["drift", "--stack", "test", "--output", str(folder)]) == exit_code(report)

    written = {file.name for file in folder.iterdir()} if folder.exists() else set[str]()
    assert written == ({"note.md", "report.html"} if report is DRIFTED else set())
    printed = capsys.readouterr().out
    assert report is DRIFTED or printed == "test: no drift; risk unchanged\n"


@pytest.mark.usefixtures("seen")
def test_without_helm_nothing_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))

    code = drift.run(cast("auto.Stack", None), output=tmp_path / "out")

    assert code == ExitCode.FAILED
    assert "install helm 3.17 or later" in capsys.readouterr().err


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a pipeline publishes as an issue."""
    published: list[Any] = []
    values = {"CI_SERVER_URL": "https://gitlab.example.com", "CI_PROJECT_ID": "5"}
    for name, value in {**values, TOKEN: "glpat-PlantedNoteToken"}.items():
        monkeypatch.setenv(name, value)

    def record_issue(_: object, *given: object) -> None:
        published.append(given)

    monkeypatch.setattr(gitlab, "publish_issue", record_issue)
    return published


def test_the_issue_lists_the_drift_and_is_closed_without_any(pipeline: list[Any]) -> None:
    publish_issue(DRIFTED)
    publish_issue(QUIET)
    publish_issue(dataclasses.replace(QUIET, errors=("not looked at",)))

    assert pipeline == [
        ("test", phrases.heading(DRIFTED), note.write(DRIFTED)),
        ("test", phrases.heading(QUIET), None),
    ]


def test_without_a_token_the_pipeline_says_so(
    pipeline: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TOKEN)

    publish_issue(DRIFTED)

    assert (pipeline, TOKEN in capsys.readouterr().out) == ([], True)


@pytest.mark.usefixtures("pipeline")
def test_an_issue_that_cannot_be_written_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        message = "GitLab answers 401: make a token"
        raise gitlab.PublishError(message)

    monkeypatch.setattr(gitlab, "publish_issue", refuse)

    publish_issue(DRIFTED)

    assert "GitLab answers 401" in capsys.readouterr().err
