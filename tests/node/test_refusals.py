"""What must not work, and what the trace says of it; docs/how-to/troubleshoot.md explains it."""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from dev.node.node import Node
from dev.node.registry import LOGIN, OPEN, Kind
from tests.support.kubernetes import apps_v1, core_v1
from tests.support.node import registries
from tests.support.node.jobs import Control, Pipeline, Runner
from tests.support.node.project import TEMPLATES, TOOLS, assert_explained, pipeline
from tests.support.shared import Shared

NO_LOGIN = {
    "kaniko": "error checking push permissions",
    "buildkit": "401 Unauthorized",
    "buildah": "authentication required",
    "dind": "no basic auth credentials",
}
"""A strategy, and what its tool says where a login is missing."""

NOTHING_TO_PULL: dict[str, str | bytes] = {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}
"""So that the push is what fails."""


@pytest.mark.parametrize("name", NO_LOGIN)
def test_a_push_without_the_login_fails_and_says_so(
    name: str, runner: Callable[..., Runner], tag: str
) -> None:
    job = pipeline(TEMPLATES[name], name, tag, LOGIN, NOTHING_TO_PULL, cache="false")
    without = dataclasses.replace(
        job,
        # Kaniko would take the login of GitLab's own registry from these variables.
        script=["unset CI_REGISTRY", "echo '{}' > $DOCKER_CONFIG/config.json", *job.script],
    )

    result = runner(name).run(without)

    assert result.status == "failed"
    assert_explained(NO_LOGIN[name], result.trace)


@pytest.mark.alone
@pytest.mark.parametrize(("name", "level"), [("kaniko", "restricted"), ("buildkit", "baseline")])
def test_a_stricter_namespace_refuses_the_jobs_pod(
    name: str, level: str, node: Node, runner: Callable[..., Runner]
) -> None:
    found = runner(name)
    label = "pod-security.kubernetes.io/enforce"
    with node.cluster.api() as api:
        core = core_v1(api)
        before = core.read_namespace(found.namespace).metadata.labels[label]
        core.patch_namespace(found.namespace, {"metadata": {"labels": {label: level}}})
        try:
            result = found.run(Pipeline(script=["true"], files={}))
        finally:
            core.patch_namespace(found.namespace, {"metadata": {"labels": {label: before}}})

    assert result.status == "system failure"
    assert f'violates PodSecurity "{level}:latest"' in result.trace


@pytest.mark.parametrize(("name", "reason"), [("buildkit-profiles", "AppArmor")])
def test_what_the_node_has_not_ends_the_job_with_its_name(
    name: str, reason: str, runner: Callable[..., Runner]
) -> None:
    result = runner(name).run(Pipeline(script=["true"], files={}), patience=15)

    assert result.status == "system failure"
    assert reason in result.trace


@pytest.mark.alone
@pytest.mark.parametrize("name", ["dood"])
def test_a_dood_job_without_an_engine_does_not_start(
    name: str, node: Node, runner: Callable[..., Runner]
) -> None:
    """It says why."""
    registries.stop_docker(node)
    try:
        result = runner(name).run(Pipeline(script=["true"], files={}), patience=15)
    finally:
        # Which it could not where a folder has taken the socket's place.
        node.start_docker()

    assert result.status == "system failure"
    message = "hostPath type check failed: /var/run/docker.sock is not a socket file"
    assert_explained(message, result.trace)


_NOBODY, _CLOSED = "a name that nobody knows", "a port where nobody listens"
UNREACHABLE = {
    _NOBODY: ("nowhere.test:5000", "no such host"),
    _CLOSED: (f"{OPEN.host}:5999", "connection refused"),
}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [*((name, _NOBODY) for name in TOOLS), ("kaniko", _CLOSED), ("dind", _CLOSED)],
)
def test_a_missing_registry_fails_the_push_and_is_named(
    name: str, wrong: str, runner: Callable[..., Runner], tag: str
) -> None:
    address, message = UNREACHABLE[wrong]
    host, _, port = address.partition(":")
    kind = Kind(host, int(port), login=False, tls=False)
    job = pipeline(TEMPLATES[name], name, tag, kind, NOTHING_TO_PULL, cache="false")

    result = runner(name).run(job)

    assert result.status == "failed"
    assert host in result.trace
    assert_explained(message, result.trace)


@pytest.mark.parametrize(
    ("name", "volume"),
    [("dind", "docker-storage"), ("buildkit", "buildkit-state"), ("buildah", "containers")],
)
def test_a_full_disk_fails_the_build_and_says_so(
    name: str, volume: str, runner: Callable[..., Runner], tag: str
) -> None:
    """The folder of the layers is so small as the disk of a node that is full."""
    small = {"name": volume, "emptyDir": {"medium": "Memory", "sizeLimit": "96Mi"}}
    files: dict[str, str | bytes] = {
        "Dockerfile": "ARG BASE\nFROM ${BASE}\nRUN dd if=/dev/zero of=/large bs=1M count=200\n"
    }
    found = runner(name)
    found.patch({"volumes": [small]})

    result = found.run(pipeline(TEMPLATES[name], name, tag, LOGIN, files, cache="false"))

    assert result.status == "failed"
    assert_explained("no space left on device", result.trace.lower())


