import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.ownership.cluster import Kubeconfig
from components.ownership.marks import OWNER
from report.inputs import live
from report.inputs.live import LiveError, keep_requested, object_changes
from report.model import PropertyChange
from report.redact import SECRET, Scrubber


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"a": 1}, {"a": 1, "default": 2}),
        ({"a": {}}, {}),
        ({"a": []}, {"a": None}),
        ({"readOnly": False}, {}),
        ({"strategy": {}}, {"strategy": {"type": "RollingUpdate"}}),
        ({"cpu": "0.5", "memory": "1024Mi"}, {"cpu": "500m", "memory": "1Gi"}),
        ({"sizeLimit": 1000}, {"sizeLimit": "1k"}),
        ({"a": 1}, {"a": 1, "type": "ClusterIP", "procMount": "Default", "hostPID": False}),
        ({"ports": [{"containerPort": 1}]}, {"ports": [{"containerPort": 1, "protocol": "TCP"}]}),
    ],
)
def test_defaults_and_other_spellings_are_no_drift(
    wanted: dict[str, Any], found: dict[str, Any]
) -> None:
    assert keep_requested(wanted, found) == wanted


DRIFTED: list[tuple[Any, Any, Any]] = [
    ({"a": 1}, {"a": 2}, {"a": 2}),
    ({"a": 1}, {}, {}),
    ({"cpu": "1"}, {"cpu": "what"}, {"cpu": "what"}),
    ({"command": "1"}, {"command": "1000m"}, {"command": "1000m"}),
    ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
    ({"data": {"a": "1"}}, {"data": {"a": "1", "b": "2"}}, {"data": {"a": "1", "b": "2"}}),
    (
        {"podSelector": {}},
        {"podSelector": {"matchLabels": {"a": "b"}}},
        {"podSelector": {"matchLabels": {"a": "b"}}},
    ),
    ({"egress": []}, {"egress": [{}]}, {"egress": [{}]}),
    ({"spec": {}}, {"spec": {"hostPID": True}}, {"spec": {"hostPID": True}}),
    ({"a": 1}, {"a": 1, "volumes": [{"x": 1}]}, {"a": 1, "volumes": [{"x": 1}]}),
    ({"a": 1}, {"a": 1, "type": "NodePort"}, {"a": 1, "type": "NodePort"}),
    (
        {"annotations": {"a": "b"}},
        {"annotations": {"a": "b", "eks.amazonaws.com/role-arn": "r", "other": "x"}},
        {"annotations": {"a": "b", "eks.amazonaws.com/role-arn": "r"}},
    ),
    ({"verbs": ["get"]}, {"verbs": ["get", "list"]}, {"verbs": ["get", "list"]}),
    (
        {"env": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]},
        {"env": [{"name": "b", "value": "3", "x": 1}, {"name": "c", "value": "4"}]},
        {"env": [{"name": "b", "value": "3"}, {"name": "c", "value": "4"}]},
    ),
]


@pytest.mark.parametrize(("wanted", "found", "seen"), DRIFTED)
def test_what_was_asked_for_and_is_another_is_drift(
    wanted: dict[str, Any], found: dict[str, Any], seen: dict[str, Any]
) -> None:
    assert keep_requested(wanted, found) == seen


def test_a_secret_that_differs_is_reported_without_its_value() -> None:
    wanted = {"kind": "Secret", "data": {"a": "b2xk", "gone": "eA=="}}
    found = {"kind": "Secret", "data": {"a": "bmV3", "more": "eQ=="}}

    assert object_changes(wanted, found, Scrubber()) == (
        PropertyChange(path="data.a", old=SECRET, new=SECRET),
        PropertyChange(path="data.gone", old=SECRET, new=None),
        PropertyChange(path="data.more", old=None, new=SECRET),
    )


def test_an_object_that_is_gone_had_all_that_wkeep_requested_for() -> None:
    assert object_changes({"kind": "Pod"}, None, Scrubber()) == (
        PropertyChange(path="kind", old="Pod", new=None),
    )


MANIFEST: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "x"}},
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": None}},
]


def _helm(folder: Path, content: str, code: int = 0) -> Path:
    """A helm that prints ``content``, and what it was asked for into a file beside it."""
    (folder / "content").write_text(content, encoding="utf-8")
    program = folder / "helm"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$KUBECONFIG" "$@" >"{folder}/asked"\n'
        f'echo planted >&2; cat "{folder}/content"; exit {code}\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return program


