"""BuildKit as a service: one rootless daemon for each runner, and jobs that are mere clients.

Only the daemon's namespace admits what BuildKit needs; job namespaces are restricted. Jobs and
daemon know each other by certificates of one CA (moby/buildkit:README.md, expose BuildKit as a TCP
service): without them a ``RUN`` step, which shares the daemon's network, could command it.

A daemon does not keep its builds apart: without a process sandbox their steps have one PID
namespace and one user (moby/buildkit:docs/rootless.md), so a step can enter the root of another
one, and any client can ask for all layers and all logs.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal, final

from pydantic import Field
from pydantic.alias_generators import to_camel

from components.bounds import CLIENT, Bounds
from components.plan import BuildPlan, DaemonPlan, EmptyDir, Security
from components.quantity import Quantity, amount
from components.site import NodeProfiles, Site
from components.strategies.buildkit import (
    CONFIG,
    FILES,
    ROOTLESS,
    ROOTLESS_STATE,
    client_flags,
    daemon_files,
    rootful_image,
)
from components.strategies.buildx import Buildx, buildx_environment
from components.strategies.docker import DOCKER_CLIENT
from components.strategies.shared import (
    CREDENTIALS,
    Forms,
    StrategyOptions,
    certificate_files,
    no_engine,
    setup_to_unshare,
    unconfined,
    wait_for,
)
from components.types import DnsLabel, Image

_CERTIFICATES = "/etc/image-builds/buildkitd"
_PORT = 1234
_TLS = {name: f"{_CERTIFICATES}/{name}.pem" for name in ("ca", "cert", "key")}
# The image's own default, which its client uses too.
_SOCKET = "unix:///run/user/1000/buildkit/buildkitd.sock"
_NOT_APART = (
    "builds that run at the same time can read each other's secrets and change each other's "
    "images, and every job can read all layers, logs and build arguments"
)


@final
class BuildkitService(StrategyOptions):
    """Build with a rootless BuildKit daemon of the runner, outside of its jobs.

    Jobs need no privileges, so their namespace is at the Pod Security level `restricted`. The jobs
    of a runner share its daemon, which does not keep their builds apart.
    """

    kind: Literal["buildkit-service"] = "buildkit-service"
    """Selects this strategy."""
    client: Literal["buildctl", "buildx"] = "buildctl"
    """What jobs call: `buildctl`, or with `buildx` the command `docker buildx` and its driver
    `remote`."""
    cache_size: Quantity = "20Gi"
    """How much of the layers the daemon's garbage collection keeps. They are on the node's disk and
    are lost with the daemon's pod."""
    resources: Bounds = Bounds()
    """Requests and limits of the daemon, which does the work of all jobs of the runner. By default
    it requests disk for half of `cacheSize`, which it keeps in any case, and nothing is limited."""
    node_profiles: NodeProfiles | None = None
    """Profiles on the nodes for the daemon, in place of `Unconfined`, which only the Pod Security
    level `privileged` admits. Security: a profile that admits too much lets a build attack the
    node's kernel."""
    daemon_image: Image = ROOTLESS
    """The image of the daemon, pinned by a version or a digest. It must end in `-rootless`."""
    daemon_of: DnsLabel | None = None
    """Another runner of the stack, whose daemon builds for this one too. By default each runner has
    its own. The options of the daemon are then those of that runner."""
    accept_shared_builds: bool = False
    """Must be `true` with `daemonOf`, to confirm that builds are not kept apart. Security: builds
    of both runners that run at the same time can read each other's secrets and change each other's
    images, and the jobs of both can read all layers, logs and build arguments."""
    image: Image = Field(
        default_factory=lambda given: DOCKER_CLIENT if given.get("client") == "buildx" else ROOTLESS
    )
    """The image of jobs that name none, pinned by a version or a digest. By default it has the
    client."""

    forms: ClassVar[Forms] = {
        "buildkit-service": {},
        "buildkit-service-profiles": {
            "nodeProfiles": {"seccomp": "build.json", "appArmor": "build"}
        },
        "buildkit-service-buildx": {"client": "buildx"},
    }

    @property
    def command(self) -> str:
        """What its jobs call."""
        return Buildx.command if self.client == "buildx" else "buildctl"

    def plan(self, site: Site) -> BuildPlan:
        """Return the plan; jobs call ``buildctl $BUILDKIT_FLAGS build``, or ``docker buildx``."""
        connection = f"--tlsdir={_CERTIFICATES}"
        environment = {"BUILDCTL_FLAGS": client_flags(site), "BUILDKIT_FLAGS": connection}
        prepare = wait_for("The BuildKit daemon", f"buildctl {connection} debug workers")
        if self.client == "buildx":
            environment = buildx_environment(site)
            prepare = _CREATE + wait_for("The BuildKit daemon", "docker buildx inspect --bootstrap")
        return BuildPlan(
            strategy=self.kind,
            image=self.image,
            pod_security="restricted",
            allow_privilege_escalation=False,
            build=Security(user=1000),
            resources=CLIENT,
            credentials_folder=CREDENTIALS,
            files_folder=FILES,
            files=certificate_files(site.registries),
            environment=environment,
            refused_variables={
                "BUILDKITD_FLAGS": (
                    "is for a daemon in the job, and this daemon runs outside of it; remove it, "
                    "and set registries[].insecure or caCertificates, which reach the daemon"
                )
            },
            prepare=no_engine(self.kind, has_client=self.client == "buildx") + prepare,
            node_setup=(
                () if self.daemon_of else setup_to_unshare(site.cluster, self.node_profiles)
            ),
            warnings=(self._warning(),),
            daemon=self._daemon(site),
            daemon_of=self.daemon_of or "",
        )

    def _warning(self) -> str:
        if self.daemon_of:
            whose = f"its jobs share the daemon of runners.{self.daemon_of} with that runner's jobs"
            return f"{whose}: {_NOT_APART}; remove daemonOf for its own daemon"
        return (
            f"its jobs share one daemon: {_NOT_APART}; jobs that must not meet need different "
            "runners, each with its own daemon"
        )

    def blockers(self, site: Site) -> Iterator[str]:  # noqa: ARG002 - any site will do
        """Yield why it cannot or must not run there: the daemon's image, and who shares it."""
        yield from rootful_image(self.daemon_image)
        if not self.daemon_of:
            if self.accept_shared_builds:
                yield (
                    "accepts shared builds, and has its own daemon; remove "
                    "acceptSharedBuilds, or name the runner that it shares one with as daemonOf"
                )
            return
        whose = f"the daemon of runners.{self.daemon_of}"
        if not self.accept_shared_builds:
            yield (
                f"shares {whose}, where {_NOT_APART}; remove daemonOf for its own daemon, or "
                "add acceptSharedBuilds: true to confirm it"
            )
        for name in sorted(self.model_fields_set & _OF_THE_DAEMON):
            key = to_camel(name)
            yield f"sets {key}, and shares {whose}, which that runner decides; remove {key}"

    def _daemon(self, site: Site) -> DaemonPlan:
        security, level = unconfined(1000, self.node_profiles)
        size = int(amount(self.cache_size))
        # Half is kept whatever happens, so that builds find some of their layers.
        reserved = size // 2
        collection = {"gc": True, "reservedSpace": reserved, "maxUsedSpace": size}
        return DaemonPlan(
            name="buildkitd",
            image=self.daemon_image,
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
            files=daemon_files(site, worker={"oci": collection}),
            empty_dirs=(
                # Builds that run need room beside what the collection leaves.
                EmptyDir(name="state", path=ROOTLESS_STATE, limit=2 * size),
                EmptyDir(name="tmp", path="/tmp"),  # noqa: S108 - a path in the daemon's container
            ),
            resources=self._resources(reserved),
        )

    def _resources(self, reserved: int) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {
            bound: {name.replace("_", "-"): quantity for name, quantity in amounts.items()}
            for bound, amounts in self.resources.model_dump(exclude_none=True).items()
        }
        # Kubernetes takes a limit as the request where there is none.
        if not any("ephemeral-storage" in amounts for amounts in found.values()):
            found["requests"]["ephemeral-storage"] = str(reserved)
        return found


_OF_THE_DAEMON = {"cache_size", "daemon_image", "node_profiles", "resources"}
"""The options that are not about jobs."""
_CREATE = f"""\
if command -v docker >/dev/null; then
  docker buildx create --use --driver remote "$BUILDKIT_HOST" \\
    --driver-opt "cacert={_TLS["ca"]},cert={_TLS["cert"]},key={_TLS["key"]}"
fi
"""
