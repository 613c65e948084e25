"""The commands of README, tutorial and how-to pages do what the pages say."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dev.paths import CHECKOUT
from dev.toolchain.ensure import ensure
from tests.support.pages import README, TASKS, commands, name

# These would run the tests within the tests; `.ci/run` runs the first two, people the third.
# The node needs root and Debian's packages; its own tests, `make test-node`, start and stop it.
ELSEWHERE = {"make test", "make lint", "make bench"} | {
    "make node-up",
    "make node-status",
    "make node-down",
    "make test-node",
    "make bench-builds",
}
# These need a cluster or a network of the user's, or the Python language host, which no registry
# carries.
USERS_OWN = re.compile(
    r"pulumi (preview|up|refresh|destroy|stack output)|kubectl |helm pull |sha256sum charts/|"
    r"python3 -m venv|"
    r"(policy/)?\.venv/bin/pip "
)
OURS = ".venv/bin/python -m commands "
PAGES = [page for page in TASKS if commands(page)]


def _make(page: Path) -> list[str]:
    return [line for line in commands(page) if line.startswith("make ") and line not in ELSEWHERE]


def _pulumi(page: Path) -> list[str]:
    return [
        line for line in commands(page) if line.startswith("pulumi ") and not USERS_OWN.match(line)
    ]


def _ours(page: Path) -> list[str]:
    return [line for line in commands(page) if line.startswith(OURS)]


def _walked() -> list[Path]:
    """The pages whose `make` lines are run: those that no other page has, and runs, already."""
    lines = {page: set(_make(page)) for page in PAGES if _make(page)}
    return [page for page in lines if not any(lines[page] < other for other in lines.values())]


def _run(line: str, folder: Path, environment: Mapping[str, str], typed: str = "") -> str:
    """Run a line as a shell would; return what it prints."""
    answer = subprocess.run(
        shlex.split(line),
        cwd=folder,
        env=environment,
        check=False,
        input=typed,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, f"{line}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_test_runs_every_command_that_needs_no_cluster(page: Path) -> None:
    tested = {*_make(page), *_pulumi(page), *_ours(page), *ELSEWHERE}
    rest = [line for line in commands(page) if line not in tested]

    assert [line for line in rest if not USERS_OWN.match(line)] == []


@pytest.mark.parametrize("page", [page for page in PAGES if _ours(page)], ids=name)
def test_our_command_line_accepts_the_commands(page: Path) -> None:
    """What needs no stack of the user's runs; of the rest the options are read."""
    for line in _ours(page):
        alone = line.startswith(
            tuple(f"{OURS}{name} " for name in ("compare", "explain", "pipeline"))
        ) and not line.endswith("--cluster")
        _run(line if alone else f"{line} --help", CHECKOUT, os.environ)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment whose local state is that of these tests."""
    folder = tmp_path_factory.mktemp("state")
    environment = {**os.environ, "IMAGE_BUILDS_STATE": str(folder)}
    yield environment
    subprocess.run(["make", "clean"], cwd=CHECKOUT, env=environment, check=True)


EXPECTED = {
    "make up": "Available",
    "make up STRATEGY=kaniko": "kaniko",
    "make up STACK=prod": "image-builds-prod",
}
"""What some lines print."""


@pytest.mark.parametrize("page", _walked(), ids=name)
def test_local_commands_work_in_the_order_of_the_page(page: Path, state: dict[str, str]) -> None:
    before = subprocess.check_output(["git", "status", "--porcelain"], cwd=CHECKOUT)
    for line in _make(page):
        assert EXPECTED.get(line, "") in _run(line, CHECKOUT, state)
    after = subprocess.check_output(["git", "status", "--porcelain"], cwd=CHECKOUT)

    assert after == before


def test_a_second_up_changes_nothing(state: dict[str, str]) -> None:
    _run("make up", CHECKOUT, state)

    assert "nothing changed" in _run("make up", CHECKOUT, state)


@pytest.mark.parametrize("page", [page for page in PAGES if _pulumi(page)], ids=name)
def test_the_pulumi_cli_accepts_the_commands(page: Path, tmp_path: Path) -> None:
    for file in ("Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml"):
        shutil.copyfile(CHECKOUT / file, tmp_path / file)
    program = ensure("pulumi").file.parent
    environment = {
        **os.environ,
        "PATH": f"{program}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": tmp_path.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    lines = _pulumi(page)
    # A reader of a how-to page has the stacks that the page does not create.
    stacks = [f"pulumi stack init {stack}" for stack in ("prod", "dev")]
    for line in (*(line for line in stacks if line not in lines), *lines):
        if not line.startswith("pulumi stack rm"):
            _run(line, tmp_path, environment, "glrt-PlantedToken0001\n")

    stack_file = (tmp_path / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    assert "PlantedToken" not in stack_file
    if page == README:
        assert "image-builds:runnerTokens:\n    builds:\n      secure:" in stack_file
