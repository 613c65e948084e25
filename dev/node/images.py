"""The images that jobs need, made on this machine under the names that plans use.

No registry of images can be reached where only package registries can. What each image holds is
what a job may count on in the original: the programs, their places, the user and the variables.
The programs are built from Go modules, the rest comes from Debian's packages.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import platform
import resource
import struct
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import filelock
import tomlkit

from components.image_reference import ImageReference
from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.buildkit_service import BuildkitService
from components.strategies.dind import Dind
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from dev import toolchain
from dev.node.machine import Machine, NodeError
from dev.node.registry import (
    KINDS,
    MIRROR,
    Kind,
    Registries,
)
from dev.node.settings import DOCKER, PAUSE, SOCKET
from dev.toolchain import gitlab_runner

BASE = "base:1"
"""A Dockerfile's FROM: a shell and its tools, which the registry gets."""

_PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "fuse-overlayfs",
    # What Buildah reads: its policy of signatures, registries and storage.
    "golang-github-containers-common",
    "iproute2",
    "iptables",
    # Buildah looks for it at its start, also where its containers have the pod's network.
    "netavark",
    "openssl",
    "procps",
    "runc",
    "slirp4netns",
    "uidmap",
)
_FILES = Path(__file__).parent / "files"
_CREATED = "1970-01-01T00:00:00Z"
"""Fixed; without it Buildah finds no step in a cache (imagebuildah/stage_executor.go)."""
_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


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
    """The number of the one that whoever runs the file gets, in place of the setuid bit."""


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


def images() -> list[Image]:
    """Return every image that the node, the managers and the jobs of each strategy need."""
    version = gitlab_runner.pinned()
    gitlab = "registry.gitlab.com/gitlab-org/gitlab-runner"
    clients = {Dood(accept_node_root=True).image, Dind(accept_privileged=True).image}
    clients.add(BuildkitService(client="buildx").image)
    engine = Dind(accept_privileged=True).daemon_image
    rootless = Dind(variant="rootless", accept_privileged=True).daemon_image
    shell = _busybox("/bin/busybox", "/bin")
    return [
        Image((PAUSE,), shell, entrypoint=("/bin/sleep", "2147483647")),
        Image((BASE,), (*shell, *_accounts("app", 1001))),
        Image((f"{gitlab}/gitlab-runner-helper:x86_64-v{version}",), _helper(), debian=True),
        Image((f"{gitlab}:alpine-v{version}",), _manager(), debian=True),
        _kaniko(Kaniko().image),
        _buildkit_rootless(Buildkit().image),
        Image(
            (Buildkit(variant="privileged").image,),
            (*_buildkit(), *_runc()),
            debian=True,
        ),
        _buildah(Buildah().image),
        Image(tuple(sorted(clients)), _docker_client(), debian=True),
        Image(
            # The version alone names the same image (docker-library/official-images).
            (engine, engine.partition("-dind")[0]),
            (*_docker_client(), *_docker_engine("/etc/docker")),
            debian=True,
            entrypoint=("dockerd-entrypoint.sh",),
        ),
        Image(
            (rootless,),
            (
                *_docker_client(),
                *_rootless("rootless", "/home/rootless"),
                *_docker_engine("/home/rootless/.config/docker"),
            ),
            debian=True,
            environment={"HOME": "/home/rootless", "XDG_RUNTIME_DIR": "/run/user/1000"},
            entrypoint=("dockerd-entrypoint.sh",),
            user="1000:1000",
        ),
    ]


def _busybox(path: str, folder: str) -> tuple[Entry, ...]:
    """The shell and its tools, each a link."""
    busybox = Path("/bin/busybox")
    listing = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    names = [name for name in listing.stdout.split() if name != "busybox"]
    return (
        Entry(path, file=busybox),
        *(Entry(f"{folder}/{name}", link=path) for name in names),
        Entry("/tmp", folder=True, mode=0o1777),  # noqa: S108 - a path in an image
    )


def _accounts(name: str, user: int) -> tuple[Entry, ...]:
    home = f"/home/{name}"
    passwd = f"root:x:0:0:root:/root:/bin/sh\n{name}:x:{user}:{user}::{home}:/bin/sh\n"
    return (
        Entry("/etc/passwd", content=passwd, mode=0o644),
        Entry("/etc/group", content=f"root:x:0:\n{name}:x:{user}:\n", mode=0o644),
        Entry("/root", folder=True, mode=0o700),
        Entry(home, folder=True, user=user),
    )


