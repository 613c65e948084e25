"""The settings of a merge request under the default branch's program, with the real engine."""

from pathlib import Path

import pytest
import yaml

from commands import preview
from commands.shared.exit_codes import ExitCode
from report.stack_file import SETTINGS
from tests.support.stacks import Site


def test_settings_are_previewed_and_nothing_of_the_branch_runs(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kubeconfig of the branch names a program, which the provider would run."""
    site.write("kaniko")
    site.up()
    own = site.stack.work / "Pulumi.test.yaml"
    monkeypatch.setattr(preview, "stack_file", lambda _: own)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - a stand-in
    ran, proposed = tmp_path / "ran", tmp_path / "Pulumi.test.yaml"
    run = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(ran)]}
    kubeconfig = yaml.safe_dump({"users": [{"name": "evil", "user": {"exec": run}}]})

    with site.stack.open() as stack:
        before = own.read_text(encoding="utf-8")
        content = yaml.safe_load(before)
        content["config"][SETTINGS]["runners"]["builds"]["strategy"] = "buildkit"
        content["config"]["kubernetes:kubeconfig"] = kubeconfig
        proposed.write_text(yaml.safe_dump(content), encoding="utf-8")
        code = preview.run(stack, output=tmp_path / "out", settings_from=proposed)
        after = own.read_text(encoding="utf-8")

    note = (tmp_path / "out" / "note.md").read_text(encoding="utf-8")
    assert code == ExitCode.RISK_RAISED
    assert "changes from kaniko to buildkit" in note
    assert "the change of kubernetes:kubeconfig: the stack file of the default branch" in note
    assert "changes of the program: that of the default branch ran" in note
    assert not ran.exists()
    assert after == before
