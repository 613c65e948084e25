"""A build on a made-up cluster: what it makes, what it says, and that it leaves nothing."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Generator, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.paths import CHECKOUT
from doctor.canary import network, script
from doctor.canary.jobs import SECONDS, build_job
from doctor.canary.run import NAMES, Canary, skipped
from doctor.diagnosis import Fault, NotRun
from doctor.every import EVERY
from doctor.examine import Visit, examine
from doctor.kubernetes_api import Answer
from doctor.observed import Observed
from tests.support.clinic import Changes, Object, World, stack, world
from tests.support.configured import FORMS, PULL, PUSH, STRATEGIES, TOKEN
from tests.support.servers import GitLabDouble, Reply, serving

REPOSITORY = "registry.example.com/group/app"
DIGEST = "sha256:" + "0" * 64
BUILT = f"Step 1\n{REPOSITORY}@{DIGEST}\n"
LOOKED = "image-builds-doctor: mtu 1400\nimage-builds-doctor: open http://x/\n"


def _ended(code: int = 0) -> Object:
    return {"state": {"terminated": {"exitCode": code}}}


def _waiting(reason: str, message: str = "") -> Object:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


class MadeUpCluster:
    """An API server on which a Job's pod has a status and a log at once."""

    def __init__(self, at: World) -> None:
        self.at = at
        self.jobs: dict[str, Object] = {}
        self.made: list[Object] = []
        self.logs = {"look": LOOKED, "build": BUILT, "run": f"{script.WORD}\n1400\n"}
        self.states: dict[str, Object] = {"look": _ended(), "build": _ended(), "run": _ended()}
        self.slices: Answer = Answer(HTTPStatus.OK, {"items": []})
        self.status: Object = {}
        self.mount = ""
        """What an event says of the volumes of a pod."""
        self.refusal = ""
        """What an event says of the pod of a Job."""
        self.pods = True
        self.refused = ""
        self.forbidden = "nothing"
        """The end of the paths that nobody may get."""

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
        del kind
        where, _, parameters = path.partition("?")
        if method == "POST" and where.endswith("/jobs"):
            return self._made(body)
        if method == "DELETE":
            assert body == {"propagationPolicy": "Background"}
            self.jobs.pop(where.rpartition("/")[2], None)
            return Answer(HTTPStatus.OK, {})
        return self._got(path, where, parameters)

    def _got(self, path: str, where: str, parameters: str) -> Answer:
        if where.endswith(self.forbidden):
            return Answer(HTTPStatus.FORBIDDEN, {"message": "no"})
        if where.endswith("/log"):
            return Answer(HTTPStatus.OK, {"text": self.logs[parameters.partition("=")[2]]})
        if "labelSelector" in parameters:
            job = self.jobs[parameters.rpartition("D")[2]]
            return Answer(HTTPStatus.OK, {"items": [self._pod(job)] if self.pods else []})
        if where.endswith("/endpointslices"):
            return self.slices
        if where.endswith("/events"):
            return Answer(HTTPStatus.OK, {"items": [*self._events()]})
        raise AssertionError(path)

    def _made(self, job: Object) -> Answer:
        if self.refused:
            return Answer(HTTPStatus.FORBIDDEN, {"message": self.refused})
        self.jobs[job["metadata"]["name"]] = job
        self.made.append(job)
        return Answer(HTTPStatus.CREATED, job)

    def _events(self) -> Iterator[Object]:
        if self.mount:
            about = {"involvedObject": {"kind": "Pod", "name": "of-the-job"}}
            yield {"reason": "FailedMount", "message": self.mount, **about}
        for name in self.jobs:
            about = {"involvedObject": {"kind": "Job", "name": name}}
            yield {"reason": "SuccessfulCreate", **about}
            if self.refusal:
                yield {"reason": "FailedCreate", "message": self.refusal, **about}

    def _pod(self, job: Object) -> Object:
        name = job["spec"]["template"]["spec"]["containers"][0]["name"]
        statuses: list[Object] = [
            {"name": "other", "state": {}},
            {"name": name, **self.states[name]},
        ]
        return {
            "metadata": {"name": "of-the-job"},
            "status": {"containerStatuses": statuses, **self.status},
        }