def _helper() -> tuple[Entry, ...]:
    """What GitLab Runner calls in its helper; its stand-in needs a shell and its tools only.

    The shell must be Bash (gitlab-runner:executors/kubernetes/kubernetes.go, getContainerInfo), and
    what it makes be anybody's, who then runs the job (helpers/container/helperimage/linux_info.go).
    The runner's own program has the helper's commands too (main.go).
    """
    runner = gitlab_runner.installed()
    return (
        Entry("/usr/bin/gitlab-runner-build", content='#!/bin/sh\numask 0\nexec bash "$@"\n'),
        *([Entry("/usr/bin/gitlab-runner-helper", file=runner)] if runner else ()),
    )


def _program(name: str, path: str = "") -> Entry:
    return Entry(path or f"/usr/bin/{name}", file=toolchain.ensure(name).file)


def _script(name: str, path: str) -> Entry:
    return Entry(path, content=(_FILES / name).read_text(encoding="utf-8"))


def _manager() -> tuple[Entry, ...]:
    """What the chart's probes and start script look for; it talks to no GitLab."""
    return (
        _script("manager.sh", "/usr/bin/gitlab-runner"),
        # A process is named after its file, and the chart's probe looks for the runner's name.
        Entry("/entrypoint", content='#!/bin/sh\nexec /usr/bin/gitlab-runner "$@"\n'),
        Entry("/usr/bin/dumb-init", content='#!/bin/sh\nshift\nexec "$@"\n'),
        Entry("/home/gitlab-runner/.gitlab-runner", folder=True, mode=0o777),
    )


def _kaniko(name: str) -> Image:
    return Image(
        # The pipelines of docs/how-to/move-a-pipeline.md name the image by its tag.
        (name, _without_digest(name)),
        (
            _program("executor", "/kaniko/executor"),
            *_busybox("/busybox/busybox", "/busybox"),
            Entry("/bin/sh", link="/busybox/sh"),
            Entry("/kaniko/.docker", folder=True),
            Entry("/kaniko/ssl/certs", folder=True),
            Entry("/workspace", folder=True),
            *_accounts("nobody", 65534),
        ),
        environment={
            "DOCKER_CONFIG": "/kaniko/.docker/",
            "HOME": "/root",
            "PATH": "/usr/local/bin:/kaniko:/busybox",
            "SSL_CERT_DIR": "/kaniko/ssl/certs",
            "USER": "root",
        },
        entrypoint=("/kaniko/executor",),
        folder="/workspace",
    )


def _buildkit() -> tuple[Entry, ...]:
    module = toolchain.source_folder("buildkitd")
    script = module / "examples" / "buildctl-daemonless" / "buildctl-daemonless.sh"
    return (
        _program("buildkitd"),
        _program("buildctl"),
        Entry("/usr/bin/buildctl-daemonless.sh", file=script),
    )


def _runc() -> tuple[Entry, ...]:
    # Debian's runc is in the root file system, since Buildah wants it.
    return (Entry("/usr/bin/buildkit-runc", link="/usr/sbin/runc"),)


def _rootless(name: str, home: str) -> tuple[Entry, ...]:
    """Let uid 1000 make user namespaces (rootless-containers/rootlesskit)."""
    accounts = _accounts(name, 1000)
    subordinate = f"{name}:100000:65536\n"
    return (
        *accounts,
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
        _program("rootlesskit"),
    )


def _buildkit_rootless(name: str) -> Image:
    state = "/home/user/.local/share/buildkit"
    return Image(
        (name,),
        (
            *_buildkit(),
            *_runc(),
            *_rootless("user", "/home/user"),
            Entry(state, folder=True, user=1000),
        ),
        debian=True,
        environment={
            "BUILDKIT_HOST": "unix:///run/user/1000/buildkit/buildkitd.sock",
            "HOME": "/home/user",
            "TMPDIR": "/home/user/.local/tmp",
            "USER": "user",
            "XDG_RUNTIME_DIR": "/run/user/1000",
        },
        entrypoint=("rootlesskit", "buildkitd"),
        user="1000:1000",
    )


def _buildah(name: str) -> Image:
    # As root it raises these to 1048576, which needs CAP_SYS_RESOURCE: a machine that is a
    # container itself may not have it (buildah: run_linux.go).
    limits = [
        f"{what}={hard}:{hard}"
        for what, limit in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
        if (hard := resource.getrlimit(limit)[1]) != resource.RLIM_INFINITY
    ]
    told = tomlkit.dumps({"containers": {"default_ulimits": limits}})
    return Image(
        (name,),
        (
            _program("buildah"),
            Entry("/etc/containers/containers.conf", content=told, mode=0o644),
            *_rootless("build", "/home/build"),
            Entry("/home/build/.local/share/containers", folder=True, user=1000),
        ),
        debian=True,
        environment={"_BUILDAH_STARTED_IN_USERNS": "", "BUILDAH_ISOLATION": "chroot"},
    )


