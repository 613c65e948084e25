"""What a strategy yields: frozen data in which all differences between strategies are values.

A field joins only if two strategies differ in it; none is named after a strategy.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from components.site import (
    Cluster,
    NodeProfiles,
    Permission,
    PodSecurity,
    Registry,
)

CREDENTIALS = "/tmp/.docker"  # noqa: S108 - a path in the job's own container
"""Where tools that let one choose read config.json, as any user may write there."""

PRIVILEGED_JOB = "whoever can run a job is root on the node, since its container is privileged"
"""The warning of every variant whose job container is privileged on the node."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostPath:
    """A path of the node that is mounted into every container of a job.

    ``kind`` is what must be there: of anything else that is missing, the runtime makes a folder.
    """

    name: str
    path: str
    kind: Literal["Socket"]
    read_only: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmptyDir:
    """An empty folder that all containers of a pod share, on the node's disk or in its memory.

    ``limit`` is the most that it may hold, in bytes; None is no limit.
    """

    name: str
    path: str
    medium: Literal["", "Memory"] = ""
    limit: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """A container beside the build container, such as a daemon that the build talks to.

    ``other_names`` are of the same image, for jobs that name it as a service of their own.
    """

    image: str
    other_names: tuple[str, ...] = ()
    alias: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Security:
    """What sets a kind of container apart from the others of a job's pod; unset changes nothing.

    ``user`` is both uid and gid, ``capabilities`` are added. ``seccomp`` and ``app_armor`` are
    profiles in Kubernetes' own spelling, such as ``{"type": "Unconfined"}``.
    """

    privileged: bool = False
    user: int | None = None
    capabilities: tuple[str, ...] = ()
    seccomp: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    app_armor: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccountRule:
    """What the jobs' account may do in the job namespace: a rule of its Role."""

    group: str
    resource: str
    verbs: tuple[str, ...]


BUILDS: Mapping[str, str] = {"cpu_request": "500m", "memory_request": "1Gi"}
"""What a container asks for that builds, unless the stack file says otherwise."""

