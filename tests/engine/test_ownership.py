"""Nothing of others is taken over or deleted, on a real API server with the real provider."""

import re
from typing import Any, cast

import pytest
from kubernetes import config
from kubernetes.dynamic.client import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError

from commands.preview import preview_and_write
from components.ownership.marks import OWNER
from dev.cluster.control_plane import ControlPlane
from dev.cluster.kubeconfig import NAME
from report.inputs.events import RELEASE
from report.outputs import markdown
from tests.support.configured import CERTIFICATE, STRATEGIES
from tests.support.kubernetes import Api
from tests.support.stacks import Site

PERMISSIONS = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}]
Tree = dict[str, Any]


class Objects:
    """The objects of the cluster, of any kind, as an administrator has them."""

    def __init__(self, control_plane: ControlPlane) -> None:
        """Connect."""
        file = str(control_plane.kubeconfig)
        api = cast("Any", config).new_client_from_config(file, NAME)
        cache = str(control_plane.state / "known-objects")
        self._dynamic = cast("Any", DynamicClient)(api, cache_file=cache)

    def create(self, item: Tree) -> None:
        """Create an object as its owner does, who manages it with another tool."""
        labels = {**item["metadata"].get("labels", {}), "app.kubernetes.io/managed-by": "others"}
        theirs = {**item, "metadata": {**item["metadata"], "labels": labels}}
        self._kind(item).create(
            body=theirs, namespace=item["metadata"].get("namespace"), field_manager="their-tool"
        )

    def version(self, item: Tree) -> str:
        """Return what changes with every change of an object."""
        metadata = item["metadata"]
        where = (metadata["name"], metadata.get("namespace"))
        return self._kind(item).get(*where).metadata.resourceVersion

    def exists(self, item: Tree) -> bool:
        """Whether an object of this kind and name is there."""
        try:
            return bool(self.version(item))
        except NotFoundError:
            return False

    def disown(self, item: Tree) -> None:
        """Make an object that a stack has made that of others."""
        metadata = item["metadata"]
        self._kind(item).patch(
            name=metadata["name"],
            namespace=metadata.get("namespace"),
            body={"metadata": {"annotations": {OWNER: None}}},
            content_type="application/merge-patch+json",
        )

    def give_back(self, item: Tree, owner: str) -> None:
        """Undo ``disown``."""
        metadata = item["metadata"]
        self._kind(item).patch(
            name=metadata["name"],
            namespace=metadata.get("namespace"),
            body={"metadata": {"annotations": {OWNER: owner}}},
            content_type="application/merge-patch+json",
        )

    def _kind(self, item: Tree) -> Any:  # noqa: ANN401 - the client types none of it
        return self._dynamic.resources.get(api_version=item["apiVersion"], kind=item["kind"])


@pytest.fixture
def objects(control_plane: ControlPlane) -> Objects:
    return Objects(control_plane)


def _label(item: Tree) -> str:
    metadata = item["metadata"]
    return f"{item['kind']} " + "/".join(
        filter(None, (metadata.get("namespace"), metadata["name"]))
    )


def _refused(output: str) -> set[str]:
    return set(re.findall(r"(\w+ \S+) exists in the cluster, and this stack did not", output))


def _write_everything(site: Site) -> None:
    """Write a stack file with which each kind of object is registered."""
    deploy = {"kind": "deploy", "permissions": {f"{site.prefix}-theirs": PERMISSIONS}}
    registry = {"host": "registry.example.com:5000", "pull": "in", "push": "out"}
    site.write(
        "kaniko",
        previewAccount=True,
        gitlab={"url": "https://gitlab.example.com", "caCertificates": CERTIFICATE},
        registries=[{**registry, "caCertificates": CERTIFICATE}],
        targetNamespaces={
            f"{site.prefix}-apps": {"create": True, "deleteWithStack": True},
            f"{site.prefix}-theirs": {},
        },
        runners={
            "engine": {"tags": ["engine"], "strategy": STRATEGIES["dood"]},
            "shared": {"tags": ["shared"], "strategy": "buildkit-service"},
            "pods": {"tags": ["pods"], "strategy": STRATEGIES["buildx"]},
            "deploy": {"tags": ["deploy"], "strategy": deploy},
        },
    )


def _registered(site: Site) -> list[Tree]:
    """Return the objects that the state of a stack has, by their inputs."""
    with site.stack.open() as stack:
        resources = cast("Any", stack.export_stack().deployment)["resources"]
    return [
        item["inputs"]
        for item in resources
        if item["type"].startswith("kubernetes:") and item["type"] != RELEASE
    ]


def test_what_others_have_is_refused_and_outlives_the_stack(site: Site, objects: Objects) -> None:
    """Their namespaces, and in a namespace of theirs each object of a stack's name."""
    theirs = f"{site.prefix}-theirs"
    runners = ("-engine", "-shared", "-pods", "-deploy")
    suffixes = ("", "-apps", "-theirs", *runners, "-shared-buildkitd")
    namespaces: list[Tree] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{site.prefix}{suffix}"}}
        for suffix in suffixes
    ]
    account = {"name": "gitlab-job-deploy", "namespace": theirs}
    group = "rbac.authorization.k8s.io"
    inside: list[Tree] = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "registry-pull", "namespace": theirs},
            "stringData": {"theirs": "yes"},
        },
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": account, "rules": []},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": account,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "view"},
        },
    ]
    for item in (*namespaces, *inside):
        objects.create(item)
    before = [objects.version(item) for item in (*namespaces, *inside)]
    _write_everything(site)

    outcome = site.up(whatever_fails=True)

    expected = {_label(item) for item in (*namespaces, *inside)} - {f"Namespace {theirs}"}
    # A job's binding waits for its Role and its account, which waits for its namespace.
    assert _refused(outcome.output) >= expected - {_label(item) for item in inside[1:]}
    assert "It is managed by others; its fields were set by their-tool" in outcome.output
    assert "failed" in site.preview().operations
    assert "failed" not in site.destroy().operations
    assert [objects.version(item) for item in (*namespaces, *inside)] == before


