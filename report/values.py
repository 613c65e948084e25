"""Values of resources without their secrets, and how two of them differ."""

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from report.model import PropertyChange

SECRET = "[secret]"  # noqa: S105 - what stands in place of one
UNKNOWN = "(known after the update)"
_MARK = "4dabf18193072939515e22adb298388d"
"""The key that marks a secret, an asset and the like (pulumi: sdk/go/common/resource/sig)."""
_MARKED_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - its value for a secret
# What stands for a value that is not known in a preview
# (pulumi: sdk/go/common/resource/plugin/rpc.go).
_UNKNOWNS = {
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
}
_INTERNAL = {"__defaults", "__inputs"}
_SHORT = 8
_PARTS = re.compile(r'\["([^"]*)"\]|([^.\[\]]+)')
"""The parts of a path, such as ``metadata.labels["a.b/c"]`` and ``containers[0].image``."""
_NAMED = r"[\w-]*(?:password|passwd|token|private[-_]?key|api[-_]?key|access[-_]?key)"
_SECRET_KEY = re.compile(rf"{_NAMED}", re.IGNORECASE)
_OBVIOUS = re.compile(
    # GitLab's own tokens (gitlab:doc/security/tokens/_index.md), and variables that say it.
    rf"\bgl[a-z]{{2,5}}-[\w.-]{{8,}}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|"
    rf"(?P<name>\b{_NAMED}|\b[\w-]*secret)=(?!\[secret\])[^\s\"',;]+",
    re.IGNORECASE,
)


class Scrubber:
    """Takes known secrets out of text, however they are spelled there, and what looks like one.

    Values shorter than eight characters are words that text has for other reasons, so they are
    taken out only where they stand alone.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Remember the secrets and their usual encodings."""
        spelled = {form for secret in secrets for form in _spellings(secret)}
        patterns = [
            re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in sorted(spelled, key=len, reverse=True)
        ]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def __call__(self, text: str) -> str:
        """Return ``text`` without them."""
        known = self._pattern.sub(SECRET, text) if self._pattern else text
        return _OBVIOUS.sub(
            lambda found: f"{found['name']}={SECRET}" if found["name"] else SECRET,
            known,
        )


def _spellings(secret: str) -> Iterator[str]:
    """Yield what a secret looks like as it is, in JSON, in a URL, in base64 and line by line."""
    for part in {secret, *secret.splitlines()}:
        if not part.strip():
            continue
        yield part
        yield json.dumps(part)[1:-1]
        yield quote(part, safe="")
        encoded = base64.b64encode(part.encode()).decode()
        yield encoded
        yield encoded.rstrip("=")


def secrets_of(value: object) -> Iterator[str]:
    """Yield every text that is marked secret in a state with its secrets in plain.

    The provider's copy of a resource's inputs is left out: it is marked as a whole if any of it
    is secret, and so would make names and public settings secret.
    """
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        if table.get(_MARK) == _MARKED_SECRET:
            yield from _texts(json.loads(str(table.get("plaintext", "null"))))
        else:
            for key, item in table.items():
                if key not in _INTERNAL:
                    yield from secrets_of(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from secrets_of(item)


def config_secrets(value: str) -> Iterator[str]:
    """Yield the texts in a config value that is secret; an object counts leaf by leaf."""
    try:
        yield from _texts(json.loads(value))
    except ValueError:
        yield value
    else:
        yield value


def leaves(value: object) -> Iterator[object]:
    """Yield what is in a value's dictionaries and lists, in order."""
    if isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from leaves(item)
    else:
        yield value


def _texts(value: object) -> Iterator[str]:
    for leaf in leaves(value):
        if isinstance(leaf, str):
            yield leaf
            # A Secret's values are in base64, and config files in it hold the secret as a part.
            for decoded in _decoded(leaf):
                yield from _texts(decoded)


def _decoded(text: str) -> Iterator[object]:
    with contextlib.suppress(ValueError):
        if decoded := base64.b64decode(text, validate=True).decode():
            yield decoded
    if text.startswith(("{", "[")):
        with contextlib.suppress(ValueError):
            yield json.loads(text)


def inside(value: object, *keys: str) -> Mapping[str, Any]:
    """Return the mapping under ``keys``, empty where there is none."""
    for key in keys:
        value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def entries(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the mappings in the list under ``key``."""
    items = value.get(key)
    if not isinstance(items, list):
        return []
    return [inside(item) for item in cast("list[object]", items)]


def texts(value: Mapping[str, Any], key: str) -> list[str]:
    """Return the list under ``key``, each entry as text."""
    items = value.get(key)
    return [str(item) for item in cast("list[object]", items)] if isinstance(items, list) else []


def clean(value: object, scrub: Scrubber) -> Any:  # noqa: ANN401 - JSON
    """Return a resource's value without secrets, marks and what the provider keeps for itself."""
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        if _MARK in table:
            return SECRET if table[_MARK] == _MARKED_SECRET else "(a file)"
        cleaned = {
            scrub(key): SECRET if _tells(key, item) else clean(item, scrub)
            for key, item in table.items()
            if key not in _INTERNAL
        }
        if _tells(str(table.get("name")), table.get("value")):
            cleaned["value"] = SECRET
        return cleaned
    if isinstance(value, list):
        return [clean(item, scrub) for item in cast("list[object]", value)]
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWNS else scrub(value)
    return value


def _tells(name: str, value: object) -> bool:
    """Whether a name says that its value is a secret, although nothing marks it."""
    return isinstance(value, str) and bool(value) and bool(_SECRET_KEY.fullmatch(name))


def flat(value: object, path: str = "") -> dict[str, str]:
    """Return the leaves of a value by their path, each as text."""
    if isinstance(value, Mapping) and value:
        leaves: dict[str, str] = {}
        for key, item in cast("Mapping[str, object]", value).items():
            leaves |= flat(item, _joined(path, key))
        return leaves
    if isinstance(value, list) and value:
        leaves = {}
        for index, item in enumerate(cast("list[object]", value)):
            leaves |= flat(item, f"{path}[{_name(item, index)}]")
        return leaves
    return {path: value if isinstance(value, str) else json.dumps(value)}


def _joined(path: str, key: str) -> str:
    if not re.fullmatch(r"[\w-]+", key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def _name(item: object, index: int) -> str:
    """Name an entry of a list by its own name, if it has one, so that a shift is no change."""
    variable = re.match(r"(\w+)=", item) if isinstance(item, str) else None
    if variable:
        return variable[1]
    if isinstance(item, Mapping):
        name = cast("Mapping[str, object]", item).get("name")
        if isinstance(name, str):
            return name
    return str(index)


def at(value: object, path: str) -> object:
    """Return what is at a path as a provider spells it, None where nothing is."""
    return _at(value, [name or key for name, key in _PARTS.findall(path)])


def _at(value: object, parts: list[str]) -> object:
    if not parts:
        return value
    if isinstance(value, list):
        items = cast("list[object]", value)
        index = int(parts[0]) if parts[0].isdigit() else len(items)
        return _at(items[index], parts[1:]) if index < len(items) else None
    table = inside(value)
    # Not every provider quotes a key that has a dot.
    for count in range(1, len(parts) + 1):
        key = ".".join(parts[:count])
        if key in table:
            return _at(table[key], parts[count:])
    return None


def differences(old: object, new: object) -> tuple[PropertyChange, ...]:
    """Return each leaf that differs, in the order of the paths."""
    before = {} if old is None else flat(old)
    after = {} if new is None else flat(new)
    return tuple(
        PropertyChange(path=path, old=before.get(path), new=after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )
