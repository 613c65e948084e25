"""Makes programs available, from the first source that has them.

A program comes from PATH, the cache, the official archive (checked against a pinned digest), or
a build from pinned Go modules. The version of each is the one in ``dev/modules/<module>/go.mod``.

Left out on purpose: the Python language host and the GitLab provider plugin, which no package
registry carries; the local run serves the program to the engine itself.
"""

import contextlib
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from dev.toolchain import programs
from dev.toolchain.archives import fetch
from dev.toolchain.cache import Found, find_cached, install
from dev.toolchain.modules import build
from dev.toolchain.programs import Program, ToolchainError
from doctor.at_once import at_once

SOURCES = ("path", "archive", "modules")
SOURCE_VARIABLE = "IMAGE_BUILDS_TOOLCHAIN"
"""The only source of programs: ``path`` (those on ``PATH``), ``archive`` (official archives with a
pinned checksum) or ``modules`` (builds from pinned Go modules). Unset tries them in this order. The
Kubernetes provider cannot report its version, so one on ``PATH`` is never used.
"""
PROVIDER_VARIABLE = "IMAGE_BUILDS_PROVIDER"
"""The program ``pulumi-resource-kubernetes`` of another Kubernetes provider, which is used instead
of the pinned one, whichever version it has.
"""
_PROVIDER = "pulumi-resource-kubernetes"
_BUILDS_AT_ONCE = 2
"""One leaves processors idle while it downloads, links, or compiles a package of great size."""


def ensure(name: str) -> Found:
    """Return the program called ``name``; fetch or build it where it is missing.

    Raises:
        ToolchainError: no source has it, or the chosen source does not.
    """
    program = _program(name)
    if found := _given(program):
        return found
    sources = _sources()
    if "path" in sources and (found := _on_path(program)):
        return found
    for source in sources:
        if source != "path" and (found := find_cached(program, source)):
            return found
    reasons: list[str] = []
    for source in sources:
        try:
            if source == "archive":
                return install(program, source, fetch)
            if source == "modules":
                return install(program, source, build)
            reasons.append(f"PATH: no {name} {program.accepted}")
        except ToolchainError as error:
            reasons.append(str(error))
    message = f"{name} {program.version} is not available: {'; '.join(reasons)}"
    raise ToolchainError(message)


def ensure_all(names: Iterable[str]) -> None:
    """Fetch or build every missing program of ``names``, two at once.

    Raises:
        ToolchainError: no source has one of them.
    """
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(_program(name).module, []).append(name)
    # Programs of one module share what is compiled, so they wait for each other.
    builds = [functools.partial(_each, module) for module in modules.values()]
    at_once(builds, threads=_BUILDS_AT_ONCE, seconds=None)


def _each(names: Iterable[str]) -> None:
    for name in names:
        ensure(name)


def installed(name: str) -> Found | None:
    """Return the program if it is available already, without fetching or building it."""
    program = _program(name)
    if found := _given(program):
        return found
    for source in _sources():
        found = _on_path(program) if source == "path" else find_cached(program, source)
        if found:
            return found
    return None


def _program(name: str) -> Program:
    known = programs.load()
    if name not in known:
        message = f"{name}: dev/programs.toml has no such program; it has {', '.join(known)}"
        raise ToolchainError(message)
    return known[name]


def _sources() -> tuple[str, ...]:
    wanted = os.environ.get(SOURCE_VARIABLE, "")
    if not wanted:
        return SOURCES
    if wanted not in SOURCES:
        message = f"{SOURCE_VARIABLE}={wanted}: unknown; set it to one of {', '.join(SOURCES)}"
        raise ToolchainError(message)
    return (wanted,)


def _given(program: Program) -> Found | None:
    """Return the provider that the environment names."""
    given = os.environ.get(PROVIDER_VARIABLE, "")
    if program.name != _PROVIDER or not given:
        return None
    file = shutil.which(given)
    if file is None:
        message = (
            f"{PROVIDER_VARIABLE}={given}: must be the path of an executable file; unset it to use "
            f"{_PROVIDER} {program.version}"
        )
        raise ToolchainError(message)
    return Found(program, "variable", "unknown", Path(file).resolve())


def _on_path(program: Program) -> Found | None:
    file = shutil.which(program.name)
    if file is None:
        return None
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, InvalidVersion):
        answer = subprocess.run(
            [file, *program.version_command],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )
        stated = re.search(r"v?(\d+\.\d+\.\d+)", answer.stdout + answer.stderr)
        if stated and Version(stated[1]) in SpecifierSet(program.accepted):
            return Found(program, "path", stated[1], Path(file))
    return None
