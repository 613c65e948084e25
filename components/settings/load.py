"""How the stack's config is read: a line for each mistake, with its full path and what to do."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import pulumi
import pydantic
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from components.settings.checks import ACCEPTANCES, secret_mistakes, setting_mistakes
from components.settings.models import ACCEPTED_RISKS, AcceptedRisks, Settings
from components.settings.secrets import Secrets
from components.types import PROJECT

_AnyModel = TypeVar("_AnyModel", bound=pydantic.BaseModel)


def load() -> tuple[Settings, Secrets]:
    """Read and check the stack's config.

    Raises:
        pulumi.RunError: with one line for each mistake, none of which holds a value of a secret.
    """
    lines: list[str] = []
    settings = _read(Settings, f"{PROJECT}:settings", _object("settings", lines), lines)
    secrets = _read(Secrets, PROJECT, _secret_objects(lines), lines)
    accepted = _object("acceptedRisks", lines)
    if accepted is not None:
        _read(AcceptedRisks, ACCEPTED_RISKS, accepted, lines)
    if settings is not None:
        lines += [f"{PROJECT}:settings.{p}: {m}" for p, m in setting_mistakes(settings)]
    if settings is not None and secrets is not None:
        lines += [f"{path}: {message}" for path, message in secret_mistakes(secrets, settings)]
    kubernetes = pulumi.Config("kubernetes")
    if not (kubernetes.get("context") or kubernetes.get("kubeconfig")):
        lines.append(
            "kubernetes:context: is missing, and no cluster is touched that is not named; run: "
            "pulumi config set kubernetes:context NAME (names: kubectl config get-contexts)",
        )
    if settings is None or secrets is None or lines:
        count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        message = "\n".join((f"{count} in the config of this stack; nothing was changed:", *lines))
        raise pulumi.RunError(message)
    return settings, secrets


def _object(key: str, lines: list[str]) -> object:
    try:
        return pulumi.Config(PROJECT).get_object(key)
    except pulumi.ConfigTypeError:
        lines.append(f"{PROJECT}:{key}: is no object; write it as a YAML mapping")
        return None


def _secret_objects(lines: list[str]) -> dict[str, object]:
    """Read the secret keys in plain, to check them; one that is not encrypted is refused."""
    found: dict[str, object] = {}
    for key in (to_camel(name) for name in Secrets.model_fields):
        value = _object(key, lines)
        if value is None:
            continue
        if pulumi.runtime.is_config_secret(f"{PROJECT}:{key}"):
            found[key] = value
        else:
            lines.append(
                f"{PROJECT}:{key}: is stored in plain text; remove it from the stack file, make "
                f"new credentials, and store them with pulumi config set --secret --path",
            )
            found[key] = {}
    return found


def _read(
    model: type[_AnyModel],
    prefix: str,
    value: object,
    lines: list[str],
) -> _AnyModel | None:
    """Validate ``value`` and append one line for each mistake to ``lines``."""
    if value is None:
        if not any(line.startswith(f"{prefix}:") for line in lines):
            lines.append(f"{prefix}: is missing; add it, see docs/reference/stack-file.md")
        return None
    for path in _templates(value):
        separator = ":" if prefix == PROJECT else "."
        where = f"{prefix}{separator}{path}"
        lines.append(
            f"{where}: holds '{{{{', which the chart would run as a template; write it without",
        )
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as failure:
        for error in failure.errors(include_url=False, include_input=False):
            if error["type"] == "default_factory_not_called":
                # It follows from another mistake in the same mapping, which is told.
                continue
            separator = ":" if prefix == PROJECT else "."
            path = _path(error["loc"], value)
            where = f"{prefix}{separator}{path}" if path else prefix
            lines.append(f"{where}: {_explain(error, model)}")
        return None


def _templates(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of every string that holds ``{{``."""
    if isinstance(value, str) and "{{" in value:
        yield path
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, object]", value).items():
            yield from _templates(key, f"{path}.{key}".lstrip("."))
            yield from _templates(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _templates(item, f"{path}[{index}]")


def _path(location: Sequence[int | str], value: object) -> str:
    """Spell an error's location as the stack file does, without the names of union members."""
    path = ""
    kind: object = None
    for position, part in enumerate(location):
        current = cast("Any", value)
        last = position == len(location) - 1
        if isinstance(current, list) and isinstance(part, int):
            path += f"[{part}]"
            value = cast("list[object]", current)[part]
        elif isinstance(current, Mapping) and part in current:
            path += f".{part}"
            value = cast("Mapping[str, object]", current)[str(part)]
        elif last and part not in (kind, "[key]"):
            path += f".{part}"
        kind = cast("dict[str, object]", value).get("kind") if isinstance(value, dict) else value
    return path.lstrip(".")


_ADVICE = {
    "missing": "is required; add it",
    "string_type": "is no text; put it in quotes",
    "int_type": "is no whole number; write it without quotes",
    "bool_type": "is neither true nor false; write one of them, without quotes",
    "list_type": "is no list; write each entry on a line of its own after '- '",
    "dict_type": "is no mapping; write it as 'key: value' lines",
    "model_type": "is no mapping; write it as 'key: value' lines",
    "model_attributes_type": "is no mapping; write it as 'key: value' lines",
    "too_short": "is empty; add at least one entry or give it a value",
    "string_too_short": "is empty; give it a value or remove the key",
    "union_tag_not_found": "names no kind; add 'kind: …'",
}


def _explain(error: ErrorDetails, model: type[pydantic.BaseModel]) -> str:  # noqa: PLR0911 - one for each type of error
    """Say what is wrong and what to do, never quoting a value that was given."""
    context = error.get("ctx", {})
    acceptance = ACCEPTANCES.get(str(error["loc"][-1]) if error["loc"] else "")
    if acceptance and error["type"] != "extra_forbidden":
        return acceptance.format(kind=error["loc"][-2])
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            key = str(error["loc"][-1])
            keys = _keys(model, error["loc"][:-1])
            if key in keys:
                return "is an unknown key of this kind; remove it"
            close = difflib.get_close_matches(key, keys, n=1)
            advice = f"did you mean {close[0]}?" if close else "remove it"
            return f"is an unknown key; {advice}"
        case "literal_error":
            return f"is not one of the values allowed; use {context['expected']}"
        case "union_tag_invalid":
            return f"is no known kind; use one of {context['expected_tags']}"
        case "greater_than_equal":
            return f"is too small; use {context['ge']} or more"
        case kind:
            return _ADVICE[kind]


def _keys(model: type[pydantic.BaseModel], location: Sequence[int | str]) -> set[str]:
    """All keys that may stand where an error's location ends; a union's members count together."""
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
