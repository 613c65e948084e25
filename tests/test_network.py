"""What the network policies of a stack let through, by the program that registers them."""

import ipaddress
from typing import Any

import pytest

from components.arguments import environment_args
from components.network.addresses import METADATA, PRIVATE, classes_of, is_inside, kind_of, routes
from components.resources.environment import Environment
from components.settings.load import load
from tests.support.configured import SECRETS, SETTINGS, STRATEGIES, configure, replace_values
from tests.support.harness import YEAR, deploy
from tests.support.rejections import assert_rejected, change

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
PUBLIC = ["192.0.2.7", "93.184.216.34", "2001:db8::7"]
INTERNAL = ["10.96.0.1", "172.20.1.1", "192.168.7.7", "100.64.3.3", "169.254.20.10", "fd12::1"]
CLOUDS = [str(address.network_address) for address in METADATA]


def _policies(
    egress: dict[str, Any] | None = None, strategy: str = "kaniko", of: str = "Egress"
) -> dict[str, Any]:
    """Return the spec of each policy of a direction by its namespace."""
    changes = {"network.egress": egress or {}, "runners.main.strategy": strategy}
    configure(replace_values(SETTINGS, changes), SECRETS)
    stack = load()
    registered = deploy(lambda: Environment("test", environment_args(stack, YEAR)))
    return {
        item.inputs["metadata"]["namespace"]: item.inputs["spec"]
        for item in registered
        if item.type == POLICY and item.inputs["spec"]["policyTypes"] == [of]
    }


def _is_open(spec: dict[str, Any], host: str, port: int = 80) -> bool:
    """Whether a plugin that matches pods by their addresses too lets a TCP connection out."""
    return any(
        any(entry["port"] == port for entry in rule.get("ports", [{"port": port}]))
        and any(_matches(peer, host) for peer in rule.get("to", [{}]))
        for rule in spec["egress"]
    )


def _matches(peer: dict[str, Any], host: str) -> bool:
    address = ipaddress.ip_network(host)
    block = peer.get("ipBlock")
    if not peer or not block:
        return not peer
    ranges = [ipaddress.ip_network(item) for item in (block["cidr"], *block.get("except", []))]
    return is_inside(address, ranges[0]) and not any(is_inside(address, it) for it in ranges[1:])


