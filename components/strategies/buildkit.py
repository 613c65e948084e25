"""BuildKit in the job: a daemon of the job's own, started by ``buildctl-daemonless.sh``.

Rootless it runs as uid 1000 and makes user namespaces itself, which the default seccomp and
AppArmor profiles refuse (moby/buildkit:docs/rootless.md). Rootful it is privileged, either inside
the pod's own user namespace or on the node.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, final

import tomlkit
from pydantic import Field

from components.plan import BuildPlan, EmptyDir, PodSecurity, Security
from components.site import Cluster, NodeProfiles, Registry, Site
from components.strategies.shared import (
    ACCEPT_PRIVILEGED,
    CREDENTIALS,
    NO_KATA,
    PRIVILEGED_JOB,
    Forms,
    StrategyOptions,
    certificate_file,
    certificate_files,
    is_rootless,
    no_engine,
    no_room_for_uids,
    privilege_blockers,
    setup_to_unshare,
    unconfined,
    user_namespace_blockers,
)
from components.types import Image

BUILDKIT = "moby/buildkit:v0.35.1"
ROOTLESS = f"{BUILDKIT}-rootless"

FILES = "/etc/image-builds/buildkit"
"""Where daemons and their clients find what they read about registries."""

CONFIG = "buildkitd.toml"
"""The daemon's settings, among its files."""

ROOTLESS_STATE = "/home/user/.local/share/buildkit"
"""Where a daemon that runs as uid 1000 keeps its layers (moby/buildkit:Dockerfile)."""


@final
class Buildkit(StrategyOptions):
    """Build with a BuildKit daemon inside the job's own container."""

    kind: Literal["buildkit"] = "buildkit"
    """Selects this strategy."""
    variant: Literal["rootless", "rootful", "privileged"] = "rootless"
    """`rootless` builds as uid 1000 without privileges. `rootful` is privileged only inside a user
    namespace of the pod and needs `hostUsers: false`. `privileged` is privileged on the node and
    needs `acceptPrivileged: true`. Security: with `privileged`, anyone who can run a job can become
    root on the node."""
    host_users: bool = True
    """`false` gives each pod a user namespace, in which root is nobody on the node. The variant
    `rootful` needs it, and the nodes must offer it (`cluster.nodes.userNamespaces`). Security: a
    build that escapes from such a pod has no rights on the node."""
    accept_privileged: Annotated[Literal[True] | None, ACCEPT_PRIVILEGED] = None
    """Must be `true` for the variant `privileged`, to confirm that each job's container is
    privileged on the node, and absent for the others. Security: anyone who can run a job can become
    root on the node."""
    node_profiles: NodeProfiles | None = None
    """Profiles on the nodes for the variant `rootless`, in place of `Unconfined`, which only the
    Pod Security level `privileged` admits. Security: a profile that admits too much lets a job
    attack the node's kernel."""
    image: Image = Field(
        default_factory=lambda given: ROOTLESS if given.get("variant") == "rootless" else BUILDKIT
    )
    """The image of jobs that name none, pinned by a version or a digest. The variant `rootless`
    needs one that ends in `-rootless`."""

    forms: ClassVar[Forms] = {
        "buildkit": {},
        "buildkit-profiles": {"nodeProfiles": {"seccomp": "build.json", "appArmor": "build"}},
        "buildkit-rootful": {"variant": "rootful", "hostUsers": False},
        "buildkit-privileged": {"variant": "privileged", "acceptPrivileged": True},
    }
    command: ClassVar[str] = "buildctl-daemonless.sh"

    def plan(self, site: Site) -> BuildPlan:
        """Return the plan; jobs pass ``$BUILDCTL_FLAGS`` to ``buildctl-daemonless.sh build``."""
        unshares = self.variant == "rootless"
        on_the_node = self.variant == "privileged"
        files = daemon_files(site)
        flags = ["--oci-worker-no-process-sandbox"] if unshares else []
        if CONFIG in files:
            flags.append(f"--config={FILES}/{CONFIG}")
        build, level = self._security()
        return BuildPlan(
            strategy=self.kind,
            image=self.image,
            pod_security=level,
            # newuidmap and newgidmap are setuid, which `false` breaks (moby/buildkit#1671).
            allow_privilege_escalation=None,
            build=build,
            host_users=self.host_users,
            unshares=unshares,
            credentials_folder=CREDENTIALS,
            files_folder=FILES,
            files=files,
            prepare=no_engine(self.kind)
            + (_own_config(rootless=unshares) if CONFIG in files else ""),
            environment={
                # 41 s in all, as the daemon of a slow node needs more than the script's 2 s
                # (moby/buildkit:examples/buildctl-daemonless).
                "BUILDCTL_CONNECT_RETRIES_MAX": "60",
                "BUILDCTL_FLAGS": client_flags(site),
                "BUILDKITD_FLAGS": " ".join(flags),
            },
            empty_dirs=(
                # The image's own volume is mounted nosuid on some nodes (moby/buildkit#879).
                EmptyDir(
                    name="buildkit-state", path=ROOTLESS_STATE if unshares else "/var/lib/buildkit"
                ),
                EmptyDir(name="tmp", path="/tmp"),  # noqa: S108 - a path in the job's own container
            ),
            node_selector=site.cluster.nodes.selector if on_the_node else {},
            node_setup=setup_to_unshare(site.cluster, self.node_profiles) if unshares else (),
            warnings=(PRIVILEGED_JOB,) if on_the_node else (),
            in_sandbox="" if self.host_users else NO_KATA,
        )

    def _security(self) -> tuple[Security, PodSecurity]:
        if self.variant == "rootless":
            return unconfined(1000, self.node_profiles)
        return Security(privileged=True), "privileged"

    def blockers(self, site: Site) -> Iterator[str]:
        """Yield why it cannot or must not run there: privilege, user namespaces and the image."""
        name = f"is {self.kind} with variant {self.variant}"
        yield from privilege_blockers(
            name,
            site.cluster,
            privileged=self.variant == "privileged",
            accepted=bool(self.accept_privileged),
            variant="rootless",
        )
        if self.variant != "rootless" and self.node_profiles:
            yield f"{name}, and a privileged container ignores profiles; remove nodeProfiles"
        yield from self._user_namespace_blockers(name, site.cluster)
        rootless = is_rootless(self.image)
        if rootless != (self.variant == "rootless"):
            wanted = "without" if rootless else "that ends in"
            problem = f"which the image {self.image} does not support"
            yield f"{name}, {problem}; use one {wanted} -rootless"

    def _user_namespace_blockers(self, name: str, cluster: Cluster) -> Iterator[str]:
        if self.variant == "rootless" and not self.host_users:
            yield no_room_for_uids(name, "rootful")
        if self.variant == "rootful" and self.host_users:
            yield (
                f"{name} without hostUsers: false, so it would be root on the node; add hostUsers: "
                "false, or use variant: privileged where that is meant"
            )
        if self.variant == "privileged" and not self.host_users:
            yield f"{name} and hostUsers: false, which is variant: rootful; use that"
        if not self.host_users:
            yield from user_namespace_blockers(cluster, "use variant: rootless")


