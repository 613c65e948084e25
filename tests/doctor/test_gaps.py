"""What cannot be looked at counts as not run, and never as well."""

import contextlib
import dataclasses
import datetime as dt
import re
import socket
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.ownership.cluster import Kubeconfig
from components.resources.certificates import KeyPair, authority
from components.site import Registry
from doctor.checks import nodes
from doctor.checks.cluster import version
from doctor.checks.network import egress
from doctor.checks.servers.caches import caches
from doctor.checks.servers.gitlab import TOKEN as USERS_TOKEN
from doctor.checks.servers.s3 import signed
from doctor.diagnosis import Diagnosis, Fault, NobodyError, NotRun, UnseenError, fault
from doctor.examine import Examination, Visit, examine
from doctor.kubernetes_api import Answer, KubernetesApi
from doctor.observed import Observed
from doctor.web import FailedError, expiry, server
from report.errors import ReportError
from tests.support.clinic import Adjust, Changes, Object, World, kubeconfig, stack, world
from tests.support.configured import CACHES, SECRETS, STRATEGIES, TOKEN
from tests.support.servers import LONG, GitLabDouble, Reply, new_ca, serving


def _reasons(found: Diagnosis) -> dict[str, str]:
    return {item.check.name: item.reason for item in found.not_run}


def test_before_the_first_update_much_is_not_known() -> None:
    with world({"runners.main.strategy": STRATEGIES["buildkit-service"]}, deployed=False) as at:
        found = at.examined()

    assert found.faults == []
    reasons = _reasons(found)
    assert {
        "pod-security",
        "quota-for-all",
        "manager-rights",
        "job-rights",
        "network-policy-missing",
        "secret-missing",
        "manager-missing",
        "daemon-not-ready",
        "image-pull",
    } <= reasons.keys()
    assert "before pulumi up" in reasons["pod-security"]
    assert {"deployer-rights", "api-group", "namespace-level", "node-room"} <= {
        name for names in found.ran.values() for name in names
    }


def _small(at: World) -> None:
    at.api.find("Node", "worker")["status"]["allocatable"]["memory"] = "1Mi"


def _full(at: World) -> None:
    spec = {"nodeName": "worker", "containers": [{"resources": {"requests": {"cpu": "64"}}}]}
    item = {"apiVersion": "v1", "kind": "Pod", "spec": spec, "status": {}}
    at.api.add({**item, "metadata": {"name": "large", "namespace": "others"}})


