"""Buildah: builds in the job's own container, with chroot isolation and no daemon.

It makes a user namespace, so it needs seccomp and AppArmor profiles that allow ``unshare`` and
``mount``: CRI-O's default does, containerd's does not (containers/buildah#2262, #4538).
"""

from collections.abc import Sequence
from typing import Any, Literal

import tomlkit

from components.plan import (
    CREDENTIALS,
    PRIVILEGED_JOB,
    BuildPlan,
    EmptyDir,
    PodSecurity,
    Security,
    setup_to_unshare,
    unconfined,
)
from components.site import Cluster, NodeProfiles, Registry
from components.types import Image, Model


class Buildah(Model):
    """Build with Buildah in the job's own container.

    ``chroot`` runs as uid 1000 and ``root`` as uid 0, both without privilege.
    """

    kind: Literal["buildah"] = "buildah"
    variant: Literal["chroot", "root", "privileged"] = "chroot"
    storage_driver: Literal["vfs", "overlay"] = "vfs"
    accept_privileged: Literal[True] | None = None
    node_profiles: NodeProfiles | None = None
    image: Image = "quay.io/containers/buildah:v1.43.5"


def plan(
    options: Buildah,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan; jobs call ``buildah build`` and ``buildah push`` as they are."""
    as_user = options.variant == "chroot"
    home = "/home/build" if as_user else "/root"
    unshares = options.variant != "privileged"
    build, level = _security(options, cluster)
    return BuildPlan(
        strategy=options.kind,
        image=options.image,
        pod_security=level,
        # newuidmap and newgidmap get their rights at exec, which `false` forbids.
        allow_privilege_escalation=None,
        build=build,
        group=1000 if as_user else None,
        unshares=unshares,
        credentials_folder=CREDENTIALS,
        # Read before /etc/containers, by root too (containers/image: sysregistriesv2, docker).
        files_folder=f"{home}/.config/containers",
        files=_files(registries, mirrors),
        environment={
            "BUILDAH_FORMAT": "docker",
            "BUILDAH_ISOLATION": "chroot",
            "STORAGE_DRIVER": options.storage_driver,
        },
        empty_dirs=(
            EmptyDir(
                name="containers",
                path=f"{home}/.local/share/containers" if as_user else "/var/lib/containers",
            ),
        ),
        node_selector=cluster.nodes.selector if options.variant == "privileged" else {},
        node_setup=setup_to_unshare(cluster, options.node_profiles) if unshares else (),
        warnings=(PRIVILEGED_JOB,) if options.variant == "privileged" else (),
    )


def _security(options: Buildah, cluster: Cluster) -> tuple[Security, PodSecurity]:
    if options.variant == "privileged":
        return Security(privileged=True), "privileged"
    user = 1000 if options.variant == "chroot" else 0
    capabilities = () if options.variant == "chroot" else ("SETFCAP",)
    if cluster.nodes.runtime == "crio" and not options.node_profiles:
        return Security(user=user, capabilities=capabilities), "baseline"
    return unconfined(user, options.node_profiles, capabilities)


def _files(registries: Sequence[Registry], mirrors: Sequence[str]) -> dict[str, str]:
    """registries.conf in its second form, and CAs by host (containers-certs.d)."""
    files = {
        f"certs.d/{registry.host}/ca.crt": registry.ca_certificates
        for registry in registries
        if registry.ca_certificates
    }
    tables: list[dict[str, Any]] = [
        {"location": registry.host, "insecure": True}
        for registry in registries
        if registry.insecure
    ]
    if mirrors:
        places = [{"location": mirror} for mirror in mirrors]
        tables.append({"location": "docker.io", "mirror": places})
    if tables:
        # This file hides the image's, so a short name such as `alpine` needs its registry here.
        content = {"unqualified-search-registries": ["docker.io"], "registry": tables}
        files["registries.conf"] = tomlkit.dumps(content)
    return files
