"""DinD: builds with a Docker engine of the job's own, in a container beside it.

Only that container is privileged (gitlab-runner:common/config.go, a container's own context
outranks the general value), but whoever runs a job commands its engine, so the node is reachable.
Client and engine speak TLS on 2376; the engine makes the certificates and shares them in memory
(docker-library/docker:dockerd-entrypoint.sh).
"""

from collections.abc import Sequence

from components.config import Cluster, Dind, Registry
from components.strategies.plan import CREDENTIALS, BuildPlan, EmptyDir, Security, Service

_CERTIFICATES = "/etc/docker/certs.d"
_TLS = "/certs"


def plan(
    options: Dind,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan; jobs call ``docker build`` and ``docker push`` as they are."""
    return BuildPlan(
        strategy=options.kind,
        image=options.image,
        pod_security="privileged",
        service=Security(privileged=True),
        credentials_folder=CREDENTIALS,
        files_folder=_CERTIFICATES,
        files={
            f"{registry.host}/ca.crt": registry.certificates
            for registry in registries
            if registry.certificates
        },
        environment={
            # As for the socket: buildx must not write beside the read-only credentials.
            "BUILDX_CONFIG": "/tmp/buildx",  # noqa: S108 - a path in the job's own container
            "DOCKER_CERT_PATH": f"{_TLS}/client",
            "DOCKER_CONFIG": CREDENTIALS,
            "DOCKER_HOST": "tcp://docker:2376",
            "DOCKER_TLS_CERTDIR": _TLS,
            "DOCKER_TLS_VERIFY": "1",
        },
        services=(
            Service(
                image=options.daemon_image,
                alias="docker",
                command=tuple(_flags(registries, mirrors)),
                # The runner waits for this port before the job's script starts.
                environment={"DOCKER_TLS_CERTDIR": _TLS, "HEALTHCHECK_TCP_PORT": "2376"},
            ),
        ),
        empty_dirs=(
            EmptyDir(name="docker-certificates", path=f"{_TLS}/client", medium="Memory"),
            # Overlay on the container's own overlay root fails (containerd#3144).
            EmptyDir(name="docker-storage", path="/var/lib/docker"),
        ),
        node_selector=cluster.nodes.selector,
        warnings=(
            "whoever can run a job can leave its privileged Docker engine for the node; jobs may "
            "use no other services, and limits of the build container do not hold for its builds",
        ),
    )


def _flags(registries: Sequence[Registry], mirrors: Sequence[str]) -> list[str]:
    """The engine's flags that follow from the registries (docs.docker.com: dockerd)."""
    insecure = [f"--insecure-registry={entry.host}" for entry in registries if entry.insecure]
    return insecure + [f"--registry-mirror=https://{mirror}" for mirror in mirrors]
