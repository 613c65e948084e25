"""Requests, limits and maxima of a job's containers, in config.toml and in old charts."""

from collections.abc import Iterator

from components import quantity as quantities
from components.types import JSON
from convert.site.model import Tree, table, text
from convert.site.rule import KeyCase, SiteRule, key, keys, refused
from convert.site.rules.mirror import mirror
from convert.site.values import quantity

_BLOCKS = {"": "", "service_": ".service", "helper_": ".helper", "pod_": ".pod"}
_AMOUNTS = {"cpu": "cpu", "memory": "memory", "ephemeral_storage": "ephemeralStorage"}
_KINDS = {"_request": "requests", "_limit": "limits"}
_OLD = {"cpus": "cpu", "memory": "memory"}
_OLD_BLOCKS = {"builds": "", "services": ".service", "helpers": ".helper"}
_OLD_KEYS = {
    "cpuRequests": ("requests", "cpu"),
    "memoryRequests": ("requests", "memory"),
    "ephemeralStorageRequests": ("requests", "ephemeralStorage"),
    "cpuLimit": ("limits", "cpu"),
    "memoryLimit": ("limits", "memory"),
    "ephemeralStorageLimit": ("limits", "ephemeralStorage"),
    "cpuRequestsOverwriteMaxAllowed": ("maximum", "cpu"),
    "memoryRequestsOverwriteMaxAllowed": ("maximum", "memory"),
    "cpuLimitOverwriteMaxAllowed": ("maximum", "cpu"),
    "memoryLimitOverwriteMaxAllowed": ("maximum", "memory"),
}
_ROOT = "runners.*.resources"
_EACH = "lets jobs choose for a pod as a whole"
_MAXIMUM = "one maximum holds for requests and limits"


def _bytes(value: Tree) -> JSON:
    """Return an amount of memory; a small m is meant as in Docker, and not as thousandths."""
    amount = quantity(value)
    return f"{amount[:-1]}Mi" if amount.endswith("m") else amount


def _converter(amount: str):  # noqa: ANN202 - one of two functions
    return quantity if amount == "cpu" else _bytes


def _maximum(case: KeyCase, key_of_maximum: str, amount: str) -> None:
    """Take the larger of the maxima of requests and of limits."""
    value = str(_converter(amount)(case.value))
    for runner in case.runners:
        path = tuple(key_of_maximum.replace("*", runner.name).split("."))
        given = case.draft.get(path)
        if isinstance(given, str) and given != value:
            value = max(given, value, key=amount_of)
            case.draft.replace(path, value)
    case.take(key_of_maximum, value, _MAXIMUM)


def amount_of(value: str) -> float:
    """Return the size of an amount, to compare it."""
    return float(quantities.amount(value))


def _old(block: str) -> SiteRule:
    """A block of charts before 0.24, whose values were variables of the registration."""

    def take(case: KeyCase) -> None:
        for name, value in table(case.value).items():
            part = case.at(f".{name}", value)
            if name == "image" and block == "helpers":
                mirror(part, text(value), "helperImage")
            elif place := _OLD_KEYS.get(name):
                try:
                    amount = _converter(place[1])(value)
                except ValueError as error:
                    part.refuse(str(error), "correct it")
                else:
                    part.take(f"{_ROOT}{_OLD_BLOCKS[block]}.{place[0]}.{place[1]}", amount)
            else:
                part.ignore("is not a key of the chart")

    return keys(f"runners.{block}", [f"{_ROOT}{_OLD_BLOCKS[block]}"], take)


def _rules() -> Iterator[SiteRule]:
    for prefix, block in _BLOCKS.items():
        for name, amount in _AMOUNTS.items():
            if prefix == "pod_" and name == "ephemeral_storage":
                continue
            path = f"runners.kubernetes.{prefix}{name}"
            for suffix, kind in _KINDS.items():
                yield key(f"{path}{suffix}", f"{_ROOT}{block}.{kind}.{amount}", _converter(amount))
                overwrite = f"{path}{suffix}_overwrite_max_allowed"
                if prefix == "pod_":
                    yield refused(overwrite, _EACH, "set resources.maximum, which is of containers")
                    continue
                maximum = f"{_ROOT}{block}.maximum.{amount}"

                def most(case: KeyCase, maximum: str = maximum, amount: str = amount) -> None:
                    _maximum(case, maximum, amount)

                yield keys(overwrite, [maximum], most, _MAXIMUM)
    for old, amount in _OLD.items():
        for prefix in ("", "service_", "helper_"):
            path = f"runners.kubernetes.{prefix}{old}"
            yield key(path, f"{_ROOT}{_BLOCKS[prefix]}.limits.{amount}", _converter(amount))
    yield from map(_old, _OLD_BLOCKS)


RULES = tuple(_rules())
