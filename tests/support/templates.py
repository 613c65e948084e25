"""The components of ``templates/``, written and parsed once."""

import copy
import functools
from collections.abc import Mapping
from typing import Any

import yaml

from dev.generate import templates


@functools.cache
def _parsed() -> Mapping[str, list[Any]]:
    texts = templates.files()
    return {name: list(yaml.load_all(text, yaml.CSafeLoader)) for name, text in texts.items()}


def documents(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the head and the body of a component, for the caller alone."""
    head, body = _parsed()[f"{name}.yml"]
    return copy.deepcopy(head), copy.deepcopy(body)


def inputs_of(name: str) -> dict[str, Any]:
    """Return what a component says of each of its inputs."""
    return documents(name)[0]["spec"]["inputs"]


def job_of(name: str) -> dict[str, Any]:
    """Return the job of a component."""
    return documents(name)[1]["$[[ inputs.job ]]"]