def test_a_build_over_its_memory_limit_is_killed_and_says_so(
    runner: Callable[..., Runner], tag: str
) -> None:
    files: dict[str, str | bytes] = {"Dockerfile": "ARG BASE\nFROM ${BASE}\nRUN tail /dev/zero\n"}

    result = runner("small").run(pipeline("kaniko", "small", tag, LOGIN, files, cache="false"))

    assert result.status == "failed"
    assert_explained("signal: killed", result.trace)


@pytest.mark.alone
@pytest.mark.parametrize("name", ["dind"])
def test_a_job_that_is_cancelled_leaves_nothing_in_its_namespace(
    name: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    found = runner(name)

    status = _end_while_it_builds(found, name, tag, lambda control: control.cancel.set())

    assert status == "canceled"
    assert _left(node, found.namespace) == []


@pytest.mark.alone
@pytest.mark.parametrize("name", ["buildx"])
def test_a_buildx_job_that_is_killed_leaves_its_buildkit_pod(
    name: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    """Its plan warns of that."""
    found = runner(name)

    def kill(control: Control) -> None:
        core.delete_namespaced_pod(control.pod, found.namespace, grace_period_seconds=0)

    with node.cluster.api() as api:
        core = core_v1(api)
        _end_while_it_builds(found, name, tag, kill)
        (pod,) = _left(node, found.namespace)
        assert pod.startswith("build-")
        deployment = pod.rpartition("-")[0].rpartition("-")[0]
        apps_v1(api).delete_namespaced_deployment(deployment, found.namespace)


def _end_while_it_builds(
    found: Runner, name: str, tag: str, end: Callable[[Control], object]
) -> str:
    """Run a job whose build would last, end it, and return its status."""
    # Its command line is seen on this machine, and no other is the same.
    sleep = ["sleep", str(1000 + int(tag, 16))]
    files: dict[str, str | bytes] = {
        "Dockerfile": f"ARG BASE\nFROM ${{BASE}}\nRUN {' '.join(sleep)}\n"
    }
    job = pipeline(TEMPLATES[name], name, tag, LOGIN, files, cache="false")
    control = Control()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(found.run, job, control)
        assert control.began.wait(120)
        deadline = time.monotonic() + 120
        while not (begun := _runs(sleep)) and time.monotonic() < deadline:
            time.sleep(1)
        end(control)
    assert begun
    return running.result().status


def _runs(command: list[str]) -> bool:
    """Whether a process of this machine, its node's and jobs' included, has this command line."""
    return any(process.info["cmdline"] == command for process in psutil.process_iter(["cmdline"]))


def _left(node: Node, namespace: str) -> list[str]:
    """Return what is in a job namespace a minute later, beside what the stack put there."""
    deadline = time.monotonic() + 60
    with node.cluster.api() as api:
        core = core_v1(api)
        while True:
            pods = [str(item.metadata.name) for item in core.list_namespaced_pod(namespace).items]
            secrets = core.list_namespaced_secret(namespace).items
            logins = [str(item.metadata.name) for item in secrets]
            # The names of the runner's Secrets begin as those of its pods.
            left = [*pods, *(name for name in logins if name.startswith("runner-"))]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(1)


BROKEN_OFF = (
    "connection refused",
    "connection reset by peer",
    "broken pipe",
    "use of closed network connection",
    "EOF",
)


@pytest.mark.parametrize("name", ["kaniko", "dood", "buildkit", "buildah"])
def test_a_registry_that_stops_during_a_push_fails_the_job(
    name: str, node: Node, shared: Shared, runner: Callable[..., Runner], tag: str
) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": "ARG BASE\nFROM ${BASE}\nRUN head -c 100000000 /dev/urandom >/large\n"
    }
    repository = f"interrupted-{tag}"
    job = pipeline(TEMPLATES[name], repository, tag, OPEN, files, cache="false")
    with shared.undisturbed(OPEN.host, disturbs=True), ThreadPoolExecutor() as pool:
        running = pool.submit(runner(name).run, job)
        try:
            while not registries.uploading(node, repository, OPEN):
                assert not running.done(), running.result().trace
                time.sleep(0.01)
            registries.stop(node, OPEN)
            result = running.result()
        finally:
            node.registries.start(OPEN)

    assert result.status == "failed"
    # It depends on what the registry was about to do.
    (said, *_) = [message for message in BROKEN_OFF if message in result.trace]
    assert_explained(said, result.trace)