def test_no_object_of_others_is_taken_over(site: Site, objects: Objects, core: Api) -> None:
    """Each object in namespaces of the stack, whose state knows none, and others have one."""
    core.create_namespace({"metadata": {"name": f"{site.prefix}-theirs"}})
    _write_everything(site)
    assert "failed" not in site.up().operations
    waiting = {_label(item): item for item in _registered(site) if item["kind"] != "Namespace"}
    owner = core.read_namespace(site.prefix).metadata.annotations[OWNER]
    with site.stack.open() as stack:
        state = stack.export_stack()
        kept: list[Tree] = [
            {**item, "dependencies": []}
            for item in cast("Any", state.deployment)["resources"]
            if not item["type"].startswith("kubernetes:")
        ]
        state.deployment = {**cast("Any", state.deployment), "resources": kept}
        stack.import_stack(state)
    for item in waiting.values():
        objects.disown(item)
    versions = {label: objects.version(item) for label, item in waiting.items()}

    # What depends on a refused object is looked for once that one is the stack's.
    while waiting:
        outcome = site.up(whatever_fails=True)
        refused = _refused(outcome.output)
        assert refused & waiting.keys(), (sorted(waiting), outcome.output)
        for label in refused:
            item = waiting.pop(label)
            assert objects.version(item) == versions[label]
            objects.give_back(item, owner)

    # The objects are the stack's again, as after an update that was killed.
    assert len(versions) > 35


def _shop(objects: Objects, namespace: str) -> list[Tree]:
    """Have others run a shop in a namespace."""
    labels = {"app": "shop"}
    container = {"name": "shop", "image": "registry.example.com/shop:1"}
    shop: list[Tree] = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": namespace},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "db", "namespace": namespace},
            "stringData": {"password": "theirs"},
        },
    ]
    for item in shop:
        objects.create(item)
    return shop


def _note(site: Site) -> str:
    with site.stack.open() as stack:
        report = preview_and_write(stack, site.stack.stack_file, site.folder / "report")
    return markdown.write(report)


def test_target_namespaces_go_only_where_the_stack_file_says(
    site: Site, objects: Objects, core: Api
) -> None:
    """One that stays loses what is the stack's, and has it again when its entry comes back."""
    target, gone = f"{site.prefix}-apps", f"{site.prefix}-gone"
    targets = {target: {"create": True}, gone: {"create": True, "deleteWithStack": True}}
    deploy = {"kind": "deploy", "permissions": {target: PERMISSIONS}}
    runners = {
        "builds": {"tags": ["build"], "strategy": "kaniko"},
        "deploy": {"tags": ["deploy"], "strategy": deploy},
    }
    site.write("kaniko", previewAccount=True, runners=runners, targetNamespaces=targets)
    assert "failed" not in site.up().operations
    shop = _shop(objects, target)
    _shop(objects, gone)
    made = [item for item in _registered(site) if item["metadata"].get("namespace") == target]
    assert sorted(item["kind"] for item in made) == [
        *("Role", "Role", "RoleBinding", "RoleBinding", "Secret")
    ]

    fewer = {"builds": runners["builds"]}
    site.write("kaniko", previewAccount=True, runners=fewer, targetNamespaces={})
    note = _note(site)
    assert "failed" not in site.up().operations

    assert f"run: kubectl delete namespace {target}" in note.replace("\\", "")
    assert core.read_namespace(target).status.phase == "Active"
    for item in shop:
        assert objects.version(item)
    assert [item for item in made if objects.exists(item)] == []
    assert f"Namespace {gone} is deleted with everything in it" in note
    assert "Others have there: Deployment shop." in note
    assert gone not in [item.metadata.name for item in core.list_namespace().items]
    site.write("kaniko", previewAccount=True, runners=runners)
    assert "failed" not in site.up().operations
    assert "failed" not in site.destroy().operations
    assert core.read_namespace(target).status.phase == "Active"


def test_a_change_takes_over_nothing_of_others(site: Site, objects: Objects) -> None:
    """Helm refuses an object of others itself; jobs can be moved into a namespace of others."""
    site.write("kaniko")
    assert "failed" not in site.up().operations
    chart: Tree = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "gitlab-runner-more", "namespace": site.prefix},
        "data": {"theirs": "yes"},
    }
    others = f"{site.prefix}-others"
    moved: Tree = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": others}}
    theirs = [chart, moved]
    for item in theirs:
        objects.create(item)
    before = [objects.version(item) for item in theirs]
    runner = {"tags": ["build"], "strategy": "kaniko"}
    more = {**runner, "tags": ["more"]}
    site.write("kaniko", runners={"builds": {**runner, "jobNamespace": others}, "more": more})

    outcome = site.up(whatever_fails=True)

    assert "failed" in outcome.operations
    assert "invalid ownership metadata" in outcome.output
    assert _refused(outcome.output) == {f"Namespace {others}"}
    assert [objects.version(item) for item in theirs] == before
    site.destroy()
    assert objects.version(moved) == before[1]
