"""The catalogue of checks: one table that the code, the docs page and the tests share."""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pydantic

GROUPS: Mapping[str, str] = {
    "cluster": "The API server",
    "admission": "What the cluster admits",
    "rights": "What accounts may do",
    "nodes": "Nodes",
    "network": "Network",
    "deployed": "What is deployed",
    "gitlab": "GitLab",
    "registries": "Registries",
    "build": "A build",
}
"""The heading of each group of checks, in the order of the docs page."""


class Check(pydantic.BaseModel, extra="forbid", frozen=True):
    """A thing that can be wrong; the texts have places for values, as ``str.format`` fills them.

    ``page`` is below ``docs``, with an anchor where one explains it.
    """

    name: str
    group: Literal[
        "cluster",
        "admission",
        "rights",
        "nodes",
        "network",
        "deployed",
        "gitlab",
        "registries",
        "build",
    ]
    severity: Literal["error", "warning"]
    message: str
    way_out: str
    page: str


@functools.cache
def catalogue() -> Mapping[str, Check]:
    """Return all checks by name, in the order of the table."""
    text = Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8")
    return {
        name: Check.model_validate({"name": name, **entry})
        for name, entry in tomllib.loads(text).items()
    }
