import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.strategies.kaniko import Kaniko
from dev import toolchain
from dev.local import CHECKOUT

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
# These would run the tests within the tests; `.ci/run` runs the first two, people the third.
# The node needs root and Debian's packages; its own tests, `make test-node`, start and stop it.
ELSEWHERE = {"make test", "make lint", "make bench"} | {
    "make node-up",
    "make node-status",
    "make node-down",
    "make test-node",
    "make bench-builds",
}
# These need a cluster of the user's, or the Python language host, which no registry carries.
USERS_OWN = re.compile(
    r"pulumi (preview|up|refresh|destroy|stack output)|kubectl |python3 -m venv|"
    r"(policy/)?\.venv/bin/pip |\.venv/bin/python -m tools\.policy ",
)
MAKE = [line for line in COMMANDS if line.startswith("make ") and line not in ELSEWHERE]
PULUMI = [line for line in COMMANDS if line.startswith("pulumi ") and not USERS_OWN.match(line)]


def test_every_command_is_run_by_a_test_or_is_known_to_need_more() -> None:
    rest = set(COMMANDS) - set(MAKE) - set(PULUMI) - ELSEWHERE

    assert [line for line in rest if not USERS_OWN.match(line)] == []
    assert len(MAKE) > 10
    assert len(PULUMI) > 10


@pytest.fixture
def state(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose local state is the test's own."""
    environment = {**os.environ, "IMAGE_BUILDS_STATE": str(tmp_path / "state")}
    yield environment
    subprocess.run(["make", "clean"], cwd=CHECKOUT, env=environment, check=True)


def test_the_local_commands_work_in_the_order_of_the_readme(state: dict[str, str]) -> None:
    before = subprocess.check_output(["git", "status", "--porcelain"], cwd=CHECKOUT)
    printed: dict[str, str] = {}
    for line in MAKE:
        answer = subprocess.run(
            shlex.split(line),
            cwd=CHECKOUT,
            env=state,
            check=False,
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, f"{line}\n{answer.stdout}\n{answer.stderr}"
        printed[line] = answer.stdout
    after = subprocess.check_output(["git", "status", "--porcelain"], cwd=CHECKOUT)

    assert "Available" in printed["make up"]
    assert "kaniko" in printed["make up STRATEGY=kaniko"]
    assert "image-builds-prod" in printed["make up STACK=prod"]
    last = next(line for line in reversed(MAKE) if line.startswith("make up"))
    again = subprocess.check_output(shlex.split(last), cwd=CHECKOUT, env=state, text=True)
    assert "nothing changed" in again
    assert after == before


def test_the_commands_of_the_cli_are_taken_by_it(tmp_path: Path) -> None:
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml"):
        shutil.copyfile(CHECKOUT / name, tmp_path / name)
    program = toolchain.find("pulumi").file.parent
    environment = {
        **os.environ,
        "PATH": f"{program}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": tmp_path.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase",
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    for line in PULUMI:
        if line.startswith("pulumi stack rm"):
            continue
        answer = subprocess.run(
            shlex.split(line),
            cwd=tmp_path,
            env=environment,
            check=False,
            input="glrt-PlantedToken0001\n",
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, f"{line}\n{answer.stdout}\n{answer.stderr}"

    stack_file = (tmp_path / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    assert "PlantedToken" not in stack_file
    assert "image-builds:runnerTokens:\n    builds:\n      secure:" in stack_file


def test_the_image_that_the_readme_names_is_the_default() -> None:
    # The digest would make the example hard to read.
    tagged = Kaniko().image.partition("@")[0]
    assert f"name: {tagged}\n" in README