@contextlib.contextmanager
def _cluster(changes: Changes | None = None) -> Generator[MadeUpCluster]:
    with world(changes) as at:
        yield MadeUpCluster(at)


def _made(cluster: MadeUpCluster) -> list[Object]:
    """Return the Jobs in the order of their parts, two of which run at the same time."""
    order = [*cluster.logs]
    return sorted(cluster.made, key=lambda job: order.index(_first(job)["name"]))


def _first(job: Object) -> Object:
    return job["spec"]["template"]["spec"]["containers"][0]


def _run(cluster: MadeUpCluster, repository: str = REPOSITORY) -> list[Fault | NotRun]:
    visit = Visit(
        stack=cluster.at.wanted, seen=Observed(cluster), context="a-cluster", repository=repository
    )
    return Canary(cluster, visit).run()


def _names(found: list[Fault | NotRun]) -> list[str]:
    return [item.check.name for item in found if isinstance(item, Fault)]


def test_a_build_that_works_has_no_fault_and_leaves_no_job() -> None:
    with _cluster() as cluster:
        found = _run(cluster)

    assert found == []
    assert cluster.jobs == {}
    look, build, run = _made(cluster)
    assert look["metadata"]["namespace"] == build["metadata"]["namespace"] == "builds-main"
    assert run["metadata"]["namespace"] == "apps"
    pod = run["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"{REPOSITORY}@{DIGEST}"
    assert pod["imagePullSecrets"] == [{"name": "registry-pull"}]


def test_kubernetes_ends_and_removes_what_a_killed_doctor_leaves() -> None:
    with _cluster() as cluster:
        _run(cluster)

    for job in cluster.made:
        assert job["spec"]["activeDeadlineSeconds"] == SECONDS
        assert job["spec"]["ttlSecondsAfterFinished"] > 0
        assert job["spec"]["backoffLimit"] == 0


def test_the_canary_has_the_pod_of_a_job_and_no_secret() -> None:
    with _cluster() as cluster:
        _run(cluster)
    spec = _made(cluster)[1]["spec"]["template"]["spec"]
    text = json.dumps(cluster.made)

    assert spec["serviceAccountName"] == "gitlab-job-main"
    assert [item["name"] for item in spec["containers"]] == ["build", "helper"]
    assert [item["name"] for item in spec["initContainers"]] == ["init-permissions"]
    assert [secret for secret in (TOKEN, PULL, PUSH) if secret in text] == []


def test_without_targets_the_image_runs_where_jobs_do() -> None:
    with _cluster({"targetNamespaces": {}}) as cluster:
        assert _run(cluster) == []

    assert _made(cluster)[2]["metadata"]["namespace"] == "builds-main"


def test_a_build_that_fails_says_the_end_of_its_log() -> None:
    with _cluster() as cluster:
        cluster.states["build"] = _ended(1)
        cluster.logs["build"] = "a stage\nnobody knows why\n"
        found = _run(cluster)

    assert _names(found) == ["build"]
    assert isinstance(found[0], Fault)
    assert found[0].message == "A build by this strategy ends with 1: a stage\nnobody knows why"
    unknown = [item.check.name for item in found if isinstance(item, NotRun)]
    assert unknown == ["image-run", "job-mtu"]
    assert cluster.jobs == {}


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        (_waiting("ErrImagePull", "no such tag"), {}, "no such tag"),
        (_waiting("InvalidImageName"), {}, "InvalidImageName"),
        ({}, {"phase": "Failed", "message": "evicted"}, "evicted"),
        ({}, {"phase": "Failed"}, "the pod failed"),
    ],
    ids=["no image", "no name", "evicted", "failed"],
)
def test_a_pod_that_does_not_start_is_named(state: Object, status: Object, reason: str) -> None:
    with _cluster() as cluster:
        cluster.states["build"], cluster.status = state, status
        found = _run(cluster)

    assert _names(found) == ["build-start"]
    assert isinstance(found[0], Fault | NotRun)
    assert reason in str(found)


