"""The keys of the stack file as Markdown, from the JSON schema that editors read.

One section for each mapping, one row for each key; what a key means is the docstring of its field.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from components.settings.schema import json_schema
from components.types import PROJECT
from dev.generate.examples import examples, written

Schema = Mapping[str, Any]
_SCALARS = {"string": "text", "boolean": "`true` or `false`", "number": "a number"}


class _Page:
    """What the tables link to: each model has one section, however often keys refer to it."""

    def __init__(self, models: Mapping[str, Schema], settings: Schema) -> None:
        self._models = models
        self._examples = examples(settings, models)
        self._references = json.dumps(models)
        self._seen: set[str] = set()
        self._new: list[tuple[str, str, str]] = []
        self._shared: list[tuple[str, str, str]] = []

    def write(self, schema: Schema, path: str = "", name: str = "Settings") -> Iterator[str]:
        """Yield a mapping's table and the sections that it leads to; shared ones are the last."""
        required = schema.get("required", ())
        new = self._new = []
        rows = [
            [
                f"`{key}`",
                self._value(f"{path}.{key}".lstrip("."), value),
                "required" if key in required else _default(value),
                self._example(name, key, value),
                _meaning(value.get("description", "")),
            ]
            for key, value in schema["properties"].items()
        ]
        yield table(["key", "value", "default", "example", "meaning"], rows)
        # Sections that are written add to what is shared.
        for heading, where, found in itertools.chain(new, () if path else self._shared):
            yield f"### {heading}"
            if description := self._models[found].get("description"):
                yield text(description)
            yield from self.write(self._models[found], where, found)

    def _example(self, name: str, key: str, schema: Schema) -> str:
        """Return the example of a key, none where its value has a section, with its own ones."""
        links = '"$ref"' in json.dumps(schema)
        return "" if links else written(self._examples[name, key])

    def _value(self, path: str, schema: Schema) -> str:  # noqa: PLR0911 - one for each kind
        """Return the phrase that says what a key takes."""
        if not schema:
            return "any value"
        if "oneOf" in schema:
            return alternatives(self._link(choice, path) for choice in schema["oneOf"])
        if choices := [item for item in schema.get("anyOf", ()) if item.get("type") != "null"]:
            joint = "; by name alone: " if "oneOf" in choices[0] else " or "
            return joint.join(self._value(path, choice) for choice in choices)
        if "$ref" in schema:
            return self._link(schema, path)
        if schema["type"] == "array":
            return f"a list: {self._value(f'{path}[]', schema['items'])}"
        if schema["type"] == "object":
            return f"by name: {self._value(f'{path}.<name>', schema['additionalProperties'])}"
        return _scalar(schema)

    def _link(self, reference: Schema, path: str) -> str:
        name = reference["$ref"].rpartition("/")[2]
        model = self._models[name]
        kind = model["properties"].get("kind", {}).get("const")
        shared = not kind and self._references.count(f'"#/$defs/{name}"') > 1
        label = words(name) if shared else f"`{kind or path}`"
        if kind and len(model["properties"]) == 1:
            return label
        heading = f"{path.rpartition('.')[2].capitalize()} {label}" if kind else label
        if name not in self._seen:
            self._seen.add(name)
            (self._shared if shared else self._new).append((heading, path, name))
        return f"[{label}](#{anchor(heading)})"


def _scalar(schema: Schema) -> str:
    if "const" in schema:
        return f"`{plain(schema['const'])}`"
    if "enum" in schema:
        return alternatives(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "integer":
        if "maximum" in schema:
            return f"a whole number from {schema['minimum']} to {schema['maximum']}"
        return f"a whole number, {schema['minimum']} or more"
    return _SCALARS[schema["type"]]


def _meaning(description: str) -> str:
    """Return what a key means; what it changes for security has its own line."""
    meaning, _, security = description.partition(" Security: ")
    line = f"<br>**Security**: {text(security)}" if security else ""
    return text(meaning) + line


def _default(schema: Schema) -> str:
    default = schema.get("default")
    if isinstance(default, Mapping):
        default = cast("Mapping[str, object]", default).get("kind")
    if default is None:
        return ""
    image, digest, _ = plain(default).partition("@sha256:")
    return f"`{image}`, by digest" if digest else f"`{image}`"


def plain(value: object) -> str:
    """Return a value as a stack file has it."""
    return value if isinstance(value, str) else json.dumps(value)


def words(name: str) -> str:
    """Return the name of a model as a heading."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", name)


def alternatives(values: Iterable[str]) -> str:
    """Return alternatives as one phrase."""
    *first, last = values
    return f"{', '.join(first)} or {last}" if first else last


def anchor(heading: str) -> str:
    """Return the anchor that GitLab, GitHub and the site give a heading."""
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def text(description: str) -> str:
    """Return a docstring as the text of a cell: one line, in Markdown."""
    line = " ".join(description.split()).replace("``", "`").replace("|", "\\|")
    # Outside of code, Markdown takes <name> for HTML.
    return re.sub(r"`[^`]*`|<", lambda found: found[0] if found[0] != "<" else "&lt;", line)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write() -> str:
    """Return the tables of all keys below the settings."""
    schema = json_schema()
    settings = schema["properties"]["config"]["properties"][f"{PROJECT}:settings"]
    return "\n\n".join(_Page(schema["$defs"], settings).write(settings))