CLIENT: Mapping[str, str] = {"cpu_request": "100m", "memory_request": "128Mi"}
"""What a container asks for that has another build."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Daemon:
    """A program that the jobs of a whole stack share, in a namespace of its own.

    It listens on ``port`` with TLS and lets those in that its CA vouches for: it and jobs have
    ``ca.pem``, ``cert.pem`` and ``key.pem`` in ``certificates_folder``, and jobs its URL in the
    variable ``address``. ``probe`` is a command that succeeds when it serves. ``files`` are as in
    a plan, and ``resources`` are quantities by resource, by ``requests`` or ``limits``.
    """

    name: str
    image: str
    arguments: tuple[str, ...]
    port: int
    address: str
    probe: tuple[str, ...]
    pod_security: PodSecurity
    security: Security
    certificates_folder: str
    files_folder: str
    files: Mapping[str, str]
    empty_dirs: tuple[EmptyDir, ...]
    resources: Mapping[str, Mapping[str, str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """What one strategy needs of a job, its namespace and its node.

    ``credentials_folder`` is where the tool reads config.json; jobs may write there, as ``docker
    login`` does; where it is empty they get no push login. ``files`` are what it reads about
    registries in ``files_folder``, as text by path in it: their CAs, and its own configuration.
    ``prepare`` is shell that runs in the build container before a job's script.
    ``build`` is of the build container and ``service`` of the services; no other container is ever
    privileged. At the level restricted every container runs as the user of ``build``.
    ``allow_privilege_escalation`` is of all and None where Kubernetes' default must stay.
    ``account_token`` mounts the token of the jobs' account, whose ``permissions`` are by target
    namespace, and whose ``account_rules`` hold in the job namespace. ``resources`` are what the
    containers ask for unless the stack file says otherwise, by the runner's key. ``host_users``
    False gives the pod a user namespace, and ``unshares`` says that the tool makes user namespaces
    itself. ``group`` is the one of its volumes. ``node_setup`` holds a line for each thing that has
    to be set on the nodes by their owner, ``warnings`` one for each risky choice, and
    ``in_sandbox`` what to know where a runtime class puts jobs into a sandbox. ``daemon`` does the
    work outside of the jobs.
    """

    strategy: str
    image: str
    pod_security: PodSecurity
    allow_privilege_escalation: bool | None = None
    build: Security = Security()
    service: Security = Security()
    account_token: bool = False
    permissions: Mapping[str, Sequence[Permission]] = dataclasses.field(
        default_factory=dict[str, Sequence[Permission]],
    )
    account_rules: tuple[AccountRule, ...] = ()
    resources: Mapping[str, str] = dataclasses.field(default_factory=lambda: BUILDS)
    host_users: bool = True
    unshares: bool = False
    group: int | None = None
    credentials_folder: str
    files_folder: str = ""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    environment: Mapping[str, str]
    prepare: str = ""
    empty_dirs: tuple[EmptyDir, ...] = ()
    host_paths: tuple[HostPath, ...] = ()
    services: tuple[Service, ...] = ()
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    node_setup: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    daemon: Daemon | None = None
    in_sandbox: str = ""

    @property
    def privileged(self) -> bool:
        """Whether any container of a job is privileged, be it in a user namespace."""
        return self.build.privileged or self.service.privileged

    @property
    def restricted(self) -> bool:
        """Whether a job's pod has to fit Pod Security's strictest level."""
        return self.pod_security == "restricted"


def unconfined(
    user: int,
    profiles: NodeProfiles | None,
    capabilities: tuple[str, ...] = (),
) -> tuple[Security, PodSecurity]:
    """What a tool needs that unshares and mounts: no profile, or profiles of the nodes' own.

    Pod Security's baseline level refuses ``Unconfined`` and takes ``Localhost``.
    """
    if profiles is None:
        none = {"type": "Unconfined"}
        security = Security(user=user, capabilities=capabilities, seccomp=none, app_armor=none)
        return security, "privileged"
    return Security(
        user=user,
        capabilities=capabilities,
        seccomp={"type": "Localhost", "localhostProfile": profiles.seccomp},
        app_armor={"type": "Localhost", "localhostProfile": profiles.app_armor},
    ), "baseline"


def setup_to_unshare(cluster: Cluster, profiles: NodeProfiles | None) -> tuple[str, ...]:
    """What the nodes' owner must set for a tool that makes user namespaces itself."""
    if profiles:
        return (f"the nodes must have {profiles.described()}",)
    if cluster.nodes.os == "ubuntu":
        line = "Ubuntu 24.04 nodes must have sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        return (line,)
    return ()


def wait_for(what: str, command: str, seconds: int = 60) -> str:
    """Write shell that runs ``command`` until it succeeds, if its program is there at all.

    A daemon may start after the job does (gitlab-runner: docs/executors/kubernetes,
    troubleshooting), and images without its client run jobs too.
    """
    return f"""\
if command -v {command.split(maxsplit=1)[0]} >/dev/null; then
  attempts=0
  until {command} >/dev/null 2>&1; do
    attempts=$((attempts + 1))
    if [ "$attempts" -ge {seconds} ]; then
      echo "{what} did not answer within {seconds} s; it said:" >&2
      {command} >&2
      exit 1
    fi
    sleep 1
  done
fi
"""


def file_key(path: str) -> str:
    """Name the ConfigMap's key of a plan's file: keys allow neither a slash nor a colon."""
    return re.sub("[/:]", "_", path)


def certificate_files(registries: Sequence[Registry]) -> dict[str, str]:
    """The registries' own CAs by file name."""
    return {
        certificate_file(registry.host): registry.ca_certificates
        for registry in registries
        if registry.ca_certificates
    }


def certificate_file(host: str) -> str:
    """Name the file that holds a registry's CA, without the colon before a port."""
    return f"{host.replace(':', '_')}.crt"
