"""Doctor's canary builds on the node by every strategy, and leaves nothing."""

import multiprocessing
import secrets
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from commands.shared.interrupt import EXIT_CODE
from dev.node.node import Node
from dev.node.registry import LOGIN
from doctor.diagnosis import Fault
from doctor.every import EVERY
from doctor.examine import Visit, examine
from doctor.kubernetes_api import KubernetesApi
from doctor.observed import Observed
from doctor.wanted import WantedStack
from tests.support.kubernetes import networking_v1
from tests.support.node.canaries import LITTLE, MOMENTS, api_of, canary, laid_out, run_until
from tests.support.node.network import METADATA, serve
from tests.support.node.project import TOOLS
from tests.support.node.stack import NodeStack
from tests.support.shared import Shared

SECONDS = 60
MEASURED = {"kaniko", "buildah", "dind"}
"""The strategies whose builds can say the MTU of their network, whatever hides their /sys."""


@pytest.fixture(scope="module")
def wanted(stack: NodeStack, shared: Shared) -> WantedStack:
    return shared.once("wanted", stack.wanted)


def _left(api: KubernetesApi, stack: WantedStack) -> list[str]:
    """Return the Jobs of canaries in the namespaces of a stack, and their pods."""
    selector = "labelSelector=image-builds%2Fdoctor"
    return [
        item["metadata"]["name"]
        for namespace in stack.namespaces
        for path in ("/apis/batch/v1", "/api/v1")
        for item in api.ask(
            "GET",
            f"{path}/namespaces/{namespace}/{'jobs' if 'batch' in path else 'pods'}?{selector}",
        ).body["items"]
    ]


def _goes(api: KubernetesApi, stack: WantedStack, seconds: float) -> list[str]:
    """Return what is left after so many seconds."""
    deadline = time.monotonic() + seconds
    while (left := _left(api, stack)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


@pytest.mark.parametrize("name", TOOLS)
def test_a_canary_is_built_pulled_and_run(name: str, node: Node, wanted: WantedStack) -> None:
    """Of what it looks at beside, the node has no DNS name for GitLab."""
    api = api_of(node.cluster.kubeconfig)
    started = time.monotonic()

    found = canary(api, wanted, wanted.runners[name], f"{LOGIN.address}/canary/{name}").run()

    took = time.monotonic() - started
    faults = {item.check.name: item for item in found if isinstance(item, Fault)}
    unseen = {item.check.name for item in found} - faults.keys()
    assert faults.keys() == {"job-name"}, faults
    assert unseen <= ({"job-mtu"} if name not in MEASURED else set[str]())
    assert wanted.settings.gitlab.url in str(found)
    assert took < SECONDS


def test_a_canary_sees_whether_policies_are_enforced(
    node: Node,
    wanted: WantedStack,
    outside: None,  # noqa: ARG001 - it makes the address
) -> None:
    runner, api = wanted.runners["small"], api_of(node.cluster.kubeconfig)
    name, namespace = f"open-{secrets.token_hex(4)}", runner.names["job_namespace"]
    everything: dict[str, Any] = {}
    spec = {"podSelector": everything, "policyTypes": ["Egress"], "egress": [everything]}
    policy = {"metadata": {"name": name}, "spec": spec}

    with serve(METADATA, port=80), node.cluster.api() as client:
        networking = networking_v1(client)
        enforced = canary(api, wanted, runner, "").run()
        networking.create_namespaced_network_policy(namespace, policy)
        try:
            unenforced = canary(api, wanted, runner, "").run()
        finally:
            networking.delete_namespaced_network_policy(name, namespace)

    assert "job-metadata" not in {item.check.name for item in enforced}
    assert "job-metadata" in {it.check.name for it in unenforced if isinstance(it, Fault)}


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_a_canary_that_ends_at_any_moment_leaves_nothing(by: signal.Signals, node: Node) -> None:
    """Who is killed cleans nothing up, so Kubernetes does, as soon as its time is over."""
    api = api_of(node.cluster.kubeconfig)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.node.canaries"])

    def run(stack: WantedStack, number: int, moment: str) -> int | None:
        name = [*stack.runners][number % 2]
        arguments = (node.cluster.kubeconfig, stack, name, moment, by)
        process = context.Process(target=run_until, args=arguments)
        process.start()
        process.join(120)
        return process.exitcode

    runners = {name: {"strategy": name, **LITTLE} for name in ("kaniko", "buildkit")}
    with laid_out(node, by.name.lower(), runners) as stack, ThreadPoolExecutor(4) as threads:
        ended = threads.map(run, [stack] * len(MOMENTS), range(len(MOMENTS)), MOMENTS)
        ends = dict(zip(MOMENTS, ended, strict=True))

        expected = EXIT_CODE if by == signal.SIGINT else -by
        assert ends == dict.fromkeys(MOMENTS, expected)
        if by == signal.SIGKILL:
            assert _left(api, stack) != []
        assert _goes(api, stack, 20 if by == signal.SIGINT else 120) == []


def test_a_stack_that_works_has_no_fault(node: Node, wanted: WantedStack) -> None:
    """GitLab and registries have names that only the node knows, which need not be an Ubuntu."""
    found = examine(EVERY, Visit(stack=wanted, seen=Observed(api_of(node.cluster.kubeconfig))))

    kept = [item for item in found.faults if item.check.group not in {"gitlab", "registries"}]
    assert [item.message for item in kept if item.check.name != "declared-os"] == []
