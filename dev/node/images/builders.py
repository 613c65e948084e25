"""The images of the builders: Kaniko, BuildKit, Buildah, and Docker's client and engine."""

import json
import resource

import tomlkit

from dev.node.images.image import (
    Entry,
    Image,
    accounts,
    busybox,
    program,
    rootless,
    script,
    without_digest,
)
from dev.node.settings import DOCKER
from dev.toolchain.modules import source_folder


def kaniko(name: str) -> Image:
    """Kaniko's executor with a shell."""
    return Image(
        # The pipelines of docs/how-to/move-a-pipeline.md name the image by its tag.
        (name, without_digest(name)),
        (
            program("executor", "/kaniko/executor"),
            *busybox("/busybox/busybox", "/busybox"),
            Entry("/bin/sh", link="/busybox/sh"),
            Entry("/kaniko/.docker", folder=True),
            Entry("/kaniko/ssl/certs", folder=True),
            Entry("/workspace", folder=True),
            *accounts("nobody", 65534),
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


def buildkit() -> tuple[Entry, ...]:
    """BuildKit's daemon, client and the script that starts both."""
    module = source_folder("buildkitd")
    daemonless = module / "examples" / "buildctl-daemonless" / "buildctl-daemonless.sh"
    return (
        program("buildkitd"),
        program("buildctl"),
        Entry("/usr/bin/buildctl-daemonless.sh", file=daemonless),
    )


def runc() -> tuple[Entry, ...]:
    """The runtime that BuildKit looks up by its own name for it."""
    # Debian's runc is in the root file system, since Buildah wants it.
    return (Entry("/usr/bin/buildkit-runc", link="/usr/sbin/runc"),)


def buildkit_rootless(name: str) -> Image:
    """BuildKit that uid 1000 runs."""
    state = "/home/user/.local/share/buildkit"
    return Image(
        (name,),
        (
            *buildkit(),
            *runc(),
            *rootless("user", "/home/user"),
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


def buildah(name: str) -> Image:
    """Buildah, for root and for uid 1000."""
    # As root, Buildah raises these to 1048576, which needs CAP_SYS_RESOURCE: a machine that is a
    # container itself may not have it (buildah: run_linux.go).
    limits = [
        f"{what}={hard}:{hard}"
        for what, limit in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
        if (hard := resource.getrlimit(limit)[1]) != resource.RLIM_INFINITY
    ]
    content = tomlkit.dumps({"containers": {"default_ulimits": limits}})
    return Image(
        (name,),
        (
            program("buildah"),
            Entry("/etc/containers/containers.conf", content=content, mode=0o644),
            *rootless("build", "/home/build"),
            Entry("/home/build/.local/share/containers", folder=True, user=1000),
        ),
        debian=True,
        environment={"_BUILDAH_STARTED_IN_USERNS": "", "BUILDAH_ISOLATION": "chroot"},
    )


def docker_client() -> tuple[Entry, ...]:
    """Docker's client with Buildx."""
    return (
        program("docker", "/usr/local/bin/docker"),
        program("buildx", "/usr/local/libexec/docker/cli-plugins/docker-buildx"),
    )


def docker_engine(folder: str) -> tuple[Entry, ...]:
    """The engine, which reads ``daemon.json`` in ``folder``."""
    module = source_folder("dockerd")
    starter = module / "contrib" / "dockerd-rootless.sh"
    return (
        *(
            program(name, f"/usr/local/bin/{name}")
            for name in ("dockerd", "docker-proxy", "containerd", "containerd-shim-runc-v2")
        ),
        Entry("/usr/local/bin/runc", link="/usr/sbin/runc"),
        Entry("/usr/local/bin/docker-init", link="/bin/busybox"),
        Entry("/usr/local/bin/dockerd-rootless.sh", file=starter),
        script("dockerd-entrypoint.sh", "/usr/local/bin/dockerd-entrypoint.sh"),
        Entry(f"{folder}/daemon.json", content=json.dumps(DOCKER), mode=0o644),
        Entry("/var/lib/docker", folder=True),
        Entry("/certs", folder=True, mode=0o1777),
        Entry("/certs/client", folder=True, mode=0o1777),
    )
