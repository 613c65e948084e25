"""How much pods and their containers get, and how long they last.

What shrinks takes from jobs, and what grows takes from others on their nodes.
"""

from collections.abc import Iterator

from report.analysis.risk_kind import RiskName, RisksOf
from report.tree import JSON, Tree, inside

_RESOURCES: dict[str, tuple[RiskName, str]] = {
    "cpu": ("cpu", "CPU"),
    "ephemeral-storage": ("disk", "disk"),
    "memory": ("memory", "memory"),
}
"""The kind of risk, and the name, of each resource."""
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_ENDING = ("livenessProbe", "startupProbe")
"""The probes that end a container when they fail."""
# By default (kubernetes: pkg/apis/core/v1/defaults.go).
_TIMES = {"failureThreshold": 3, "initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1}
_GRACE = 30


def bound_risks(name: str, resources: Tree) -> Iterator[RisksOf]:
    """Yield what the requests and limits of a container say."""
    yield from limit_risks(name, inside(resources, "limits"))
    requests = inside(resources, "requests")
    known = {key: what for key, (_, what) in _RESOURCES.items() if requests.get(key)}
    yield ("lost", name), {f"its request of {what}" for what in known.values()}
    for key, what in known.items():
        yield from size_risks(f"the {what} request of {name}", requests[key])


def limit_risks(name: str, limits: Tree) -> Iterator[RisksOf]:
    """Yield what has no limit, and how much the others allow."""
    yield (
        ("unlimited", name),
        {what for key, (_, what) in _RESOURCES.items() if not limits.get(key)},
    )
    yield from amount_risks(name, limits)
    for key, (_, what) in _RESOURCES.items():
        if limits.get(key):
            yield ("less", f"the {what} limit of {name}"), {str(limits[key])}


def amount_risks(name: str, amounts: Tree) -> Iterator[RisksOf]:
    """Yield how much of each resource may be used."""
    for key, (kind, _) in _RESOURCES.items():
        yield (kind, name), {str(amounts[key])} if amounts.get(key) else ()


def size_risks(name: str, size: JSON) -> Iterator[RisksOf]:
    """Yield an amount of which neither less nor more is harmless."""
    yield ("less", name), {str(size)}
    yield ("more", name), {str(size)}


def probe_risks(name: str, container: Tree) -> Iterator[RisksOf]:
    """Yield which probes end a container, and how soon."""
    yield ("restarts", name), {probe for probe in _ENDING if container.get(probe)}
    yield ("lost", name), {f"its {probe}" for probe in PROBES if container.get(probe)}
    for probe in PROBES:
        given = inside(container, probe)
        for key, default in _TIMES.items() if given else ():
            yield ("less", f"{key} of the {probe} of {name}"), {str(given.get(key) or default)}


def lifetime_risks(name: str, spec: Tree) -> Iterator[RisksOf]:
    """Yield when a pod ends that does not end by itself."""
    grace = spec.get("terminationGracePeriodSeconds", _GRACE)
    yield ("less", f"the grace period of {name}"), {str(grace)}
    deadline = spec.get("activeDeadlineSeconds")
    yield ("ends", name), {f"after {deadline} seconds"} if deadline else ()


def folder_risks(name: str, volume: Tree) -> Iterator[RisksOf]:
    """Yield how much a volume holds that begins empty, and where."""
    claim = inside(volume, "ephemeral", "volumeClaimTemplate", "spec", "resources", "requests")
    size = claim.get("storage")
    if "emptyDir" in volume:
        folder = inside(volume, "emptyDir")
        size = folder.get("sizeLimit")
        yield ("unlimited", name), () if size else {"size"}
        in_memory = folder.get("medium") == "Memory"
        yield ("settings", name), {"in memory" if in_memory else "on disk"}
    if size:
        yield from size_risks(f"the size of {name}", size)
