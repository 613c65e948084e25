"""Kaniko: builds in the job's own container, as root but without privilege.

It unpacks into its own root file system and starts no containers, so it needs neither a mount
nor an unshare call and keeps the default seccomp and AppArmor profiles
(osscontainertools/kaniko:README.md). It adds no capabilities, because EKS Fargate refuses any.
"""

from collections.abc import Sequence
from typing import Literal

from components.plan import BuildPlan, certificate_file, certificate_files
from components.site import Cluster, Registry
from components.types import Image, Model


class Kaniko(Model):
    """Build in the job's own container, without privilege.

    The default image is the maintained fork's: Google's was archived on 2025-06-03
    (osscontainertools/kaniko:README.md). ``-debug`` has the shell that GitLab needs.
    """

    kind: Literal["kaniko"] = "kaniko"
    image: Image = (
        "ghcr.io/osscontainertools/kaniko:v1.28.5-debug"
        "@sha256:d6d74217dc077acfd3094992e917c357080a2d3fdd1042a49e34e29a7e57c572"
    )
    cache_repository: Image | None = None


_CERTIFICATES = "/kaniko/registry-certificates"


def plan(
    options: Kaniko,
    _cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan; jobs pass ``$KANIKO_FLAGS`` to ``/kaniko/executor``."""
    return BuildPlan(
        strategy=options.kind,
        image=options.image,
        pod_security="baseline",
        # sudo and su in a RUN step are setuid programs, which `false` would break.
        allow_privilege_escalation=None,
        # Between stages it empties all folders but its own, /tmp included.
        credentials_folder="/kaniko/.docker",
        files_folder=_CERTIFICATES,
        files=certificate_files(registries),
        environment={"KANIKO_FLAGS": " ".join(_flags(options, registries, mirrors))},
        warnings=tuple(_warnings(options)),
        # osscontainertools/kaniko:cmd/executor/cmd/root.go
        in_sandbox="in gVisor the executor does not see that it is in a container; add --force",
    )


def _flags(options: Kaniko, registries: Sequence[Registry], mirrors: Sequence[str]) -> list[str]:
    """The executor's flags that follow from the registries (kaniko:cmd/executor/cmd/root.go)."""
    flags: list[str] = []
    for registry in registries:
        if registry.insecure:
            flags.append(f"--insecure-registry={registry.host}")
        if registry.ca_certificates:
            file = f"{_CERTIFICATES}/{certificate_file(registry.host)}"
            flags.append(f"--registry-certificate={registry.host}={file}")
    flags += [f"--registry-mirror={mirror}" for mirror in mirrors]
    if options.cache_repository:
        flags += ["--cache=true", f"--cache-repo={options.cache_repository}"]
    return flags


def _warnings(options: Kaniko) -> list[str]:
    if options.image.startswith("gcr.io/kaniko-project/"):
        return [
            f"{options.image} was archived on 2025-06-03 and gets no security fixes; "
            "use ghcr.io/osscontainertools/kaniko",
        ]
    return []
