from pathlib import Path

import pytest

from components.settings.models import Chart
from dev.toolchain.gitlab_runner import VARIABLE, pinned
from tests.executor.binary import find
from tests.executor.keys import RUNNERS


def _program(folder: Path, version: str) -> Path:
    file = folder / "gitlab-runner"
    file.write_text(f"#!/bin/sh\necho 'Version:      {version}'\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_the_pinned_version_is_what_the_pinned_chart_deploys() -> None:
    assert RUNNERS[Chart().version] == pinned()


@pytest.mark.parametrize(("version", "taken"), [(pinned(), True), ("17.0.0", False)])
def test_only_the_pinned_version_is_taken_from_path(
    version: str,
    taken: bool,  # noqa: FBT001 - a column of the table
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = _program(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)

    assert find() == (file if taken else None)


def test_a_named_program_that_cannot_be_used_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gitlab-runner"))
    with pytest.raises(pytest.UsageError, match=rf"is missing; name gitlab-runner {pinned()}"):
        find()

    monkeypatch.setenv(VARIABLE, str(_program(tmp_path, "17.0.0")))
    with pytest.raises(pytest.UsageError, match=rf"is 17\.0\.0; name gitlab-runner {pinned()}"):
        find()
