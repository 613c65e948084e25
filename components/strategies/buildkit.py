"""BuildKit in the job: a daemon of the job's own, started by ``buildctl-daemonless.sh``.

Rootless it runs as uid 1000 and makes user namespaces itself, which the default seccomp and
AppArmor profiles refuse (moby/buildkit:docs/rootless.md). Rootful it is privileged, either inside
the pod's own user namespace or on the node.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import tomlkit
from pydantic import Field

from components.plan import (
    CREDENTIALS,
    PRIVILEGED_JOB,
    BuildPlan,
    EmptyDir,
    PodSecurity,
    Security,
    certificate_file,
    certificate_files,
    setup_to_unshare,
    unconfined,
)
from components.site import Cluster, NodeProfiles, Registry
from components.types import Image, Model

BUILDKIT = "moby/buildkit:v0.34.2"


def _buildkit_image(given: Mapping[str, Any]) -> str:
    suffix = "-rootless" if given.get("variant") == "rootless" else ""
    return f"{BUILDKIT}{suffix}"


class Buildkit(Model):
    """Build with a BuildKit daemon inside the job's own container.

    ``rootful`` is privileged in a user namespace of the pod's own (``hostUsers: false``).
    """

    kind: Literal["buildkit"] = "buildkit"
    variant: Literal["rootless", "rootful", "privileged"] = "rootless"
    host_users: bool = True
    accept_privileged: Literal[True] | None = None
    node_profiles: NodeProfiles | None = None
    image: Image = Field(default_factory=_buildkit_image)


FILES = "/etc/image-builds/buildkit"
"""Where daemons and their clients find what they read about registries."""

CONFIG = "buildkitd.toml"
"""The daemon's settings, among its files."""

ROOTLESS_STATE = "/home/user/.local/share/buildkit"
"""Where a daemon that runs as uid 1000 keeps its layers (moby/buildkit:Dockerfile)."""


def plan(
    options: Buildkit,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan; jobs pass ``$BUILDCTL_FLAGS`` to ``buildctl-daemonless.sh build``."""
    unshares = options.variant == "rootless"
    files = daemon_files(registries, mirrors)
    flags = ["--oci-worker-no-process-sandbox"] if unshares else []
    if CONFIG in files:
        flags.append(f"--config={FILES}/{CONFIG}")
    build, level = _security(options)
    return BuildPlan(
        strategy=options.kind,
        image=options.image,
        pod_security=level,
        # newuidmap and newgidmap are setuid programs, which `false` breaks (moby/buildkit#1671).
        allow_privilege_escalation=None,
        build=build,
        host_users=options.host_users,
        unshares=unshares,
        credentials_folder=CREDENTIALS,
        files_folder=FILES,
        files=files,
        environment={
            # 41 s in all, as the daemon of a slow node needs more than the script's 2 s
            # (moby/buildkit:examples/buildctl-daemonless).
            "BUILDCTL_CONNECT_RETRIES_MAX": "60",
            "BUILDCTL_FLAGS": " ".join(client_flags(registries)),
            "BUILDKITD_FLAGS": " ".join(flags),
        },
        empty_dirs=(
            # The image's own volume is mounted nosuid on some nodes (moby/buildkit#879).
            EmptyDir(
                name="buildkit-state",
                path=ROOTLESS_STATE if unshares else "/var/lib/buildkit",
            ),
            EmptyDir(name="tmp", path="/tmp"),  # noqa: S108 - a path in the job's own container
        ),
        node_selector=cluster.nodes.selector if options.variant == "privileged" else {},
        node_setup=setup_to_unshare(cluster, options.node_profiles) if unshares else (),
        warnings=(PRIVILEGED_JOB,) if options.variant == "privileged" else (),
        # gitlab-runner:executors/kubernetes/util_test.go
        in_sandbox="" if options.host_users else "Kata does not support hostUsers: false",
    )


def _security(options: Buildkit) -> tuple[Security, PodSecurity]:
    if options.variant == "rootless":
        return unconfined(1000, options.node_profiles)
    return Security(privileged=True), "privileged"


def daemon_files(
    registries: Sequence[Registry],
    mirrors: Sequence[str],
    **tables: Mapping[str, Any],
) -> dict[str, str]:
    """The daemon's settings, ``tables`` among them, and the CAs that they name, by file name.

    They are of moby/buildkit:docs/buildkitd.toml.md.
    """
    files = certificate_files(registries)
    hosts: dict[str, dict[str, Any]] = {}
    for registry in registries:
        if registry.insecure:
            hosts[registry.host] = {"http": True}
        if registry.ca_certificates:
            hosts[registry.host] = {"ca": [_certificate(registry)]}
    if mirrors:
        hosts.setdefault("docker.io", {})["mirrors"] = list(mirrors)
    settings = {**tables, **({"registry": hosts} if hosts else {})}
    if settings:
        files[CONFIG] = tomlkit.dumps(settings)
    return files


def client_flags(registries: Sequence[Registry]) -> list[str]:
    """The client asks for tokens itself, so it has to trust a private CA too."""
    return [
        f"--registry-auth-tlscontext=host={registry.host},ca={_certificate(registry)}"
        for registry in registries
        if registry.ca_certificates
    ]


def buildx_environment(registries: Sequence[Registry]) -> dict[str, str]:
    """For a CA, buildx has no flag; Go adds this folder to the system's bundle."""
    return {"SSL_CERT_DIR": FILES if any(entry.ca_certificates for entry in registries) else ""}


def _certificate(registry: Registry) -> str:
    return f"{FILES}/{certificate_file(registry.host)}"
