"""The objects that a release's chart makes, before and after, by ``helm template``.

Pulumi previews a release as one changed value; what Kubernetes will be told only the chart knows.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from report.helm import HelmError, run
from report.model import ObjectChange
from report.values import SECRET, Scrubber, clean, differences, inside

Objects = Mapping[str, Mapping[str, Any]]
"""Rendered objects by kind, namespace and name."""


class RenderError(Exception):
    """The chart could not be rendered; the message says why and what to do, without a value."""


def render(helm: Path, inputs: Mapping[str, Any], scrub: Scrubber) -> Objects:
    """Return what one side of a release renders.

    Raises:
        RenderError: helm failed; what it said can hold values, so it is not part of the message.
    """
    chart, version = str(inputs.get("chart")), str(inputs.get("version"))
    repository = inside(inputs, "repositoryOpts").get("repo")
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / "values.json"
        values.write_text(json.dumps(inside(inputs, "values")), encoding="utf-8")
        arguments = ["template", str(inputs.get("name")), chart, "--values", str(values)]
        arguments += ["--namespace", str(inputs.get("namespace")), "--version", version]
        arguments += ["--repo", repository] if repository else []
        try:
            documents = run(helm, arguments)
        except HelmError as error:
            message = (
                f"chart {chart} {version} could not be rendered, so its objects are not compared; "
                "check that helm can reach the chart, or set chart.archive"
            )
            raise RenderError(message) from error
    return {identity(document): shown(document, scrub) for document in documents}


def compare(old: Objects, new: Objects) -> tuple[ObjectChange, ...]:
    """Return each object that differs."""
    found: list[ObjectChange] = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        properties = differences(before, after)
        if properties:
            operation = "create" if before is None else "update" if after is not None else "delete"
            found.append(
                ObjectChange(operation=operation, identity=name, properties=properties),
            )
    return tuple(found)


def identity(document: Mapping[str, Any]) -> str:
    """Name an object by its kind, namespace and name."""
    metadata = inside(document, "metadata")
    name = metadata.get("name", "")
    namespace = metadata.get("namespace")
    return f"{document.get('kind')} {f'{namespace}/' if namespace else ''}{name}"


def shown(document: Mapping[str, Any], scrub: Scrubber) -> Mapping[str, Any]:
    """Return an object without what is secret in it."""
    cleaned = clean(document, scrub)
    if document.get("kind") == "Secret":
        for field in ("data", "stringData"):
            cleaned[field] = dict.fromkeys(inside(cleaned, field), SECRET)
    return cleaned
