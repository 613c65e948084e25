"""The objects that a release's chart renders, before and after a change, by ``helm template``.

Pulumi previews a release as one changed value; which objects change, only the chart knows. The
provider renders the releases that the program registers (``preview``), which starts no process.
"""

import contextlib
import json
import os
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from components.gitlab_runner.archive import ArchiveError, digest_of, files_of
from components.workloads import CHART_DIGEST
from report.inputs import templates
from report.inputs.helm import HelmError, run
from report.model import ObjectChange
from report.redact import SECRET, Scrubber, clean
from report.tree import Objects, Tree, differences, identity, inside

API_VERSION = "monitoring.coreos.com/v1"
"""What the official chart asks of the cluster; charts are rendered as if every cluster has it."""


class RenderError(Exception):
    """A chart cannot be rendered; the message says why and what to do, and contains no value."""


class OtherChartError(RenderError):
    """The chart that can be had is not the one of the release."""


class Charts:
    """Renders releases, each in its own process, several at a time.

    A preview leaves the processors idle for a while, so rendering begins as soon as it names a
    release, in any of its threads. Without ``helm`` nothing is rendered.
    """

    def __init__(self, helm: Path | None) -> None:
        self.helm = helm
        self._beside = ThreadPoolExecutor(max_workers=os.cpu_count())
        self._begun: dict[str, Future[list[Tree]]] = {}
        self._turn = threading.Lock()
        self._archives: dict[tuple[str, ...], Path | HelmError] = {}
        self._archives_turn = threading.Lock()
        self._folders = contextlib.ExitStack()
        self._unseen: dict[Path, tuple[str, ...]] = {}

    def __enter__(self) -> Self:
        """Render until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what nothing waits for."""
        self._beside.shutdown(cancel_futures=True)
        self._folders.close()

    def begin(self, inputs: Tree) -> Future[list[Tree]]:
        """Begin to render one side of a release, unless it has begun."""
        key = rendering_key(inputs)
        with self._turn:
            if key not in self._begun:
                self._begun[key] = self._beside.submit(self._documents, inputs)
            return self._begun[key]

    def promise(self, inputs: Tree) -> Future[list[Tree]]:
        """Return a future that the caller fills with the objects of one side."""
        promised: Future[list[Tree]] = Future()
        with self._turn:
            self._begun[rendering_key(inputs)] = promised
        return promised

    def objects(self, inputs: Tree, scrub: Scrubber) -> Objects:
        """Return the objects of one side of a release.

        Raises:
            RenderError: helm fails; its output can contain values and is not in the message.
        """
        documents = self.begin(inputs).result()
        return {identity(document): redact_object(document, scrub) for document in documents}

    def _documents(self, inputs: Tree) -> list[Tree]:
        if self.helm is None:
            return []
        with tempfile.TemporaryDirectory() as folder:
            values = Path(folder) / "values.json"
            values.write_text(json.dumps(inside(inputs, "values")), encoding="utf-8")
            arguments = ["--values", str(values), "--namespace", str(inputs.get("namespace"))]
            arguments += ["--api-versions", API_VERSION]
            try:
                chart = str(self.local(inputs))
                return run(self.helm, ["template", str(inputs.get("name")), chart, *arguments])
            except HelmError as error:
                raise render_error(inputs) from error

    def unseen(self, inputs: Tree) -> tuple[str, ...]:
        """Return what a chart installs that no rendering shows, each with its file.

        Raises:
            RenderError: the chart cannot be read.
        """
        try:
            found = self.local(inputs)
            if found not in self._unseen:
                self._unseen[found] = tuple(templates.unseen(files_of(found)))
        except (ArchiveError, HelmError) as error:
            raise render_error(inputs) from error
        return self._unseen[found]

    def local(self, inputs: Tree) -> Path:
        """Return the file or folder of a release's chart, if it is the one that was deployed.

        A chart of a repository is taken for that of its version unless the release has its digest.

        Raises:
            HelmError: the chart cannot be fetched; later calls do not try again.
            OtherChartError: it has another digest than the release.
        """
        found, stated = self._fetched(inputs), _digest(inputs)
        of_repository = bool(inside(inputs, "repositoryOpts").get("repo"))
        try:
            same = stated == digest_of(found) if stated else of_repository
        except ArchiveError:
            same = False
        if not same:
            held = f"the digest {stated}" if stated else "a digest that nobody noted"
            message = (
                f"the objects of chart {inputs.get('chart')} {inputs.get('version')} with {held}: "
                "the chart that is there now is another one"
            )
            raise OtherChartError(message)
        return found

    def _fetched(self, inputs: Tree) -> Path:
        """Fetch the chart of a repository once for all releases: the index has megabytes."""
        chart, version = str(inputs.get("chart")), str(inputs.get("version"))
        repository = str(inside(inputs, "repositoryOpts").get("repo") or "")
        if not repository or self.helm is None:
            return Path(chart)
        key = (chart, version, repository)
        with self._archives_turn:
            if key not in self._archives:
                folder = self._folders.enter_context(tempfile.TemporaryDirectory())
                asked = ("pull", chart, "--version", version, "--repo", repository)
                try:
                    run(self.helm, [*asked, "--destination", folder])
                    (self._archives[key],) = Path(folder).glob("*.tgz")
                except HelmError as error:
                    self._archives[key] = error
        found = self._archives[key]
        if isinstance(found, HelmError):
            raise found
        return found


def _digest(inputs: Tree) -> str:
    return str(inside(inputs, "values", "deploymentAnnotations").get(CHART_DIGEST) or "")


def described(inputs: Tree) -> str:
    """Return the version of a release's chart, with the beginning of its digest if it has one."""
    digest = _digest(inputs)
    return f"{inputs.get('version')}{f' (SHA-256 {digest[:12]})' if digest else ''}"


def render_error(inputs: Tree) -> RenderError:
    """Return the error for a release; what failed can contain values and is not in it."""
    return RenderError(
        f"the objects of chart {inputs.get('chart')} {inputs.get('version')}, which cannot be "
        "rendered; check that helm can reach the chart, or set chart.archive"
    )


def rendering_key(inputs: Tree) -> str:
    """Return, as JSON, the inputs that decide what a release renders."""
    # If the program names none, the provider keeps an empty one.
    repository = inside(inputs, "repositoryOpts").get("repo") or None
    named = (inputs.get(key) for key in ("name", "namespace", "chart", "version"))
    return json.dumps([*named, repository, inside(inputs, "values")], sort_keys=True)


def compare(old: Objects, new: Objects) -> tuple[ObjectChange, ...]:
    """Return each object that differs."""
    found: list[ObjectChange] = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        properties = differences(before, after)
        if properties:
            operation = "create" if before is None else "update" if after is not None else "delete"
            found.append(ObjectChange(operation=operation, identity=name, properties=properties))
    return tuple(found)


def redact_object(document: Tree, scrub: Scrubber) -> Tree:
    """Return an object without its secrets."""
    cleaned = clean(document, scrub)
    if document.get("kind") == "Secret":
        for field in ("data", "stringData"):
            cleaned[field] = dict.fromkeys(inside(cleaned, field), SECRET)
    return cleaned
