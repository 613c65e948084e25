import secrets
import time
from collections.abc import Iterator

import pytest

from components.ownership.cluster import Kubeconfig
from dev.cluster.control_plane import ControlPlane
from dev.cluster.kubeconfig import NAME
from doctor.diagnosis import Diagnosis
from doctor.every import EVERY
from doctor.examine import Visit, examine
from doctor.kubernetes_api import KubernetesApi
from doctor.observed import Observed
from doctor.wanted import WantedStack
from tests.support import clinic
from tests.support.configured import SECRETS, STRATEGIES
from tests.support.kubernetes import core_v1


@pytest.fixture
def prefix(control_plane: ControlPlane) -> Iterator[str]:
    made = f"d{secrets.token_hex(4)}"
    yield made
    with control_plane.api() as api:
        core = core_v1(api)
        for namespace in core.list_namespace().items:
            if namespace.metadata.name.startswith(made):
                core.delete_namespace(namespace.metadata.name)


def _api(control_plane: ControlPlane) -> KubernetesApi:
    return KubernetesApi(Kubeconfig(str(control_plane.kubeconfig), NAME))


def _examined(control_plane: ControlPlane, wanted: WantedStack) -> Diagnosis:
    visit = Visit(stack=wanted, seen=Observed(_api(control_plane)), context=NAME)
    return examine(EVERY, visit)


def _lay_out(control_plane: ControlPlane, wanted: WantedStack) -> None:
    api = _api(control_plane)
    for item in clinic.laid_out(wanted):
        folder = clinic.path_of(item)
        answer = api.ask(
            "PATCH", f"{folder}?fieldManager=test&force=true", item, "application/apply-patch+yaml"
        )
        assert answer.status in {200, 201}, answer
    deadline = time.monotonic() + 60
    while not _serve(api, wanted):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _serve(api: KubernetesApi, wanted: WantedStack) -> bool:
    items = [item for item in clinic.laid_out(wanted) if item["kind"] == "Deployment"]
    return all(
        api.ask("GET", clinic.path_of(item)).body.get("status", {}).get("availableReplicas")
        for item in items
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_healthy_stack_has_no_fault(
    strategy: str, control_plane: ControlPlane, prefix: str
) -> None:
    with clinic.servers() as (_, _, changes):
        changes |= {
            "runners.main.strategy": STRATEGIES[strategy],
            "namespace": prefix,
            "targetNamespaces": {f"{prefix}-apps": {"create": True}},
        }
        wanted = clinic.stack(changes)
        _lay_out(control_plane, wanted)
        found = _examined(control_plane, wanted)

    assert [(item.check.name, item.message) for item in found.faults] == []
    assert found.ran["main"] >= {"pod-security", "manager-rights", "token-refused", "node-room"}


def test_three_runners_are_looked_at_within_ten_seconds(
    control_plane: ControlPlane, prefix: str
) -> None:
    names = ("main", "second", "third")
    tokens = {name: f"glrt-PlantedToken-{name}" for name in names}
    with clinic.servers() as (gitlab, _, changes):
        gitlab.runners = dict(zip(tokens.values(), gitlab.runners.values(), strict=False))
        changes |= {
            "runners": {name: {"tags": ["build"], "strategy": "kaniko"} for name in names},
            "namespace": prefix,
            "targetNamespaces": {f"{prefix}-apps": {"create": True}},
        }
        wanted = clinic.stack(changes, {**SECRETS, "runnerTokens": tokens})
        _lay_out(control_plane, wanted)
        started = time.monotonic()
        found = _examined(control_plane, wanted)
        took = time.monotonic() - started

    assert {item.check.name for item in found.faults} <= {"token-refused"}
    assert took < 10
