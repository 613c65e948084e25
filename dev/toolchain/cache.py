"""The cache of programs, outside the checkout: one folder for each program, version and source."""

import dataclasses
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import filelock

from dev.toolchain import programs
from dev.toolchain.programs import Program

CACHE_VARIABLE = "IMAGE_BUILDS_CACHE"
"""The folder of programs, instead of ``image-builds`` in the user's cache folder."""


@dataclasses.dataclass(frozen=True)
class Found:
    """Where a program was found: its source and file.

    The source is ``path``, ``archive``, ``modules``, or ``variable`` for one that the environment
    names, whose version is ``unknown``.
    """

    program: Program
    source: str
    version: str
    file: Path


def cache_folder() -> Path:
    """The folder outside the checkout in which programs are kept."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-builds"


def architecture() -> str:
    """This machine's architecture, as Go, Kubernetes and images spell it: ``amd64``."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def platform_name() -> str:
    """The name of this machine's platform, as Go spells it: ``linux-amd64``."""
    return f"{platform.system().lower()}-{architecture()}"


def entry(program: Program, source: str) -> Path:
    """The folder of a program: its name changes with everything that decides what is in it."""
    digest = hashlib.sha256()
    if source == "modules":
        for file in ("go.mod", "go.sum"):
            digest.update((programs.MODULES / program.module / file).read_bytes())
        digest.update(f"{program.package} {program.linker_flags} {program.tags}".encode())
    else:
        digest.update(repr(program.archives.get(platform_name())).encode())
    key = digest.hexdigest()[:12]
    name = f"{program.name}-{program.version}-{platform_name()}-{source}-{key}"
    return cache_folder() / "toolchain" / name


def find_cached(program: Program, source: str) -> Found | None:
    """Return the program if the cache has it from this source."""
    file = entry(program, source) / program.name
    return Found(program, source, program.version, file) if file.is_file() else None


def install(program: Program, source: str, get: Callable[[Program, Path], None]) -> Found:
    """Fill a program's folder by ``get``, so that others see it whole or not at all."""
    folder = entry(program, source)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if found := find_cached(program, source):
            return found
        for stale in folder.parent.glob(f"{folder.name}.*.part"):
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
        try:
            out = work / "out"
            out.mkdir()
            get(program, out)
            (out / program.name).chmod(0o755)
            out.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Found(program, source, program.version, folder / program.name)
