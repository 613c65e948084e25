"""Doctor's canary builds on the node by every strategy, and leaves nothing."""

import dataclasses
import multiprocessing
import time
from pathlib import Path

import pytest

from components.ownership.cluster import Kubeconfig
from dev.cluster.kubeconfig import NAME
from dev.node.images.catalogue import BASE
from dev.node.node import Node
from dev.node.registry import LOGIN
from doctor.canary.run import Canary
from doctor.every import EVERY
from doctor.examine import Visit, examine
from doctor.kubernetes_api import KubernetesApi
from doctor.observed import Observed
from doctor.wanted import WantedStack
from tests.support.node.project import TOOLS
from tests.support.node.stack import NodeStack
from tests.support.shared import Shared

SECONDS = 60


@pytest.fixture(scope="module")
def wanted(stack: NodeStack, shared: Shared) -> WantedStack:
    return shared.once("wanted", stack.wanted)


def _left(api: KubernetesApi) -> list[str]:
    """Return the Jobs of canaries and their pods."""
    paths = ("/apis/batch/v1/jobs", "/api/v1/pods")
    selector = "labelSelector=image-builds%2Fdoctor"
    return [
        item["metadata"]["name"]
        for path in paths
        for item in api.ask("GET", f"{path}?{selector}").body["items"]
    ]


def _api(kubeconfig: Path) -> KubernetesApi:
    return KubernetesApi(Kubeconfig(str(kubeconfig), NAME))


def _canary(kubeconfig: Path, wanted: WantedStack, name: str) -> Canary:
    """Return the canary of one runner."""
    one = dataclasses.replace(wanted, runners={name: wanted.runners[name]})
    api = _api(kubeconfig)
    visit = Visit(stack=one, seen=Observed(api), repository=f"{LOGIN.address}/canary/{name}")
    return Canary(api, visit, f"{LOGIN.address}/{BASE}")


def _goes(api: KubernetesApi, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _left(api) and time.monotonic() < deadline:
        time.sleep(0.5)
    return not _left(api)


@pytest.mark.parametrize("name", TOOLS)
def test_a_canary_is_built_pulled_and_run(name: str, node: Node, wanted: WantedStack) -> None:
    """Of what it looks at beside, the node has no DNS name for GitLab."""
    started = time.monotonic()

    found = _canary(node.cluster.kubeconfig, wanted, name).run()

    took = time.monotonic() - started
    looked = {"job-name", "job-reach", "job-metadata"}
    assert [item for item in found if item.check.name not in looked] == []
    assert took < SECONDS
    assert _goes(_api(node.cluster.kubeconfig), 60)


def _build(kubeconfig: Path, wanted: WantedStack, name: str) -> None:
    _canary(kubeconfig, wanted, name).run()


def test_what_a_killed_canary_leaves_kubernetes_removes(node: Node, wanted: WantedStack) -> None:
    api = _api(node.cluster.kubeconfig)
    process = multiprocessing.get_context("spawn").Process(
        target=_build, args=(node.cluster.kubeconfig, wanted, "kaniko")
    )
    process.start()
    deadline = time.monotonic() + 60
    while not _left(api) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.join()

    assert _left(api) != []
    assert _goes(api, 120)


def test_a_stack_that_works_has_no_fault(node: Node, wanted: WantedStack) -> None:
    """GitLab and registries have names that only the node knows, which need not be an Ubuntu."""
    found = examine(EVERY, Visit(stack=wanted, seen=Observed(_api(node.cluster.kubeconfig))))

    kept = [item for item in found.faults if item.check.group not in {"gitlab", "registries"}]
    assert [item.message for item in kept if item.check.name != "declared-os"] == []