def _autoscaler(api_version: str, kind: str) -> Object:
    metadata = {"name": "cluster-autoscaler-status", "namespace": "kube-system"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


GAPS: list[tuple[Adjust, str, str]] = [
    (
        lambda at: at.api.denied.update({"/nodes": HTTPStatus.FORBIDDEN}),
        "node-room",
        "may not list nodes",
    ),
    (
        lambda at: at.api.denied.update({"/nodes": HTTPStatus.INTERNAL_SERVER_ERROR}),
        "node-room",
        "does not list nodes: no",
    ),
    (
        lambda at: at.api.denied.update({"/version": HTTPStatus.FORBIDDEN}),
        "kubernetes-version",
        "does not say its version",
    ),
    (lambda at: setattr(at.api, "date", ""), "clock", "sends no time"),
    (
        lambda at: at.api.denied.update({"/subjectaccessreviews": HTTPStatus.FORBIDDEN}),
        "job-rights",
        "may not create subjectaccessreviews",
    ),
    (
        lambda at: at.api.refusals.update({"pods": 'pods is forbidden: User "x" cannot'}),
        "pod-security",
        "may not try out",
    ),
    (lambda at: at.api.objects.clear(), "network-unenforced", "no DaemonSet"),
    (
        lambda at: at.api.find("Node", "worker")["status"].pop("nodeInfo"),
        "declared-os",
        "no node that takes jobs says what it runs",
    ),
    (
        lambda at: at.registry.readers and setattr(at.registry, "upload_status", 409),
        "registry-push",
        "gets the status 409",
    ),
    (
        lambda at: at.api.find("Deployment", "coredns", "kube-system").update(
            metadata={"name": "kube-dns", "namespace": "kube-system"}, spec={"replicas": 0}
        ),
        "cluster-dns",
        "no Deployment of kube-system",
    ),
    (
        lambda at: [_full(at), at.api.add(_autoscaler("v1", "ConfigMap"))],
        "node-full",
        "an autoscaler may make other nodes",
    ),
    (
        lambda at: at.api.denied.update({"/api/v1/pods": HTTPStatus.FORBIDDEN}),
        "node-full",
        "may not list all pods",
    ),
    (
        lambda at: [_small(at), at.api.add(_autoscaler("v1", "ConfigMap"))],
        "node-room",
        "an autoscaler may make other nodes; today: No node has room",
    ),
    (
        lambda at: [_small(at), at.api.add(_autoscaler("karpenter.sh/v1", "NodePool"))],
        "node-room",
        "an autoscaler may make other nodes; today: No node",
    ),
]


@pytest.mark.parametrize(("then", "check", "reason"), GAPS)
def test_what_cannot_be_seen_did_not_run(then: Adjust, check: str, reason: str) -> None:
    with world() as at:
        then(at)
        found = at.examined()

    assert reason in _reasons(found)[check]


def test_an_answer_that_nobody_understands_is_said() -> None:
    with world() as at:
        at.api.find("Node", "worker")["status"]["allocatable"]["cpu"] = "many"
        found = at.examined()

    assert found.faults == []
    assert "an answer is not understood (ValueError: " in _reasons(found)["node-room"]


def test_a_refusal_that_another_check_names_is_not_said_twice() -> None:
    with world() as at:
        at.api.refusals["/apis/rbac"] = "roles is forbidden: attempting to grant RBAC permissions"
        assert at.examined().faults == []


BUSY: list[tuple[int, str, str]] = [
    (HTTPStatus.TOO_MANY_REQUESTS, "too many requests", "status 429: too many requests"),
    (HTTPStatus.GATEWAY_TIMEOUT, "timeout", "status 504: timeout"),
    (
        HTTPStatus.BAD_REQUEST,
        'admission webhook "w" does not support dry run',
        "nothing can be tried out there",
    ),
]


@pytest.mark.parametrize(("status", "message", "reason"), BUSY)
def test_a_dry_run_that_says_nothing_is_no_fault(status: int, message: str, reason: str) -> None:
    with world() as at:
        path = "/api/v1/namespaces/builds-main/pods"
        at.api.answers[path] = Answer(status, {"message": message})
        found = at.examined()

    assert found.faults == []
    assert reason in _reasons(found)["pod-security"]


def test_an_api_that_is_off_is_named_once() -> None:
    with world() as at:
        at.api.missing_apis.add("networking.k8s.io/v1")
        message = "the server could not find the requested resource"
        at.api.answers["/apis/networking.k8s.io"] = Answer(404, {"message": message})
        found = at.examined()

    assert [item.check.name for item in found.faults] == ["api-group"]


def test_reviews_that_do_not_come_are_no_lack_of_rights() -> None:
    with world() as at:
        at.api.denied["/subjectaccessreviews"] = HTTPStatus.TOO_MANY_REQUESTS
        reasons = _reasons(at.examined())

    assert "the API server answers with status 429" in reasons["job-rights"]


def test_who_lets_nobody_in_is_asked_once() -> None:
    asked: list[str] = []

    class Silent:
        def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
            del body, kind
            asked.append(f"{method} {path}")
            message = "no connection"
            raise NobodyError(message)

    seen = Observed(Silent())
    for kind in ("Node", "Namespace"):
        with pytest.raises(UnseenError, match="no connection"):
            seen.list("v1", kind)

    assert asked == ["GET /api/v1/nodes"]


def test_with_another_strategy_what_is_deployed_is_not_compared() -> None:
    with world(what_if="{kind: dind, acceptPrivileged: true}") as at:
        metadata = at.api.find("Namespace", "builds-main")["metadata"]
        metadata["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"
        at.api.refusals["/api/v1/namespaces/builds-main/pods"] = "violates PodSecurity baseline"
        found = at.examined()

    assert found.faults == []


def test_without_a_token_of_the_user_gitlab_shows_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(USERS_TOKEN, raising=False)
    with world() as at:
        found = at.examined()

    assert {name for name, reason in _reasons(found).items() if USERS_TOKEN in reason} == {
        "gitlab-version",
        "runner-paused",
        "runner-tags",
        "runner-protected",
        "runner-offline",
        "runner-scope",
        "runner-disabled",
        "token-swapped",
    }


def test_a_token_of_the_user_that_sees_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USERS_TOKEN, "glpat-Other00001")
    with world() as at:
        reasons = _reasons(at.examined())

    assert reasons["gitlab-version"] == reasons["runner-paused"]
    assert "does not show it to the token in GITLAB_TOKEN (status 401)" in reasons["runner-tags"]


def test_where_gitlab_is_down_no_token_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USERS_TOKEN, "glpat-Other00001")
    with world({"gitlab.url": "http://localhost:9"}) as at:
        found = at.examined()

    assert [item.check.name for item in found.faults] == ["gitlab-unreachable"]
    assert "the connection is refused" in _reasons(found)["token-refused"]
    assert "the connection is refused" in _reasons(found)["gitlab-version"]


def test_gitlab_may_be_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> Reply:
        return Reply(HTTPStatus.TOO_MANY_REQUESTS, "<html>", {"Content-Type": "text/html"})

    monkeypatch.setenv(USERS_TOKEN, "glpat-Other00001")
    with serving(busy) as host, world({"gitlab.url": f"http://{host}"}) as at:
        reasons = _reasons(at.examined())

    assert "it has the status 429" in reasons["token-refused"]


