"""What a report says of a network policy that lets pods reach more, or less."""

from typing import Any

import pytest

from components.network.addresses import METADATA, routes
from report.analysis.trust.peers import is_allowed
from tests.support.risks import changes_of, changes_of_all, item, lines

Rule = dict[str, Any]
DNS: Rule = {"ports": [{"port": 53, "protocol": "UDP"}]}
PODS: Rule = {"to": [{"namespaceSelector": {}}]}
DAEMON: Rule = {
    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ns-buildkitd"}}}]
}


def _to(cidr: str, *without: str) -> Rule:
    block = {"cidr": cidr, "except": list(without)} if without else {"cidr": cidr}
    return {"to": [{"ipBlock": block}]}


def _open(**kinds: bool) -> list[Rule]:
    chosen = {"public": True, "private": True, "metadata": False, **kinds}
    pods = [PODS] if chosen["private"] else []
    return [*(_to(found.cidr, *found.without) for found in routes(**chosen)), *pods, DNS]


def _said(before: list[Rule], after: list[Rule]) -> list[str]:
    old, new = (
        item("NetworkPolicy", spec={"policyTypes": ["Ingress", "Egress"], "egress": rules})
        for rules in (before, after)
    )
    return sorted(line.replace("NetworkPolicy ns/x ", "") for line in lines(changes_of(old, new)))


