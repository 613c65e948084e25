"""The keys of the stack file as Markdown, from the JSON schema that editors read.

One section for each mapping, one row for each key; what a key means is the docstring of its field.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from components.settings.schema import json_schema
from components.types import PROJECT

Schema = Mapping[str, Any]
_SCALARS = {"string": "text", "boolean": "`true` or `false`", "number": "a number"}


class _Section(NamedTuple):
    """A mapping of the stack file: its heading, where it stands, and its schema."""

    heading: str
    path: str
    schema: Schema


class _Page:
    """What the tables link to: each model has one section, however often keys refer to it."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        """Begin without sections."""
        self._definitions = definitions
        self._references = json.dumps(definitions)
        self._headings: dict[str, str] = {}
        self._queue: list[_Section] = []
        self._shared: list[_Section] = []

    def write(self, settings: Schema) -> Iterator[str]:
        """Yield the settings' table and the sections that it leads to; shared ones are the last."""
        yield self._table(_Section("", "", settings))
        while section := self._next():
            yield f"### {section.heading}"
            if description := section.schema.get("description"):
                yield text(description)
            yield self._table(section)

    def _next(self) -> _Section | None:
        queue = self._queue or self._shared
        return queue.pop(0) if queue else None

    def _table(self, section: _Section) -> str:
        required = section.schema.get("required", ())
        queue, self._queue = self._queue, []
        rows = [
            [
                f"`{key}`",
                "".join(self._values(f"{section.path}.{key}".lstrip("."), schema)),
                "required" if key in required else _default(schema),
                text(schema.get("description", "")),
            ]
            for key, schema in section.schema["properties"].items()
        ]
        # What a key leads to follows it, before what its neighbours lead to.
        self._queue += queue
        return table(["key", "value", "default", "meaning"], rows)

    def _values(self, path: str, schema: Schema) -> Iterator[str]:
        """Yield the parts of a phrase that says what a key takes."""
        if choices := [_target(choice) for choice in schema.get("oneOf", ())]:
            yield listed(self._link(name, path, kind=True) for name in choices)
        elif choices := [item for item in schema.get("anyOf", ()) if item.get("type") != "null"]:
            yield from self._values(path, choices[0])
            for choice in choices[1:]:
                yield "; by name alone: " if "oneOf" in choices[0] else " or "
                yield from self._values(path, choice)
        elif "$ref" in schema:
            yield self._link(_target(schema), path)
        elif schema["type"] == "array":
            yield "a list: "
            yield from self._values(f"{path}[]", schema["items"])
        elif schema["type"] == "object":
            yield "by name: "
            yield from self._values(f"{path}.<name>", schema["additionalProperties"])
        else:
            yield _scalar(schema)

    def _link(self, name: str, path: str, *, kind: bool = False) -> str:
        schema = self._definitions[name]
        label = f"`{schema['properties']['kind']['const']}`" if kind else f"`{path}`"
        if kind and len(schema["properties"]) == 1:
            return label
        shared = not kind and self._references.count(f'"#/$defs/{name}"') > 1
        label = words(name) if shared else label
        if name not in self._headings:
            key = path.rpartition(".")[2].capitalize()
            self._headings[name] = f"{key} {label}" if kind else label
            section = _Section(self._headings[name], path, schema)
            (self._shared if shared else self._queue).append(section)
        return f"[{label}](#{anchor(self._headings[name])})"


def _target(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _scalar(schema: Schema) -> str:
    if "const" in schema:
        return f"`{plain(schema['const'])}`"
    if "enum" in schema:
        return listed(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "integer":
        return f"a whole number, {schema['minimum']} or more"
    return _SCALARS[schema["type"]]


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


def listed(values: Iterable[str]) -> str:
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
    return "\n\n".join(_Page(schema["$defs"]).write(settings))
