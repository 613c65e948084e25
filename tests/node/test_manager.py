"""What becomes of a job whose manager stops; only the real gitlab-runner can show it."""

import contextlib
import signal
import time
from collections.abc import Callable, Generator

import pytest

from components.gitlab_runner.keys import as_numbers
from dev.node.node import Node
from dev.toolchain.gitlab_runner import VARIABLE, used
from tests.executor.binary import Managed
from tests.support.kubernetes import core_v1
from tests.support.node.jobs import Control, Pipeline
from tests.support.node.project import assert_explained
from tests.support.node.real import BINARY, RealRunner, follow, trace_of

pytestmark = [
    pytest.mark.parametrize("name", ["kaniko"]),
    pytest.mark.skipif(
        BINARY is None, reason=f"no gitlab-runner is on PATH; name one in {VARIABLE}"
    ),
]
WAITS = Pipeline(script=["until test -e /builds/go-on; do sleep 1; done", "echo went on"], files={})


@contextlib.contextmanager
def _running(found: RealRunner) -> Generator[tuple[Managed, str]]:
    """A manager, and the pod of its job, whose script runs."""
    control = Control()
    with found.manage(WAITS) as managed:
        deadline = time.monotonic() + 180
        while not control.began.wait(0.2):
            assert time.monotonic() < deadline, trace_of(managed.gitlab)
            follow(managed.gitlab, control)
        yield managed, control.pod


def _pods(node: Node, namespace: str) -> list[str]:
    with node.cluster.api() as api:
        found = core_v1(api).list_namespaced_pod(namespace).items
        return [str(item.metadata.name) for item in found if not item.metadata.deletion_timestamp]


def test_a_manager_that_is_to_stop_ends_its_job_first(
    name: str, node: Node, runner: Callable[..., RealRunner]
) -> None:
    """What a rollout of its Deployment asks for (gitlab-runner:docs/commands, Signals)."""
    found = runner(name)
    with _running(found) as (managed, pod):
        managed.process.send_signal(signal.SIGQUIT)
        time.sleep(5)
        assert managed.process.poll() is None
        found.execute(pod, "helper", "touch /builds/go-on")
        assert managed.process.wait(60) == 0

    assert [update["state"] for update in managed.gitlab.states][-1] == "success"
    assert "went on" in trace_of(managed.gitlab)
    assert pod not in _pods(node, found.namespace)


def test_a_terminated_manager_fails_its_job_and_removes_the_pod(
    name: str, node: Node, runner: Callable[..., RealRunner]
) -> None:
    found = runner(name)
    with _running(found) as (managed, pod):
        managed.process.send_signal(signal.SIGTERM)
        managed.process.wait(60)

    interrupted = as_numbers(used()) >= (19, 1, 0)
    reason = "runner_interrupted" if interrupted else "runner_system_failure"
    assert managed.gitlab.states[-1]["failure_reason"] == reason
    assert_explained("aborted: terminated", trace_of(managed.gitlab))
    assert pod not in _pods(node, found.namespace)


def test_the_pod_of_a_killed_manager_ends_with_the_jobs_time(
    name: str, node: Node, runner: Callable[..., RealRunner]
) -> None:
    """GitLab learns nothing of it, and the next manager takes other jobs."""
    found = runner(name)
    with _running(found) as (managed, pod):
        managed.process.kill()
        managed.process.wait(60)
        assert managed.gitlab.states[-1]["state"] == "running"
        with node.cluster.api() as api:
            core = core_v1(api)
            left = core.read_namespaced_pod(pod, found.namespace)
            core.delete_namespaced_pod(pod, found.namespace)

    assert left.status.phase == "Running"
    assert left.spec.active_deadline_seconds == 3601
    assert found.run(Pipeline(script=["true"], files={})).status == "success"