@pytest.mark.parametrize("why", ["unschedulable", "refused", "silent", "slow", "mount"])
def test_a_pod_that_never_ends_is_not_waited_for(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctor.canary.watch._POLL", 0.01)
    monkeypatch.setattr("doctor.canary.watch._WAIT", 0.03)
    with _cluster() as cluster:
        cluster.states["build"] = {"state": {"running": {}} if why == "slow" else {}}
        condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}
        cluster.status = (
            {"conditions": [{"type": "Ready"}, condition]} if why == "unschedulable" else {}
        )
        cluster.pods = why in {"unschedulable", "slow", "mount"}
        cluster.refusal = "exceeded quota" if why == "refused" else ""
        if why in {"mount", "refused"}:
            monkeypatch.setattr("doctor.canary.watch._PATIENCE", 1)
        if why == "mount":
            cluster.status = {"phase": "Pending"}
            cluster.mount = "docker.sock is not a socket file"
        found = _run(cluster)

    expected = {
        "unschedulable": "0/1 nodes",
        "refused": "exceeded quota",
        "silent": "no pod was made",
        "slow": f"does not end in time: {BUILT.strip()}",
        "mount": "docker.sock is not a socket file",
    }
    assert _names(found) == ["build-hangs" if why == "slow" else "build-start"]
    assert expected[why] in "\n".join(item.message for item in found if isinstance(item, Fault))
    assert cluster.jobs == {}


def test_an_image_that_does_not_run_is_named() -> None:
    with _cluster() as cluster:
        cluster.states["run"] = _ended(1)
        cluster.logs["run"] = ""
        found = _run(cluster)

    assert _names(found) == ["image-run"]
    assert "in apps: it ended with 1" in str(found)


LOOKS = {
    "name": "job-name",
    "closed": "job-reach",
    "stalls": "job-stalls",
    "proxy-403": "job-proxy",
    "proxy-name": "job-proxy",
}


@pytest.mark.parametrize("found", LOOKS)
def test_what_jobs_do_not_reach_is_named(found: str) -> None:
    with _cluster() as cluster:
        cluster.logs["look"] = f"{LOOKED}image-builds-doctor: {found} http://registry/v2/\n"
        faults = _run(cluster)

    assert _names(faults) == [LOOKS[found]]
    assert "http://registry/v2/" in str(faults)


def test_metadata_that_is_open_is_named() -> None:
    with _cluster() as cluster:
        cluster.logs["look"] = f"image-builds-doctor: open {network.METADATA}\n{LOOKED}"
        assert _names(_run(cluster)) == ["job-metadata"]


def test_metadata_that_is_closed_or_meant_to_be_open_is_no_fault() -> None:
    for found, changes in (("closed", {}), ("open", {"network.egress": {"metadata": True}})):
        with _cluster(changes) as cluster:
            cluster.logs["look"] = f"image-builds-doctor: {found} {network.METADATA}\n{LOOKED}"
            assert _run(cluster) == []


