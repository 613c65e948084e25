"""DinD: builds with a Docker engine of the job's own, in a container beside it.

Only that container is privileged (gitlab-runner:common/config.go, a container's own context
outranks the general value), but whoever runs a job commands its engine, so the node is reachable.
Client and engine speak TLS on 2376, for which the engine makes the certificates and shares them
in memory, or a Unix socket in a folder that they share (docker-library/docker:
dockerd-entrypoint.sh). Rootless, the engine runs as uid 1000, in a container that is privileged
all the same (docker-library/docker#330).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from components.plan import (
    BUILDS,
    CLIENT,
    CREDENTIALS,
    BuildPlan,
    EmptyDir,
    Security,
    Service,
    setup_to_unshare,
    wait_for,
)
from components.site import Cluster, Registry
from components.strategies.docker import DOCKER_CLIENT, DOCKER_ENGINES, files
from components.types import Image, Model


def _engine_image(given: Mapping[str, Any]) -> str:
    return DOCKER_ENGINES[given.get("variant") == "rootless"]


class Dind(Model):
    """Build with a Docker engine that runs privileged beside the job.

    Whoever runs a job commands that engine, so the stack file must say that it accepts this.
    ``tls`` and ``socket`` are how the client reaches it; ``rootless`` runs it as uid 1000, reached
    with TLS. Client and engine are of one version: engines of 29.0 refuse older clients.
    """

    kind: Literal["dind"] = "dind"
    variant: Literal["tls", "socket", "rootless"] = "tls"
    accept_privileged: Literal[True]
    image: Image = DOCKER_CLIENT
    daemon_image: Image = Field(default_factory=_engine_image)


_CERTIFICATES = "/etc/docker/certs.d"
_CERTIFICATES_OF_USER = "/home/rootless/.config/docker/certs.d"
_TLS = "/certs"
_SOCKET_FOLDER = "/var/run/image-builds"
_SOCKET = f"unix://{_SOCKET_FOLDER}/docker.sock"
# Not the default, which a job's own engine would use too: all volumes are mounted everywhere.
_STORAGE = "/var/lib/image-builds"


def plan(
    options: Dind,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan; jobs call ``docker build`` and ``docker push`` as they are."""
    rootless = options.variant == "rootless"
    # In a folder of its own: the engine changes the mode, and only a volume's owner may.
    flags = (f"--data-root={_STORAGE}/docker", *_flags(registries, mirrors))
    if options.variant == "socket":
        # With flags alone, the entrypoint would open 2375 to the network, without TLS.
        flags = ("dockerd", f"--host={_SOCKET}", *flags)
    shared = (
        EmptyDir(name="docker-socket", path=_SOCKET_FOLDER)
        if options.variant == "socket"
        else EmptyDir(name="docker-certificates", path=f"{_TLS}/client", medium="Memory")
    )
    return BuildPlan(
        strategy=options.kind,
        image=options.image,
        pod_security="privileged",
        service=Security(privileged=True, user=1000 if rootless else None),
        unshares=rootless,
        credentials_folder=CREDENTIALS,
        files_folder=_CERTIFICATES_OF_USER if rootless else _CERTIFICATES,
        files=files(registries, mirrors),
        # The engine beside the job does the work.
        resources={**CLIENT, **{f"service_{key}": value for key, value in BUILDS.items()}},
        environment=_environment(options),
        prepare=wait_for("The Docker engine", "docker version"),
        services=(
            Service(
                image=options.daemon_image,
                other_names=_other_names(options.daemon_image),
                alias="docker",
                command=flags,
                environment={} if options.variant == "socket" else {"DOCKER_TLS_CERTDIR": _TLS},
            ),
        ),
        empty_dirs=(
            shared,
            # Overlay on the container's own overlay root fails (containerd#3144).
            EmptyDir(name="docker-storage", path=_STORAGE),
        ),
        node_selector=cluster.nodes.selector,
        node_setup=setup_to_unshare(cluster, None) if rootless else (),
        # A privileged container has no cgroup namespace (containerd/cri#1415), so its builds get
        # cgroups outside the pod's, whatever the limits of the service (moby/moby#45378).
        warnings=(
            "whoever can run a job can leave its privileged Docker engine for the node; jobs may "
            "use no other services, and limits of a job's pod, those of resources.service "
            "included, do not hold for its builds where nodes have cgroup v2",
        ),
        in_sandbox="in Kata the engine's overlay is slow (kata-containers#7805)",
    )


def _other_names(image: str) -> tuple[str, ...]:
    """How jobs name the engine's image: without digest, and without what sets it apart.

    The version alone is the same image (docker-library/official-images: library/docker).
    """
    tagged = image.partition("@")[0]
    names = dict.fromkeys((tagged, tagged.removesuffix("-dind")))
    return tuple(name for name in names if name != image)


def _environment(options: Dind) -> dict[str, str]:
    if options.variant == "socket":
        return {"DOCKER_HOST": _SOCKET}
    return {
        "DOCKER_CERT_PATH": f"{_TLS}/client",
        "DOCKER_HOST": "tcp://docker:2376",
        "DOCKER_TLS_CERTDIR": _TLS,
        "DOCKER_TLS_VERIFY": "1",
    }


def _flags(registries: Sequence[Registry], mirrors: Sequence[str]) -> list[str]:
    """The engine's flags that follow from the registries (docs.docker.com: dockerd)."""
    insecure = [f"--insecure-registry={entry.host}" for entry in registries if entry.insecure]
    return insecure + [f"--registry-mirror=https://{mirror}" for mirror in mirrors]
