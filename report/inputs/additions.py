"""Objects in a stack's namespaces that neither its state nor one of its releases has.

A refresh compares what the state has, so it says nothing of what somebody adds: a Role, a binding,
a Secret, a network policy, a Service, a pod. What a runner creates for its jobs, what a controller
creates, and what a platform puts into every namespace is left out.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from components.ownership.cluster import Kubeconfig, LiveCluster, UnreadableError
from report.inputs.live import LiveError
from report.tree import Tree, entries, inside

_RBAC = "rbac.authorization.k8s.io/v1"
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")
_WORKLOADS = {
    "Pod": "v1",
    "ReplicationController": "v1",
    "DaemonSet": "apps/v1",
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "CronJob": "batch/v1",
    "Job": "batch/v1",
}
_KINDS = {
    "Role": _RBAC,
    "RoleBinding": _RBAC,
    "NetworkPolicy": "networking.k8s.io/v1",
    "Secret": "v1",
    "Service": "v1",
    "Ingress": "networking.k8s.io/v1",
    **_WORKLOADS,
}
JOB_LABEL = "job.runner.gitlab.com/pod"
"""What a runner puts on the pod of a job (gitlab-runner:executors/kubernetes/kubernetes.go)."""
_JOB_SECRET = re.compile(r"runner-.+-project-\d+-concurrent-\d+.*")
_HELM_SECRET = re.compile(r"sh\.helm\.release\.v1\.(?P<release>.+)\.v\d+")
# What OpenShift puts into every namespace: bindings, and a login for each account.
_OF_OPENSHIFT = {"system:deployers", "system:image-builders", "system:image-pullers"}
_LOGIN_OF_OPENSHIFT = re.compile(r".+-dockercfg-[a-z0-9]{5}")
_UNREADABLE = (
    "the objects in the namespaces of the stack cannot be listed; the account of the kubeconfig "
    "must be able to list Roles, RoleBindings, NetworkPolicies, Secrets, Services, Ingresses and "
    "workloads there, and RoleBindings and ClusterRoleBindings of all namespaces"
)


class Known(NamedTuple):
    """What a stack has: its namespaces, its objects by kind, namespace and name, and releases.

    ``namespaces`` leaves out target namespaces, which are for others. In ``job_namespaces`` runners
    create pods, and in ``workshops`` their jobs do, too. Releases have a namespace and a name;
    of those that are ``gone`` Helm has no record any more, but their objects may be there.
    """

    namespaces: frozenset[str]
    job_namespaces: frozenset[str]
    workshops: frozenset[str]
    objects: frozenset[tuple[str, str, str]]
    releases: frozenset[tuple[str, str]]
    gone: frozenset[tuple[str, str]] = frozenset()


def read(where: Kubeconfig, known: Known) -> list[Tree]:
    """Return what others added: objects in the stack's namespaces, and bindings of its accounts.

    Secrets have no data.

    Raises:
        LiveError: the objects cannot be listed.
    """
    try:
        cluster = LiveCluster(where)
        there = [
            item
            for kind, version in _KINDS.items()
            for namespace in sorted(known.namespaces)
            for item in _list(cluster, version, kind, namespace)
        ]
        bindings = [item for kind in _BINDINGS for item in _list(cluster, _RBAC, kind, None)]
    except UnreadableError as error:
        raise LiveError(_UNREADABLE) from error
    found = [*there, *(item for item in bindings if _binds(item, known.namespaces))]
    added = {_key(item): item for item in found if not _expected(item, known)}
    return [added[key] for key in sorted(added)]


def _list(cluster: LiveCluster, version: str, kind: str, namespace: str | None) -> Iterator[Tree]:
    for item in cluster.list(version, kind, namespace):
        # Entries of a list have no kind; the data of a Secret is nobody's business here.
        rest = {key: value for key, value in item.items() if key not in {"data", "status"}}
        yield {**rest, "apiVersion": version, "kind": kind}


def _key(item: Tree) -> tuple[str, str, str]:
    metadata = inside(item, "metadata")
    return str(item["kind"]), str(metadata.get("namespace") or ""), str(metadata.get("name"))


def _binds(binding: Tree, namespaces: frozenset[str]) -> bool:
    """Whether a binding is for an account of these namespaces, or for all of them."""
    groups = {f"system:serviceaccounts:{namespace}" for namespace in namespaces}
    return any(
        subject.get("namespace") in namespaces
        if subject.get("kind") == "ServiceAccount"
        else subject.get("name") in groups
        for subject in entries(binding, "subjects")
    )


def _expected(item: Tree, known: Known) -> bool:
    """Whether an object belongs to the stack, or something made it that is meant to."""
    kind, namespace, name = key = _key(item)
    if key in known.objects or name in _OF_OPENSHIFT:
        return True
    if kind == "Secret":
        return _is_expected_secret(item, known)
    metadata = inside(item, "metadata")
    if kind == "Service":
        # A runner makes them for services of a job, in the hands of its pod.
        return "Pod" in _owners(item) and namespace in known.job_namespaces
    if kind not in _WORKLOADS:
        return False
    release = str(inside(metadata, "annotations").get("meta.helm.sh/release-name"))
    of_a_job = namespace in known.job_namespaces and JOB_LABEL in inside(metadata, "labels")
    controlled = any(owner.get("controller") for owner in entries(metadata, "ownerReferences"))
    left = (namespace, release) in known.gone
    return of_a_job or controlled or left or namespace in known.workshops


def _is_expected_secret(secret: Tree, known: Known) -> bool:
    _, namespace, name = _key(secret)
    if helm := _HELM_SECRET.fullmatch(name):
        return (namespace, helm["release"]) in known.releases
    login = secret.get("type") == "kubernetes.io/dockercfg"
    of_a_job = "Pod" in _owners(secret) or (login and bool(_JOB_SECRET.fullmatch(name)))
    of_the_platform = login and bool(_LOGIN_OF_OPENSHIFT.fullmatch(name))
    return (of_a_job and namespace in known.job_namespaces) or of_the_platform


def _owners(item: Tree) -> set[str]:
    owners = entries(inside(item, "metadata"), "ownerReferences")
    return {str(owner.get("kind")) for owner in owners}
