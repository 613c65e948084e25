"""``commands deploy`` with the real engine: what was shown is deployed, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import deploy
from commands.shared.exit_codes import ExitCode
from dev.cluster.control_plane import ControlPlane
from report.model import Report
from tests.support.stacks import Site, fresh_site


@pytest.fixture(scope="module")
def site(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One stack, which the first test makes and the second one finds."""
    with fresh_site(control_plane, tmp_path_factory.mktemp("deploy-command")) as found:
        yield found


def _deploy(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ExitCode:
    own = site.stack.work / "Pulumi.test.yaml"
    monkeypatch.setattr(deploy, "stack_file", lambda _: own)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - a stand-in
    with site.stack.open() as stack:
        return deploy.run(stack, output=folder)


def test_a_deployment_does_what_its_preview_showed(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write("kaniko")

    assert _deploy(site, tmp_path, monkeypatch) == ExitCode.NO_CHANGE
    assert site.preview().operations == {}

    site.write("buildkit")

    assert _deploy(site, tmp_path, monkeypatch) == ExitCode.RISK_RAISED
    assert site.preview().operations != {}


def test_a_deployment_that_moves_after_its_preview_fails(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write("kaniko")
    site.up()
    shown = deploy.preview_and_write

    def move(*arguments: Any) -> Report:  # noqa: ANN401 - of the function
        report = shown(*arguments)
        # Somebody changes the file of the running deployment.
        own = site.stack.work / "Pulumi.test.yaml"
        text = own.read_text(encoding="utf-8").replace("strategy: kaniko", "strategy: buildah")
        own.write_text(text, encoding="utf-8")
        return report

    monkeypatch.setattr(deploy, "preview_and_write", move)

    assert _deploy(site, tmp_path, monkeypatch) == ExitCode.STALE
    assert "not shown" in capsys.readouterr().err