def test_a_manifest_is_compared_as_the_api_server_stores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm = _helm(tmp_path, yaml.safe_dump_all(MANIFEST))
    asked: list[dict[str, Any]] = []

    def objects(_: Kubeconfig, documents: list[dict[str, Any]], __: str) -> list[Any]:
        asked.extend(documents)
        data = {"a": base64.b64encode(b"x").decode()}
        return [(documents[0], {**documents[0], "data": data}), (documents[1], None)]

    monkeypatch.setattr(live, "_objects", objects)

    found = live.read_release(helm, Kubeconfig("file", "ctx"), "r", "n", Scrubber())

    assert (tmp_path / "asked").read_text("utf-8") == (
        "file get manifest r --namespace n --kube-context ctx\n"
    )
    assert asked[0]["data"] == {"a": "eA=="}
    assert asked[1]["metadata"] == {"name": "d"}
    assert [(item.operation, item.identity) for item in found.changes] == [
        ("delete", "Deployment d")
    ]
    assert (set(found.objects.old), set(found.objects.new)) == (
        {"Secret s", "Deployment d"},
        {"Secret s"},
    )
    assert found.objects.old["Secret s"]["data"] == {"a": SECRET}


def test_a_release_that_helm_cannot_read_shows_no_output(tmp_path: Path) -> None:
    helm = _helm(tmp_path, "planted", code=1)

    with pytest.raises(LiveError, match=r"helm cannot read the release n/r; check") as failure:
        live.read_release(helm, Kubeconfig("", None), "r", "n", Scrubber())

    assert "planted" not in str(failure.value)


def test_objects_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    helm = _helm(tmp_path, yaml.safe_dump_all(MANIFEST))
    nowhere = str(tmp_path / "kubeconfig")

    with pytest.raises(LiveError, match="the objects of the release cannot be read; check"):
        live.read_release(helm, Kubeconfig(nowhere, None), "r", "n", Scrubber())


class FakeCluster:
    """Takes the place of a cluster that has one Secret, and has never heard of a Deployment."""

    def __init__(self, where: Kubeconfig) -> None:
        """Take the kubeconfig."""
        assert where == Kubeconfig("file", "ctx")

    def read(self, wanted: dict[str, Any], namespace: str) -> dict[str, Any] | None:
        """Return the Secret, in the namespace that is asked for."""
        metadata = {"name": wanted["metadata"]["name"], "namespace": namespace}
        found = {"kind": "Secret", "metadata": metadata, "data": {"a": "eQ=="}}
        return found if wanted["kind"] == "Secret" else None


def test_live_objects_are_read_in_the_namespace_of_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LiveCluster", FakeCluster)
    helm = _helm(tmp_path, yaml.safe_dump_all(MANIFEST))

    found = live.read_release(helm, Kubeconfig("file", "ctx"), "r", "n", Scrubber())

    assert [(item.operation, item.identity) for item in found.changes] == [
        ("update", "Secret s"),
        ("delete", "Deployment d"),
    ]


class FakeObjects:
    """Takes the place of a cluster that has one thing of others of each kind, and more."""

    def __init__(self, where: Kubeconfig) -> None:
        """Take the kubeconfig."""
        assert where == Kubeconfig("file", "ctx")

    def list(self, _: str, kind: str, namespace: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        others: dict[str, Any] = {"name": f"{namespace}-{kind}".lower()}
        ours = {"name": "ours", "annotations": {OWNER: "id"}}
        release = {"name": "release", "annotations": {"meta.helm.sh/release-name": "r"}}
        controlled = {"name": "controlled", "ownerReferences": [{"kind": "ReplicaSet"}]}
        return [{"metadata": item} for item in (others, ours, release, controlled)]


def test_what_others_run_is_listed_by_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LiveCluster", FakeObjects)

    found = live.workloads(Kubeconfig("file", "ctx"), ["a", "b"], {"r"})

    assert found.keys() == {"a", "b"}
    assert found["a"][:2] == ("Deployment a-deployment", "StatefulSet a-statefulset")
    assert len(found["a"]) == 7
    assert found["b"][-1] == "PersistentVolumeClaim b-persistentvolumeclaim"
