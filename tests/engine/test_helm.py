"""Reports run three commands of helm; each version of it that is accepted prints the same."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from commands import drift
from components.gitlab_runner import charts
from components.workloads import CHART_DIGEST
from dev.cluster.control_plane import ControlPlane
from dev.paths import STAND_IN_CHART
from dev.toolchain import programs
from dev.toolchain.ensure import ensure
from report.inputs.charts import Charts
from report.outputs import phrases
from report.redact import Scrubber
from report.tree import Objects
from tests.support.previews import HELD
from tests.support.stacks import Site, fresh_site
from tests.support.web import serve

HELMS = [name for name in programs.load() if name.startswith("helm")]


@pytest.fixture(scope="module")
def deployed(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with fresh_site(control_plane, tmp_path_factory.mktemp("helm")) as site:
        site.write("kaniko")
        assert "failed" not in site.up().operations
        yield site


@pytest.fixture(scope="module")
def inputs(deployed: Site) -> dict[str, Any]:
    """What the stack has deployed a release with, from the stand-in chart."""
    with deployed.stack.open() as stack:
        state = cast("dict[str, Any]", stack.export_stack().deployment)
    kind = "kubernetes:helm.sh/v3:Release"
    (release,) = [item for item in state["resources"] if item["type"] == kind]
    values = {**release["inputs"]["values"], **HELD}
    return {**release["inputs"], "chart": str(STAND_IN_CHART), "values": values}


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """A Helm repository on loopback that has the stand-in chart."""
    chart = yaml.safe_load((STAND_IN_CHART / "Chart.yaml").read_text(encoding="utf-8"))
    archive = tmp_path / f"{chart['name']}-{chart['version']}.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(STAND_IN_CHART, chart["name"])
    entries = {chart["name"]: [{**chart, "urls": [archive.name]}]}
    index = {"apiVersion": "v1", "entries": entries}
    (tmp_path / "index.yaml").write_text(json.dumps(index), encoding="utf-8")
    with serve(tmp_path) as address:
        yield address


def test_helm_3_and_4_are_in_the_toolchain() -> None:
    assert {programs.load()[name].version.split(".")[0] for name in HELMS} == {"3", "4"}


@pytest.mark.parametrize("name", HELMS)
def test_a_chart_of_a_repository_is_fetched_and_rendered(
    name: str, repository: str, inputs: dict[str, Any]
) -> None:
    remote: dict[str, Any] = {
        **inputs,
        "chart": "gitlab-runner",
        "version": charts.DEFAULT_VERSION,
        "repositoryOpts": {"repo": repository},
        # The folder's digest is not that of an archive.
        "values": {**inputs["values"], "deploymentAnnotations": {}},
    }
    with Charts(ensure(name).file) as rendering:
        fetched = rendering.objects(remote, Scrubber())
        local = rendering.objects(inputs, Scrubber())

    assert "Deployment" in " ".join(map(str, fetched))
    assert _without_digest(fetched) == _without_digest(local)


def _without_digest(objects: Objects) -> dict[str, Any]:
    """Return the objects without the annotation of the Deployment that has the digest."""
    copied: dict[str, Any] = json.loads(json.dumps(objects))
    for item in copied.values():
        item["metadata"].get("annotations", {}).pop(CHART_DIGEST, None)
    return copied


@pytest.mark.parametrize("name", HELMS)
def test_the_manifest_of_a_release_is_read(name: str, deployed: Site) -> None:
    with deployed.stack.open() as stack:
        report = drift.build_report(stack, ensure(name).file)

    assert phrases.heading(report) == "test: no drift; risk unchanged"