def _opened(spec: dict[str, Any], hosts: list[str], port: int = 80) -> list[str]:
    return [host for host in hosts if _is_open(spec, host, port)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_namespace_with_pods_of_the_stack_has_policies(strategy: str) -> None:
    """They are of all its pods, and let nobody in but a daemon's clients."""
    lets_in = _policies(strategy=STRATEGIES[strategy], of="Ingress")
    lets_out = _policies(strategy=STRATEGIES[strategy])

    with_daemon = strategy.startswith("buildkit-service")
    assert sorted(lets_in) == [
        "builds",
        "builds-main",
        *(["builds-main-buildkitd"] if with_daemon else []),
    ]
    assert lets_out.keys() == lets_in.keys()
    for spec in (*lets_in.values(), *lets_out.values()):
        assert spec["podSelector"] == {}
    assert {name for name, spec in lets_in.items() if "ingress" in spec} == (
        {"builds-main-buildkitd"} if with_daemon else set()
    )


def test_by_default_all_but_the_metadata_of_clouds_is_open() -> None:
    for spec in _policies(strategy="buildkit-service").values():
        assert _opened(spec, CLOUDS) == []
        assert _opened(spec, [*PUBLIC, *INTERNAL]) == [*PUBLIC, *INTERNAL]
        # Some plugins match pods by namespaces only.
        assert {"namespaceSelector": {}} in spec["egress"][0]["to"]


def test_names_are_resolved_everywhere() -> None:
    """GKE's Cloud DNS answers at an address of the metadata service."""
    for egress in ({}, {"private": False, "public": False}):
        for spec in _policies(egress).values():
            assert _opened(spec, CLOUDS, 53) == CLOUDS
            ports = [port for rule in spec["egress"] for port in rule.get("ports", [])]
            assert {"port": 53, "protocol": "UDP"} in ports


@pytest.mark.parametrize(
    ("egress", "opened"),
    [
        ({"metadata": True}, [*PUBLIC, *INTERNAL, *CLOUDS]),
        ({"private": False}, PUBLIC),
        ({"private": False, "metadata": True}, [*PUBLIC, *CLOUDS]),
        ({"public": False}, INTERNAL),
        ({"public": False, "metadata": True}, [*INTERNAL, *CLOUDS]),
        ({"public": False, "private": False}, []),
        ({"public": False, "private": False, "metadata": True}, CLOUDS),
        ({"public": False, "private": False, "allow": [{"cidr": "10.96.0.0/16"}]}, ["10.96.0.1"]),
        ({"private": False, "allow": [{"cidr": "192.168.7.7/32", "ports": [443]}]}, PUBLIC),
    ],
    ids=str,
)
def test_a_key_opens_or_closes_addresses_for_jobs_and_builds(
    egress: dict[str, Any], opened: list[str]
) -> None:
    registered = _policies(egress, "buildkit-service")

    for namespace in ("builds-main", "builds-main-buildkitd"):
        assert _opened(registered[namespace], [*PUBLIC, *INTERNAL, *CLOUDS]) == opened


def test_an_allowed_port_is_open_and_no_other() -> None:
    allow = [{"cidr": "192.168.7.7/32", "ports": [443, 5000]}]
    jobs = _policies({"private": False, "allow": allow})["builds-main"]

    assert [port for port in (80, 443, 5000) if _is_open(jobs, "192.168.7.7", port)] == [443, 5000]


def test_an_allowed_range_leaves_out_metadata() -> None:
    allow = [{"cidr": "100.64.0.0/10"}]
    registered = _policies({"private": False, "allow": allow})

    assert _opened(registered["builds-main"], ["100.64.3.3", *CLOUDS]) == ["100.64.3.3"]


def test_managers_keep_what_they_need() -> None:
    """The API server and GitLab may be anywhere."""
    managers = _policies({"private": False, "public": False})["builds"]

    assert _opened(managers, [*PUBLIC, *INTERNAL, *CLOUDS]) == [*PUBLIC, *INTERNAL]


def test_jobs_reach_their_daemon_whatever_is_closed() -> None:
    jobs = _policies({"private": False}, "buildkit-service")["builds-main"]

    labels = {"kubernetes.io/metadata.name": "builds-main-buildkitd"}
    assert {"to": [{"namespaceSelector": {"matchLabels": labels}}]} in jobs["egress"]


def test_where_nothing_is_closed_a_policy_names_no_address() -> None:
    """So it also opens what a plugin matches by no address, such as nodes with Cilium."""
    for spec in _policies({"metadata": True}).values():
        assert spec["egress"] == [{}]


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("{allow: [{cidr: 10.0.0.0/8}]}", "network.egress", "remove allow, or set one"),
        ("{private: false, allow: [{cidr: 10.0.0.1/8}]}", "network.egress.allow[0].cidr", "CIDR"),
        ("{private: false, allow: [{cidr: example.com}]}", "network.egress.allow[0].cidr", "CIDR"),
        ("{private: false, allow: [{}]}", "network.egress.allow[0].cidr", "is required"),
        (
            "{private: false, allow: [{cidr: 10.0.0.0/8, ports: [0]}]}",
            "network.egress.allow[0].ports[0]",
            "1 or more",
        ),
        (
            "{private: false, allow: [{cidr: 10.0.0.0/8, ports: [65536]}]}",
            "network.egress.allow[0].ports[0]",
            "65535 or less",
        ),
        (
            "{private: false, allow: [{cidr: 169.254.169.254/32}]}",
            "network.egress",
            "or set metadata: true",
        ),
        ("{metadate: true}", "network.egress.metadate", "did you mean metadata?"),
    ],
)
def test_what_cannot_work_is_rejected(text: str, key: str, advice: str) -> None:
    assert_rejected(change(f"network.egress: {text}"), key, advice)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("gitlab.url: 'https://10.1.2.3/git'", "gitlab.url"),
        ("registries: [{host: '10.1.2.3:5000'}]", "registries[0].host"),
        ("registryMirrors: [10.1.2.3]", "registryMirrors[0]"),
    ],
)
def test_an_address_that_jobs_need_stays_open(text: str, key: str) -> None:
    closed = f"{text}, network.egress: {{private: false"

    assert_rejected(change(f"{closed}}}"), key, "add it to network.egress.allow")
    configure(change(f"{closed}, allow: [{{cidr: 10.1.2.0/24}}]}}"), SECRETS)
    assert load().settings.network.egress.private is False


def test_each_range_that_a_policy_has_is_known_by_a_name() -> None:
    for public in (True, False):
        for private in (True, False):
            for metadata in (True, False):
                for item in routes(public=public, private=private, metadata=metadata):
                    assert classes_of(item.cidr, reversed(item.without)), item
    assert classes_of("0.0.0.0/0", ["10.0.0.0/8"]) is None
    assert classes_of("169.254.169.254/32", []) == {"the metadata services of clouds"}


@pytest.mark.parametrize(
    ("cidr", "kind"),
    [
        ("10.1.0.0/16", "private addresses"),
        ("192.0.2.0/24", "public addresses"),
        ("0.0.0.0/1", None),
        ("168.63.129.16/32", None),
        ("not-a-range", None),
    ],
)
def test_a_range_has_one_kind_or_none(cidr: str, kind: str | None) -> None:
    assert kind_of(cidr) == kind


def test_private_ranges_do_not_overlap() -> None:
    assert not [
        (one, other)
        for one in PRIVATE
        for other in PRIVATE
        if one != other and is_inside(one, other)
    ]
