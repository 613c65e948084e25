"""On which nodes a pod may run: those that it selects, and those whose taints it tolerates."""

from collections.abc import Iterator, Mapping

from components.workloads import CONTROL_PLANE
from report.analysis.risk_kind import RisksOf
from report.tree import JSON, Tree, entries, inside, texts

_NODES = ("affinity", "nodeAffinity")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def node_risks(name: str, spec: Tree) -> Iterator[RisksOf]:
    """Yield on which nodes a pod may run."""
    selector = inside(spec, "nodeSelector")
    tolerations = entries(spec, "tolerations")
    labels = {f"{key}={value}" for key, value in selector.items()}
    yield ("nodes", name), labels | set(_demands(spec))
    yield ("tolerates", name), set(map(_taint, tolerations))
    keys = {*_sought(spec), *selector, *(str(item.get("key") or "") for item in tolerations)}
    yield ("placement", name), set(_chosen(spec))
    # A toleration without a key is one of every taint.
    yield ("controlPlane", name), {key or "every taint" for key in keys & {*CONTROL_PLANE, ""}}


def affinity_of(table: Tree) -> Tree:
    """Return an affinity of config.toml in the spelling of Kubernetes."""
    return inside(_spelled(table))


def _spelled(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if isinstance(value, Mapping):
        return {_camel(key): _spelled(item) for key, item in value.items()}
    return value


def _camel(key: str) -> str:
    first, *others = key.split("_")
    return "".join((first, *map(str.capitalize, others)))


def tolerations_of(table: Tree) -> Iterator[Tree]:
    """Yield tolerations, whose keys in config.toml are a taint's ``key`` or ``key=value``."""
    for taint, effect in table.items():
        key, _, value = taint.partition("=")
        yield {"key": key, "value": value, "effect": effect}


def _demands(spec: Tree) -> Iterator[str]:
    """Yield each expression that a node affinity demands.

    Of several terms a node must fit one, so no expression of them is a demand.
    """
    terms = entries(inside(spec, *_NODES, _REQUIRED), "nodeSelectorTerms")
    for expression in entries(terms[0], "matchExpressions") if len(terms) == 1 else ():
        values = ",".join(texts(expression, "values"))
        yield f"{expression.get('key')} {expression.get('operator')} {values}".strip()


def _chosen(spec: Tree) -> Iterator[str]:
    """Yield the nodes that a pod is for, by their names."""
    for term in entries(inside(spec, *_NODES, _REQUIRED), "nodeSelectorTerms"):
        for field in entries(term, "matchFields"):
            values = ", ".join(texts(field, "values"))
            yield f"on nodes with {field.get('key')} {field.get('operator')} {values}"


def _sought(spec: Tree) -> Iterator[str]:
    """Yield the labels of nodes that a pod is drawn to by its node affinity."""
    affinity = inside(spec, *_NODES)
    terms = entries(inside(affinity, _REQUIRED), "nodeSelectorTerms")
    terms += [inside(item, "preference") for item in entries(affinity, _PREFERRED)]
    for term in terms:
        for expression in entries(term, "matchExpressions"):
            if expression.get("operator") in {"In", "Exists"}:
                yield str(expression.get("key"))


def _taint(toleration: Tree) -> str:
    key, value, effect = (str(toleration.get(name) or "") for name in ("key", "value", "effect"))
    return f"{key or 'of any key'}{f'={value}' if value else ''}{f':{effect}' if effect else ''}"
