"""A site moves beside its old release, as docs/how-to/bring-your-site.md says, and no job ends."""

import concurrent.futures
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.app import main
from commands.shared.exit_codes import ExitCode
from dev.node.images.catalogue import BASE
from dev.node.node import Node
from dev.node.registry import OPEN
from dev.paths import STAND_IN_CHART
from dev.toolchain.ensure import ensure
from report.inputs import helm
from tests.support.kubernetes import apps_v1, core_v1, rbac_v1
from tests.support.node.jobs import Control, Pipeline, Runner
from tests.support.node.stack import MANAGERS

BEFORE = "node-before"
RELEASE = "gitlab-runner-before"
CONFIG = f"""\
[[runners]]
  [runners.kubernetes]
    namespace = "{BEFORE}"
    image = "{OPEN.address}/{BASE}"
    poll_timeout = 900
    service_account = "default"
    automount_service_account_token = false
  [runners.feature_flags]
    FF_USE_POD_ACTIVE_DEADLINE_SECONDS = true
"""
VALUES: dict[str, Any] = {
    "gitlabUrl": "https://gitlab.example.com",
    "serviceAccount": {"create": True, "name": RELEASE},
    "resources": {"requests": {"cpu": "10m"}},
    "runners": {"secret": f"{RELEASE}-token", "config": CONFIG},
}
WAITS = Pipeline(script=["until test -e /builds/go-on; do sleep 1; done", "echo went on"], files={})
SHORT = Pipeline(script=["echo of the new one"], files={})


@pytest.fixture
def old(node: Node, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Install the chart as a site had it, with jobs in the manager's namespace; remove it."""
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(VALUES), encoding="utf-8")
    program, at = ensure("helm").file, ["--kubeconfig", str(node.cluster.kubeconfig)]
    binding: Any = {
        "metadata": {"name": RELEASE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": RELEASE, "namespace": BEFORE}],
    }
    token = {"runner-token": "glrt-TokenOfBefore", "runner-registration-token": ""}
    secret: Any = {"metadata": {"name": f"{RELEASE}-token"}, "stringData": token}
    there = ["--namespace", BEFORE]
    with node.cluster.api() as api:
        core = core_v1(api)
        namespace: Any = {"metadata": {"name": BEFORE}}
        core.create_namespace(namespace)
        try:
            core.create_namespaced_secret(BEFORE, secret)
            rbac_v1(api).create_namespaced_role_binding(BEFORE, binding)
            values = ["--values", str(tmp_path / "values.yaml")]
            install = [program, "install", RELEASE, STAND_IN_CHART, *at, *there, *values]
            subprocess.run(install, check=True)
            uninstall = [program, "uninstall", RELEASE, "--ignore-not-found", *at, *there]
            yield lambda: subprocess.run(uninstall, check=True) and None
        finally:
            core.delete_namespace(BEFORE)


@pytest.fixture
def settings(
    node: Node,
    old: Callable[[], None],  # noqa: ARG001 - it installs what is imported
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """Import the old release, and return the settings of its runner."""
    monkeypatch.setattr("commands.shared.checkout.CHECKOUT", tmp_path)
    monkeypatch.setattr(helm, "find", lambda: ensure("helm").file)
    monkeypatch.setenv("KUBECONFIG", str(node.cluster.kubeconfig))
    (context,) = yaml.safe_load(node.cluster.kubeconfig.read_text("utf-8"))["contexts"]
    command = ["import", "--cluster", context["name"], "--namespace", BEFORE, "--stack", "moved"]
    assert main(command) == ExitCode.NO_CHANGE
    content = yaml.safe_load((tmp_path / "Pulumi.moved.yaml").read_text(encoding="utf-8"))
    (found,) = content["config"]["image-builds:settings"]["runners"].values()
    return found


@pytest.mark.parametrize("name", ["small"])
def test_jobs_go_on_while_a_site_moves(
    name: str,
    node: Node,
    runner: Callable[..., Runner],
    old: Callable[[], None],
    settings: dict[str, Any],
) -> None:
    """The old release finishes its job beside the new runner, and is removed then."""
    assert settings["podStartTimeout"] == 900
    before, new, control = runner("before", namespace=BEFORE), runner(name), Control()
    with node.cluster.api() as api:
        apps = apps_v1(api)
        deployed = apps.read_namespaced_deployment(f"gitlab-runner-{name}", MANAGERS)

        with concurrent.futures.ThreadPoolExecutor(1) as aside:
            job = aside.submit(before.run, WAITS, control)
            assert control.began.wait(300), job.result().trace
            beside = new.run(SHORT)
            before.execute(control.pod, "helper", "touch /builds/go-on")
            drained = job.result()
        old()
        after = new.run(SHORT)

        still = apps.read_namespaced_deployment(f"gitlab-runner-{name}", MANAGERS)
    assert [item.status for item in (beside, drained, after)] == ["success"] * 3
    assert "went on" in drained.trace
    assert still.metadata.generation == deployed.metadata.generation
