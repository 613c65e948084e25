"""The objects that a release's chart makes, before and after, by ``helm template``.

Pulumi previews a release as one changed value; what Kubernetes will be told only the chart knows.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from report.helm import HelmError, run
from report.model import ObjectChange
from report.values import SECRET, Scrubber, clean, differences, inside

Objects = Mapping[str, Mapping[str, Any]]
"""Rendered objects by kind, namespace and name."""


class RenderError(Exception):
    """The chart could not be rendered; the message says why and what to do, without a value."""


class Charts:
    """Renders releases, each in a process of its own, some beside each other.

    A preview leaves the processors idle for a while, so that what it names is begun meanwhile.
    ``helm`` is None where there is none, and then nothing is to be rendered.
    """

    def __init__(self, helm: Path | None) -> None:
        """Remember the program; nothing runs yet."""
        self.helm = helm
        self._beside = ThreadPoolExecutor(max_workers=os.cpu_count())
        self._begun: dict[str, Future[list[dict[str, Any]]]] = {}

    def __enter__(self) -> Self:
        """Go on until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give up what nobody waits for."""
        self._beside.shutdown(cancel_futures=True)

    def begin(self, inputs: Mapping[str, Any]) -> Future[list[dict[str, Any]]]:
        """Begin with one side of a release, unless it was begun."""
        key = json.dumps(inputs, sort_keys=True)
        if key not in self._begun:
            self._begun[key] = self._beside.submit(_documents, self.helm, inputs)
        return self._begun[key]

    def objects(self, inputs: Mapping[str, Any], scrub: Scrubber) -> Objects:
        """Return what one side of a release renders.

        Raises:
            RenderError: helm failed; what it said can hold values and is not in the message.
        """
        documents = self.begin(inputs).result()
        return {identity(document): shown(document, scrub) for document in documents}


def _documents(helm: Path | None, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    if helm is None:
        return []
    chart, version = str(inputs.get("chart")), str(inputs.get("version"))
    repository = inside(inputs, "repositoryOpts").get("repo")
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / "values.json"
        values.write_text(json.dumps(inside(inputs, "values")), encoding="utf-8")
        arguments = ["template", str(inputs.get("name")), chart, "--values", str(values)]
        arguments += ["--namespace", str(inputs.get("namespace")), "--version", version]
        arguments += ["--repo", repository] if repository else []
        try:
            return run(helm, arguments)
        except HelmError as error:
            message = (
                f"chart {chart} {version} could not be rendered, so its objects are not compared; "
                "check that helm can reach the chart, or set chart.archive"
            )
            raise RenderError(message) from error


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
