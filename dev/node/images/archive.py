"""Writes an image as ``docker save`` does."""

import contextlib
import hashlib
import io
import json
import struct
import tarfile
from pathlib import Path
from typing import Any

from dev.node.images.image import Entry, Image
from dev.toolchain.cache import architecture

_CREATED = "1970-01-01T00:00:00Z"
"""Fixed; without it Buildah finds no step in a cache (imagebuildah/stage_executor.go)."""


def tag(archive: Path) -> str:
    """Return the name of an image in its archive."""
    return f"image-builds/made:{archive.stem}"


def write(file: Path, image: Image, base: list[Path]) -> None:
    """Write layers, config and manifest as ``docker save`` does."""
    layer = file.with_suffix(".layer")
    with contextlib.ExitStack() as held:
        held.callback(layer.unlink, missing_ok=True)
        with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as tar:
            for entry in image.entries:
                _add(tar, entry)
        layers = [*base, layer]
        digests = [_digest(path) for path in layers]
        config = json.dumps(config_of(image, digests)).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = [
            {
                "Config": name,
                "RepoTags": [tag(file.with_suffix(".tar"))],
                "Layers": [f"{digest}.tar" for digest in digests],
            }
        ]
        with tarfile.open(file, "w") as tar:
            for path, digest in zip(layers, digests, strict=True):
                tar.add(path, f"{digest}.tar")
            for member, content in (
                (name, config),
                ("manifest.json", json.dumps(manifest).encode()),
            ):
                information = tarfile.TarInfo(member)
                information.size = len(content)
                tar.addfile(information, io.BytesIO(content))


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    member = tarfile.TarInfo(entry.path.lstrip("/"))
    member.mode, member.uid, member.gid = entry.mode, entry.user, entry.user
    content = b""
    if entry.folder:
        member.type = tarfile.DIRTYPE
    elif entry.link:
        member.type, member.linkname = tarfile.SYMTYPE, entry.link
    else:
        content = entry.file.read_bytes() if entry.file else entry.content.encode()
        member.size = len(content)
    if entry.capability is not None:
        # Version 2 of the attribute: permitted and effective (linux/capability.h).
        value = struct.pack("<5I", 0x02000001, 1 << entry.capability, 0, 0, 0)
        header = value.decode("utf-8", "surrogateescape")
        member.pax_headers = {"SCHILY.xattr.security.capability": header}
    tar.addfile(member, io.BytesIO(content))


def config_of(image: Image, digests: list[str]) -> dict[str, Any]:
    """Return the config of an image, with the digests of its layers."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": path, **image.environment}
    return {
        "created": _CREATED,
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Entrypoint": list(image.entrypoint) or None,
            "Cmd": None if image.entrypoint else ["/bin/sh"],
            "User": image.user,
            "WorkingDir": image.folder,
            **({"Volumes": {path: {} for path in image.volumes}} if image.volumes else {}),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": _CREATED, "created_by": "image-builds"} for _ in digests],
    }
