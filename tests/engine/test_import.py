"""What an import makes of public deployments deploys on the real engine, or previews there.

Each deployment is a runner of a stack with others: the runners of a batch share what a stack has
once, such as host aliases.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from commands.app import main
from commands.shared.exit_codes import ExitCode
from dev.cluster.control_plane import ControlPlane
from dev.paths import STAND_IN_CHART
from dev.toolchain.ensure import ensure
from report.inputs import helm
from tests.support.kubernetes import apps_v1, core_v1
from tests.support.sites import DEPLOYMENTS, Deployment, imported, write
from tests.support.stacks import Site, fresh_site

SAMPLE = DEPLOYMENTS[::5]
"""Those that are deployed: 22 of all kinds."""
OTHERS = [deployment for deployment in DEPLOYMENTS if deployment not in SAMPLE]
BATCHES = [OTHERS[start::3] for start in range(3)]
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
            if "credentials" in runner.get("cache", {}):
                runners[name]["cache"] = {**runner["cache"], "credentials": name}
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


VALUES: dict[str, Any] = {
    "gitlabUrl": "https://gitlab.example.com",
    "concurrent": 4,
    "resources": {"requests": {"cpu": "10m"}},
    "runners": {
        "secret": "old-token",
        "config": "[[runners]]\n[runners.kubernetes]\nprivileged = true\npoll_timeout = 900\n",
    },
}


@pytest.fixture
def alone(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    """Another stack, which need not remove what the sample deployed."""
    with fresh_site(control_plane, tmp_path) as found:
        yield found


def test_a_site_moves_beside_its_old_release(
    alone: Site, control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old release goes on as it was until it is removed; the stack does not notice."""
    old = f"{alone.prefix}-before"
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(VALUES), encoding="utf-8")
    program = ensure("helm").file
    at = ["--kubeconfig", str(alone.stack.kubeconfig), "--namespace", old]
    values = ["--create-namespace", "--values", str(tmp_path / "values.yaml")]
    subprocess.run([program, "install", "old", STAND_IN_CHART, *at, *values], check=True)
    with control_plane.api() as api:
        before = apps_v1(api).list_namespaced_deployment(old).items
    monkeypatch.setattr("commands.shared.checkout.CHECKOUT", tmp_path)
    monkeypatch.setattr(helm, "find", lambda: program)
    monkeypatch.setenv("KUBECONFIG", str(alone.stack.kubeconfig))
    (context,) = yaml.safe_load(alone.stack.kubeconfig.read_text("utf-8"))["contexts"]

    code = main(["import", "--cluster", context["name"], "--namespace", old, "--stack", "moved"])

    assert code == ExitCode.NO_CHANGE
    content = yaml.safe_load((tmp_path / "Pulumi.moved.yaml").read_text(encoding="utf-8"))
    settings = content["config"]["image-builds:settings"]
    (runner,) = settings["runners"].values()
    assert runner.pop("registration") == {"kind": "secret", "name": "old-token"}
    assert (runner["strategy"]["kind"], runner["podStartTimeout"]) == ("dind", 900)
    alone.plant(runnerTokens__old="glrt-PlantedToken-old")
    alone.write(None, **{**settings, "namespace": alone.prefix})
    up = alone.up()
    assert "failed" not in up.operations, up.output
    with control_plane.api() as api:
        after = apps_v1(api).list_namespaced_deployment(old).items
    assert [item.metadata.generation for item in after] == [
        item.metadata.generation for item in before
    ]
    subprocess.run([program, "uninstall", "old", *at], check=True)
    assert alone.preview().operations == {}
