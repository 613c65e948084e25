"""Kaniko: builds in the job's own container, as root but without privilege.

It unpacks into its own root file system and starts no containers, so it needs neither a mount
nor an unshare call and keeps the default seccomp and AppArmor profiles
(osscontainertools/kaniko:README.md). It adds no capabilities, because EKS Fargate refuses any.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal, final

from components.plan import BuildPlan
from components.site import Site
from components.strategies.shared import (
    NO_KATA,
    Forms,
    StrategyOptions,
    certificate_file,
    certificate_files,
    no_engine,
    user_namespace_blockers,
)
from components.types import Image, Repository

_CERTIFICATES = "/kaniko/registry-certificates"


@final
class Kaniko(StrategyOptions):
    """Build with Kaniko in the job's own container, as root but without privileges.

    It needs the Pod Security level `baseline`, which most clusters allow.
    """

    kind: Literal["kaniko"] = "kaniko"
    """Selects this strategy."""
    image: Image = (
        "ghcr.io/osscontainertools/kaniko:v1.28.5-debug"
        "@sha256:d6d74217dc077acfd3094992e917c357080a2d3fdd1042a49e34e29a7e57c572"
    )
    """The image of jobs that name none, pinned by a version or a digest. The default is the
    maintained fork, because Google archived its own on 2025-06-03
    (osscontainertools/kaniko:README.md), with `-debug` for the shell that GitLab needs."""
    cache_repository: Repository | None = None
    """The repository that keeps layers between jobs, without a tag, in a registry whose `push`
    login may write it. By default every job builds all its layers. Security: anyone who may push
    there can change what later builds contain."""
    host_users: bool = True
    """`false` gives each pod a user namespace, in which root is nobody on the node. The nodes must
    offer it (`cluster.nodes.userNamespaces`). Security: a build that escapes from such a pod has no
    rights on the node."""

    forms: ClassVar[Forms] = {"kaniko": {}, "kaniko-user-namespace": {"hostUsers": False}}
    command: ClassVar[str] = "/kaniko/executor"

    def plan(self, site: Site) -> BuildPlan:
        """Return the plan; jobs pass ``$KANIKO_FLAGS`` to ``/kaniko/executor``."""
        return BuildPlan(
            strategy=self.kind,
            image=self.image,
            pod_security="baseline",
            # sudo and su in a RUN step are setuid programs, which `false` would break.
            allow_privilege_escalation=None,
            host_users=self.host_users,
            # Between stages it empties all folders but its own, /tmp included.
            credentials_folder="/kaniko/.docker",
            # RUN steps share the root of the job, and ~/.docker is of the image that they build.
            home_logins=False,
            # It has the helpers of ECR, Artifact Registry and ACR (kaniko:pkg/creds/creds.go).
            cloud_logins=True,
            files_folder=_CERTIFICATES,
            files=certificate_files(site.registries),
            prepare=no_engine(self.kind),
            environment={"KANIKO_FLAGS": " ".join(self._flags(site))},
            warnings=tuple(self._warnings()),
            # osscontainertools/kaniko:cmd/executor/cmd/root.go
            in_sandbox="in gVisor the executor does not see that it is in a container; add --force"
            if self.host_users
            else NO_KATA,
        )

    def blockers(self, site: Site) -> Iterator[str]:
        """Yield that the nodes do not offer the user namespace that it asks for."""
        if not self.host_users:
            yield from user_namespace_blockers(site.cluster, "remove hostUsers")

    def _flags(self, site: Site) -> list[str]:
        """The executor's flags, by the registries (kaniko:cmd/executor/cmd/root.go)."""
        flags: list[str] = []
        for registry in site.registries:
            if registry.insecure:
                flags.append(f"--insecure-registry={registry.host}")
            if registry.ca_certificates:
                file = f"{_CERTIFICATES}/{certificate_file(registry.host)}"
                flags.append(f"--registry-certificate={registry.host}={file}")
        flags += [f"--registry-mirror={mirror}" for mirror in site.mirrors]
        if self.cache_repository:
            flags += ["--cache=true", f"--cache-repo={self.cache_repository}"]
        return flags

    def _warnings(self) -> list[str]:
        if self.image.startswith("gcr.io/kaniko-project/"):
            return [
                f"{self.image} was archived on 2025-06-03 and gets no security fixes; "
                "use ghcr.io/osscontainertools/kaniko"
            ]
        return []
