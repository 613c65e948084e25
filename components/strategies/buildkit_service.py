"""BuildKit as a service: one rootless daemon for the stack, and jobs that are mere clients.

Only the daemon's namespace admits what BuildKit needs; job namespaces are restricted. Jobs and
daemon know each other by certificates of one CA (moby/buildkit:README.md, expose BuildKit as a TCP
service): without them a ``RUN`` step, which shares the daemon's network, could command it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from components.plan import (
    CLIENT,
    CREDENTIALS,
    BuildPlan,
    Daemon,
    EmptyDir,
    Security,
    certificate_files,
    setup_to_unshare,
    unconfined,
    wait_for,
)
from components.site import Bounds, Cluster, NodeProfiles, Registry
from components.strategies.buildkit import (
    BUILDKIT,
    CONFIG,
    FILES,
    ROOTLESS_STATE,
    buildx_environment,
    client_flags,
    daemon_files,
)
from components.strategies.docker import DOCKER_CLIENT
from components.types import Image, Model, Quantity, amount


def _client_image(given: Mapping[str, Any]) -> str:
    return DOCKER_CLIENT if given.get("client") == "buildx" else f"{BUILDKIT}-rootless"


class BuildkitService(Model):
    """Build with one BuildKit daemon that the stack's runners share, rootless, outside of the jobs.

    ``client`` is what jobs call: ``buildctl``, or ``docker buildx`` with the driver ``remote``.
    ``cache_size`` is how much of the daemon's layers survives its garbage collection; they are
    gone when its pod is. ``resources`` are the daemon's.
    """

    kind: Literal["buildkit-service"] = "buildkit-service"
    client: Literal["buildctl", "buildx"] = "buildctl"
    cache_size: Quantity = "20Gi"
    resources: Bounds = Bounds()
    node_profiles: NodeProfiles | None = None
    daemon_image: Image = f"{BUILDKIT}-rootless"
    image: Image = Field(default_factory=_client_image)

    def cache_bytes(self) -> int:
        """The cache's size in bytes."""
        return int(amount(self.cache_size))


_CERTIFICATES = "/etc/image-builds/buildkitd"
_PORT = 1234
_TLS = {name: f"{_CERTIFICATES}/{name}.pem" for name in ("ca", "cert", "key")}
# The image's own default, which its client uses too.
_SOCKET = "unix:///run/user/1000/buildkit/buildkitd.sock"


def plan(
    options: BuildkitService,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan; jobs call ``buildctl $BUILDKIT_FLAGS build`` or ``docker buildx build``."""
    connection = f"--tlsdir={_CERTIFICATES}"
    environment = {
        "BUILDCTL_FLAGS": " ".join(client_flags(registries)),
        "BUILDKIT_FLAGS": connection,
    }
    prepare = wait_for("The BuildKit daemon", f"buildctl {connection} debug workers")
    if options.client == "buildx":
        environment = buildx_environment(registries)
        prepare = _CREATE + wait_for("The BuildKit daemon", "docker buildx inspect --bootstrap")
    return BuildPlan(
        strategy=options.kind,
        image=options.image,
        pod_security="restricted",
        allow_privilege_escalation=False,
        build=Security(user=1000),
        resources=CLIENT,
        credentials_folder=CREDENTIALS,
        files_folder=FILES,
        files=certificate_files(registries),
        environment=environment,
        prepare=prepare,
        node_setup=setup_to_unshare(cluster, options.node_profiles),
        warnings=(
            "all jobs of the stack share one daemon with its cache, so whoever can run a job can "
            "slow down or mislead the builds of others; jobs that must not meet need stacks of "
            "their own",
        ),
        daemon=_daemon(options, registries, mirrors),
    )


_CREATE = f"""\
if command -v docker >/dev/null; then
  docker buildx create --use --driver remote "$BUILDKIT_HOST" \\
    --driver-opt "cacert={_TLS["ca"]},cert={_TLS["cert"]},key={_TLS["key"]}"
fi
"""


def _daemon(
    options: BuildkitService,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> Daemon:
    security, level = unconfined(1000, options.node_profiles)
    size = options.cache_bytes()
    return Daemon(
        name="buildkitd",
        image=options.daemon_image,
        arguments=(
            f"--addr={_SOCKET}",
            f"--addr=tcp://0.0.0.0:{_PORT}",
            f"--tlscacert={_TLS['ca']}",
            f"--tlscert={_TLS['cert']}",
            f"--tlskey={_TLS['key']}",
            "--oci-worker-no-process-sandbox",
            f"--config={FILES}/{CONFIG}",
        ),
        port=_PORT,
        address="BUILDKIT_HOST",
        probe=("buildctl", f"--addr={_SOCKET}", "debug", "workers"),
        pod_security=level,
        security=security,
        certificates_folder=_CERTIFICATES,
        files_folder=FILES,
        files=daemon_files(
            registries,
            mirrors,
            # Half is kept whatever happens, so that builds find some of their layers.
            worker={"oci": {"gc": True, "reservedSpace": size // 2, "maxUsedSpace": size}},
        ),
        empty_dirs=(
            # Builds that run need room beside what the collection leaves.
            EmptyDir(name="state", path=ROOTLESS_STATE, limit=2 * size),
            EmptyDir(name="tmp", path="/tmp"),  # noqa: S108 - a path in the daemon's container
        ),
        resources={
            bound: {name.replace("_", "-"): quantity for name, quantity in amounts.items()}
            for bound, amounts in options.resources.model_dump(exclude_none=True).items()
        },
    )
