"""What cannot be looked at counts as not run, and never as well."""

import contextlib
import re
import socket
import threading
from collections.abc import Generator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from doctor.checks.gitlab import TOKEN as USERS_TOKEN
from doctor.diagnosis import Diagnosis, UnseenError
from doctor.kubernetes_api import KubernetesApi
from doctor.web import FailedError, server
from report.errors import ReportError
from tests.support.clinic import Adjust, Changes, kubeconfig, stack, world
from tests.support.configured import SECRETS, STRATEGIES
from tests.support.servers import Reply, serving


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
        "no node that jobs select says what it runs",
    ),
    (
        lambda at: at.registry.readers and setattr(at.registry, "upload_status", 500),
        "registry-push",
        "gets the status 500",
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

    assert "does not verify the token (status 429)" in reasons["token-refused"]


def test_a_runner_that_the_stack_creates_has_no_token_yet() -> None:
    registration = {"kind": "userRunner", "projectId": 1, "runnerType": "project_type"}
    secrets: dict[str, Any] = {**SECRETS, "runnerTokens": {}}
    with world({"runners.main.registration": registration}, secrets=secrets) as at:
        reasons = _reasons(at.examined())

    assert "does not have the token" in reasons["token-refused"]


def test_a_chart_that_is_newer_than_this_project_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(chart: str) -> str:
        raise KeyError(chart)

    monkeypatch.setattr("doctor.checks.gitlab.runner_of", unknown)
    with world() as at:
        monkeypatch.setenv(USERS_TOKEN, at.gitlab.users_token)
        reasons = _reasons(at.examined())

    assert "is not known" in reasons["gitlab-version"]


def test_a_registry_of_the_cluster_is_left_to_jobs() -> None:
    with world({"registries.0.host": "registry.registry.svc:5000"}) as at:
        reasons = _reasons(at.examined())

    assert "only the cluster knows the name registry.registry.svc:5000" in reasons["registry-push"]


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
    with world(_with_a_group) as at:
        found = at.examined()

    assert found.faults == []
    assert "registry-pull" in found.ran[""]


def test_the_reason_of_a_failure_is_in_plain_words() -> None:
    with server(None) as asked, pytest.raises(FailedError, match="the name is not known"):
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
