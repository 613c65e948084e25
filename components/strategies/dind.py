"""DinD: builds with a Docker engine of the job's own, in a container beside it.

Only services are privileged (gitlab-runner:common/config.go, a container's own context outranks
the general value), but jobs command the engine, so everyone who can run one can reach the node.
Client and engine share a folder with a Unix socket, or speak TLS on 2376, for which the engine
makes the certificates and shares them in memory (docker-library/docker: dockerd-entrypoint.sh).
Rootless, the engine runs as uid 1000, in a container that is privileged all the same
(docker-library/docker#330).

Most pipelines for Docker-in-Docker bring an engine as a service. All containers of a pod share its
network and have the same volumes, so with TLS such an engine takes the port and overwrites the
certificates. With a socket it does neither: it listens on 2375 or 2376 as it does elsewhere.
"""

import dataclasses
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from components.bounds import BUILDS, CLIENT
from components.image_reference import ImageReference
from components.plan import BuildPlan, EmptyDir, Security, Service
from components.site import Site
from components.strategies.docker import (
    BEGIN,
    DOCKER_CLIENT,
    DOCKER_ENGINES,
    OF_ENGINE,
    OF_JOBS,
    SOCKET,
    ImagePattern,
    begin_at_socket,
    choose_engine,
    files,
)
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
_SOCKET_FILE = f"{_SOCKET_FOLDER}/docker.sock"
_SOCKET = f"unix://{_SOCKET_FILE}"
_ASKED = f"{_SOCKET_FOLDER}/asked"
# Not the default, which a job's own engine would use too: all volumes are mounted everywhere.
_STORAGE = "/var/lib/image-builds"
_PATIENCE = 30
"""How many seconds an engine of a job may take: without TLS it waits for 16 s, to say what that
means (moby: daemon/command/daemon.go, loadListeners)."""
_ENGINES = ("**/docker", "**/docker:*", "**/docker@*")
"""Docker's image from any registry, in any version (gitlab-runner:common/allowed_images.go)."""

# Where the job may, it also finds the engine without a variable, as in its after_script.
_ASK = f"""\
true >>{_ASKED} || true
[ -e /var/run/docker.sock ] || ln -s {_SOCKET_FILE} /var/run/docker.sock 2>/dev/null || true
"""


