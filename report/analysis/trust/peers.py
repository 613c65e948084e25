"""What a network policy lets through, and what it does not limit."""

import json
from collections.abc import Collection, Iterator

from components.network.addresses import CLASSES, classes_of, kind_of
from report.tree import Tree, entries, inside, texts

DIRECTIONS = {"ingress": "from", "egress": "to"}
"""What a policy can limit, and the key of a rule that lists its peers."""
_NAME = "kubernetes.io/metadata.name"
_ALL_PODS = "pods of all namespaces"
_ALL_OF_EGRESS = (*CLASSES, _ALL_PODS)


def reach(spec: Tree) -> Iterator[str]:
    """Yield each peer that a policy lets through."""
    for direction in directions(spec):
        side = DIRECTIONS[direction]
        for rule in entries(spec, direction):
            ports = ", ".join(map(_port, entries(rule, "ports")))
            suffix = f" on port {ports}" if ports else ""
            for peer in entries(rule, side) or [{}]:
                # Named by what is open, since another policy may open all but one of it.
                opened = (
                    _ALL_OF_EGRESS
                    if direction == "egress" and not (peer or ports)
                    else _peers(peer)
                )
                yield from (f"{direction} {side} {label}{suffix}" for label in opened)


def _port(port: Tree) -> str:
    protocol = port.get("protocol", "TCP")
    last = f"-{port['endPort']}" if port.get("endPort") else ""
    return f"{port.get('port', 'all')}{last}{'' if protocol == 'TCP' else f'/{protocol}'}"


def _peers(peer: Tree) -> Iterator[str]:
    """Yield the names of a peer, one for each namespace if it lists namespaces."""
    namespaces, block = inside(peer, "namespaceSelector"), inside(peer, "ipBlock")
    labels = inside(namespaces, "matchLabels")
    selected = entries(namespaces, "matchExpressions")
    kinds = [(item.get("key"), item.get("operator")) for item in selected]
    if block:
        cidr, without = str(block.get("cidr")), texts(block, "except")
        apart = f" without {', '.join(without)}" if without else ""
        yield from classes_of(cidr, without) or (f"addresses {cidr}{apart}",)
    elif len(peer) == 1 and kinds == [(_NAME, "In")]:
        yield from (f"namespace {value}" for value in texts(selected[0], "values"))
    elif len(peer) == 1 and kinds == [(_NAME, "NotIn")]:
        yield f"{_ALL_PODS} but {', '.join(texts(selected[0], 'values'))}"
    elif len(peer) == 1 and [*namespaces, *labels] == ["matchLabels", _NAME]:
        yield f"namespace {labels[_NAME]}"
    elif [*peer] == ["namespaceSelector"] and not namespaces:
        yield _ALL_PODS
    else:
        yield json.dumps(peer, sort_keys=True) if peer else "everywhere"


def everything(direction: str) -> str:
    """Return what lets all through in a direction."""
    return f"{direction} {DIRECTIONS[direction]} everywhere"


def is_allowed(risk: str, known: Collection[str]) -> bool:
    """Whether a policy that allows what is known allows a peer too, by the names of both."""
    base = risk.partition(" on port ")[0]
    direction, side, *rest = base.split(" ", 3)
    way = f"{direction} {side}"
    if {f"{way} {item}" for item in _ALL_OF_EGRESS} <= {*known}:
        return True
    wider = {base, f"{way} everywhere"}
    if rest[:1] == ["namespace"]:
        wider.add(f"{way} {_ALL_PODS}")
    elif rest[:1] == ["addresses"] and " " not in rest[1]:
        wider.add(f"{way} {kind_of(rest[1])}")
    return not wider.isdisjoint(known)


def directions(spec: Tree) -> list[str]:
    """Return what a policy limits; by default one without egress rules limits ingress."""
    default = ["Ingress", "Egress"] if "egress" in spec else ["Ingress"]
    kinds = texts(spec, "policyTypes") or default
    return [direction for direction in DIRECTIONS if direction.capitalize() in kinds]


def unfiltered(spec: Tree) -> Iterator[str]:
    """Yield what a policy does not limit."""
    limited = directions(spec)
    yield from (direction for direction in DIRECTIONS if direction not in limited)
    if selector := inside(spec, "podSelector"):
        yield f"pods other than {json.dumps(selector, sort_keys=True)}"
