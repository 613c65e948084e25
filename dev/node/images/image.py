"""What an image is made of."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from components.image_reference import ImageReference


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file, a link or a folder of an image: ``file`` is copied, ``link`` is what it points to."""

    path: str
    file: Path | None = None
    content: str = ""
    link: str = ""
    folder: bool = False
    mode: int = 0o755
    user: int = 0
    capability: int | None = None
    """The number of the capability that the program runs with, in place of the setuid bit."""


@dataclasses.dataclass(frozen=True)
class Image:
    """An image: Debian's root file system or nothing, and what is put on top."""

    names: tuple[str, ...]
    entries: tuple[Entry, ...]
    debian: bool = False
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    entrypoint: tuple[str, ...] = ()
    user: str = ""
    folder: str = "/"
    # In the config alone, so that an image without any is the one that is in the cache.
    volumes: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    """Folders that are not of the container's own file system."""


def without_digest(name: str) -> str:
    """Return an image's name with its tag alone."""
    return str(dataclasses.replace(ImageReference.parse(name), digest=""))
