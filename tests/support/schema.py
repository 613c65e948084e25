"""The schema of the stack file, made once: it reads the sources of all models for it."""

import functools
from collections.abc import Mapping
from typing import Any

from components.settings.schema import json_schema
from report.stack_file import SETTINGS

schema = functools.cache(json_schema)


def keys() -> Mapping[str, Mapping[str, Any]]:
    """Return what it has of each key of the settings, by model and key."""
    settings = schema()["properties"]["config"]["properties"][SETTINGS]
    return {
        f"{name}.{key}": value
        for name, model in {**schema()["$defs"], "Settings": settings}.items()
        for key, value in model["properties"].items()
    }
