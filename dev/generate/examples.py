"""An example of each key of the stack file, out of whole stack files that the program accepts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

import yaml

from components.gitlab_runner import charts

Schema: TypeAlias = Mapping[str, Any]
FILE = Path(__file__).with_name("examples.yaml")
CERTIFICATES = "CA"
"""What stands in the examples for the text of a certificate."""


def settings() -> list[dict[str, Any]]:
    """Return the settings of all examples."""
    text = FILE.read_text(encoding="utf-8")
    return yaml.safe_load(text.replace("version: CHART", f"version: {charts.DEFAULT_VERSION}"))


def examples(whole: Schema, models: Mapping[str, Schema]) -> dict[tuple[str, str], Any]:
    """Return the first example of each key, by the name of its model."""
    found: dict[tuple[str, str], Any] = {}
    for content in settings():
        for where, value in _walk({**whole, "title": "Settings"}, content, models):
            found.setdefault(where, value)
    return found


def _walk(
    schema: Schema,
    value: Any,  # noqa: ANN401 - YAML
    models: Mapping[str, Schema],
    name: str = "Settings",
) -> Iterator[tuple[tuple[str, str], Any]]:
    """Yield each key in a value, by model, and those below it."""
    for choice in schema.get("oneOf") or schema.get("anyOf") or ():
        yield from _walk(choice, value, models)
    if "$ref" in schema:
        model = schema["$ref"].rpartition("/")[2]
        if _fits(models[model], value):
            yield from _walk(models[model], value, models, model)
    elif isinstance(value, dict):
        for key, below in cast("dict[str, Any]", value).items():
            if key in schema.get("properties", {}):
                yield (name, key), below
                yield from _walk(schema["properties"][key], below, models)
            elif more := schema.get("additionalProperties"):
                yield from _walk(more, below, models)
    elif isinstance(value, list) and "items" in schema:
        for item in cast("list[Any]", value):
            yield from _walk(schema["items"], item, models)


def _fits(model: Schema, value: Any) -> bool:  # noqa: ANN401 - YAML
    """Whether a value is of a model, of which there are several kinds."""
    kind = model["properties"].get("kind", {}).get("const")
    found = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return isinstance(value, dict) and kind in {None, found.get("kind")}


def written(value: Any) -> str:  # noqa: ANN401 - YAML
    """Return a value in one line of YAML, as a cell of a table shows it."""
    if value == CERTIFICATES:
        return "`-----BEGIN CERTIFICATE-----` and so on"
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return f"`{text.removesuffix('...').strip().removesuffix('...').strip()}`".replace("|", "\\|")
