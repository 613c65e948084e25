"""Fetches official release archives, for machines that reach them."""

import hashlib
import shutil
import tarfile
import urllib.request
from pathlib import Path

import filelock

from dev.toolchain.cache import cache_folder, platform_name
from dev.toolchain.programs import Archive, Program, ToolchainError
from dev.toolchain.progress import say

_CONNECT_TIMEOUT = 5.0
"""Seconds until a host that does not answer counts as unreachable."""


def fetch(program: Program, out: Path) -> None:
    """Put the program of the official archive into the folder ``out``.

    Raises:
        ToolchainError: none is pinned for this platform, it cannot be fetched, or it is another.
    """
    archive = program.archives.get(platform_name())
    if archive is None or program.module.endswith("-newest"):
        message = f"archive: no checksum is pinned for {program.name} on {platform_name()}"
        raise ToolchainError(message)
    file = _download(program, archive)
    if not archive.member:
        shutil.copyfile(file, out / program.name)
        return
    member = archive.member.format(version=program.version)
    with tarfile.open(file) as tar:
        source = tar.extractfile(member)
        if source is None:
            message = f"archive: {archive.url} has no file {member}"
            raise ToolchainError(message)
        with source, (out / program.name).open("wb") as target:
            shutil.copyfileobj(source, target)


def _download(program: Program, archive: Archive) -> Path:
    """Fetch an archive into the cache, where the programs that share one find it."""
    url = archive.url.format(version=program.version)
    file = cache_folder() / "archives" / archive.digest
    file.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{file}.lock"):
        if file.exists():
            return file
        say(f"{program.name} {program.version}: fetching the official archive")
        part = file.with_suffix(".part")
        try:
            with (
                urllib.request.urlopen(url, timeout=_CONNECT_TIMEOUT) as answer,  # noqa: S310 - the URLs are those of dev/programs.toml
                part.open("wb") as target,
            ):
                shutil.copyfileobj(answer, target)
        except OSError as error:
            message = f"archive: {url} cannot be fetched ({error})"
            raise ToolchainError(message) from error
        with part.open("rb") as content:
            digest = hashlib.file_digest(content, archive.algorithm).hexdigest()
        if digest != archive.digest:
            part.unlink()
            message = (
                f"archive: {url} has {archive.algorithm} {digest}, but "
                f"{archive.digest} is pinned; the file is not the one that was released and was "
                f"deleted"
            )
            raise ToolchainError(message)
        part.replace(file)
    return file