def _own_config(*, rootless: bool) -> str:
    """Write shell that puts the settings where a daemon without ``--config`` reads them.

    Jobs set BUILDKITD_FLAGS, as GitLab's recipe does, or write their own settings there.
    """
    folder = '"${XDG_CONFIG_HOME:-${HOME:-}/.config}/buildkit"' if rootless else "/etc/buildkit"
    return f"""\
(
  settings={folder}
  [ -e "$settings/{CONFIG}" ] || {{ mkdir -p "$settings" && cp {FILES}/{CONFIG} "$settings/"; }}
) 2>/dev/null || true
"""


def rootful_image(image: str) -> Iterator[str]:
    """Yield that a daemon which runs as uid 1000 has an image for root, if so."""
    if not is_rootless(image):
        yield (
            f"runs its daemon as uid 1000, which the image {image} does not support; set "
            "daemonImage to one that ends in -rootless"
        )


def daemon_files(site: Site, **tables: Mapping[str, Any]) -> dict[str, str]:
    """The daemon's settings, ``tables`` among them, and the CAs that they name, by file name.

    They are of moby/buildkit:docs/buildkitd.toml.md.
    """
    files = certificate_files(site.registries)
    hosts: dict[str, dict[str, Any]] = {}
    for registry in site.registries:
        if registry.insecure:
            hosts[registry.host] = {"http": True}
        if registry.ca_certificates:
            hosts[registry.host] = {"ca": [_certificate(registry)]}
    if site.mirrors:
        hosts.setdefault("docker.io", {})["mirrors"] = list(site.mirrors)
    settings = {**tables, **({"registry": hosts} if hosts else {})}
    if settings:
        files[CONFIG] = tomlkit.dumps(settings)
    return files


def client_flags(site: Site) -> str:
    """The client asks for tokens itself, so it has to trust a private CA too."""
    return " ".join(
        f"--registry-auth-tlscontext=host={registry.host},ca={_certificate(registry)}"
        for registry in site.registries
        if registry.ca_certificates
    )


def _certificate(registry: Registry) -> str:
    return f"{FILES}/{certificate_file(registry.host)}"