CLOSED = {"network.egress": {"private": False, "allow": [{"cidr": "127.0.0.0/8"}]}}
SLICES: list[Object] = [
    {"metadata": {"name": "other"}},
    {
        "metadata": {"labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["192.0.2.1"]}],
        "ports": [{"port": 6443}],
    },
]


@pytest.mark.parametrize(("found", "expected"), [("open", ["job-unenforced"]), ("closed", [])])
def test_policies_that_nothing_enforces_are_named(found: str, expected: list[str]) -> None:
    with _cluster(CLOSED) as cluster:
        cluster.slices = Answer(HTTPStatus.OK, {"items": SLICES})
        cluster.logs["look"] = f"{LOOKED}image-builds-doctor: {found} https://10.0.0.1:6443\n"
        faults = _run(cluster)

    assert _names(faults) == expected
    text = _first(_made(cluster)[0])["command"][2]
    assert "closes https://10.0.0.1:6443 10.0.0.1 6443" in text
    assert "192.0.2.1" not in text


def test_an_api_server_with_an_address_of_ipv6_is_asked() -> None:
    endpoints = [{"addresses": ["fd00::1"]}]
    with _cluster(CLOSED) as cluster:
        items = [{**SLICES[1], "endpoints": endpoints}, {**SLICES[1], "endpoints": None}]
        cluster.slices = Answer(HTTPStatus.OK, {"items": items})
        assert _run(cluster) == []

    text = _first(_made(cluster)[0])["command"][2]
    assert "closes 'https://[fd00::1]:6443' fd00::1 6443" in text


def test_an_answer_that_nobody_understands_ends_no_canary() -> None:
    with _cluster(CLOSED) as cluster:
        items = [{**SLICES[1], "endpoints": [{"hostname": "x"}]}]
        cluster.slices = Answer(HTTPStatus.OK, {"items": items})
        found = _run(cluster)

    assert _names(found) == []
    assert "an answer is not understood (KeyError: 'addresses')" in str(found)


def test_all_that_jobs_reach_is_looked_at() -> None:
    cache = {"kind": "s3", "bucket": "kept", "endpoint": "https://minio.example.com:9000"}
    hub = {"host": "docker.io"}
    wanted = stack(
        {
            "gitlab.cloneUrl": "https://clones.example.com/git",
            "runners.main.cache": cache,
            "registries": [hub],
        }
    )

    places = network.places(wanted.settings, wanted.runners["main"])

    assert [place.url for place in places] == [
        "https://gitlab.example.com",
        "https://clones.example.com/git",
        "https://minio.example.com:9000/kept",
        "https://registry-1.docker.io/v2/",
    ]


def test_a_build_that_its_runtime_cannot_start_is_named() -> None:
    with _cluster() as cluster:
        ended = {"exitCode": 128, "reason": "StartError", "message": "exec format error"}
        cluster.states["build"] = {"state": {"terminated": ended}}
        found = _run(cluster)

    assert _names(found) == ["build-start"]
    assert "exec format error" in str(found)


def test_who_may_not_see_the_api_server_looks_at_the_rest() -> None:
    with _cluster(CLOSED) as cluster:
        cluster.slices = Answer(HTTPStatus.FORBIDDEN, {})
        found = _run(cluster)

    assert [item.check.name for item in found] == ["job-unenforced"]


def test_an_image_without_bash_cannot_look() -> None:
    with _cluster() as cluster:
        cluster.logs["look"] = "image-builds-doctor: unknown http://gitlab/\n"
        found = _run(cluster)

    assert _names(found) == []
    assert "job-reach" in {item.check.name for item in found}


def test_a_pod_that_cannot_look_does_not_keep_builds_away() -> None:
    with _cluster() as cluster:
        cluster.states["look"] = _waiting("ErrImagePull", "no helper")
        found = _run(cluster)

    assert _names(found) == []
    assert "does not start: no helper" in str(found)
    assert len(cluster.made) == 3


@pytest.mark.parametrize(
    ("pod", "build", "expected"), [(1400, 1500, ["job-mtu"]), (1500, 1400, []), (9000, 9000, [])]
)
def test_builds_with_larger_packets_than_the_pod_are_named(
    pod: int, build: int, expected: list[str]
) -> None:
    with _cluster() as cluster:
        cluster.logs["look"] = f"image-builds-doctor: mtu {pod}\n{LOOKED}"
        cluster.logs["run"] = f"{script.WORD}\n{build}\n"
        assert _names(_run(cluster)) == expected


def test_builds_in_a_network_of_the_node_are_not_compared() -> None:
    with _cluster({"runners.main.strategy": STRATEGIES["dood"]}) as cluster:
        cluster.logs["run"] = f"{script.WORD}\n1500\n"
        found = _run(cluster)

    assert [(item.check.name, type(item)) for item in found] == [("job-mtu", NotRun)]


LOGS = [
    ("build-engine", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock"),
    ("build-user-namespaces", "unshare(CLONE_NEWUSER): Operation not permitted"),
    ("build-user-namespaces", "potentially insufficient UIDs or GIDs available"),
    (
        "build-profile",
        "[rootlesskit:child ] error: failed to share mount point: /: permission denied",
    ),
    ("build-architecture", "exec /bin/sh: exec format error"),
    ("build-limit", "toomanyrequests: You have reached your pull rate limit"),
    ("build-plain", "http: server gave HTTP response to HTTPS client"),
    ("build-tls", "Client sent an HTTP request to an HTTPS server."),
    ("build-certificate", "x509: certificate signed by unknown authority"),
    ("build-disk", "write /layer: no space left on device"),
    ("build-memory", "signal: killed"),
    ("build-login", "unexpected status code 403 Forbidden"),
    ("build-reach", "dial tcp: lookup registry: no such host"),
    (
        "build-tls",
        "unexpected status from HEAD request to http://r:5000/v2/a/blobs/x: 400 Bad Request",
    ),
    ("build-user-namespaces", "fork/exec /proc/self/exe: operation not permitted"),
    ("build-user-namespaces", "fork/exec /proc/self/exe: no space left on device"),
    ("build-overlay", "fuse: device not found, try 'modprobe fuse' first"),
    ("build-overlay", "'overlay' is not supported over overlayfs, a mount_program is required"),
    ("build-architecture", "no match for platform in manifest: not found"),
    (
        "build-quota",
        "denied: adding 4.0 MiB of storage resource, which when updated to current usage of 9 MiB "
        "will exceed the configured upper limit of 10 MiB",
    ),
    ("build-size", "unexpected status from PUT request: 413 Request Entity Too Large"),
    ("build-proxy", "Proxy Authentication Required"),
    ("build-proxy", "proxyconnect tcp: dial tcp 10.0.0.9:3128: i/o timeout"),
    ("build-image", "MANIFEST_UNKNOWN: manifest unknown; map[Tag:9]"),
    ("build-image", "ERROR: failed to solve: docker.io/library/busybox:9: not found"),
    ("build-reach", "received unexpected HTTP status: 503 Service Unavailable"),
    ("build-reach", "Put https://registry/v2/x: EOF"),
    ("build", "sh: frobnicate: not found"),
]


@pytest.mark.parametrize(("check", "log"), LOGS)
def test_a_build_that_fails_is_named_by_its_reason(check: str, log: str) -> None:
    with _cluster() as cluster:
        cluster.states["build"] = _ended(1)
        cluster.logs["build"] = f"a stage\n{log}\n"
        found = _run(cluster)

    assert _names(found) == [check]
    assert log in str(found)


def test_a_build_that_is_killed_has_too_little_memory() -> None:
    with _cluster() as cluster:
        cluster.states["build"] = _ended(137)
        assert _names(_run(cluster)) == ["build-memory"]


def test_the_pod_that_looks_is_restricted_and_has_the_helper() -> None:
    with _cluster() as cluster:
        _run(cluster)
    spec = _made(cluster)[0]["spec"]["template"]["spec"]
    (container,) = spec["containers"]

    assert "gitlab-runner-helper:x86_64-v" in container["image"]
    assert container["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"volumes", "initContainers", "securityContext"} & spec.keys() == set()
    assert spec["automountServiceAccountToken"] is False


def test_openshift_chooses_the_user_of_the_pods() -> None:
    with _cluster({"cluster.platform": "openShift"}) as cluster:
        _run(cluster)
    look, _, run = _made(cluster)

    for job in (look, run):
        assert "runAsUser" not in _first(job)["securityContext"]


def test_without_the_right_nothing_ran() -> None:
    with _cluster() as cluster:
        cluster.refused = 'jobs.batch is forbidden: User "x" cannot create'
        found = _run(cluster)

    assert {item.check.name for item in found if isinstance(item, NotRun)} == {*NAMES}
    assert "cannot be made in builds-main: jobs.batch is forbidden" in str(found)


@pytest.mark.parametrize(("path", "right"), [("/pods", "list pods"), ("/log", "read logs")])
def test_without_a_right_to_look_nothing_is_known(path: str, right: str) -> None:
    with _cluster() as cluster:
        cluster.forbidden = path
        found = _run(cluster)

    assert _names(found) == []
    assert f"may not {right}: no" in str(found)
    assert cluster.jobs == {}


def test_without_a_repository_nothing_is_built() -> None:
    with _cluster() as cluster:
        found = _run(cluster, "")

    assert "by --repository" in str(found)
    assert [_first(job)["name"] for job in cluster.made] == ["look"]


def test_a_runner_that_builds_nothing_has_no_canary() -> None:
    read = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    deploy = {"kind": "deploy", "permissions": {"apps": [read]}}
    with _cluster({"runners.main.strategy": deploy}) as cluster:
        found = _run(cluster)

    assert "build nothing" in str(found)
    assert _names(found) == []


def test_who_is_interrupted_removes_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctor.canary.watch._POLL", 0.05)
    with _cluster() as cluster:
        cluster.states["build"] = {"state": {"running": {}}}
        visit = Visit(stack=cluster.at.wanted, seen=Observed(cluster), repository=REPOSITORY)
        canary = Canary(cluster, visit)
        found: list[list[Fault | NotRun]] = []
        thread = threading.Thread(target=lambda: found.append(canary.run()))
        thread.start()
        while not cluster.jobs:
            pass
        canary.stop()
        thread.join(10)

    assert cluster.jobs == {}
    assert "doctor was stopped" in str(found)


def test_who_was_interrupted_makes_nothing_more() -> None:
    with _cluster() as cluster:
        visit = Visit(stack=cluster.at.wanted, seen=Observed(cluster), repository=REPOSITORY)
        canary = Canary(cluster, visit)
        canary.stop()
        found = canary.run()

    assert cluster.made == []
    assert {item.check.name for item in found} == {*NAMES}


def test_a_diagnosis_counts_what_a_canary_did() -> None:
    with world() as at:
        visit = Visit(stack=at.wanted, seen=Observed(at.api))
        without = examine(EVERY, visit, NAMES, skipped(visit))
        within = examine(EVERY, visit, NAMES, [])

    assert not {*NAMES} & without.ran["main"]
    assert {*NAMES} <= within.ran["main"]


BY_KIND = {FORMS[name].kind: entry for name, entry in STRATEGIES.items()}


@pytest.mark.parametrize("kind", BY_KIND)
def test_the_canary_builds_with_the_inputs_of_its_template(kind: str) -> None:
    """All that it does not set itself have the default of the template."""
    head, body = yaml.safe_load_all((CHECKOUT / "templates" / f"{kind}.yml").read_text("utf-8"))
    (job,) = body.values()
    defaults = {name: entry.get("default") for name, entry in head["spec"]["inputs"].items()}
    expected = {
        name: re.sub(r"\$\[\[ inputs\.(\w+) ]]", lambda found: str(defaults[found[1]]), value)
        for name, value in job["variables"].items()
    }
    runner = stack({"runners.main.strategy": BY_KIND[kind]}).runners["main"]
    text = script.build(runner, REPOSITORY, "busybox")
    given = dict(re.findall(r"^export (BUILD_\w+)='?([^\n']*)'?$", text, re.MULTILINE))

    own = {"IMAGE", "TAG", "DOCKERFILE", "CONTEXT", "CACHE", "OCI_LABELS", "INSECURE"}
    chosen = {f"BUILD_{name}" for name in own}
    assert {name: given.get(name) for name in expected if name not in chosen} == {
        name: value for name, value in expected.items() if name not in chosen
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_script_of_every_strategy_is_shell(strategy: str) -> None:
    runner = stack({"runners.main.strategy": STRATEGIES[strategy]}).runners["main"]
    text = script.build(runner, REPOSITORY, "busybox")
    job = build_job(runner, text)
    shell = shutil.which("sh")

    assert shell
    subprocess.run([shell, "-n"], input=text, text=True, check=True)
    (build,) = [
        item for item in job["spec"]["template"]["spec"]["containers"] if item["name"] == "build"
    ]
    assert build["command"] == ["sh", "-c", text]


def _looked(places: list[network.Asked], folder: Path, **variables: str) -> network.Facts:
    """Return what the script of the pod sees from this machine."""
    runner = dataclasses.replace(
        stack({}).runners["main"],
        toml={"environment": [f"{name}={text}" for name, text in variables.items()]},
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    text = network.script(runner, places)
    return network.read(subprocess.check_output(["sh", "-c", text], text=True, env=environment))


@pytest.mark.parametrize(
    ("address", "expected"),
    [("http://nobody.invalid/", "name"), ("http://localhost:9/", "closed"), ("", "open")],
)
def test_the_shell_sees_what_an_address_answers(
    address: str, expected: str, tmp_path: Path
) -> None:
    """Another server is open, whatever it answers."""
    with serving(GitLabDouble()) as host:
        url = address or f"http://{host}/"
        facts = _looked([network.Asked(url, "/")], tmp_path)

    assert facts.addresses == {url: expected}


@pytest.mark.parametrize(
    ("status", "expected"), [(200, "open"), (403, "proxy-403"), (502, "proxy-502")]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_shell_sees_what_a_proxy_answers(
    status: int, expected: str, scheme: str, tmp_path: Path
) -> None:
    asked: list[str] = []

    def proxy(method: str, path: str, *_: object) -> Reply:
        asked.append(f"{method} {path}")
        return Reply(status)

    url = f"{scheme}://registry.example.com/v2/"
    with serving(proxy) as host:
        by = {f"{scheme.upper()}_PROXY": f"http://{host}"}
        facts = _looked([network.Asked(url, "/v2/")], tmp_path, **by)

    assert facts.addresses == {url: expected}
    assert asked == [f"GET {url}" if scheme == "http" else "CONNECT registry.example.com:443"]


@pytest.mark.parametrize(
    "exception",
    [
        "registry.example.com",
        "registry.example.com:443",
        ".example.com",
        "*",
        "10.0.0.0/8, example.com",
    ],
)
def test_what_a_proxy_excepts_is_asked_without_it(exception: str) -> None:
    environment = ["https_proxy=http://proxy:3128", f"no_proxy={exception}"]
    runner = dataclasses.replace(stack({}).runners["main"], toml={"environment": environment})
    text = network.script(runner, [network.Asked("https://registry.example.com/v2/", "/v2/")])

    assert "look https://registry.example.com/v2/ registry.example.com 443 /v2/" in text


def test_a_proxy_that_is_down_is_named_as_such(tmp_path: Path) -> None:
    places = [network.Asked("http://10.0.0.9/", "/")]
    facts = _looked(places, tmp_path, HTTP_PROXY="http://localhost:9", NO_PROXY="10.1.0.0/16")

    assert facts.addresses == {"http://10.0.0.9/": "proxy-closed"}


def test_an_answer_that_never_ends_is_seen(tmp_path: Path) -> None:
    """As one whose large packets get lost."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://localhost:{silent.getsockname()[1]}/"
        quick = network.SCRIPT.replace("timeout 8", "timeout 1")
        line = f"look {url} localhost {silent.getsockname()[1]} /\n"
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        said = subprocess.check_output(["sh", "-c", quick + line], text=True, env=environment)

    assert network.read(said).addresses == {url: "stalls"}


@pytest.mark.parametrize(("after", "expected"), [(3, "closed"), (99, "open")])
def test_an_address_counts_as_open_only_if_it_stays_so(
    after: int, expected: str, tmp_path: Path
) -> None:
    """A pod can start before its network plugin has the rules for it."""
    times = tmp_path / "times"
    stand_ins = f"""
sleep() {{ :; }}
reach() {{
  echo >>{times}
  found=open
  [ "$(wc -l <{times})" -lt {after} ] || found=closed
}}
"""
    line = f"closes {network.METADATA} 169.254.169.254 80\n"
    text = network.SCRIPT + stand_ins + line
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    said = subprocess.check_output(["sh", "-c", text], text=True, env=environment)

    assert network.read(said).addresses == {network.METADATA: expected}


def test_what_policies_close_is_asked_more_than_once() -> None:
    """No proxy is asked for it."""
    metadata = network.Asked(network.METADATA, "")
    environment = ["HTTP_PROXY=http://proxy:3128"]
    runner = dataclasses.replace(stack({}).runners["main"], toml={"environment": environment})

    text = network.script(runner, [metadata])

    assert text.endswith("closes http://169.254.169.254/ 169.254.169.254 80 &\nwait\n")
