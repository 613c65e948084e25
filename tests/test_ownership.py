"""What keeps a stack from taking over objects of others; tests/engine has the same on a cluster."""

import dataclasses
import runpy
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi.runtime.proto import resource_pb2

from components.ownership import marks
from components.ownership.cluster import ForbiddenError, UnreadableError
from components.ownership.marks import OWNER, TAKES_OVER, Ownership, OwnershipError
from components.settings.explain import way_out
from components.settings.models import Settings
from dev.paths import CHECKOUT
from report.inputs.recorder import Recorder
from tests.support.configured import SECRETS, SETTINGS, STRATEGIES, configure, replace_values

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "registry-pull", "namespace": "theirs"},
}


class HookRecorder(Recorder):
    """Keeps the hooks that run before a resource is created, by its type and name."""

    def __init__(self) -> None:
        """Record an update."""
        super().__init__("test")
        self.hooks: dict[tuple[str, str], list[str]] = {}

    def RegisterResource(  # noqa: N802 - the protocol's name
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        """Record a resource and its hooks."""
        self.hooks[request.type, request.name] = [*request.hooks.before_create]
        return super().RegisterResource(request)


@pytest.mark.parametrize("strategy", ["buildkit-service", "buildx", "dood"])
def test_every_object_is_marked_and_looked_for(strategy: str) -> None:
    changes = {"runners.main.strategy": STRATEGIES[strategy], "previewAccount": True}
    configure(replace_values(SETTINGS, changes), SECRETS)
    recorder = HookRecorder()

    recorder.run(lambda: runpy.run_path(str(CHECKOUT / "__main__.py")))

    ours = [
        item
        for item in recorder.registered
        if item.type.startswith("kubernetes:") and not item.type.endswith(":Release")
    ]
    assert len(ours) > 15
    for item in ours:
        metadata = item.inputs["metadata"]
        assert metadata["name"]
        assert metadata["annotations"][OWNER] == "cluster-id"
        assert len(recorder.hooks.pop((item.type, item.name))) == 1
    assert [found for found in recorder.hooks.values() if found] == []


@dataclasses.dataclass
class FakeCluster:
    """Stands for a cluster in which everything that is looked for is the same object."""

    found: Any
    connections: int = 0

    def __call__(self, _: object) -> "FakeCluster":
        """Connect."""
        self.connections += 1
        if isinstance(self.found, UnreadableError) and not isinstance(self.found, ForbiddenError):
            raise self.found
        return self

    def read(self, _: object) -> Any:  # noqa: ANN401 - an object
        """Return what is there, or fail."""
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@dataclasses.dataclass
class Outcome:
    """What a stack said and refused."""

    said: list[str] = dataclasses.field(default_factory=list[str])
    refused: list[str] = dataclasses.field(default_factory=list[str])


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Outcome:
    found = Outcome()
    monkeypatch.setattr(pulumi.log, "info", found.said.append)
    return found


def _create(
    outcome: Outcome,
    cluster: FakeCluster,
    *objects: dict[str, Any],
    preview: bool = False,
    adopt: bool = False,
) -> Outcome:
    """Let a stack look for objects as the engine does before it creates them."""
    configure(SETTINGS, SECRETS)

    async def look(hook: Any, args: pulumi.ResourceHookArgs) -> None:  # noqa: ANN401 - a hook
        try:
            await hook(args)
        except OwnershipError as error:
            outcome.refused.append(str(error))

    def program() -> None:
        provider = k8s.Provider("cluster")
        marking = Ownership(provider, Settings.model_validate(SETTINGS))
        parent = pulumi.ComponentResource("image-builds:index:Parent", "parent")
        options = pulumi.ResourceOptions(parent=parent)
        annotations = {marks.PATCH_FORCE: "true"} if adopt else {}
        for item in objects:
            kind = f"kubernetes:core/v1:{item['kind']}"
            args = (parent, kind, "logical", {"metadata": item["metadata"]}, options)
            marked = marking.mark(pulumi.ResourceTransformationArgs(*args))
            assert marked is not None
            (hook,) = marked.opts.hooks.before_create  # type: ignore[union-attr]
            metadata = {**item["metadata"], "annotations": {**annotations, OWNER: "cluster-id"}}
            inputs = {**item, "metadata": metadata}
            asked = pulumi.ResourceHookArgs("urn", "", "logical", kind, new_inputs=inputs)
            pulumi.Output.from_input(look(hook, asked))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marks, "LiveCluster", cluster)
        Recorder("test", preview=preview).run(program)
    return outcome


def _there(item: dict[str, Any], **metadata: Any) -> FakeCluster:  # noqa: ANN401 - JSON
    return FakeCluster({**item, "metadata": {**item["metadata"], **metadata}})


def test_what_is_not_there_is_created(outcome: Outcome) -> None:
    assert _create(outcome, FakeCluster(None), NAMESPACE) == Outcome()


