"""Network policies on a real API server; no plugin enforces them here."""

from typing import Any

from dev.cluster.control_plane import ControlPlane
from tests.support.configured import STRATEGIES
from tests.support.kubernetes import networking_v1
from tests.support.stacks import Site

CLOSED = {"private": False, "allow": [{"cidr": "10.96.0.0/12", "ports": [443]}]}


def _policies(control_plane: ControlPlane, site: Site) -> dict[str, Any]:
    """Return the policies of a stack by namespace, without its prefix, and name."""
    with control_plane.api() as api:
        items = networking_v1(api).list_network_policy_for_all_namespaces().items
    return {
        f"{item.metadata.namespace.removeprefix(site.prefix)}/{item.metadata.name}": item
        for item in items
        if item.metadata.namespace.startswith(site.prefix)
    }


def _named(operations: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        kind: sorted(
            f"{urn.split('::')[2].rpartition(':')[2]} {urn.split('::')[3]}" for urn in urns
        )
        for kind, urns in operations.items()
    }


def test_the_api_server_takes_each_policy_and_changes_nothing(
    site: Site, control_plane: ControlPlane
) -> None:
    """One stack takes each in turn, and nothing else of it changes."""
    site.write(STRATEGIES["buildkit-service"])
    assert "failed" not in site.up().operations
    before = _policies(control_plane, site)
    assert sorted(before) == [
        f"{name}-{direction}"
        for name in ("-builds-buildkitd/buildkitd", "-builds/jobs", "/managers")
        for direction in ("egress", "ingress")
    ]

    # Managers have metadata services or not; the rest is for jobs and daemons.
    for egress, ranges, of_managers in (
        ({"metadata": True}, 0, True),
        (CLOSED, 3, True),
        ({"public": False, "private": False}, 0, False),
        ({"public": False}, 7, False),
    ):
        site.write(STRATEGIES["buildkit-service"], network={"egress": egress})
        changed = site.up()

        updated = ["NetworkPolicy builds-buildkitd-egress", "NetworkPolicy builds-jobs-egress"]
        managers = ["NetworkPolicy managers-egress"] if of_managers else []
        assert _named(changed.operations) == {"update": [*updated, *managers]}
        after = _policies(control_plane, site)
        assert {name: item.metadata.uid for name, item in after.items()} == {
            name: item.metadata.uid for name, item in before.items()
        }
        jobs: Any = after["-builds/jobs-egress"].spec
        closed: Any = after["-builds/jobs-ingress"].spec
        rules: list[Any] = jobs.egress
        peers: list[Any] = [peer for rule in rules for peer in rule.to or ()]
        assert len([peer for peer in peers if peer.ip_block]) == ranges
        assert (jobs.policy_types, jobs.ingress) == (["Egress"], None)
        assert (closed.policy_types, closed.ingress) == (["Ingress"], None)
    assert site.preview().operations == {}