@final
class Dind(StrategyOptions):
    """Build with a separate Docker daemon for each job, in a privileged container beside it.

    Anyone who can run a job commands that daemon, and can leave its container for the node.
    """

    kind: Literal["dind"] = "dind"
    """Selects this strategy."""
    variant: Literal["socket", "tls", "rootless"] = "socket"
    """How jobs reach the daemon: through a Unix socket in a shared folder, or with `tls` over TLS.
    Only with `socket` can a job bring another daemon as a service, as most pipelines for
    Docker-in-Docker do. `rootless` runs the daemon as uid 1000, reached over TLS. Security: its
    container is privileged all the same (docker-library/docker#330)."""
    accept_privileged: Annotated[Literal[True], ACCEPT_PRIVILEGED]
    """Must be `true`, to confirm that each job has a privileged container. Security: anyone who can
    run a job can become root on the node."""
    image: Image = DOCKER_CLIENT
    """The image of jobs that name none, with the Docker client, pinned by a version or a digest."""
    daemon_image: Image = Field(
        default_factory=lambda given: DOCKER_ENGINES[given.get("variant") == "rootless"]
    )
    """The image of the daemon, Docker's own or one made from it, pinned by a version or a digest.
    By default it has the version of the default client, and is rootless with that variant."""
    job_engines: bool = True
    """Whether jobs may bring their own daemons, which makes all services of a job privileged, so
    that they may name nothing else. With `false` the daemon of the runner alone is privileged, and
    jobs may name databases and other services, which `allowedServices` limits. A daemon that a job
    names then ends at once, and the job gets that of the runner. It needs `variant: socket`.
    Security: all that runs beside it can command the daemon, privileged or not."""
    service_images: list[ImagePattern] = Field(default_factory=list[str])
    """Further images that jobs may name as services, as patterns: `*` stands for any text without a
    slash, `**/` for any path. With `socket`, jobs may name images called `docker`, of any registry
    and version; otherwise only that of the daemon. Security: such services are privileged too, so
    allow images of people whom you trust with the node."""

    forms: ClassVar[Forms] = {
        "dind": {"acceptPrivileged": True},
        "dind-tls": {"variant": "tls", "acceptPrivileged": True},
        "dind-rootless": {"variant": "rootless", "acceptPrivileged": True},
    }
    command: ClassVar[str] = "docker build"

    def plan(self, site: Site) -> BuildPlan:
        """Return the plan; jobs call ``docker build`` and ``docker push`` as they are."""
        rootless, socket = self.variant == "rootless", self.variant == "socket"
        client = {"DOCKER_HOST": _SOCKET} if socket else _CLIENT_TLS
        engine = f"The Docker engine of this runner, {client['DOCKER_HOST']},"
        wait = wait_for(engine, "docker version", seconds=3 * _PATIENCE)
        # Of localhost, of the alias, and of the image if that makes a valid name.
        names = 2 + ("_" not in ImageReference.parse(self.daemon_image).name)
        shared = (EmptyDir(name="docker-socket", path=_SOCKET_FOLDER),) if socket else ()
        return BuildPlan(
            strategy=self.kind,
            image=self.image,
            pod_security="privileged",
            service=Security(privileged=self.job_engines, user=1000 if rootless else None),
            unshares=rootless,
            credentials_folder=CREDENTIALS,
            files_folder=_CERTIFICATES_OF_USER if rootless else _CERTIFICATES,
            files=files(site.registries, site.mirrors),
            # The engine beside the job does the work.
            resources={**CLIENT, **{f"service_{key}": value for key, value in BUILDS.items()}},
            # A service has these too: an engine of the job's own would listen on that socket.
            environment={**OF_JOBS, **({} if socket else _CLIENT_TLS)},
            prepare=choose_engine(
                self.kind,
                client,
                seconds=_PATIENCE if self.job_engines else 0,
                names=names,
                begin=(_ASK if socket else "") + wait,
            ),
            services=(
                Service(
                    image=self.daemon_image,
                    alias="docker",
                    privileged=not self.job_engines,
                    entrypoint=(
                        "sh",
                        "-c",
                        self._begin(),
                        "engine",
                        *([str(names)] if socket else []),
                    ),
                    command=self._arguments(site),
                    environment={**OF_ENGINE, "DOCKER_TLS_CERTDIR": "" if socket else _TLS},
                ),
            ),
            job_services=(
                *(_ENGINES if socket else _other_names(self.daemon_image)),
                *self.service_images,
            ),
            empty_dirs=(
                *shared,
                # With a socket, it is for engines that jobs bring.
                EmptyDir(name="docker-certificates", path=f"{_TLS}/client", medium="Memory"),
                # Overlay on the container's own overlay root fails (containerd#3144).
                EmptyDir(name="docker-storage", path=_STORAGE),
            ),
            node_selector=site.cluster.nodes.selector,
            node_setup=setup_to_unshare(site.cluster, None) if rootless else (),
            # A privileged container has no cgroup namespace (containerd/cri#1415), so its builds
            # get cgroups outside the pod's, whatever the limits of the service (moby/moby#45378).
            warnings=(
                "anyone who can run a job can leave its privileged Docker engine for the node, and "
                "limits of a job's pod, those of resources.service included, do not hold for its "
                "builds where nodes have cgroup v2",
                _OF_SERVICES if self.job_engines else _OF_OTHERS,
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
        if not self.job_engines and self.variant != "socket":
            yield (
                "is dind with jobEngines: false, where an engine that a job names would overwrite "
                "the certificates of the runner's; set variant: socket"
            )
        if not self.job_engines and self.service_images:
            yield (
                "is dind with jobEngines: false and serviceImages, which are for engines of jobs; "
                "remove serviceImages, and limit services by allowedServices of the runner"
            )
        risk = "runs a privileged engine, with which anyone who can run a job can reach the node"
        yield from untrusted(site.cluster, risk)

    def _begin(self) -> str:
        if self.variant != "socket":
            return BEGIN
        if not self.job_engines:
            return begin_at_socket(_SOCKET_FILE)
        return begin_at_socket(_SOCKET_FILE, asked=_ASKED, seconds=_PATIENCE)

    def _arguments(self, site: Site) -> tuple[str, ...]:
        """The engine's arguments (docs.docker.com: dockerd)."""
        flags = (
            # In a subfolder: the engine changes the mode, and only a volume's owner may.
            f"--data-root={_STORAGE}/docker",
            *(f"--insecure-registry={entry.host}" for entry in site.registries if entry.insecure),
            *(f"--registry-mirror=https://{mirror}" for mirror in site.mirrors),
        )
        if self.variant == "socket":
            # Containers of the job get the second one by "docker run --volume".
            return (f"--host={_SOCKET}", f"--host={SOCKET}", *flags)
        return flags


_OF_SERVICES = (
    "services of jobs are privileged too, so only Docker engines are allowed; each "
    "asks for resources.service once more, and the runner starts an engine anyway"
)
_OF_OTHERS = (
    "services of jobs are not privileged, but command the engine as the job does, by a socket that "
    "all containers of its pod have"
)
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
