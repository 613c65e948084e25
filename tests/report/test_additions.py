"""What counts as added to a stack's namespaces, on a cluster of these objects."""

from typing import Any

import pytest

from components.ownership.cluster import ForbiddenError, Kubeconfig
from report.inputs import additions
from report.inputs.additions import Known
from report.inputs.live import LiveError

ROLE, ROLE_BINDING = "Role", "RoleBinding"
KNOWN = Known(
    namespaces=frozenset({"jobs", "managers", "workshop"}),
    job_namespaces=frozenset({"jobs", "workshop"}),
    workshops=frozenset({"workshop"}),
    objects=frozenset({("Role", "jobs", "ours")}),
    releases=frozenset({("managers", "runner")}),
    gone=frozenset({("managers", "lost")}),
)
JOB = {"kind": "ServiceAccount", "name": "job", "namespace": "jobs"}
STRANGER = {"kind": "ServiceAccount", "name": "app", "namespace": "payments"}


class Cluster:
    """Takes the place of a cluster that has these objects, each with its kind."""

    objects: tuple[tuple[str, dict[str, Any]], ...] = ()

    def __init__(self, where: Kubeconfig) -> None:
        """Take the kubeconfig."""
        assert where == Kubeconfig("file", None)

    def list(self, api_version: str, kind: str, namespace: str | None) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        assert api_version
        return [
            item
            for known, item in self.objects
            if known == kind and namespace in {None, item["metadata"].get("namespace")}
        ]


class ClosedCluster(Cluster):
    """A cluster that lets nobody list anything."""

    def list(self, api_version: str, kind: str, namespace: str | None) -> list[dict[str, Any]]:
        """Refuse."""
        message = f"planted {api_version} {kind} {namespace}"
        raise ForbiddenError(message)


def _added(monkeypatch: pytest.MonkeyPatch, kind: str, name: str, fields: dict[str, Any]) -> bool:
    """Whether a cluster that has this one object, by default of a job, has more than the stack."""
    namespace = fields.get("namespace", "jobs")
    home = {"namespace": namespace} if namespace else {}
    metadata = {"name": name, **home, **fields.get("metadata", {})}
    rest = {key: value for key, value in fields.items() if key not in {"namespace", "metadata"}}
    item = {"metadata": metadata, "data": {"a": "planted"}, "status": {}, **rest}
    monkeypatch.setattr(Cluster, "objects", ((kind, item),))
    monkeypatch.setattr(additions, "LiveCluster", Cluster)
    found = additions.read(Kubeconfig("file", None), KNOWN)
    assert "planted" not in str(found)
    assert all(entry["kind"] == kind for entry in found)
    return bool(found)


@pytest.mark.parametrize(
    ("kind", "name", "fields"),
    [
        (ROLE, "theirs", {}),
        (ROLE, "ours", {"namespace": "managers"}),
        (ROLE_BINDING, "b", {"subjects": []}),
        (ROLE_BINDING, "b", {"namespace": "payments", "subjects": [JOB]}),
        (
            ROLE_BINDING,
            "b",
            {
                "namespace": "payments",
                "subjects": [{"kind": "Group", "name": "system:serviceaccounts:jobs"}],
            },
        ),
        ("ClusterRoleBinding", "b", {"namespace": "", "subjects": [STRANGER, JOB]}),
        ("NetworkPolicy", "p", {}),
        ("Ingress", "i", {}),
        ("Service", "s", {"metadata": {"ownerReferences": [{"kind": "ReplicaSet"}]}}),
        ("Secret", "s", {}),
        ("Secret", "sh.helm.release.v1.other.v1", {"namespace": "managers"}),
        ("Secret", "runner-a-project-1-concurrent-0-b", {"type": "Opaque"}),
        (
            "Secret",
            "runner-a-project-1-concurrent-0-b",
            {"namespace": "managers", "type": "kubernetes.io/dockercfg"},
        ),
        ("Pod", "p", {}),
        ("Pod", "p", {"namespace": "managers", "metadata": {"labels": {additions.JOB_LABEL: "p"}}}),
        ("Deployment", "d", {}),
        ("CronJob", "c", {"metadata": {"ownerReferences": [{"kind": "Pod"}]}}),
    ],
)
def test_what_nobody_deployed_is_an_addition(
    monkeypatch: pytest.MonkeyPatch, kind: str, name: str, fields: dict[str, Any]
) -> None:
    assert _added(monkeypatch, kind, name, fields)


@pytest.mark.parametrize(
    ("kind", "name", "fields"),
    [
        (ROLE, "ours", {}),
        (ROLE, "theirs", {"namespace": "payments"}),
        (ROLE_BINDING, "b", {"namespace": "payments", "subjects": [STRANGER]}),
        (ROLE_BINDING, "system:image-pullers", {"subjects": [JOB]}),
        (
            "ClusterRoleBinding",
            "system:discovery",
            {"namespace": "", "subjects": [{"kind": "Group", "name": "system:authenticated"}]},
        ),
        ("Secret", "sh.helm.release.v1.runner.v7", {"namespace": "managers"}),
        ("Secret", "default-dockercfg-x7k2p", {"type": "kubernetes.io/dockercfg"}),
        ("Secret", "runner-a-project-1-concurrent-0-b", {"type": "kubernetes.io/dockercfg"}),
        ("Secret", "any", {"metadata": {"ownerReferences": [{"kind": "Pod"}]}}),
        ("Service", "any", {"metadata": {"ownerReferences": [{"kind": "Pod"}]}}),
        ("Pod", "p", {"metadata": {"labels": {additions.JOB_LABEL: "p"}}}),
        (
            "Pod",
            "p",
            {"metadata": {"ownerReferences": [{"kind": "ReplicaSet", "controller": True}]}},
        ),
        ("Deployment", "build-1", {"namespace": "workshop"}),
        (
            "Deployment",
            "lost",
            {
                "namespace": "managers",
                "metadata": {"annotations": {"meta.helm.sh/release-name": "lost"}},
            },
        ),
    ],
)
def test_what_is_known_or_made_by_a_runner_is_none(
    monkeypatch: pytest.MonkeyPatch, kind: str, name: str, fields: dict[str, Any]
) -> None:
    assert not _added(monkeypatch, kind, name, fields)


def test_objects_that_cannot_be_listed_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "LiveCluster", ClosedCluster)

    with pytest.raises(LiveError, match="cannot be listed; the account") as failure:
        additions.read(Kubeconfig("file", None), KNOWN)

    assert "planted" not in str(failure.value)
