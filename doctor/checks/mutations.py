"""What the webhooks of a cluster make of a pod that they admit."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from doctor.wanted import Manifest, entries

_OF_PODS = (
    "securityContext",
    "nodeSelector",
    "serviceAccountName",
    "runtimeClassName",
    "hostUsers",
    "dnsPolicy",
)
_OF_CONTAINERS = ("image", "command", "args", "securityContext")


def changes(sent: Manifest, made: Manifest) -> Iterator[str]:
    """Yield what is not as it was sent; the API server itself only adds what was not said."""
    yield from _differences("", sent["spec"], made["spec"], _OF_PODS)
    for kind in ("initContainers", "containers"):
        before, after = (
            {item["name"]: item for item in entries(one, "spec", kind)} for one in (sent, made)
        )
        yield from (f"the container {name} is added" for name in after if name not in before)
        for name, container in before.items():
            if name not in after:
                yield f"the container {name} is removed"
                continue
            place = f" of the container {name}"
            yield from _differences(place, container, after[name], _OF_CONTAINERS)


def _differences(
    place: str, sent: Manifest, made: Manifest, keys: tuple[str, ...]
) -> Iterator[str]:
    for key in keys:
        for path, found in _unlike(key, sent.get(key), made.get(key)):
            yield f"{path}{place} becomes {found}"


def _unlike(path: str, sent: Any, made: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Yield the paths of what was sent and is another, with what it became."""
    if sent in (None, {}, [], ""):
        return
    if isinstance(sent, Mapping):
        known: Mapping[str, Any] = made or {}
        for key, item in cast("Mapping[str, Any]", sent).items():
            yield from _unlike(f"{path}.{key}", item, known.get(key))
    elif isinstance(sent, list):
        # Capabilities that are dropped besides are no harm.
        if missing := [item for item in cast("list[Any]", sent) if item not in (made or [])]:
            yield path, f"one without {', '.join(map(str, missing))}"
    elif sent != made:
        yield path, "nothing" if made is None else str(made)
