"""Keeps the images on disk and brings them to the node and its registries."""

import dataclasses
import functools
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import filelock

from components.image_reference import ImageReference
from dev.node.images import archive as archives
from dev.node.images.catalogue import BASE, BUILDX_DEFAULT, images
from dev.node.images.image import Image, without_digest
from dev.node.machine import Machine, NodeError
from dev.node.registry import KINDS, MIRROR, Kind, Registries
from dev.node.settings import SOCKET
from dev.toolchain.cache import cache_folder
from dev.toolchain.ensure import ensure

_PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "fuse-overlayfs",
    # What Buildah reads: its policy of signatures, registries and storage.
    "golang-github-containers-common",
    "iproute2",
    "iptables",
    # Buildah searches for it when it starts, even where its containers have the pod's network.
    "netavark",
    "openssl",
    "procps",
    "slirp4netns",
    "uidmap",
)
_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


class Store:
    """Images on disk, and which of them a machine's containerd has."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._cache = cache_folder() / "node-images"
        self._brought = machine.state / "images.json"

    def bring(self, registries: Registries) -> None:
        """Make what is missing, and give it to containerd, and the base to each registry."""
        for image in images():
            archive = self.archive(image)
            self._once(" ".join(image.names), archive, functools.partial(self._import, image))
            for target, kind in _copies(image):
                copy = functools.partial(_copy, registries, target, kind)
                if kind.on_disk:
                    self._once(f"{kind.address}/{target}", archive, copy)
                else:
                    copy(archive)

    def _once(self, name: str, archive: Path, bring: Callable[[Path], None]) -> None:
        """Bring an archive to where ``name`` is, unless the one there is of the same."""
        file = self._brought
        known: dict[str, str] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        if known.get(name) != archive.name:
            bring(archive)
            content = {**known, name: archive.name}
            file.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def archive(self, image: Image) -> Path:
        """Return the image as a docker-archive, made where it is not in the cache."""
        self._cache.mkdir(parents=True, exist_ok=True)
        base = [self._debian()] if image.debian else []
        digest = hashlib.sha256(repr((image, base, archives.config_of(image, [""]))).encode())
        for entry in image.entries:
            if entry.file:
                status = entry.file.stat()
                digest.update(f"{entry.file} {status.st_size} {status.st_mtime_ns}".encode())
        file = self._cache / f"{digest.hexdigest()[:16]}.tar"
        with filelock.FileLock(f"{file}.lock"):
            if not file.exists():
                part = file.with_suffix(".part")
                archives.write(part, image, base)
                part.replace(file)
        return file

    def _import(self, image: Image, archive: Path) -> None:
        ctr = (str(ensure("ctr").file), f"--address={SOCKET}", "--namespace=k8s.io", "images")
        self._machine.call(*ctr, "import", "--no-unpack", str(archive))
        made = f"docker.io/{archives.tag(archive)}"
        # People name images without their digests.
        tagged = (without_digest(name) for name in image.names)
        for name in dict.fromkeys((*image.names, *tagged)):
            self._machine.call(*ctr, "tag", "--force", made, reference(name))
        self._machine.call(*ctr, "rm", made)

    def _debian(self) -> Path:
        sources = next(path for path in _SOURCES if Path(path).exists())
        key = hashlib.sha256(repr(_PACKAGES).encode()).hexdigest()[:16]
        file = self._cache / f"debian-{key}.tar"
        with filelock.FileLock(f"{file}.lock"):
            if file.exists():
                return file
            part = file.with_suffix(".part.tar")
            answer = subprocess.run(
                [  # noqa: S607 - found on PATH, as its users expect
                    "mmdebstrap",
                    "--variant=minbase",
                    f"--include={','.join(_PACKAGES)}",
                    *(
                        f"--dpkgopt=path-exclude=/usr/share/{folder}/*"
                        for folder in ("doc", "locale", "man")
                    ),
                    "bookworm",
                    str(part),
                    sources,
                ],
                check=False,
                capture_output=True,
                text=True,
            )
            if answer.returncode:
                message = f"mmdebstrap failed: {answer.stderr[-2000:]}"
                raise NodeError(message)
            part.replace(file)
        return file


def _copies(image: Image) -> list[tuple[str, Kind]]:
    """Return what registries have of an image, each with its name there."""
    if image.names == (BASE,):
        # Docker Hub has images without an owner there, and so have its mirrors.
        return [(f"library/{BASE}" if kind is MIRROR else BASE, kind) for kind in KINDS]
    return [(BUILDX_DEFAULT, MIRROR)] if BUILDX_DEFAULT in image.names else []


def _copy(registries: Registries, target: str, kind: Kind, archive: Path) -> None:
    registries.copy(f"docker-archive:{archive}", target, kind)


def reference(name: str) -> str:
    """Spell an image's name as containerd looks it up: with its registry, and digest over tag."""
    found = ImageReference.parse(name)
    return dataclasses.replace(found, tag="" if found.digest else found.tag).canonical
