"""The JSON Schema of a stack file, for editors and for the documentation."""

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from components.settings.models import AcceptedRisks, Settings
from components.types import ACCEPTED_RISKS, PROJECT, Model


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out titles of keys, which pydantic makes from their names."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - of no key
        return False


def json_schema() -> dict[str, Any]:
    """Return the schema of a whole stack file; each key has its field's docstring."""
    settings = _described(Settings)
    accepted = AcceptedRisks.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of image-builds",
        "type": "object",
        "$defs": settings.pop("$defs"),
        "properties": {
            "config": {
                "type": "object",
                "properties": {f"{PROJECT}:settings": settings, ACCEPTED_RISKS: accepted},
                "required": [f"{PROJECT}:settings"],
            }
        },
        "required": ["config"],
    }


def _described(model: type[Model]) -> dict[str, Any]:
    """Return a model's schema with descriptions from docstrings, each paragraph in one line.

    Pydantic could add them (``use_attribute_docstrings``), but reads the sources whenever classes
    are made, which takes 50 ms of each run of the program.
    """
    schema = model.model_json_schema(schema_generator=_WithoutTitles)
    models = {kind.__name__: kind for kind in _subclasses(Model)}
    for name, described in {**schema["$defs"], model.__name__: schema}.items():
        described["description"] = _unwrapped(inspect.getdoc(models[name]) or "")
        for field, text in _docstrings(models[name]).items():
            described["properties"][field]["description"] = text
    return schema


def _subclasses(model: type[Model]) -> Iterator[type[Model]]:
    for kind in model.__subclasses__():
        yield kind
        yield from _subclasses(kind)


def _docstrings(model: type[Model]) -> dict[str, str]:
    """Return the docstring below each field by its key, those of inherited fields included."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not issubclass(kind, Model) or kind is Model:
            continue
        (tree,) = ast.parse(inspect.getsource(kind)).body
        for field, below in pairwise(ast.iter_child_nodes(tree)):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ) if name in model.model_fields:
                    alias = model.model_fields[name].alias or name
                    found[alias] = _unwrapped(inspect.cleandoc(text))
                case _:
                    pass
    return found


def _unwrapped(text: str) -> str:
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)
