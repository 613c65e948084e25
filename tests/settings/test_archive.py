"""A chart as a file or folder: its version and digest, and what else is refused."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.gitlab_runner.archive import as_stated, digest_of, files_of, version_of
from components.settings.load import load
from dev.local.stack_file import chart_of
from dev.paths import STAND_IN_CHART
from tests.support.configured import SECRETS, SETTINGS, configure, replace_values
from tests.support.rejections import assert_rejected

SHELL = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
"""What the documentation of the key says."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(STAND_IN_CHART, tmp_path / "gitlab-runner")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    file = tmp_path / "gitlab-runner-0.94.1.tgz"
    with tarfile.open(file, "w:gz") as tar:
        tar.add(STAND_IN_CHART, "gitlab-runner")
    return file


def _settings(chart: object) -> dict[str, Any]:
    return replace_values(SETTINGS, {"chart": chart})


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_chart_with_its_own_version_and_digest_is_taken(
    kind: str, request: pytest.FixtureRequest
) -> None:
    configure(_settings(chart_of(request.getfixturevalue(kind))), SECRETS)

    assert load().settings.chart.digest


def test_the_digest_of_a_folder_is_what_a_shell_prints(folder: Path) -> None:
    (folder / "templates" / "Z and ä.txt").touch()
    (folder / ".hidden").touch()
    answer = subprocess.run(SHELL, cwd=folder, check=True, shell=True, stdout=subprocess.PIPE)  # noqa: S602 - documented so

    assert digest_of(folder) == answer.stdout.decode().split()[0]


def test_the_digest_of_an_archive_is_that_of_the_file(archive: Path) -> None:
    answer = subprocess.run(["sha256sum", archive], check=True, stdout=subprocess.PIPE)

    assert digest_of(archive) == answer.stdout.decode().split()[0]


def test_an_archive_and_its_folder_have_the_same_files(archive: Path) -> None:
    assert files_of(archive) == files_of(STAND_IN_CHART)


def test_an_archive_needs_its_own_version(archive: Path) -> None:
    chart = {**chart_of(archive), "version": "0.90.1"}

    assert_rejected(_settings(chart), "chart.version", "must be 0.94.1, the version of the chart")


def test_an_archive_needs_a_digest(archive: Path) -> None:
    chart = {"archive": str(archive), "version": "0.94.1"}

    assert_rejected(_settings(chart), "chart.digest", f"add its digest, {digest_of(archive)}")


def _add(folder: Path) -> None:
    (folder / "templates" / "more.yaml").write_text("kind: ClusterRoleBinding\n", encoding="utf-8")


def _change(folder: Path) -> None:
    with (folder / "values.yaml").open("a") as file:
        file.write("# more\n")


def _remove(folder: Path) -> None:
    (folder / "values.schema.json").unlink()


def _rename(folder: Path) -> None:
    (folder / "templates" / "NOTES.txt").rename(folder / "NOTES.txt")


@pytest.mark.parametrize("change", [_add, _change, _remove, _rename])
def test_a_chart_that_changed_under_its_path_is_refused(
    folder: Path, change: Callable[[Path], None]
) -> None:
    chart = chart_of(folder)
    change(folder)

    assert_rejected(_settings(chart), "chart.digest", "the chart was changed or replaced")


def test_the_chart_of_another_commit_is_not_looked_at() -> None:
    chart = {"archive": "charts/gone.tgz", "version": "0.90.1"}
    configure(_settings(chart), SECRETS)

    with as_stated():
        assert load().settings.chart.version == "0.90.1"


def _link(folder: Path) -> Path:
    (folder / "templates" / "more.yaml").symlink_to("/etc/hostname")
    return folder


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "templates" / "more.yaml")
    return folder


def _versionless(folder: Path) -> Path:
    (folder / "Chart.yaml").write_text("name: gitlab-runner\n", encoding="utf-8")
    return folder


def _no_chart(folder: Path) -> Path:
    return folder / "templates"


def _missing(folder: Path) -> Path:
    return folder / "missing.tgz"


def _no_archive(folder: Path) -> Path:
    return folder / "values.yaml"


def _packed(folder: Path, *members: tarfile.TarInfo) -> Path:
    file = folder.with_suffix(".tgz")
    with tarfile.open(file, "w:gz") as tar:
        tar.add(STAND_IN_CHART, "gitlab-runner")
        for member in members:
            tar.addfile(member, io.BytesIO(b""))
    return file


def _linked_member(folder: Path) -> Path:
    member = tarfile.TarInfo("gitlab-runner/templates/more.yaml")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
    return _packed(folder, member)


def _member_twice(folder: Path) -> Path:
    return _packed(folder, tarfile.TarInfo("gitlab-runner/Chart.yaml"))


def _truncated(folder: Path) -> Path:
    file = _packed(folder)
    file.write_bytes(file.read_bytes()[:200])
    return file


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (_link, "must contain nothing but files and folders; replace templates/more.yaml"),
        (_pipe, "must contain nothing but files and folders; replace templates/more.yaml"),
        (_versionless, "must be a chart, with a version in its Chart.yaml"),
        (_no_chart, "must be a chart, with a version in its Chart.yaml"),
        (_missing, "must name a chart that can be read (No such file or directory)"),
        (_no_archive, "must be a folder, or a .tgz archive"),
        (_linked_member, "must contain each file once, without links; replace templates/more.yaml"),
        (_member_twice, "must contain each file once, without links; replace Chart.yaml"),
        (_truncated, "must be a folder, or a .tgz archive"),
    ],
)
def test_what_no_chart_can_be_is_refused(
    folder: Path, make: Callable[[Path], Path], advice: str
) -> None:
    chart = {"archive": str(make(folder)), "version": "0.94.1", "digest": "0" * 64}

    assert_rejected(_settings(chart), "chart.archive", advice)


def test_a_path_begins_at_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    chart = {**chart_of(STAND_IN_CHART), "archive": "tests/charts/gitlab-runner"}
    configure(_settings(chart), SECRETS)

    assert load().settings.chart.archive == "tests/charts/gitlab-runner"


def test_versions_are_read_from_files(archive: Path) -> None:
    assert (version_of(archive), version_of(STAND_IN_CHART)) == ("0.94.1", "0.94.1")
