"""Doctor's canary builds on the node by every strategy, and leaves nothing."""

import dataclasses
import time

import pytest

from components.ownership.cluster import Kubeconfig
from dev.cluster.kubeconfig import NAME
from dev.node.images.catalogue import BASE
from dev.node.node import Node
from dev.node.registry import LOGIN
from doctor.canary.run import Canary
from doctor.examine import Visit
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


@pytest.mark.parametrize("name", TOOLS)
def test_a_canary_is_built_pulled_and_run(name: str, node: Node, wanted: WantedStack) -> None:
    """Of what it looks at beside, the node has no DNS name for GitLab."""
    one = dataclasses.replace(wanted, runners={name: wanted.runners[name]})
    api = KubernetesApi(Kubeconfig(str(node.cluster.kubeconfig), NAME))
    visit = Visit(stack=one, seen=Observed(api), repository=f"{LOGIN.address}/canary/{name}")
    started = time.monotonic()

    found = Canary(api, visit, f"{LOGIN.address}/{BASE}").run()

    took = time.monotonic() - started
    kept = [item for item in found if item.check.name not in {"job-name", "job-reach"}]
    assert [item for item in kept if item.check.name != "job-metadata"] == []
    assert took < SECONDS
    deadline = time.monotonic() + 60
    while _left(api) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert _left(api) == []
