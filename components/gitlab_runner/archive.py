"""A chart as a file or folder of this machine: its version, and the digest of what it contains.

A release installs whatever the file contains at that time. Its digest is part of the release, so
that another content is another plan, which somebody reviews.
"""

import contextlib
import contextvars
import hashlib
import io
import tarfile
import zlib
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import yaml

_LIMIT = 100 * 1024 * 1024
"""The bytes that the files of a chart may have, which is Helm's own limit."""

_as_stated = contextvars.ContextVar("as_stated", default=False)


class ArchiveError(Exception):
    """There is no chart that can be read; the message says why and what to do."""


@contextlib.contextmanager
def as_stated() -> Generator[None]:
    """Believe what a stack file says of its archive while the block runs.

    That of another commit is of another file than the one that is here.
    """
    token = _as_stated.set(True)
    try:
        yield
    finally:
        _as_stated.reset(token)


def chart_errors(path: Path, version: str, digest: str | None) -> Iterator[tuple[str, str]]:
    """Yield the key below ``chart``, and what is wrong with it, where a chart is another one."""
    if _as_stated.get():
        return
    try:
        own_version, own_digest = version_of(path), digest_of(path)
    except ArchiveError as error:
        yield "archive", str(error)
        return
    if version != own_version:
        yield "version", f"must be {own_version}, the version of the chart in archive; write that"
    if digest is None:
        yield (
            "digest",
            "is required with archive, so that a chart with other contents is never installed; "
            f"check where the chart comes from, and add its digest, {own_digest}",
        )
    elif digest != own_digest:
        yield (
            "digest",
            f"must be that of archive, which is {own_digest}: the chart was changed or replaced; "
            "check what it contains now, and write that digest",
        )


def digest_of(path: Path) -> str:
    """Return the SHA-256 of an archive, or of the list of files that a folder contains.

    The list is what ``find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`` prints.

    Raises:
        ArchiveError: the chart cannot be read.
    """
    if not path.is_dir():
        return hashlib.sha256(_read(path)).hexdigest()
    sums = {f"./{name}": hashlib.sha256(data).hexdigest() for name, data in files_of(path).items()}
    lines = [f"{sums[name]}  {name}\n".encode() for name in sorted(sums, key=str.encode)]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def version_of(path: Path) -> str:
    """Return the version that ``Chart.yaml`` states.

    Raises:
        ArchiveError: the chart cannot be read.
    """
    text = files_of(path).get("Chart.yaml", b"")
    try:
        return str(yaml.safe_load(text)["version"])
    except (yaml.YAMLError, KeyError, TypeError):
        message = "must be a chart, with a version in its Chart.yaml; name another one"
        raise ArchiveError(message) from None


def files_of(path: Path) -> Mapping[str, bytes]:
    """Return the files of a chart by their path in it.

    Raises:
        ArchiveError: the chart cannot be read.
    """
    if path.is_dir():
        return {file.relative_to(path).as_posix(): _read(file) for file in _walk(path)}
    try:
        with tarfile.open(fileobj=io.BytesIO(_read(path))) as archive:
            return dict(_members(archive))
    except (tarfile.TarError, EOFError, OSError, zlib.error):
        message = "must be a folder, or a .tgz archive as `helm pull` writes it; name another one"
        raise ArchiveError(message) from None


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder; Helm would follow a link, to what no digest covers."""
    for file in folder.rglob("*"):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            name = file.relative_to(folder)
            message = f"must contain nothing but files and folders; replace {name} by a copy"
            raise ArchiveError(message)
        if file.is_file():
            yield file


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    size = 0
    for member in archive:
        # All of a chart is in one folder.
        name = member.name.removeprefix("./").partition("/")[2]
        if member.isdir():
            continue
        size += member.size
        content = archive.extractfile(member) if member.isfile() else None
        if content is None or name in seen or size > _LIMIT:
            message = f"must contain each file once, without links; replace {name or member.name}"
            raise ArchiveError(message)
        seen.add(name)
        yield name, content.read()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"must name a chart that can be read ({error.strerror}); correct it"
        raise ArchiveError(message) from None
