"""The lock files: every package by its digest, and what the requirements ask for."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev.paths import CHECKOUT

LOCKS = {
    CHECKOUT / "requirements.lock": CHECKOUT / "commands" / "requirements.txt",
    CHECKOUT / "tests" / "requirements.lock": CHECKOUT / "tests" / "requirements.txt",
    CHECKOUT / "policy" / "requirements.txt": CHECKOUT / "policy" / "requirements.in",
}


def _pins(lock: Path) -> dict[str, str]:
    found = re.findall(
        r"^([\w.-]+)(?:\[\w+\])?==([^\s;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {canonicalize_name(name): version for name, version in found}


def _required(file: Path) -> list[Requirement]:
    found: list[Requirement] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found += _required(file.parent / line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            found.append(Requirement(line))
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_package_is_pinned_by_its_digest(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    packages = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]

    assert len(packages) > 10
    assert [item for item in packages if "==" not in item or "--hash=sha256:" not in item] == []


@pytest.mark.parametrize(("lock", "requirements"), LOCKS.items(), ids=str)
def test_a_lock_has_what_its_requirements_ask_for(lock: Path, requirements: Path) -> None:
    """After a change of requirements, run make lock."""
    pins = _pins(lock)

    missing = [
        str(wanted)
        for wanted in _required(requirements)
        if not wanted.specifier.contains(pins.get(canonicalize_name(wanted.name), "0"))
    ]
    assert missing == []


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_a_lock_names_no_registry(lock: Path) -> None:
    """Packages come from the registry that the machine is set up for."""
    assert re.findall(r"://|--(?:extra-)?index-url", lock.read_text(encoding="utf-8")) == []


def test_tests_run_with_the_packages_that_are_deployed() -> None:
    deployed, tested = map(_pins, list(LOCKS)[:2])

    assert {name: tested.get(name) for name in deployed} == deployed


def test_what_is_deployed_has_nothing_of_tests_and_linters() -> None:
    deployed = _pins(CHECKOUT / "requirements.lock")

    assert {"pytest", "ruff", "pyright", "matplotlib", "psutil", "uv"} & deployed.keys() == set()


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_what_is_deployed_imports_nothing_else() -> None:
    folders = ("components", "report", "convert", "doctor", "commands")
    files = [file for folder in folders for file in (CHECKOUT / folder).rglob("*.py")]
    names = {name for file in (CHECKOUT / "__main__.py", *files) for name in _imported(file)}
    foreign = names - {*folders, *sys.stdlib_module_names}
    packages, pins = packages_distributions(), _pins(CHECKOUT / "requirements.lock")

    assert {"pulumi", "kubernetes", "typer"} <= foreign
    missing = [
        name for name in foreign if not {*map(canonicalize_name, packages[name])} & pins.keys()
    ]
    assert missing == []
