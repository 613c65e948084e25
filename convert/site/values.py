"""Turns the text of a site's files into the values of a stack file.

Each raises ValueError with what is wrong, without the value.
"""

import re

from components.settings.stack_file import table_of
from components.types import JSON
from convert.site.model import Tree, items, leaves, table, text
from convert.site.secrets import is_secret_name

_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|[KMGTPE]i?|[KMGTPE])?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def as_text(value: Tree) -> str:
    """Return a scalar."""
    if not isinstance(value, str):
        message = "must be text"
        raise ValueError(message)  # noqa: TRY004 - as all others of this module
    return value


def lower(value: Tree) -> str:
    """Return a scalar in lowercase."""
    return as_text(value).lower()


def log_level(value: Tree) -> str:
    """Return a level of the log; those above error say as much as that."""
    levels = {"warning": "warn", "fatal": "error", "panic": "error", "trace": "debug"}
    return levels.get(lower(value), lower(value))


def number(value: Tree) -> int:
    """Return a whole number, also one in quotes."""
    if not re.fullmatch(r" *-?[0-9]{1,12} *", text(value)):
        message = "must be a whole number"
        raise ValueError(message)
    return int(text(value))


def positive(value: Tree) -> int:
    """Return a number from one on."""
    found = number(value)
    if found < 1:
        message = "must be 1 or more"
        raise ValueError(message)
    return found


def duration(value: Tree) -> int:
    """Return seconds, also of Go's notation of a duration."""
    parts = re.findall(r"([0-9]+)(h|m(?!s)|s)", text(value))
    return sum(int(count) * _SECONDS[unit] for count, unit in parts) or number(value)


def truth(value: Tree) -> bool:
    """Return true or false."""
    spelled = text(value).lower()
    if spelled not in {"true", "false", "yes", "no", "on", "off", "1", "0"}:
        message = "must be true or false"
        raise ValueError(message)
    return spelled in {"true", "yes", "on", "1"}


def quantity(value: Tree) -> str:
    """Return an amount in Kubernetes' notation; thousandths of a byte were meant as megabytes."""
    if not _QUANTITY.fullmatch(text(value)):
        message = "must be an amount such as 500m or 1Gi"
        raise ValueError(message)
    return text(value)


def words(value: Tree) -> list[JSON]:
    """Return a list of texts, also from one text with commas between them."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = "must be a list of texts"
        raise ValueError(message)
    return [text(item) for item in value]


def mapping(value: Tree) -> JSON:
    """Return a mapping of texts."""
    below = table(value)
    if not below or any(isinstance(item, (dict, list)) for item in below.values()):
        message = "must be a mapping of texts"
        raise ValueError(message)
    if any(is_secret_name(name) and text(item) for name, item in below.items()):
        message = "looks like a secret, which everyone who reads the file would know; remove it"
        raise ValueError(message)
    return {name: text(item) for name, item in below.items()}


def bounds(value: Tree) -> JSON:
    """Return requests and limits of a container, as Kubernetes spells them."""
    found: dict[str, JSON] = {}
    for kind in ("requests", "limits"):
        given = table(table(value).get(kind))
        amounts: dict[str, JSON] = {
            "ephemeralStorage" if name == "ephemeral-storage" else name: quantity(amount)
            for name, amount in given.items()
            if name in {"cpu", "memory", "ephemeral-storage"}
        }
        if amounts:
            found[kind] = amounts
    if not found:
        message = "must have requests or limits"
        raise ValueError(message)
    return found


def url(value: Tree) -> str:
    """Return an address without the slash at its end."""
    found = as_text(value).strip().rstrip("/")
    if "$" in found:
        message = "has a variable that is filled in when it is deployed; write its value"
        raise ValueError(message)
    return found


def tolerations(value: Tree) -> tuple[list[JSON], bool]:
    """Return tolerations of a pod as Kubernetes spells them, and whether one tolerates all."""
    found: list[JSON] = []
    if not isinstance(value, list):
        message = "must be a list of tolerations"
        raise ValueError(message)  # noqa: TRY004 - as all others of this module
    for item in value:
        given = table(item)
        if text(given.get("key")):
            found.append(
                {name: text(given[name]) for name in ("key", "value", "effect") if given.get(name)}
            )
    return found, len(found) < len(value)


def node_affinity(value: Tree) -> dict[str, list[JSON]]:
    """Return node affinity of Kubernetes or of config.toml; one term of what is required is taken.

    Both spell the same fields, one in camelCase, the other in snake_case.
    """
    given = {_camel(name): below for name, below in table(value).items()}
    required = table(given.get("requiredDuringSchedulingIgnoredDuringExecution"))
    terms = [term for below in required.values() for term in items(below)]
    if len(terms) > 1:
        message = "must have one term, since nodeAffinity.require takes all of its expressions"
        raise ValueError(message)
    found: dict[str, list[JSON]] = {}
    if terms:
        found["require"] = _expressions(terms[0])
    prefer: list[JSON] = []
    for item in items(given.get("preferredDuringSchedulingIgnoredDuringExecution")):
        weight = number(table(item).get("weight") or "1")
        expressions = _expressions(table(item).get("preference"))
        prefer += [{**table_of(entry), "weight": weight} for entry in expressions]
    if prefer:
        found["prefer"] = prefer
    if not found:
        message = "must have expressions about labels of nodes"
        raise ValueError(message)
    return found


def _expressions(term: Tree) -> list[JSON]:
    found: list[JSON] = []
    for name, below in table(term).items():
        if _camel(name) != "matchExpressions":
            message = "must be about labels of nodes, by matchExpressions"
            raise ValueError(message)
        for item in items(below):
            given = table(item)
            entry: dict[str, JSON] = {
                "key": text(given.get("key")),
                "operator": text(given.get("operator")),
            }
            if given.get("values"):
                entry["values"] = words(given["values"])
            found.append(entry)
    return found


def spread(value: Tree) -> str:
    """Return over what pods are spread, from anti-affinity or constraints of topology."""
    found = " ".join(leaves(value))
    if "zone" in found:
        return "zone"
    if "hostname" in found:
        return "node"
    message = "must name kubernetes.io/hostname or topology.kubernetes.io/zone as topology"
    raise ValueError(message)


def identity(annotations: Tree) -> dict[str, JSON]:
    """Return the identity in a cloud that annotations of an account give, none if there is none."""
    names = {
        "eks.amazonaws.com/role-arn": "aws",
        "iam.amazonaws.com/role": "aws",
        "iam.gke.io/gcp-service-account": "google",
        "azure.workload.identity/client-id": "azure",
    }
    given = table(annotations)
    return {cloud: text(given[name]) for name, cloud in names.items() if text(given.get(name))}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
