"""What an image is made of, and the parts that several have."""

import dataclasses
import subprocess
from collections.abc import Mapping
from pathlib import Path

from components.image_reference import ImageReference
from dev.toolchain.ensure import ensure

_FILES = Path(__file__).parent.parent / "files"


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


def busybox(path: str, folder: str) -> tuple[Entry, ...]:
    """The shell and its tools, each a link."""
    busybox = Path("/bin/busybox")
    listing = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    names = [name for name in listing.stdout.split() if name != "busybox"]
    return (
        Entry(path, file=busybox),
        *(Entry(f"{folder}/{name}", link=path) for name in names),
        Entry("/tmp", folder=True, mode=0o1777),  # noqa: S108 - a path in an image
    )


def accounts(name: str, user: int) -> tuple[Entry, ...]:
    """The accounts of root and one user, with their homes."""
    home = f"/home/{name}"
    passwd = f"root:x:0:0:root:/root:/bin/sh\n{name}:x:{user}:{user}::{home}:/bin/sh\n"
    return (
        Entry("/etc/passwd", content=passwd, mode=0o644),
        Entry("/etc/group", content=f"root:x:0:\n{name}:x:{user}:\n", mode=0o644),
        Entry("/root", folder=True, mode=0o700),
        Entry(home, folder=True, user=user),
    )


def program(name: str, path: str = "") -> Entry:
    """A program of the toolchain."""
    return Entry(path or f"/usr/bin/{name}", file=ensure(name).file)


def script(name: str, path: str) -> Entry:
    """A script of ``dev/node/files``."""
    return Entry(path, content=(_FILES / name).read_text(encoding="utf-8"))


def rootless(name: str, home: str) -> tuple[Entry, ...]:
    """Let uid 1000 make user namespaces (rootless-containers/rootlesskit)."""
    subordinate = f"{name}:100000:65536\n"
    return (
        *accounts(name, 1000),
        *(
            Entry(f"{home}/{folder}", folder=True, user=1000)
            for folder in (".local", ".local/share", ".local/tmp", ".config")
        ),
        Entry("/run/user", folder=True),
        Entry("/run/user/1000", folder=True, mode=0o700, user=1000),
        Entry("/etc/subuid", content=subordinate, mode=0o644),
        Entry("/etc/subgid", content=subordinate, mode=0o644),
        # Where a container has no CAP_SYS_ADMIN, the setuid bit of Debian's is not enough.
        Entry("/usr/bin/newuidmap", file=Path("/usr/bin/newuidmap"), capability=7),
        Entry("/usr/bin/newgidmap", file=Path("/usr/bin/newgidmap"), capability=6),
        program("rootlesskit"),
    )


def without_digest(name: str) -> str:
    """Return an image's name with its tag alone."""
    return str(dataclasses.replace(ImageReference.parse(name), digest=""))