def _docker_client() -> tuple[Entry, ...]:
    return (
        _program("docker", "/usr/local/bin/docker"),
        _program("buildx", "/usr/local/libexec/docker/cli-plugins/docker-buildx"),
    )


def _docker_engine(folder: str) -> tuple[Entry, ...]:
    """The engine, which reads ``daemon.json`` in ``folder``."""
    module = toolchain.source_folder("dockerd")
    rootless = module / "contrib" / "dockerd-rootless.sh"
    return (
        *(
            _program(name, f"/usr/local/bin/{name}")
            for name in ("dockerd", "docker-proxy", "containerd", "containerd-shim-runc-v2")
        ),
        Entry("/usr/local/bin/runc", link="/usr/sbin/runc"),
        Entry("/usr/local/bin/docker-init", link="/bin/busybox"),
        Entry("/usr/local/bin/dockerd-rootless.sh", file=rootless),
        _script("dockerd-entrypoint.sh", "/usr/local/bin/dockerd-entrypoint.sh"),
        Entry(f"{folder}/daemon.json", content=json.dumps(DOCKER), mode=0o644),
        Entry("/var/lib/docker", folder=True),
        Entry("/certs", folder=True, mode=0o1777),
        Entry("/certs/client", folder=True, mode=0o1777),
    )


class Store:
    """Images on disk, and which of them a machine's containerd has."""

    def __init__(self, machine: Machine) -> None:
        """Remember whose containerd it is."""
        self._machine = machine
        self._cache = toolchain.cache_folder() / "node-images"
        self._brought = machine.state / "images.json"

    def bring(self, registries: Registries) -> None:
        """Make what is missing, and give it to containerd, and the base to each registry."""
        for image in images():
            archive = self.archive(image)
            self._once(" ".join(image.names), archive, functools.partial(self._import, image))
            if image.names == (BASE,):
                for kind in KINDS:
                    # Docker Hub has images without an owner there, and so have its mirrors.
                    target = f"library/{BASE}" if kind is MIRROR else BASE
                    copy = functools.partial(_copy, registries, target, kind)
                    self._once(f"{kind.address}/{target}", archive, copy)

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
        digest = hashlib.sha256(repr((image, base, _config(image, [""]))).encode())
        for entry in image.entries:
            if entry.file:
                status = entry.file.stat()
                digest.update(f"{entry.file} {status.st_size} {status.st_mtime_ns}".encode())
        file = self._cache / f"{digest.hexdigest()[:16]}.tar"
        with filelock.FileLock(f"{file}.lock"):
            if not file.exists():
                part = file.with_suffix(".part")
                _write_archive(part, image, base)
                part.replace(file)
        return file

    def _import(self, image: Image, archive: Path) -> None:
        ctr = ("ctr", f"--address={SOCKET}", "--namespace=k8s.io", "images")
        self._machine.call(*ctr, "import", "--no-unpack", str(archive))
        made = f"docker.io/{_tag(archive)}"
        # People name images without their digests.
        tagged = (_without_digest(name) for name in image.names)
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


def _copy(registries: Registries, target: str, kind: Kind, archive: Path) -> None:
    registries.copy(f"docker-archive:{archive}", target, kind)


def reference(name: str) -> str:
    """Spell an image's name as containerd looks it up: with its registry, and digest over tag."""
    found = ImageReference.parse(name)
    return dataclasses.replace(found, tag="" if found.digest else found.tag).canonical


def _without_digest(name: str) -> str:
    return str(dataclasses.replace(ImageReference.parse(name), digest=""))


def _tag(archive: Path) -> str:
    return f"image-builds/made:{archive.stem}"


def _write_archive(file: Path, image: Image, base: list[Path]) -> None:
    """Write layers, config and manifest as ``docker save`` does."""
    layer = file.with_suffix(".layer")
    with contextlib.ExitStack() as held:
        held.callback(layer.unlink, missing_ok=True)
        with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as tar:
            for entry in image.entries:
                _add(tar, entry)
        layers = [*base, layer]
        digests = [hashlib.file_digest(path.open("rb"), "sha256").hexdigest() for path in layers]
        config = json.dumps(_config(image, digests)).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = [
            {
                "Config": name,
                "RepoTags": [_tag(file.with_suffix(".tar"))],
                "Layers": [f"{digest}.tar" for digest in digests],
            },
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


def _config(image: Image, digests: list[str]) -> dict[str, Any]:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": path, **image.environment}
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "created": _CREATED,
        "architecture": machine,
        "os": "linux",
        "config": {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Entrypoint": list(image.entrypoint) or None,
            "Cmd": None if image.entrypoint else ["/bin/sh"],
            "User": image.user,
            "WorkingDir": image.folder,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": _CREATED, "created_by": "dev/node/images.py"} for _ in digests],
    }
