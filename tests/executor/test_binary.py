from pathlib import Path

import pytest
import yaml

from components.gitlab_runner import charts
from dev.paths import STAND_IN_CHART
from dev.toolchain.gitlab_runner import VARIABLE, pinned, used
from tests.executor.binary import find


def _program(folder: Path, version: str) -> Path:
    file = folder / "gitlab-runner"
    file.write_text(f"#!/bin/sh\necho 'Version:      {version}'\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_the_stand_in_is_of_the_default_chart_and_its_runner() -> None:
    chart = yaml.safe_load((STAND_IN_CHART / "Chart.yaml").read_text(encoding="utf-8"))

    assert (chart["version"], chart["appVersion"]) == (charts.DEFAULT_VERSION, pinned())


@pytest.mark.parametrize(
    ("version", "taken"),
    [("18.9.0", True), ("19.3.0", True), (pinned(), True), ("17.0.0", False), ("19.99.0", False)],
)
def test_a_version_of_a_known_release_is_taken_from_path(
    version: str,
    taken: bool,  # noqa: FBT001 - a column of the table
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = _program(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)

    assert find() == (file if taken else None)
    assert used() == (version if taken else pinned())


def test_a_named_program_that_cannot_be_used_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gitlab-runner"))
    with pytest.raises(pytest.UsageError, match=r"is missing; name gitlab-runner 18\.9 to 19\.5"):
        find()

    monkeypatch.setenv(VARIABLE, str(_program(tmp_path, "17.0.0")))
    with pytest.raises(pytest.UsageError, match=r"is 17\.0\.0; name gitlab-runner 18\.9 to"):
        find()