DEFAULT = _open()
MORE: dict[str, tuple[list[Rule], list[Rule], list[str]]] = {
    "everything": (DEFAULT, [{}], ["allows egress to the metadata services of clouds"]),
    "everything, in addresses": (
        DEFAULT,
        _open(metadata=True),
        ["allows egress to the metadata services of clouds"],
    ),
    "one metadata service": (
        DEFAULT,
        [*DEFAULT, _to(str(METADATA[0]))],
        ["allows egress to the metadata services of clouds"],
    ),
    "a port of everywhere": (
        DEFAULT,
        [*DEFAULT, {"ports": [{"port": 80}]}],
        ["allows egress to everywhere on port 80"],
    ),
    "all but another address": (
        DEFAULT,
        [*DEFAULT, _to("0.0.0.0/0", "192.0.2.1/32")],
        ["allows egress to addresses 0.0.0.0/0 without 192.0.2.1/32"],
    ),
    "private addresses": (
        _open(private=False),
        DEFAULT,
        ["allows egress to pods of all namespaces", "allows egress to private addresses"],
    ),
    "public addresses": (_open(public=False), DEFAULT, ["allows egress to public addresses"]),
    "some private addresses": (
        _open(private=False),
        [*_open(private=False), _to("10.1.0.0/16")],
        ["allows egress to addresses 10.1.0.0/16"],
    ),
    "a namespace": (
        _open(private=False),
        [*_open(private=False), DAEMON],
        ["allows egress to namespace ns-buildkitd"],
    ),
    "some that only a policy names": (
        DEFAULT,
        [*DEFAULT, {"to": [{"podSelector": {"matchLabels": {"a": "b"}}}]}],
        ['allows egress to {"podSelector": {"matchLabels": {"a": "b"}}}'],
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_what_a_policy_opens_is_a_risk_and_closes_again(name: str) -> None:
    before, after, said = MORE[name]

    assert _said(before, after) == [f"raised: {line}" for line in said]
    reverse = [line.replace("allows", "no longer allows") for line in said]
    assert _said(after, before) == [f"lowered: {line}" for line in reverse]


SAME: dict[str, tuple[list[Rule], list[Rule]]] = {
    "of a kind": (DEFAULT, [*DEFAULT, _to("10.1.0.0/16"), _to("192.0.2.0/24"), DAEMON]),
    "of everything": ([{}], [{}, DNS, DAEMON, {"ports": [{"port": 80}]}]),
    "a port": ([_to("10.1.0.0/16")], [_to("10.1.0.0/16"), {**_to("10.1.0.0/16"), **DNS}]),
}


@pytest.mark.parametrize("name", SAME)
def test_what_was_open_anyway_is_no_change(name: str) -> None:
    before, after = SAME[name]

    assert _said(before, after) == []


def test_an_open_ingress_says_nothing_of_egress() -> None:
    assert not is_allowed("egress to namespace a", {"ingress from everywhere"})


def test_who_may_read_metrics_is_said_in_words() -> None:
    others = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["a", "b"]}
    rule = {
        "from": [{"namespaceSelector": {"matchExpressions": [others]}}],
        "ports": [{"port": 9252}],
    }
    closed, opened = (
        item("NetworkPolicy", spec={"policyTypes": ["Ingress"], "ingress": rules})
        for rules in ([], [rule])
    )

    assert lines(changes_of(closed, opened)) == [
        "raised: NetworkPolicy ns/x allows ingress from pods of all namespaces but a, b "
        "on port 9252"
    ]


Policies = dict[str, dict[str, Any]]
INGRESS: Rule = {"from": [{"podSelector": {}}]}
INNER: dict[str, Any] = {"policyTypes": ["Ingress"]}
OUTER: dict[str, Any] = {"policyTypes": ["Egress"], "egress": DEFAULT}
TWO: Policies = {"in": INNER, "out": OUTER}
ONE: Policies = {"out": {"policyTypes": ["Ingress", "Egress"], "egress": DEFAULT}}
METADATA_OPENED = {**OUTER, "egress": _open(metadata=True)}
OPENED: dict[str, tuple[Policies, Policies, list[str]]] = {
    "that of ingress goes": (TWO, {"out": OUTER}, ["in allows ingress from everywhere"]),
    "that of egress goes": (TWO, {"in": INNER}, ["out allows egress to everywhere"]),
    "both go": (TWO, {}, ["in allows ingress from everywhere", "out allows egress to everywhere"]),
    "that of both goes": (
        ONE,
        {},
        ["out allows egress to everywhere", "out allows ingress from everywhere"],
    ),
    "that of ingress opens": (
        TWO,
        {**TWO, "in": {**INNER, "ingress": [{}]}},
        ["in allows ingress from everywhere"],
    ),
    "that of egress opens": (
        TWO,
        {**TWO, "out": METADATA_OPENED},
        ["out allows egress to the metadata services of clouds"],
    ),
    "another one opens": (
        TWO,
        {**TWO, "more": {"ingress": [INGRESS]}},
        ['more allows ingress from {"podSelector": {}}'],
    ),
    "another one of some pods opens": (
        TWO,
        {**TWO, "more": {"podSelector": {"matchLabels": {"a": "b"}}, "ingress": [{}]}},
        ["more allows ingress from everywhere"],
    ),
    "that of ingress goes, and one of some pods stays": (
        {**TWO, "more": {"podSelector": {"matchLabels": {"a": "b"}}}},
        {"out": OUTER, "more": {"podSelector": {"matchLabels": {"a": "b"}}}},
        ["in allows ingress from everywhere"],
    ),
}


def _between(before: Policies, after: Policies) -> list[str]:
    """Return what is said where the policies of a namespace change."""
    old, new = (
        {name: item("NetworkPolicy", name=name, spec=spec) for name, spec in side.items()}
        for side in (before, after)
    )
    found = changes_of_all({name: (old.get(name), new.get(name)) for name in {**old, **new}})
    return sorted(line.replace("NetworkPolicy ns/", "") for line in lines(found))


@pytest.mark.parametrize("name", OPENED)
def test_each_of_a_namespaces_policies_is_judged(name: str) -> None:
    before, after, said = OPENED[name]

    assert _between(before, after) == [f"raised: {line}" for line in said]
    reverse = [line.replace("allows", "no longer allows") for line in said]
    assert _between(after, before) == [f"lowered: {line}" for line in reverse]


def test_a_policy_of_the_other_direction_limits_nothing() -> None:
    turned = {**TWO, "in": {"policyTypes": ["Egress"]}}

    assert _between(TWO, turned) == ["raised: in does not limit ingress"]
    assert _between(turned, TWO) == ["lowered: in no longer leaves out ingress"]


EVEN: dict[str, tuple[Policies, Policies]] = {
    "one in place of two": (TWO, ONE),
    "another name": (TWO, {"in": INNER, "outer": OUTER}),
    "one that allows what another one does": (
        {**TWO, "in": {**INNER, "ingress": [INGRESS]}},
        {**TWO, "in": {**INNER, "ingress": [INGRESS]}, "more": {"ingress": [INGRESS]}},
    ),
    "rules for what it does not limit": (TWO, {**TWO, "out": {**OUTER, "ingress": [{}]}}),
}


@pytest.mark.parametrize("name", EVEN)
def test_policies_that_limit_the_same_are_no_change(name: str) -> None:
    before, after = EVEN[name]

    assert _between(before, after) == []
    assert _between(after, before) == []
