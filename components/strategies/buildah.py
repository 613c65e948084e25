"""Buildah: builds in the job's own container, with chroot isolation and no daemon.

It makes a user namespace, so it needs seccomp and AppArmor profiles that allow ``unshare`` and
``mount``: CRI-O's default does, containerd's does not (containers/buildah#2262, #4538).
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, final

import tomlkit

from components.plan import BuildPlan, EmptyDir, PodSecurity, Security
from components.site import Cluster, NodeProfiles, Site
from components.strategies.shared import (
    ACCEPT_PRIVILEGED,
    CREDENTIALS,
    NO_KATA,
    PRIVILEGED_JOB,
    Forms,
    StrategyOptions,
    certificate_files,
    no_engine,
    no_room_for_uids,
    privilege_blockers,
    setup_to_unshare,
    unconfined,
    user_namespace_blockers,
)
from components.types import Image


@final
class Buildah(StrategyOptions):
    """Build with Buildah in the job's own container, without a daemon."""

    kind: Literal["buildah"] = "buildah"
    """Selects this strategy."""
    variant: Literal["chroot", "root", "privileged"] = "chroot"
    """`chroot` builds as uid 1000 and `root` as uid 0, both without privileges. `privileged` is
    privileged on the node and needs `acceptPrivileged: true`. Security: with `privileged`, anyone
    who can run a job can become root on the node."""
    host_users: bool = True
    """`false` gives each pod a user namespace, in which root is nobody on the node. Only the
    variant `root` takes it, and the nodes must offer it (`cluster.nodes.userNamespaces`). Security:
    a build that escapes from such a pod has no rights on the node."""
    storage_driver: Literal["vfs", "overlay"] = "vfs"
    """How layers are stored. `vfs` works everywhere and copies each layer; `overlay` is faster and
    smaller, and needs a kernel that lets the container mount it."""
    accept_privileged: Annotated[Literal[True] | None, ACCEPT_PRIVILEGED] = None
    """Must be `true` for the variant `privileged`, to confirm that each job's container is
    privileged on the node, and absent for the others. Security: anyone who can run a job can become
    root on the node."""
    node_profiles: NodeProfiles | None = None
    """Profiles on the nodes for the variants `chroot` and `root`, in place of `Unconfined`, which
    only the Pod Security level `privileged` admits. Security: a profile that admits too much lets a
    job attack the node's kernel."""
    image: Image = "quay.io/containers/buildah:v1.46.1"
    """The image of jobs that name none, pinned by a version or a digest."""

    forms: ClassVar[Forms] = {
        "buildah": {},
        "buildah-profiles": {"nodeProfiles": {"seccomp": "build.json", "appArmor": "build"}},
        "buildah-root": {"variant": "root"},
        "buildah-user-namespace": {"variant": "root", "hostUsers": False},
        "buildah-privileged": {"variant": "privileged", "acceptPrivileged": True},
    }
    command: ClassVar[str] = "buildah build"

    def plan(self, site: Site) -> BuildPlan:
        """Return the plan; jobs call ``buildah build`` and ``buildah push`` as they are."""
        as_user = self.variant == "chroot"
        privileged = self.variant == "privileged"
        home = "/home/build" if as_user else "/root"
        folder, files = f"{home}/.config/containers", _files(site)
        build, level = self._security(site.cluster)
        return BuildPlan(
            strategy=self.kind,
            image=self.image,
            pod_security=level,
            # newuidmap and newgidmap get their rights at exec, which `false` forbids.
            allow_privilege_escalation=None,
            build=build,
            group=1000 if as_user else None,
            host_users=self.host_users,
            unshares=not privileged,
            credentials_folder=CREDENTIALS,
            # containers/image: pkg/docker/config, GetCredentialsForRef.
            group_logins=True,
            # Read before /etc/containers, by root too (containers/image: sysregistriesv2, docker).
            files_folder=folder,
            files=files,
            prepare=no_engine(self.kind) + (_to_other_homes(folder) if files else ""),
            environment={
                "BUILDAH_FORMAT": "docker",
                "BUILDAH_ISOLATION": "chroot",
                "STORAGE_DRIVER": self.storage_driver,
            },
            empty_dirs=(
                EmptyDir(
                    name="containers",
                    path=f"{home}/.local/share/containers" if as_user else "/var/lib/containers",
                ),
            ),
            node_selector=site.cluster.nodes.selector if privileged else {},
            node_setup=() if privileged else setup_to_unshare(site.cluster, self.node_profiles),
            warnings=(PRIVILEGED_JOB,) if privileged else (),
            in_sandbox="" if self.host_users else NO_KATA,
        )

    def blockers(self, site: Site) -> Iterator[str]:
        """Yield why it cannot or must not run there: privilege has to be accepted and trusted."""
        name = f"is {self.kind} with variant {self.variant}"
        privileged = self.variant == "privileged"
        yield from privilege_blockers(
            name,
            site.cluster,
            privileged=privileged,
            accepted=bool(self.accept_privileged),
            variant="chroot",
        )
        if privileged and self.node_profiles:
            yield f"{name}, and a privileged container ignores profiles; remove nodeProfiles"
        if not self.host_users:
            yield from self._user_namespace_blockers(name, site.cluster)

    def _user_namespace_blockers(self, name: str, cluster: Cluster) -> Iterator[str]:
        if self.variant == "chroot":
            yield no_room_for_uids(name, "root")
        if self.variant == "privileged":
            yield f"{name} and hostUsers: false, which needs no privilege; use variant: root"
        yield from user_namespace_blockers(cluster, "remove hostUsers")

    def _security(self, cluster: Cluster) -> tuple[Security, PodSecurity]:
        if self.variant == "privileged":
            return Security(privileged=True), "privileged"
        user = 1000 if self.variant == "chroot" else 0
        capabilities = () if self.variant == "chroot" else ("SETFCAP",)
        if cluster.crio and not self.node_profiles:
            return Security(user=user, capabilities=capabilities), "baseline"
        return unconfined(user, self.node_profiles, capabilities)


def _to_other_homes(folder: str) -> str:
    """Write shell that links the settings where tools look for them, if the home is another one.

    In Podman's image, uid 1000 is another user (containers/image_build: podman/Containerfile).
    """
    return f"""\
(
  own="${{XDG_CONFIG_HOME:-${{HOME:-}}/.config}}/containers"
  mkdir -p "$own"
  for file in {folder}/*; do
    [ -e "$own/${{file##*/}}" ] || ln -s "$file" "$own/"
  done
) 2>/dev/null || true
"""


def _files(site: Site) -> dict[str, str]:
    """registries.conf in its second form, and CAs by host (containers-certs.d)."""
    files = certificate_files(site.registries, "certs.d/{}/ca.crt".format)
    tables: list[dict[str, Any]] = [
        {"location": registry.host, "insecure": True}
        for registry in site.registries
        if registry.insecure
    ]
    if site.mirrors:
        places = [{"location": mirror} for mirror in site.mirrors]
        tables.append({"location": "docker.io", "mirror": places})
    if tables:
        # This file hides the image's, so a short name such as `alpine` needs its registry here.
        content = {"unqualified-search-registries": ["docker.io"], "registry": tables}
        files["registries.conf"] = tomlkit.dumps(content)
    return files
