"""What an import makes of public deployments previews on the real engine, and a sample deploys.

Each deployment is a runner of a stack with others: the runners of a batch share what a stack has
once, such as host aliases.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from dev.cluster.control_plane import ControlPlane
from tests.support.kubernetes import core_v1
from tests.support.sites import DEPLOYMENTS, Deployment, imported, write
from tests.support.stacks import Site, fresh_site

SAMPLE = DEPLOYMENTS[::6]
"""Those that are deployed."""
BATCHES = [DEPLOYMENTS[start::4] for start in range(4)]
CLUSTER = {"kind": "onPrem", "nodes": {"dockerSocket": True, "trusted": True}}
SHARED = ("chart", "hostAliases", "proxy")


def _settings(folder: Path, deployments: Sequence[Deployment]) -> dict[str, Any]:
    """Return the settings of a stack with the runners of some imports, by their ids."""
    runners: dict[str, Any] = {}
    found: dict[str, Any] = {"cluster": CLUSTER, "registries": [], "runners": runners}
    for deployment in deployments:
        _, result = imported(write(deployment, folder / deployment.id))
        assert result.errors == []
        settings = cast("dict[str, Any]", result.draft.settings)
        found |= {key: settings[key] for key in SHARED if key in settings}
        known = [entry["host"] for entry in found["registries"]]
        more = settings.get("registries", [])
        found["registries"] += [entry for entry in more if entry["host"] not in known]
        for number, runner in enumerate(settings["runners"].values()):
            name = f"{deployment.id}-{number}"
            runners[name] = {**runner, "tags": [name]}
            if "registration" in runner:
                runners[name]["registration"] = {"kind": "secret", "name": name}
    return found


def _label_nodes(control_plane: ControlPlane) -> None:
    """Give nodes the label by which the sites choose those of their managers."""
    with control_plane.api() as api:
        core = core_v1(api)
        for node in core.list_node().items:
            core.patch_node(node.metadata.name, {"metadata": {"labels": {"pool": "ci"}}})


def _write(site: Site, settings: Mapping[str, Any]) -> None:
    tokens = {
        f"runnerTokens__{name}": f"glrt-PlantedToken-{name}"
        for name, runner in settings["runners"].items()
        if "registration" not in runner
    }
    site.plant(**tokens)
    site.write(None, **settings)


@pytest.fixture(scope="module")
def site(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One stack for all batches, since previews change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_SKIP_CHECKPOINTS", "true")
        _label_nodes(control_plane)
        with fresh_site(control_plane, tmp_path_factory.mktemp("import")) as found:
            yield found


@pytest.mark.parametrize("batch", BATCHES, ids=range(len(BATCHES)))
def test_imported_runners_preview(batch: Sequence[Deployment], site: Site, tmp_path: Path) -> None:
    settings = _settings(tmp_path, batch)
    _write(site, settings)

    outcome = site.preview()

    assert "failed" not in outcome.operations, outcome.output
    releases = [urn for urn in outcome.operations["create"] if "helm.sh/v3:Release" in urn]
    assert len(releases) == len(settings["runners"])
    assert "PlantedToken" not in json.dumps(outcome.operations)


def test_a_sample_of_imported_runners_deploys(site: Site, tmp_path: Path) -> None:
    settings = _settings(tmp_path, SAMPLE)
    for runner in settings["runners"].values():
        # Managers would wait for Secrets that others keep.
        runner.pop("registration", None)
    _write(site, settings)

    outcome = site.up()

    assert "failed" not in outcome.operations, outcome.output
    assert site.preview().operations == {}