def test_a_runner_that_the_stack_creates_has_no_token_yet() -> None:
    registration = {"kind": "userRunner", "projectId": 1, "runnerType": "project_type"}
    secrets: dict[str, Any] = {**SECRETS, "runnerTokens": {}}
    with world({"runners.main.registration": registration}, secrets=secrets) as at:
        reasons = _reasons(at.examined())

    assert "does not have the token" in reasons["token-refused"]


def test_a_chart_that_is_newer_than_this_project_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(_: str) -> bool:
        return False

    monkeypatch.setattr("doctor.checks.servers.gitlab.is_known", unknown)
    with world() as at:
        monkeypatch.setenv(USERS_TOKEN, at.gitlab.users_token)
        reasons = _reasons(at.examined())

    assert "is not known" in reasons["gitlab-version"]


@pytest.mark.parametrize(
    ("runner", "repository", "expected"),
    [
        ({"projects": [{"path_with_namespace": "group/app"}]}, "group/app/image", []),
        ({"groups": [{"web_url": "http://x/groups/group"}]}, "group/app", []),
        ({"projects": [{"path_with_namespace": "group/app"}]}, "group/apple", ["runner-scope"]),
        ({"groups": [{"web_url": "http://x/groups/group/sub"}]}, "group/app", ["runner-scope"]),
        ({}, "group/app", []),
    ],
)
def test_a_runner_of_other_projects_is_named(
    runner: dict[str, Any], repository: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository says the project, where it is one of GitLab's own registry."""
    with world() as at:
        monkeypatch.setenv(USERS_TOKEN, at.gitlab.users_token)
        at.gitlab.runners[TOKEN].update(runner)
        host = urlsplit(at.wanted.settings.gitlab.url).hostname
        found = at.examined(f"registry.{host}/{repository}")
        elsewhere = at.examined(f"registry.example.com/{repository}")

    assert [item.check.name for item in found.faults] == expected
    assert elsewhere.faults == []


def test_a_runner_whose_manager_does_not_run_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with world(deployed=False) as at:
        monkeypatch.setenv(USERS_TOKEN, at.gitlab.users_token)
        at.gitlab.runners[TOKEN]["status"] = "never_contacted"
        assert at.examined().faults == []


def test_a_chart_that_is_a_file_is_looked_for_nowhere() -> None:
    with world() as at:
        at.gitlab.charts = None
        chart = at.wanted.settings.chart.model_copy(update={"archive": "charts/runner.tgz"})
        settings = at.wanted.settings.model_copy(update={"chart": chart})
        at.wanted = dataclasses.replace(at.wanted, settings=settings)
        assert at.examined().faults == []


def test_a_chart_repository_with_a_private_ca_is_left_to_helm() -> None:
    with (
        serving(GitLabDouble(), new_ca()) as host,
        world({"chart.repository": f"https://{host}/charts"}) as at,
    ):
        found = at.examined()

    assert found.faults == []
    assert "is not trusted here" in _reasons(found)["chart-missing"]


def test_a_cluster_with_volumes_for_jobs_has_no_fault() -> None:
    volumes = [
        {"path": "/one", "perJob": {"size": "9Gi"}},
        {"path": "/two", "perJob": {"size": "9Gi", "storageClass": "fast"}},
        {"path": "/three", "claim": "cache"},
    ]
    with world({"runners.main.volumes": volumes}) as at:
        default = {"storageclass.kubernetes.io/is-default-class": "true"}
        for name, annotations in (("disks", default), ("fast", {})):
            at.api.add(
                {
                    "apiVersion": "storage.k8s.io/v1",
                    "kind": "StorageClass",
                    "metadata": {"name": name, "annotations": annotations},
                }
            )
        claim = {"name": "cache", "namespace": "builds-main"}
        at.api.add({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": claim})
        assert at.examined().faults == []


def test_what_a_webhook_adds_to_what_is_said_is_no_change() -> None:
    def grow(pod: Object) -> None:
        pod["spec"]["containers"][0]["securityContext"]["capabilities"]["drop"].append("ALL")
        pod["spec"]["nodeSelector"] = {"pool": "builds"}
        pod["spec"]["tolerations"] = [{"key": "x"}]

    with world() as at:
        at.api.mutations["/api/v1/namespaces/builds-main/pods"] = grow
        assert at.examined().faults == []


def test_a_registry_of_the_cluster_is_left_to_jobs() -> None:
    with world({"registries.0.host": "registry.registry.svc:5000"}) as at:
        reasons = _reasons(at.examined())

    assert "only the cluster knows the name registry.registry.svc" in reasons["registry-push"]


def _with_tokens(repository: str) -> tuple[Diagnosis, list[str]]:
    with world() as at:
        host = at.wanted.settings.registries[0].host
        at.registry.realm = f"http://{host}/token"
        found = at.examined(repository and f"{host}/{repository}")
        return found, at.registry.given_up


def test_tokens_of_a_registry_are_for_named_repositories() -> None:
    unnamed, nothing = _with_tokens("")
    named, given_up = _with_tokens("group/app")

    assert "by --repository" in _reasons(unnamed)["registry-push"]
    assert nothing == []
    assert "registry-push" not in _reasons(named)
    assert given_up == ["/v2/group/app/blobs/uploads/1"]
    assert [*unnamed.faults, *named.faults] == []


def test_a_token_that_is_refused_writes_nothing() -> None:
    with world() as at:
        host = at.wanted.settings.registries[0].host
        at.registry.realm = f"http://{host}/token"
        at.registry.logins.update(reader="new", writer="new")
        found = at.examined(f"{host}/group/app")

    assert [item.check.name for item in found.faults] == ["registry-login"] * 2


def test_where_tokens_are_handed_out_nobody_may_answer() -> None:
    with world() as at:
        at.registry.realm = "http://localhost:9/token"
        found = at.examined()

    assert found.faults == []
    assert "the connection is refused" in _reasons(found)["registry-login"]


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({"WWW-Authenticate": "Bearer"}, "", "does not say who hands out its tokens"),
        ({"WWW-Authenticate": 'Bearer realm="http://{host}/x"'}, "<", "that nobody knows"),
    ],
)
def test_a_registry_with_odd_tokens_is_not_judged(
    headers: dict[str, str], body: str, reason: str
) -> None:
    def odd(_: str, path: str, given: Mapping[str, str], __: bytes) -> Reply:
        filled = {name: text.format(host=given["Host"]) for name, text in headers.items()}
        status = HTTPStatus.UNAUTHORIZED if path == "/v2/" else HTTPStatus.OK
        return Reply(status, body, filled)

    with serving(odd) as host, world({"registries.0.host": host}) as at:
        found = at.examined(f"{host}/group/app")

    assert found.faults == []
    assert reason in _reasons(found)["registry-push"]


def test_a_login_that_nobody_judges_is_not_refused() -> None:
    """Where tokens are handed out, requests are limited."""

    def limited(_: str, path: str, given: Mapping[str, str], __: bytes) -> Reply:
        realm = {"WWW-Authenticate": f'Bearer realm="http://{given["Host"]}/token"'}
        return Reply(429) if path.startswith("/token") else Reply(401, headers=realm)

    with serving(limited) as host, world({"registries.0.host": host}) as at:
        found = at.examined()

    assert found.faults == []
    assert "it has the status 429" in _reasons(found)["registry-login"]


def test_a_repository_that_nobody_named_need_not_exist() -> None:
    with world() as at:
        at.registry.upload_status = HTTPStatus.NOT_FOUND
        unnamed = at.examined()
        named = at.examined(f"{at.wanted.settings.registries[0].host}/group/app")

    assert unnamed.faults == []
    assert "by --repository" in _reasons(unnamed)["registry-push"]
    assert [item.check.name for item in named.faults] == ["registry-push"]


def test_hosts_without_addresses_are_not_judged() -> None:
    closed = {"private": False, "public": False, "allow": [{"cidr": "127.0.0.0/8"}]}
    changes: Changes = {"network.egress": closed, "registries.0.host": "registry.invalid"}
    with world(changes) as at:
        found = at.examined()

    assert [item.check.name for item in found.faults] == ["registry-name"]
    assert "registry.invalid are not known" in _reasons(found)["egress-closed"]


@pytest.mark.parametrize(
    ("what_if", "message"),
    [("kind: [", "--what-if must be a strategy in YAML"), ("kind: dind", "acceptPrivileged")],
)
def test_a_strategy_that_cannot_be_tried_is_refused(what_if: str, message: str) -> None:
    with pytest.raises(ReportError, match=message):
        stack({}, what_if=what_if)


def test_an_upload_that_is_begun_is_given_up() -> None:
    with world() as at:
        at.examined()

    assert at.registry.uploads == ["/v2/image-builds-doctor/blobs/uploads/1"]
    assert at.registry.given_up == at.registry.uploads


def _without_logins(addresses: Changes) -> Changes:
    return {"registries": [{"host": addresses["registries.0.host"], "insecure": True}]}


def test_a_registry_without_logins_is_only_asked_who_it_is() -> None:
    with world(_without_logins) as at:
        found = at.examined()

    assert (found.faults, at.registry.uploads) == ([], [])


def _with_a_group(addresses: Changes) -> Changes:
    host = addresses["registries.0.host"]
    group = {"host": f"{host}/group", "pull": "in"}
    return {"registries": [group, {"host": host, "insecure": True, "push": "out"}]}


def test_a_group_of_a_registry_has_its_own_login() -> None:
    """It is not tried on a repository of another group."""
    with world(_with_a_group) as at:
        found = at.examined()
        at.registry.readers = ()
        named = at.examined(f"{at.wanted.settings.registries[1].host}/other/app")

    assert found.faults == []
    assert "registry-pull" in found.ran[""]
    (pull,) = named.faults
    assert (
        f"may not read {at.wanted.settings.registries[0].host}/image-builds-doctor" in pull.message
    )


def test_the_reason_of_a_failure_is_in_plain_words() -> None:
    with server(None) as asked, pytest.raises(FailedError, match="DNS has no such name"):
        asked.send("GET", "http://nobody.invalid/")
    with server(None) as asked, pytest.raises(FailedError, match="the connection fails"):
        asked.send("GET", "gopher://localhost/")


@contextlib.contextmanager
def _saying(answer: bytes) -> Generator[str]:
    """Yield ``localhost:port`` of one that says this to the first who asks, or nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def say() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(9999)
                    connection.sendall(answer)
                    connection.recv(9999 if not answer else 1)

        thread = threading.Thread(target=say)
        thread.start()
        yield f"localhost:{listening.getsockname()[1]}"
        thread.join()


def test_tls_that_fails_is_named() -> None:
    alert = b"\x15\x03\x01\x00\x02\x02\x28"  # handshake_failure
    expected = pytest.raises(FailedError, match=r"TLS fails: .*HANDSHAKE_FAILURE")
    with _saying(alert) as host, server(None) as asked, expected:
        asked.send("GET", f"https://{host}/")


def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctor.web._TIMEOUT", (0.3, 0.3))
    expected = pytest.raises(FailedError, match="no answer came within")
    with _saying(b"") as host, server(None) as asked, expected:
        asked.send("GET", f"http://{host}/")


def test_a_name_that_dns_does_not_look_up_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> list[object]:
        time.sleep(1)
        return []

    monkeypatch.setattr("doctor.web._DNS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with server(None) as asked, pytest.raises(FailedError, match="DNS does not answer"):
        asked.send("GET", "http://slow.example.com/")


def test_a_proxy_of_this_machine_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> Reply:
        return Reply(HTTPStatus.FORBIDDEN)

    expected = pytest.raises(FailedError, match=r"the proxy .* \(Tunnel connection failed: 403")
    with serving(refusing) as host, server(None) as asked, expected:
        monkeypatch.setenv("https_proxy", f"http://{host}")
        asked.send("GET", "https://gitlab.example.com/")
    expected = pytest.raises(FailedError, match=r"the proxy .* \(no answer")
    with server(None) as asked, expected:
        monkeypatch.setenv("https_proxy", "http://localhost:9")
        asked.send("GET", "https://gitlab.example.com/")


def test_a_certificate_that_cannot_be_seen_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(GitLabDouble(), new_ca()) as host:
        assert expiry(f"https://{host}") is not None
        monkeypatch.setenv("https_proxy", "http://localhost:9")
        assert expiry(f"https://{host}") is None
        monkeypatch.delenv("https_proxy")
    assert expiry(f"https://{host}") is None


def test_checks_that_take_too_long_did_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever hangs, doctor ends; four runners may take longer than three."""
    monkeypatch.setattr("doctor.examine._SECONDS", 0.2)
    monkeypatch.setattr("doctor.examine._SECONDS_OF_A_RUNNER", 0.1)
    ended = threading.Event()

    class Hanging:
        def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
            del method, body, kind
            ended.wait(5 if path == "/api/v1/nodes" else 0)
            return Answer(HTTPStatus.OK, {"gitVersion": "v1.35.0", "items": []})

    runners = {f"r{number}": {"tags": ["build"], "strategy": "kaniko"} for number in range(4)}
    tokens = {name: f"glrt-PlantedToken000{name[1:]}" for name in runners}
    with world({"runners": runners}, secrets={**SECRETS, "runnerTokens": tokens}) as at:
        started = time.monotonic()
        found = examine([nodes.nodes, version], Visit(stack=at.wanted, seen=Observed(Hanging())))
        took = time.monotonic() - started
    ended.set()

    assert took < 2
    assert {item.reason for item in found.not_run} == {"no answer came within 0.3 seconds"}
    assert {item.runner for item in found.not_run} == {*runners}
    assert "kubernetes-version" in found.ran[""]


@contextlib.contextmanager
def _closed() -> Generator[str]:
    """Yield ``localhost:port`` of one that lets nobody in, as a firewall that drops packets."""
    with contextlib.ExitStack() as sockets:
        full = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = sockets.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        yield f"localhost:{full.getsockname()[1]}"


def test_who_lets_nobody_in_or_says_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doctor.kubernetes_api._CONNECT", 0.3)
    monkeypatch.setattr("doctor.kubernetes_api._ANSWER", 0.3)
    monkeypatch.setattr("doctor.web._TIMEOUT", (0.3, 0.3))
    with _closed() as host:
        with pytest.raises(NobodyError, match="no connection came about within"):
            KubernetesApi(kubeconfig(tmp_path, f"http://{host}")).ask("GET", "/version")
        with server(None) as asked, pytest.raises(FailedError, match="no connection came about"):
            asked.send("GET", f"http://{host}/")
    with _saying(b"") as host, pytest.raises(UnseenError, match="no answer came within"):
        KubernetesApi(kubeconfig(tmp_path, f"http://{host}")).ask("GET", "/version")


def test_an_error_of_doctor_itself_is_not_hidden() -> None:
    def broken(_: Visit) -> Iterator[Fault | NotRun]:
        raise RuntimeError

    item = Examination(broken, ("clock",), per_runner=False)
    with world() as at, pytest.raises(RuntimeError):
        examine([item], Visit(stack=at.wanted, seen=Observed(at.api)))


def test_registries_that_take_too_long_did_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctor.checks.servers.registries._SECONDS", 0.1)
    with world() as at, _saying(b"") as silent:
        monkeypatch.setattr("doctor.web._TIMEOUT", (1, 1))
        registries = [*at.wanted.settings.registries, Registry(host=silent, insecure=True)]
        settings = at.wanted.settings.model_copy(update={"registries": registries})
        at.wanted = dataclasses.replace(at.wanted, settings=settings)
        found = at.examined()

    assert f"{silent} does not answer within 0.1 seconds" in str(found.not_run)


def test_a_kubeconfig_that_nobody_can_read_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    for text in ("[", "- a\n- b\n", "{clusters: 1, contexts: 2, users: 3}", "\0"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UnseenError, match="the kubeconfig cannot be used") as raised:
            KubernetesApi(Kubeconfig(str(file), "a-cluster"))
        assert "\n" not in str(raised.value)


def test_the_api_server_is_asked_with_the_account_of_the_context(tmp_path: Path) -> None:
    seen: list[Mapping[str, str]] = []

    def answers(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        seen.append(headers)
        if path == "/text":
            return Reply(HTTPStatus.OK, "no JSON", {"Content-Type": "text/plain"})
        return Reply(HTTPStatus.OK, "{" if path == "/half" else [method, body.decode()])

    with serving(answers) as host:
        api = KubernetesApi(kubeconfig(tmp_path, f"http://{host}"))
        assert api.ask("PATCH", "/x", {"a": 1}, "application/apply-patch+yaml").body == {}
        assert api.ask("GET", "/text").body["text"] == "no JSON"
        assert api.ask("GET", "/half").message == "{"

    assert seen[0]["authorization"] == "Bearer a-token"
    assert seen[0]["Content-Type"] == "application/apply-patch+yaml"


def test_who_does_not_answer_is_said_in_one_line(tmp_path: Path) -> None:
    api = KubernetesApi(kubeconfig(tmp_path, "http://localhost:9"))

    with pytest.raises(UnseenError, match="refused") as raised:
        api.ask("GET", "/version")
    assert not re.search(r"object at 0x|\n", str(raised.value))


def test_a_context_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnseenError, match="other"):
        KubernetesApi(kubeconfig(tmp_path, "http://localhost:9", "other"))


@pytest.mark.parametrize("platform", ["eksAuto", "eksFargate", "gkeAutopilot"])
def test_nodes_that_a_platform_makes_for_pods_are_not_judged(platform: str) -> None:
    with world(deployed=False) as at:
        cluster = at.wanted.settings.cluster.model_copy(update={"platform": platform})
        settings = at.wanted.settings.model_copy(update={"cluster": cluster})
        at.wanted = dataclasses.replace(at.wanted, settings=settings)
        at.api.remove("Node", "worker")
        found = at.examined()

    assert found.faults == []
    reasons = _reasons(found)
    assert "makes nodes for the pods that ask for them" in reasons["node-selector"]
    assert reasons["manager-node"] == reasons["node-selector"]


def test_a_node_for_the_manager_may_be_made_later() -> None:
    with world({"runners.main.manager.nodeSelector": {"pool": "x"}}, deployed=False) as at:
        at.api.add(_autoscaler("v1", "ConfigMap"))
        found = at.examined()

    assert found.faults == []
    assert "an autoscaler may make other nodes" in _reasons(found)["manager-node"]


def test_where_no_node_takes_a_job_the_manager_is_not_named_too() -> None:
    with world({"runners.main.manager.nodeSelector": {"pool": "x"}}, deployed=False) as at:
        at.api.find("Node", "worker")["spec"]["taints"] = [{"key": "a", "effect": "NoExecute"}]
        found = at.examined()

    assert [item.check.name for item in found.faults] == ["node-taint"]


def test_what_was_found_counts_where_the_rest_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("doctor.examine._SECONDS", 0.2)
    ended = threading.Event()

    def slow(_: Visit) -> Iterator[Fault | NotRun]:
        yield fault("clock", seconds=99)
        ended.wait(5)

    item = Examination(slow, ("clock", "node-clock"), per_runner=False)
    with world() as at:
        found = examine([item], Visit(stack=at.wanted, seen=Observed(at.api)))
    ended.set()

    assert [item.check.name for item in found.faults] == ["clock"]
    assert _reasons(found) == {"node-clock": "no answer came within 0.2 seconds"}


def test_another_strategy_misses_nothing_that_is_not_deployed() -> None:
    with world() as at:
        deployed = at.api
    with world(what_if="kind: buildkit-service") as at:
        at.api = deployed
        assert at.examined().faults == []


def test_the_first_way_to_log_in_that_a_registry_offers_counts() -> None:
    with world() as at:
        host = at.wanted.settings.registries[0].host
        at.registry.realm = f'http://{host}/token",service="it", Basic realm="web'
        found = at.examined(f"{host}/group/app")

    assert found.faults == []
    assert at.registry.given_up == ["/v2/group/app/blobs/uploads/1"]


def _with_registry(at: World, host: str, certificates: str | None) -> None:
    registry = Registry(host=host, ca_certificates=certificates)
    settings = at.wanted.settings.model_copy(update={"registries": [registry]})
    at.wanted = dataclasses.replace(at.wanted, settings=settings)


def test_a_registry_that_has_moved_is_followed() -> None:
    ca = new_ca()
    trusted = {"registries.0.caCertificates": ca.certificate}
    with world(trusted, registry_ca=ca) as at:
        there = at.wanted.settings.registries[0].host

        def moved(*_: object) -> Reply:
            return Reply(
                HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": f"https://{there}/v2/"}
            )

        with serving(moved, ca) as host:
            _with_registry(at, host, ca.certificate)
            assert at.examined().faults == []


def test_a_registry_that_only_pods_know_is_left_to_them() -> None:
    aliases = {"192.0.2.7": ["registry.invalid"]}
    with world({"registries.0.host": "registry.invalid", "hostAliases": aliases}) as at:
        found = at.examined()

    assert found.faults == []
    assert "by hostAliases" in _reasons(found)["registry-push"]


def test_images_behind_tokens_that_nobody_hands_out_are_unknown() -> None:
    def image(given: Changes) -> Changes:
        name = f"{given['registries.0.host']}/kaniko:1.2"
        return {"runners.main.strategy": {"kind": "kaniko", "image": name}}

    with world(image) as at:
        at.registry.realm = "http://localhost:9/token"
        found = at.examined()

    assert found.faults == []
    assert "the connection is refused" in _reasons(found)["image-missing"]


def test_storage_of_caches_is_trusted_as_jobs_trust_it() -> None:
    def private(*_: object) -> Reply:
        return Reply(HTTPStatus.FORBIDDEN)

    ca = new_ca()
    with serving(private, ca) as host:
        cache = {"kind": "s3", "bucket": "kept", "endpoint": f"https://{host}"}
        known = {"runners.main.cache": cache, "runners.main.caCertificates": ca.certificate}
        with world(known) as at:
            trusted = at.examined()
        with world({"runners.main.cache": cache}) as at:
            unknown = at.examined()

    assert trusted.faults == []
    assert [item.check.name for item in unknown.faults] == ["cache-unreachable"]


def _signed_by(root: KeyPair, inner: KeyPair) -> KeyPair:
    """Return an authority as another one signs it."""
    known, above = (
        x509.load_pem_x509_certificate(pair.certificate.encode()) for pair in (inner, root)
    )
    builder = (
        x509.CertificateBuilder()
        .issuer_name(above.subject)
        .subject_name(known.subject)
        .public_key(known.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(known.not_valid_before_utc)
        .not_valid_after(known.not_valid_after_utc)
    )
    for extension in known.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    key = serialization.load_pem_private_key(root.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signed = builder.sign(key, hashes.SHA256())
    text = signed.public_bytes(serialization.Encoding.PEM).decode()
    return KeyPair(certificate=text, key=inner.key)


def test_an_authority_below_another_one_is_trusted_as_by_go() -> None:
    inner = _signed_by(authority("a CA above", LONG), new_ca())
    with world({"gitlab.caCertificates": inner.certificate}, gitlab_ca=inner) as at:
        assert at.examined().faults == []


def test_a_name_that_cannot_be_one_is_said() -> None:
    with server(None) as asked, pytest.raises(FailedError, match="DNS has no such name"):
        asked.send("GET", "http://gitlab..example.com/")


@pytest.mark.parametrize(
    "switches",
    [{"shared_runners_enabled": True}, {"group_runners_enabled": False}, {"name": "app"}],
)
def test_a_project_that_takes_a_runner_is_no_fault(
    switches: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with world() as at:
        monkeypatch.setenv(USERS_TOKEN, at.gitlab.users_token)
        at.gitlab.runners[TOKEN]["runner_type"] = "instance_type"
        at.gitlab.projects["group/app"] = switches
        host = urlsplit(at.wanted.settings.gitlab.url).hostname
        assert at.examined(f"registry.{host}/group/app").faults == []


def _cache(kind: str, login: str, **keys: str) -> tuple[Changes, dict[str, Any]]:
    cache = {"kind": kind, "credentials": login, **keys}
    secrets = {**SECRETS, "cacheCredentials": {login: CACHES[login]}}
    return {"runners.main.cache": cache}, secrets


def test_a_login_that_may_not_list_a_bucket_is_no_fault() -> None:
    with world() as at:
        endpoint = f"http://{at.wanted.settings.registries[0].host}"
    changes, secrets = _cache("s3", "minio", bucket="kept", endpoint=endpoint)
    with world(changes, secrets=secrets) as at:
        at.registry.code = "AccessDenied"
        found = at.examined()

    assert found.faults == []
    assert "cache-login" in found.ran["main"]


@pytest.mark.parametrize(
    ("kind", "login", "reason"),
    [("gcs", "google", "only logins of S3 are tried"), ("s3", "minio", "does not answer: no")],
)
def test_a_login_of_caches_that_is_not_tried_is_said(
    kind: str, login: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(_: object, __: str, ___: str, headers: object = None) -> requests.Response:
        if headers:
            message = "no"
            raise FailedError(message)
        answer = requests.Response()
        answer.status_code = 403
        return answer

    monkeypatch.setattr("doctor.web.Server.send", send)
    changes, secrets = _cache(kind, login, bucket="kept")
    with world(changes, secrets=secrets) as at:
        visit = Visit(stack=at.wanted, seen=Observed(at.api), runner=at.wanted.runners["main"])
        (found,) = caches.look(visit)

    assert isinstance(found, NotRun)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://minio:9000/kept?location", "minio:9000"), ("https://minio:443/kept", "minio")],
)
def test_a_port_is_signed_where_clients_send_it(url: str, host: str) -> None:
    now = dt.datetime(2013, 5, 24, tzinfo=dt.UTC)
    login = {"accessKey": "a", "secretKey": "b"}
    other = url.replace(urlsplit(url).netloc, host)

    assert signed(url, login, "r", now) == signed(other, login, "r", now)


def test_a_request_is_signed_as_amazon_has_it() -> None:
    """The example of its documentation (Signature Calculations, GET Bucket Lifecycle)."""
    login = {
        "accessKey": "AKIAIOSFODNN7EXAMPLE",
        "secretKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    }
    url = "https://examplebucket.s3.amazonaws.com/?lifecycle"
    headers = signed(url, login, "us-east-1", dt.datetime(2013, 5, 24, tzinfo=dt.UTC))

    assert headers["x-amz-date"] == "20130524T000000Z"
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )


def test_who_everybody_trusts_is_trusted_beside_the_stack_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = new_ca()
    bundle = tmp_path / "ca.pem"
    bundle.write_text(known.certificate, encoding="ascii")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with world({"gitlab.caCertificates": new_ca().certificate}, gitlab_ca=known) as at:
        assert at.examined().faults == []


def test_what_another_strategy_grants_is_not_beyond() -> None:
    with world({"runners.main.strategy": STRATEGIES["buildx"]}) as at:
        deployed = at.api
    with world(what_if="kind: kaniko") as at:
        at.api = deployed
        assert at.examined().faults == []


def test_what_cannot_be_tried_out_keeps_nothing_else_away() -> None:
    with world() as at:
        at.api.refusals["/apis/rbac"] = 'roles is forbidden: User "x" cannot patch'
        at.api.refusals["/api/v1/namespaces/apps/secrets"] = "not here"
        found = at.examined()

    assert [item.check.name for item in found.faults] == ["admission"]
    assert "may not try out Role" in _reasons(found)["pod-security"]


def test_jobs_that_a_proxy_leads_need_to_reach_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: Changes = {
        "gitlab.url": "http://gitlab.example.com",
        "registries": [],
        "proxy": {"http": "http://192.0.2.9:3128"},
        "network.egress": {"private": False, "public": False, "allow": [{"cidr": "192.0.2.9/32"}]},
    }

    def addresses(host: str) -> list[str]:
        return [host if host == "192.0.2.9" else "198.51.100.1"]

    monkeypatch.setattr("doctor.checks.network.addresses", addresses)
    with world(changes) as at:
        visit = Visit(stack=at.wanted, seen=Observed(at.api), runner=at.wanted.runners["main"])
        assert [*egress.look(visit)] == []
