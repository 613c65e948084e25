"""On which nodes a pod may run: those that it selects, and those whose taints it tolerates."""

from collections.abc import Iterator

from components.workloads import CONTROL_PLANE
from report.analysis.pods.containers import RisksOf
from report.tree import Tree, entries, inside


def node_risks(name: str, spec: Tree) -> Iterator[RisksOf]:
    """Yield on which nodes a pod may run."""
    selector = inside(spec, "nodeSelector")
    tolerations = entries(spec, "tolerations")
    yield ("nodes", name), {f"{key}={value}" for key, value in selector.items()}
    yield ("tolerates", name), set(map(_taint, tolerations))
    keys = {*selector, *(str(item.get("key") or "") for item in tolerations)}
    # A toleration without a key is one of every taint.
    yield ("controlPlane", name), {key or "every taint" for key in keys & {*CONTROL_PLANE, ""}}


def _taint(toleration: Tree) -> str:
    key, value, effect = (str(toleration.get(name) or "") for name in ("key", "value", "effect"))
    return f"{key or 'of any key'}{f'={value}' if value else ''}{f':{effect}' if effect else ''}"
