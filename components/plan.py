"""What a strategy yields: frozen data in which all differences between strategies are values.

A field joins only if two strategies differ in it; none is named after a strategy.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypedDict

from components.bounds import BUILDS
from components.permissions import Permission
from components.site import PodSecurity


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

    ``limit`` is the most that it may hold, in bytes; None means without limit.
    """

    name: str
    path: str
    medium: Literal["", "Memory"] = ""
    limit: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """A container beside the build container, such as a daemon that the build talks to.

    ``entrypoint`` replaces the image's own, and ``command`` is what it gets. ``privileged`` is of
    this one alone.
    """

    image: str
    alias: str
    privileged: bool = False
    entrypoint: tuple[str, ...] = ()
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


class AccountRule(NamedTuple):
    """What an account may do in the job namespace: a rule of its Role."""

    group: str
    resource: str
    verbs: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DaemonPlan:
    """A program that does the work of all jobs of a runner, in a separate namespace.

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
    login`` does; where it is empty they get no push login. ``home_logins`` says that ``~/.docker``
    is the same folder, and ``group_logins`` that the tool finds logins for a part of a registry.
    With ``cloud_logins`` it logs in to registries of clouds by itself.
    ``files`` are what it reads about registries in ``files_folder``, as text by
    path in it: their CAs, and its own configuration.
    ``refused_variables`` say why a runner must not set them.
    ``prepare`` is shell that runs in the build container before a job's script.
    ``build`` is of the build container and ``service`` of the services; no other container is ever
    privileged, but for a service that says so itself. ``job_services`` are globs of the images that
    jobs may name as services where services are privileged. At the level restricted every container
    runs as the user of ``build``.
    ``allow_privilege_escalation`` is of all and None where Kubernetes' default must stay.
    ``account_token`` mounts the token of the jobs' account, whose ``permissions`` are by target
    namespace, and whose ``account_rules`` hold in the job namespace. ``resources`` are what the
    containers ask for unless the stack file says otherwise, by the runner's key. ``host_users``
    False gives the pod a user namespace, and ``unshares`` says that the tool makes user namespaces
    itself. ``group`` is the one of its volumes. ``node_setup`` holds a line for each thing that has
    to be set on the nodes by their owner, ``warnings`` one for each risky choice, and
    ``in_sandbox`` what to know where a runtime class puts jobs into a sandbox. ``daemon`` does the
    work outside of the jobs; it is the runner's own, or that of the runner ``daemon_of``.
    """

    strategy: str
    image: str
    pod_security: PodSecurity
    allow_privilege_escalation: bool | None = None
    build: Security = Security()
    service: Security = Security()
    account_token: bool = False
    permissions: Mapping[str, Sequence[Permission]] = dataclasses.field(
        default_factory=dict[str, Sequence[Permission]]
    )
    account_rules: tuple[AccountRule, ...] = ()
    resources: Mapping[str, str] = dataclasses.field(default_factory=lambda: BUILDS)
    host_users: bool = True
    unshares: bool = False
    group: int | None = None
    credentials_folder: str
    home_logins: bool = True
    group_logins: bool = False
    cloud_logins: bool = False
    files_folder: str = ""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    environment: Mapping[str, str]
    refused_variables: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    prepare: str = ""
    empty_dirs: tuple[EmptyDir, ...] = ()
    host_paths: tuple[HostPath, ...] = ()
    services: tuple[Service, ...] = ()
    job_services: tuple[str, ...] = ()
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    node_setup: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    daemon: DaemonPlan | None = None
    daemon_of: str = ""
    in_sandbox: str = ""

    @property
    def builds(self) -> bool:
        """Whether jobs build images; those that do not get no push login."""
        return bool(self.credentials_folder)

    @property
    def privileged(self) -> bool:
        """Whether any container of a job is privileged, in a user namespace too."""
        alone = any(service.privileged for service in self.services)
        return self.build.privileged or self.service.privileged or alone

    @property
    def roots_node(self) -> bool:
        """Whether anyone who can run a job can become root on the node that runs it."""
        return bool(self.host_paths or self.account_rules or (self.privileged and self.host_users))

    @property
    def restricted(self) -> bool:
        """Whether a job's pod has to fit Pod Security's strictest level."""
        return self.pod_security == "restricted"


PULL_SECRET = "registry-pull"  # noqa: S105 - the name of an object
PUSH_SECRET = "registry-push"  # noqa: S105 - the name of an object
FILES = "registry-files"
DAEMON_SECRET = "daemon-certificates"  # noqa: S105 - the name of an object
"""The names of what the stack makes in job namespaces for its jobs."""


class RunnerNames(TypedDict):
    """The names that config.toml and the values refer to; None where there is no such object.

    ``runner`` is the one in the stack file.
    """

    runner: str
    job_namespace: str
    manager_account: str
    job_account: str
    pull_secret: str | None
    push_secret: str | None
    daemon_secret: str | None
    files: str | None


class ManagerNames(TypedDict):
    """The names of a manager's release and of what it refers to; None where there is none."""

    release: str
    account: str
    token_secret: str
    pull_secret: str | None
    cache_secret: str | None
    gitlab_certificates: str | None


def file_key(path: str) -> str:
    """Name the ConfigMap's key of a plan's file: keys allow neither a slash nor a colon."""
    return re.sub("[/:]", "_", path)
