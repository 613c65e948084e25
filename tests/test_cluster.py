"""How a cluster is found and read; tests/engine reads a real one."""

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kubernetes import client, config
from kubernetes.client import ApiException
from kubernetes.dynamic import client as dynamic
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError
from urllib3.exceptions import HTTPError

from components.ownership.cluster import (
    ForbiddenError,
    Kubeconfig,
    LiveCluster,
    UnreadableError,
    locate,
)
from dev.cluster.addresses import Addresses

WANTED = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}


def test_a_kubeconfig_in_the_config_is_used_and_kept_from_others() -> None:
    with locate("{apiVersion: v1}", None, "theirs") as where:
        file = Path(where.kubeconfig)
        assert (file.read_text("utf-8"), where.context) == ("{apiVersion: v1}", None)
        assert file.stat().st_mode & 0o777 == 0o600
    assert not file.exists()


@pytest.mark.parametrize(("given", "used"), [("", "theirs"), ("mine", "mine")])
def test_a_kubeconfig_that_is_a_path_stays_one(given: str, used: str) -> None:
    with locate(given, "c", "theirs") as where:
        assert where == Kubeconfig(used, "c")


def test_a_kubeconfig_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="the kubeconfig cannot be used; check its path"):
        LiveCluster(Kubeconfig(str(tmp_path / "missing"), None))


class FakeApi:
    """Takes the place of the dynamic client of a cluster; ``answer`` is an object or an error."""

    answer: Any = None
    asked: dict[str, object]

    def __init__(self, *_: object, **__: object) -> None:
        """Take a client and a file for the cache."""
        self.resources = self

    def get(self, *, api_version: str, kind: str) -> SimpleNamespace:
        """Find a kind; this cluster has never heard of a Widget."""
        if kind == "Widget":
            raise ResourceNotFoundError(api_version)
        return SimpleNamespace(namespaced=kind != "Namespace", get=self._read)

    def _read(self, **asked: object) -> SimpleNamespace:
        FakeApi.asked = asked
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(to_dict=lambda: self.answer)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveCluster]:
    asked: list[object] = []

    def connect(file: str, context: str, _: object) -> None:
        asked.append((file, context))

    def version(_: object) -> SimpleNamespace:
        def answer(**_: object) -> None:
            pass

        return SimpleNamespace(get_code=answer)

    monkeypatch.setattr(config, "new_client_from_config", connect)
    monkeypatch.setattr(client, "VersionApi", version)
    monkeypatch.setattr(dynamic, "DynamicClient", FakeApi)
    yield LiveCluster(Kubeconfig("file", "ctx"))
    assert asked == [("file", "ctx")]


def test_an_object_is_read_where_it_is(
    cluster: LiveCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeApi, "answer", {"kind": "Secret"})

    assert cluster.read(WANTED, "n") == {"kind": "Secret"}
    assert FakeApi.asked["namespace"] == "n"
    cluster.read({**WANTED, "metadata": {"name": "s", "namespace": "own"}}, "n")
    assert FakeApi.asked["namespace"] == "own"
    cluster.read({**WANTED, "kind": "Namespace"})
    assert FakeApi.asked["namespace"] is None


def test_all_objects_of_a_kind_are_read(
    cluster: LiveCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeApi, "answer", {"items": [{"kind": "Secret"}]})

    assert cluster.list("v1", "Secret", "n") == [{"kind": "Secret"}]
    assert FakeApi.asked["namespace"] == "n"


def _answer(status: int) -> ApiException:
    return cast("Any", ApiException)(status=status)


def test_what_is_not_there_is_none(cluster: LiveCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeApi, "answer", NotFoundError(_answer(404)))

    assert cluster.read(WANTED) is None
    assert cluster.read({**WANTED, "kind": "Widget"}) is None


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (_answer(403), ForbiddenError, "does not show it to the account of the kubeconfig"),
        (_answer(401), UnreadableError, "the API server answers 401; check the account"),
        (HTTPError("planted"), UnreadableError, "the API server cannot be reached; check its"),
    ],
)
def test_what_cannot_be_read_is_an_error_without_values(
    cluster: LiveCluster,
    monkeypatch: pytest.MonkeyPatch,
    answer: Exception,
    error: type[UnreadableError],
    said: str,
) -> None:
    monkeypatch.setattr(FakeApi, "answer", answer)

    with pytest.raises(error, match=said) as failure:
        cluster.read(WANTED)

    assert "planted" not in str(failure.value)


def test_ports_stay_but_for_one_that_is_taken(tmp_path: Path) -> None:
    """Then every program needs the new one."""
    addresses, stopped = Addresses(tmp_path), list[bool]()

    def choose(*running: str) -> dict[str, int]:
        addresses.choose_ports(running, lambda: stopped.append(True))
        return addresses.ports()

    before = choose()
    assert (choose(), stopped) == (before, [])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", before["kube-apiserver"]))
        taken.listen()
        after = choose("etcd")

    assert stopped == [True]
    assert {name for name, port in after.items() if port != before[name]} == {"kube-apiserver"}
