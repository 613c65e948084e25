"""The list of images, which ``dev/node/files/images.toml.j2`` describes."""

import resource
import subprocess
import tomllib

import pydantic
import tomlkit

from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.buildkit_service import BuildkitService
from components.strategies.dind import Dind
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from dev.generate.templates import IMAGES
from dev.node.images.image import Image, without_digest
from dev.node.settings import FILES, configuration
from dev.toolchain import gitlab_runner
from dev.toolchain.ensure import ensure
from dev.toolchain.modules import source_folder

BASE = "base:1"
"""A Dockerfile's FROM: a shell and its tools, which the registry gets."""
BUILDX_DEFAULT = "moby/buildkit:buildx-stable-1"
"""What ``docker buildx create`` runs, which the mirror of Docker Hub gets."""
CLIENT = "docker:28.5.1"
ENGINES = (
    "docker:dind",
    "docker:28.5.1-dind",
    f"docker:27-dind@sha256:{'0' * 64}",
    "docker.io/library/docker:26-dind",
    "registry.example.com:5000/mirror/docker:29-dind",
    "gitlab.example.com/group/dependency_proxy/containers/docker:28-dind",
)
"""What pipelines that were written elsewhere name; here all are of the default's version."""


def images() -> list[Image]:
    """Return every image that the node, the managers and the jobs of each strategy need."""
    dind, dood = Dind(accept_privileged=True), Dood(accept_node_root=True)
    listing = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True)
    real = gitlab_runner.installed()
    text = configuration(
        "images.toml",
        base=BASE,
        version=gitlab_runner.pinned(),
        helper_version=gitlab_runner.used(),
        runner=real and real.file,
        kaniko=Kaniko().image,
        buildkit_rootless=Buildkit().image,
        buildkit_privileged=Buildkit(variant="privileged").image,
        buildah=Buildah().image,
        buildx_default=BUILDX_DEFAULT,
        engines=ENGINES,
        clients=sorted({dood.image, dind.image, BuildkitService(client="buildx").image, CLIENT}),
        engine=dind.daemon_image,
        rootless_engine=Dind(variant="rootless", accept_privileged=True).daemon_image,
        regctl=IMAGES["regctl"],
        limits=_limits(),
        tools=[name for name in listing.stdout.split() if name != "busybox"],
        files=FILES,
        ensure=ensure,
        source_folder=source_folder,
        without_digest=without_digest,
    )
    return pydantic.TypeAdapter(list[Image]).validate_python(tomllib.loads(text)["images"])


def _limits() -> str:
    """Return a containers.conf for Buildah with the limits of this process.

    As root, Buildah raises them to 1048576, which needs CAP_SYS_RESOURCE: a machine that is a
    container itself may not have it (buildah: run_linux.go).
    """
    limits = [
        f"{what}={hard}:{hard}"
        for what, limit in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
        if (hard := resource.getrlimit(limit)[1]) != resource.RLIM_INFINITY
    ]
    return tomlkit.dumps({"containers": {"default_ulimits": limits}})
