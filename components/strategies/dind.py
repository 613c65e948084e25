"""DinD: builds with a Docker engine of the job's own, in a container beside it.

Only that container is privileged (gitlab-runner:common/config.go, a container's own context
outranks the general value), but jobs command its engine, so everyone who can run one can reach the
node. Client and engine speak TLS on 2376, for which the engine makes the certificates and shares
them in memory, or a Unix socket in a folder that they share (docker-library/docker:
dockerd-entrypoint.sh). Rootless, the engine runs as uid 1000, in a container that is privileged
all the same (docker-library/docker#330).
"""

import dataclasses
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from components.image_reference import ImageReference
from components.plan import BuildPlan, EmptyDir, Security, Service
from components.site import BUILDS, CLIENT, Site
from components.strategies.docker import DOCKER_CLIENT, DOCKER_ENGINES, files
from components.strategies.shared import (
    ACCEPT_PRIVILEGED,
    CREDENTIALS,
    Forms,
    StrategyOptions,
    is_rootless,
    setup_to_unshare,
    untrusted,
    wait_for,
)
from components.types import Image

_CERTIFICATES = "/etc/docker/certs.d"
_CERTIFICATES_OF_USER = "/home/rootless/.config/docker/certs.d"
_TLS = "/certs"
_SOCKET_FOLDER = "/var/run/image-builds"
_SOCKET = f"unix://{_SOCKET_FOLDER}/docker.sock"
# Not the default, which a job's own engine would use too: all volumes are mounted everywhere.
_STORAGE = "/var/lib/image-builds"


@final
class Dind(StrategyOptions):
    """Build with a separate Docker daemon for each job, in a privileged container beside it.

    Anyone who can run a job commands that daemon, and can leave its container for the node.
    """

    kind: Literal["dind"] = "dind"
    """Selects this strategy."""
    variant: Literal["tls", "socket", "rootless"] = "tls"
    """How jobs reach the daemon: over TLS, or with `socket` through a Unix socket in a shared
    folder. `rootless` runs the daemon as uid 1000, reached over TLS; its container is privileged
    all the same (docker-library/docker#330)."""
    accept_privileged: Annotated[Literal[True], ACCEPT_PRIVILEGED]
    """Must be `true`, to confirm that each job has a privileged container."""
    image: Image = DOCKER_CLIENT
    """The image of jobs that name none, with the Docker client, pinned by a version or a digest.
    Use the version of the daemon: those of 29.0 to 29.2 refuse clients older than 25."""
    daemon_image: Image = Field(
        default_factory=lambda given: DOCKER_ENGINES[given.get("variant") == "rootless"]
    )
    """The image of the daemon, pinned by a version or a digest. By default it has the version of
    the default client, and is rootless with that variant."""

    forms: ClassVar[Forms] = {
        "dind": {"acceptPrivileged": True},
        "dind-socket": {"variant": "socket", "acceptPrivileged": True},
        "dind-rootless": {"variant": "rootless", "acceptPrivileged": True},
    }
    command: ClassVar[str] = "docker build"

    def plan(self, site: Site) -> BuildPlan:
        """Return the plan; jobs call ``docker build`` and ``docker push`` as they are."""
        rootless, socket = self.variant == "rootless", self.variant == "socket"
        shared = (
            EmptyDir(name="docker-socket", path=_SOCKET_FOLDER)
            if socket
            else EmptyDir(name="docker-certificates", path=f"{_TLS}/client", medium="Memory")
        )
        return BuildPlan(
            strategy=self.kind,
            image=self.image,
            pod_security="privileged",
            service=Security(privileged=True, user=1000 if rootless else None),
            unshares=rootless,
            credentials_folder=CREDENTIALS,
            files_folder=_CERTIFICATES_OF_USER if rootless else _CERTIFICATES,
            files=files(site.registries, site.mirrors),
            # The engine beside the job does the work.
            resources={**CLIENT, **{f"service_{key}": value for key, value in BUILDS.items()}},
            environment={"DOCKER_HOST": _SOCKET} if socket else _CLIENT_TLS,
            prepare=wait_for("The Docker engine", "docker version"),
            services=(
                Service(
                    image=self.daemon_image,
                    other_names=_other_names(self.daemon_image),
                    alias="docker",
                    command=self._arguments(site),
                    environment={} if socket else {"DOCKER_TLS_CERTDIR": _TLS},
                ),
            ),
            empty_dirs=(
                shared,
                # Overlay on the container's own overlay root fails (containerd#3144).
                EmptyDir(name="docker-storage", path=_STORAGE),
            ),
            node_selector=site.cluster.nodes.selector,
            node_setup=setup_to_unshare(site.cluster, None) if rootless else (),
            # A privileged container has no cgroup namespace (containerd/cri#1415), so its builds
            # get cgroups outside the pod's, whatever the limits of the service (moby/moby#45378).
            warnings=(
                "anyone who can run a job can leave its privileged Docker engine for the node; "
                "jobs may use no other services, and limits of a job's pod, those of "
                "resources.service included, do not hold for its builds where nodes have cgroup v2",
            ),
            in_sandbox="in Kata the engine's overlay is slow (kata-containers#7805)",
        )

    def blockers(self, site: Site) -> Iterator[str]:
        """Yield why it cannot or must not run there: it needs the variant's image, and trust."""
        if is_rootless(self.daemon_image) != (self.variant == "rootless"):
            wanted = "ends in" if self.variant == "rootless" else "does not end in"
            yield (
                f"is dind with variant {self.variant}, which the image {self.daemon_image} does "
                f"not support; set daemonImage to one that {wanted} -dind-rootless"
            )
        risk = "runs a privileged engine, with which anyone who can run a job can reach the node"
        yield from untrusted(site.cluster, risk)

    def _arguments(self, site: Site) -> tuple[str, ...]:
        """The engine's arguments (docs.docker.com: dockerd)."""
        flags = (
            # In a subfolder: the engine changes the mode, and only a volume's owner may.
            f"--data-root={_STORAGE}/docker",
            *(f"--insecure-registry={entry.host}" for entry in site.registries if entry.insecure),
            *(f"--registry-mirror=https://{mirror}" for mirror in site.mirrors),
        )
        if self.variant == "socket":
            # With flags alone, the entrypoint would open 2375 to the network, without TLS.
            return ("dockerd", f"--host={_SOCKET}", *flags)
        return flags


_CLIENT_TLS = {
    "DOCKER_CERT_PATH": f"{_TLS}/client",
    "DOCKER_HOST": "tcp://docker:2376",
    "DOCKER_TLS_CERTDIR": _TLS,
    "DOCKER_TLS_VERIFY": "1",
}


def _other_names(image: str) -> tuple[str, ...]:
    """How jobs name the engine's image: without digest, and without what sets it apart.

    The version alone is the same image (docker-library/official-images: library/docker).
    """
    tagged = dataclasses.replace(ImageReference.parse(image), digest="")
    version = dataclasses.replace(tagged, tag=tagged.tag.removesuffix("-dind"))
    names = dict.fromkeys((str(tagged), str(version)))
    return tuple(name for name in names if name != image)
