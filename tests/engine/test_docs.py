"""The commands of README, tutorial and how-to pages do what the pages say.

tests/engine/test_local_commands.py runs those of `make`.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from commands.app import main
from dev.paths import CHECKOUT
from dev.toolchain.ensure import ensure
from tests.support.pages import (
    ELSEWHERE,
    README,
    TASKS,
    commands,
    distinct,
    make_lines,
    name,
    run_line,
)

# These need a cluster or a network of the user's, or the Python language host, which no registry
# carries.
USERS_OWN = re.compile(
    r"pulumi (preview|up|refresh|destroy|stack output)|kubectl |helm pull |sha256sum charts/|"
    r"python3 -m venv|"
    r"(policy/)?\.venv/bin/pip "
)
OURS = ".venv/bin/python -m commands "
PAGES = [page for page in TASKS if commands(page)]


def _pulumi(page: Path) -> list[str]:
    return [
        line for line in commands(page) if line.startswith("pulumi ") and not USERS_OWN.match(line)
    ]


def _ours(page: Path) -> list[str]:
    return [line for line in commands(page) if line.startswith(OURS)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_test_runs_every_command_that_needs_no_cluster(page: Path) -> None:
    tested = {*make_lines(page), *_pulumi(page), *_ours(page), *ELSEWHERE}
    rest = [line for line in commands(page) if line not in tested]

    assert [line for line in rest if not USERS_OWN.match(line)] == []


@pytest.mark.parametrize("page", [page for page in PAGES if _ours(page)], ids=name)
def test_our_command_line_accepts_the_commands(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs no stack of the user's runs; of the rest the options are read."""
    monkeypatch.chdir(CHECKOUT)
    for line in _ours(page):
        words = shlex.split(line.removeprefix(OURS))
        alone = words[0] in {"compare", "explain", "pipeline"} and "--cluster" not in words
        assert main(words if alone else [*words, "--help"]) == 0, line


def _project(folder: Path) -> dict[str, str]:
    """Make a project of a reader's, and return the environment of their CLI."""
    for file in ("Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml"):
        shutil.copyfile(CHECKOUT / file, folder / file)
    program = ensure("pulumi").file.parent
    return {
        **os.environ,
        "PATH": f"{program}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": folder.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A project with the stacks that a reader of a how-to page has."""
    folder = tmp_path_factory.mktemp("begun")
    environment = _project(folder)
    for stack in ("prod", "dev"):
        run_line(f"pulumi stack init {stack}", folder, environment)
    return folder, environment


# Each line runs once.
@pytest.mark.parametrize("page", distinct(PAGES, _pulumi), ids=name)
def test_the_pulumi_cli_accepts_the_commands(
    page: Path, tmp_path: Path, begun: tuple[Path, dict[str, str]]
) -> None:
    lines = _pulumi(page)
    folder, environment = begun
    if any(line.startswith("pulumi stack init ") for line in lines):
        folder, environment = tmp_path, _project(tmp_path)
    for line in lines:
        if not line.startswith("pulumi stack rm"):
            run_line(line, folder, environment, typed="glrt-PlantedToken0001\n")

    stack_file = (folder / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    assert "PlantedToken" not in stack_file
    if page == README:
        assert "image-builds:runnerTokens:\n    builds:\n      secure:" in stack_file