def test_what_a_killed_update_made_is_finished(outcome: Outcome) -> None:
    found = _there(NAMESPACE, annotations={OWNER: "cluster-id"})

    assert _create(outcome, found, NAMESPACE) == Outcome()


MANAGERS: list[tuple[dict[str, Any], str]] = [
    ({}, "No label says who manages it; its fields were set by nobody known."),
    (
        {"annotations": {"meta.helm.sh/release-name": "shop"}},
        "It is managed by the Helm release shop; ",
    ),
    ({"annotations": {"argocd.argoproj.io/tracking-id": "a:b"}}, "managed by Argo CD as a:b; "),
    ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "by the Argo CD application shop; "),
    ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "by the Flux Kustomization x; "),
    ({"labels": {"helm.toolkit.fluxcd.io/name": "x"}}, "by the Flux HelmRelease x; "),
    ({"labels": {"app.kubernetes.io/managed-by": "Terraform"}}, "is managed by Terraform; "),
    ({"annotations": {OWNER: "other-id"}}, "by another stack of image-builds, or this one before"),
    (
        {
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "shop"},
            "managedFields": [{"manager": "helm"}, {"manager": "kubectl"}, {"manager": "helm"}],
        },
        "by the Helm release shop and Helm; its fields were set by helm, kubectl.",
    ),
]


@pytest.mark.parametrize(("metadata", "said"), MANAGERS)
def test_what_others_made_is_refused(outcome: Outcome, metadata: dict[str, Any], said: str) -> None:
    _create(outcome, _there(NAMESPACE, **metadata), NAMESPACE)

    (refused,) = outcome.refused
    first, managers, way, command = refused.split("\n  ")
    assert first == (
        "Namespace apps exists in the cluster, and this stack did not make it, so it stays as it "
        "is."
    )
    assert said in managers
    assert way == (
        "To leave it alone: remove image-builds:settings.targetNamespaces.apps.create, if others "
        "keep that namespace."
    )
    assert command == (
        "To take it over (docs/how-to/take-over-what-exists.md): pulumi import "
        "kubernetes:core/v1:Namespace logical apps --parent "
        "parent=urn:pulumi:test::image-builds::image-builds:index:Parent::parent --provider "
        "cluster=urn:pulumi:test::image-builds::pulumi:providers:kubernetes::cluster "
        "--generate-code=false --protect=false"
    )


def test_a_preview_refuses_too_and_names_no_command(outcome: Outcome) -> None:
    """The engine imports below a component only once that is in the state."""
    _create(outcome, _there(NAMESPACE), NAMESPACE, preview=True)

    (refused,) = outcome.refused
    assert "pulumi import" not in refused
    assert "run pulumi up, which names the command" in refused


def test_what_is_to_be_adopted_is_said_and_taken_over(outcome: Outcome) -> None:
    managed = [{"manager": "kubectl-create"}]

    _create(outcome, _there(SECRET, managedFields=managed), SECRET, adopt=True)

    assert outcome.refused == []
    assert outcome.said == [
        f"{TAKES_OVER} Secret theirs/registry-pull. No label says who manages it; its fields were "
        "set by kubectl-create."
    ]


@pytest.mark.parametrize("error", [ForbiddenError("it says no"), UnreadableError("it is gone")])
def test_what_cannot_be_read_stops_an_update_and_no_preview(
    outcome: Outcome, error: UnreadableError
) -> None:
    _create(outcome, FakeCluster(error), NAMESPACE)
    _create(outcome, FakeCluster(error), NAMESPACE, SECRET, preview=True)

    assert outcome.refused == [
        f"Nobody can say whether Namespace apps belongs to others, so it is not created: {error}."
    ]
    (said,) = outcome.said
    assert said.startswith("This preview did not look in the cluster for what it would create")
    assert f"{error}. An update looks" in said


def test_a_cluster_that_does_not_answer_is_asked_once(outcome: Outcome) -> None:
    cluster = FakeCluster(UnreadableError("it is gone"))

    _create(outcome, cluster, NAMESPACE, SECRET, preview=True)

    assert cluster.connections == 1


@pytest.mark.parametrize(
    ("kind", "namespace", "way"),
    [
        ("Namespace", "builds", "choose another image-builds:settings.namespace"),
        ("Namespace", "builds-main-buildkitd", "choose another image-builds:settings.namespace"),
        ("Role", "builds-main", "choose another image-builds:settings.runners.main.jobNamespace"),
        ("Namespace", "apps", "remove image-builds:settings.targetNamespaces.apps.create, "),
        ("Secret", "theirs", "set image-builds:settings.targetNamespaces.theirs.adoptPullSecret "),
        ("RoleBinding", "theirs", "give the runner that deploys there another name, "),
    ],
)
def test_a_refusal_names_the_key_that_decides(kind: str, namespace: str, way: str) -> None:
    settings = replace_values(SETTINGS, {"targetNamespaces.theirs": {}})

    assert way_out(Settings.model_validate(settings), kind, namespace).startswith(way)
