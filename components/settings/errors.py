"""Turns pydantic's errors into messages: where the error is, what is wrong, and what to do."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import pydantic
from pydantic_core import ErrorDetails

from components.strategies import STRATEGIES
from components.types import JSON

RENAMED = {
    ("gitlab", "certificates"): "caCertificates",
    ("registries", "*", "certificates"): "caCertificates",
    ("reviewer",): "previewAccount",
    ("runners", "*", "registration", "userRunner", "accessLevel"): "protected",
    ("runners", "*", "registration", "userRunner", "untagged"): "runUntagged",
    ("runners", "*", "strategy", "none"): "deploy",
    ("runners", "*", "strategy", "deploy", "rights"): "permissions",
}
"""The keys and kinds of ``image-builds:settings`` that have a new name, by their old location.

``*`` stands for any name or index.
"""


def path(location: Sequence[int | str], value: JSON) -> str:
    """Spell an error's location as the stack file does, without the names of union members."""
    path = ""
    kind: JSON = None
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(value, list) and isinstance(part, int):
            path += f"[{part}]"
            value = value[part]
        elif isinstance(value, dict) and part in value:
            path += f".{part}"
            value = value[str(part)]
        elif last and part not in (kind, "[key]"):
            path += f".{part}"
        kind = value.get("kind") if isinstance(value, dict) else value
    return path.lstrip(".")


_ADVICE = {
    "missing": "is required; add it",
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number; write it without quotes",
    "bool_type": "must be true or false; write it without quotes",
    "list_type": "must be a list; write each entry on its own line after '- '",
    "dict_type": "must be a mapping; write it as 'key: value' lines",
    "model_type": "must be a mapping; write it as 'key: value' lines",
    "model_attributes_type": "must be a mapping; write it as 'key: value' lines",
    "greater_than_equal": "must be {ge} or more; raise it",
    "less_than_equal": "must be {le} or less; lower it",
    "too_long": "must have at most {max_length} entries; remove some",
    "too_short": "must not be empty; add at least one entry",
    "string_too_short": "must not be empty; give it a value or remove the key",
    "union_tag_not_found": "must have a kind; add 'kind: …'",
}


def explain(error: ErrorDetails, model: type[pydantic.BaseModel]) -> str:  # noqa: PLR0911 - one for each type of error
    """Say what is wrong and what to do, never quoting a value that was given."""
    context = error.get("ctx", {})
    *_, kind, key = (None, None, *error["loc"])
    strategy = STRATEGIES.get(str(kind))
    if acceptance := strategy and strategy.acceptance(str(key)):
        return acceptance
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            if renamed := _renamed(error["loc"]):
                return f"was renamed to {renamed}; write {renamed}"
            key = str(error["loc"][-1])
            keys = _keys(model, error["loc"][:-1])
            if key in keys:
                return "is a key of another kind; remove it"
            close = difflib.get_close_matches(key, keys, n=1)
            advice = f"did you mean {close[0]}?" if close else "remove it"
            return f"is an unknown key; {advice}"
        case "literal_error":
            return f"must be {context['expected']}; write one of them"
        case "union_tag_invalid":
            if renamed := _renamed((*error["loc"], context["tag"])):
                return f"names {context['tag']}, which was renamed to {renamed}; write {renamed}"
            return f"must be a known kind; write one of {context['expected_tags']}"
        case kind:
            return _ADVICE[kind].format_map(context)


def _renamed(location: Sequence[int | str]) -> str | None:
    """Return the new name of what was at ``location``, or None where nothing was."""
    for old, new in RENAMED.items():
        if len(location) == len(old) and all(
            wanted in ("*", part) for part, wanted in zip(location, old, strict=True)
        ):
            return new
    return None


def _keys(model: type[pydantic.BaseModel], location: Sequence[int | str]) -> set[str]:
    """Return the keys that may stand where an error's location ends, of all members of a union."""
    schema = model.model_json_schema()
    places: list[dict[str, Any]] = [schema]
    for part in location:
        places = list(_expanded(places, schema))
        below = [
            place.get("properties", {}).get(part)
            or (place.get("items") if isinstance(part, int) else place.get("additionalProperties"))
            for place in places
        ]
        # Nothing below: the part is the name of a union's member.
        places = [place for place in below if place] or places
    return {key for place in _expanded(places, schema) for key in place.get("properties", {})}


def _expanded(places: Sequence[dict[str, Any]], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each schema itself, or the ones that it refers to or chooses from."""
    for place in places:
        if "$ref" in place:
            name = place["$ref"].rpartition("/")[2]
            yield from _expanded([schema["$defs"][name]], schema)
        elif chosen := place.get("oneOf") or place.get("anyOf"):
            yield from _expanded(chosen, schema)
        else:
            yield place


def visible(text: str) -> str:
    """Write each character that a reader cannot see as an escape, but for line breaks."""
    if text.isprintable():
        return text
    return "".join(
        char if char == "\n" or char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )
