"""Patches of job pods (``pod_spec``), of which much has a key here."""

import re
from collections.abc import Iterator, Mapping

from components.types import JSON
from convert.items import SourceError
from convert.site.model import Tree, items, table, text
from convert.site.reading.text import from_yaml
from convert.site.rule import Convert, KeyCase, Take, keys
from convert.site.rules.chart import aliases
from convert.site.rules.kubernetes import tolerate
from convert.site.values import as_text, bounds, mapping, node_affinity, number, quantity, spread

_PLAN = "changes the pod past the plan of the strategy"
_CONTAINERS = {"build": "runners.*.resources", "helper": "runners.*.resources.helper"}
_AMOUNTS = {"cpu", "memory", "ephemeral-storage"}


def _patches(case: KeyCase) -> None:
    """Take each patch field by field."""
    for part, fields in each_patch(case):
        for name, value in fields.items():
            _field(part.at(f".{shown(name)}", value), name)


def each_patch(case: KeyCase) -> Iterator[tuple[KeyCase, dict[str, Tree]]]:
    """Yield the fields that each patch sets; what does not read as such is refused."""
    for item in items(case.value) or [case.value]:
        patch = text(table(item).get("patch"))
        try:
            documents = [] if case.unknown else from_yaml(patch, case.file, [])
        except SourceError:
            documents = []
        whole = next(iter(documents), None)
        part = case.at("", whole if whole is not None else patch)
        if isinstance(whole, dict):
            yield part, whole
        elif isinstance(whole, list):
            for operation in map(table, whole):
                name = text(operation.get("path")).strip("/")
                if "value" in operation and "/" not in name:
                    yield part, {name: operation["value"]}
                else:
                    first = shown(name.partition("/")[0])
                    part.at(f".{first}", operation).refuse(_PLAN, "use the key for it")
        else:
            part.refuse(*(case.unknown or ("is not a patch in YAML or JSON", "correct it")))


def shown(name: str) -> str:
    """Return the name of a field, which only one of Kubernetes is."""
    return name if re.fullmatch(r"[A-Za-z]{1,40}", name) else "…"


def _field(case: KeyCase, name: str) -> None:
    """Take a field of the pod, or refuse it."""
    listed = items(case.value) if name in {"containers", "volumes"} else []
    for value in listed or [case.value]:
        part = case.at("", value)
        try:
            if take := _FIELDS.get(name):
                take(part)
            elif becomes := _PLAIN.get(name):
                part.take(becomes[0], becomes[1](value))
            else:
                part.refuse(_PLAN, "use the key for it")
        except ValueError as error:
            part.refuse(str(error), "write it in the stack file")


def _container(case: KeyCase) -> None:
    """Take what a container gets; the rest is the strategy's."""
    given = dict(table(case.value))
    place = _CONTAINERS.get(text(given.pop("name", "")))
    resources = table(given.pop("resources", {}))
    if not place:
        case.refuse("adds a container to the pod", "name it under services of the jobs")
        return
    devices = dict(_devices(resources))
    if devices:
        case.take("runners.*.resources.extended", devices)
    if any(_AMOUNTS & table(below).keys() for below in resources.values()):
        case.take(place, bounds(resources))
    for name, value in given.items():
        case.at(f".{shown(name)}", value).refuse(_PLAN, "use the key for it")


def _affinity(case: KeyCase) -> None:
    """Take affinity to nodes, and anti-affinity of pods as spread."""
    for name, value in table(case.value).items():
        part = case.at(f".{shown(name)}", value)
        if name == "nodeAffinity":
            part.take("runners.*.nodeAffinity", {**node_affinity(value)})
        elif name == "podAntiAffinity":
            part.take("runners.*.spread", spread(value))
        else:
            part.refuse(_PLAN, "use the key for it")


def _devices(resources: dict[str, Tree]) -> Iterator[tuple[str, JSON]]:
    """Yield the devices that limits or requests name; they are equal in Kubernetes."""
    for kind in ("requests", "limits"):
        for name, count in table(resources.get(kind)).items():
            if name not in _AMOUNTS:
                yield name, number(count)


def _volume(case: KeyCase) -> None:
    """Take a claim for each job in the place of the runner's own folder for builds."""
    given = table(case.value)
    template = table(table(table(given.get("ephemeral")).get("volumeClaimTemplate")).get("spec"))
    storage = table(table(template.get("resources")).get("requests")).get("storage")
    if text(given.get("name")) != "repo" or not storage:
        case.refuse("adds a volume", "write it under volumes; perJob is a claim for each job")
        return
    claim: dict[str, JSON] = {"size": quantity(storage)}
    if kind := text(template.get("storageClassName")):
        claim["storageClass"] = kind
    case.take("runners.*.volumes", [{"path": "/builds", "perJob": claim}])


def _tolerations(case: KeyCase) -> None:
    tolerate(case, "runners.*.tolerations")


_FIELDS: Mapping[str, Take] = {
    "affinity": _affinity,
    "containers": _container,
    "volumes": _volume,
    "tolerations": _tolerations,
    "hostAliases": aliases,
}
_PLAIN: Mapping[str, tuple[str, Convert]] = {
    "nodeSelector": ("runners.*.nodeSelector", mapping),
    "priorityClassName": ("runners.*.priorityClassName", as_text),
    "runtimeClassName": ("runners.*.runtimeClassName", as_text),
    "topologySpreadConstraints": ("runners.*.spread", spread),
}

RULES = (
    keys(
        "runners.kubernetes.pod_spec",
        [
            "runners.*.resources",
            "runners.*.resources.extended",
            "runners.*.nodeSelector",
            "runners.*.tolerations",
            "runners.*.nodeAffinity",
            "runners.*.spread",
            "runners.*.volumes",
            "hostAliases",
        ],
        _patches,
        "field by field; what would undo the plan of the strategy is refused",
    ),
)
