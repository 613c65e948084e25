"""What several strategies share: the base of their options, and parts of plans and messages."""

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic.alias_generators import to_camel

from components.image_reference import ImageReference
from components.plan import BuildPlan, PodSecurity, Security
from components.platforms import refusals
from components.site import Cluster, NodeProfiles, Registry, Site
from components.types import Model

Forms = Mapping[str, Mapping[str, object]]
"""Options as a stack file says them, by the name of the form."""

FALLBACK = "kaniko"
"""The strategy that needs the least and runs anywhere, which messages recommend."""

CREDENTIALS = "/tmp/.docker"  # noqa: S108 - a path in the job's own container
"""Where tools that let one choose read config.json, as any user may write there."""

PRIVILEGED_JOB = "anyone who can run a job is root on the node, since its container is privileged"
"""The warning of every variant whose job container is privileged on the node."""

PIPELINES = "docs/how-to/move-a-pipeline.md"
"""The page that messages in the logs of jobs name."""

NO_KATA = "Kata does not support hostUsers: false"
"""What a sandbox refuses of a pod with its own user namespace
(gitlab-runner:executors/kubernetes/util_test.go)."""


@dataclasses.dataclass(frozen=True)
class Accept:
    """What a stack file must confirm with ``true``, as metadata of the field that confirms it."""

    risk: str

    def message(self, kind: str, key: str) -> str:
        """Say what to write where ``key`` of the strategy ``kind`` is missing or not true."""
        example = f"strategy: {{kind: {kind}, {key}: true}}"
        return f"must be true to confirm that {self.risk}; write '{example}', or use {FALLBACK}"


ACCEPT_PRIVILEGED = Accept("a privileged container runs in each job, or may")


class StrategyOptions(Model, abc.ABC):
    """The options of a strategy, as a stack file says them, and what follows from them.

    Each class also has ``forms``, all of its variants that tables, tests and explanations go
    through, and ``command``, what its jobs call, which is empty where they build nothing.
    """

    @abc.abstractmethod
    def plan(self, site: Site) -> BuildPlan:
        """Return what its jobs need there."""

    def blockers(self, site: Site) -> Iterator[str]:  # noqa: ARG002 - others use it
        """Yield what in its options, or in the site's nodes, rules it out, with the way out."""
        yield from ()

    def refusals(self, plan: BuildPlan, site: Site) -> Iterator[str]:
        """Yield all that rules it out there, what the cluster refuses of its ``plan`` included."""
        yield from self.blockers(site)
        instead = "use another cluster" if plan.strategy == FALLBACK else f"use {FALLBACK}"
        yield from refusals(plan, site.cluster, instead)

    @classmethod
    def acceptance(cls, key: str) -> str | None:
        """Say what to write where ``key`` is not confirmed, or None for any other key."""
        for name, field in cls.model_fields.items():
            for item in field.metadata:
                if to_camel(name) == key and isinstance(item, Accept):
                    return item.message(str(cls.model_fields["kind"].default), key)
        return None


def is_rootless(image: str) -> bool:
    """Return whether an image's path or tag says that its program does without root."""
    reference = ImageReference.parse(image)
    return "rootless" in f"{reference.repository}:{reference.tag}"


def untrusted(cluster: Cluster, risk: str, instead: str = f"use {FALLBACK}") -> Iterator[str]:
    """Yield that jobs reach the nodes, unless the stack file trusts everyone who can run one."""
    if not cluster.nodes.trusted:
        yield (
            f"{risk}; {instead}, or set cluster.nodes.trusted: true if everyone who can run jobs "
            "is trusted with the nodes"
        )


def privilege_blockers(
    name: str, cluster: Cluster, *, privileged: bool, accepted: bool, variant: str
) -> Iterator[str]:
    """Yield what is wrong with the privilege of a form; ``variant`` is one that needs none."""
    if privileged and not accepted:
        yield (
            f"{name}, which makes each job's container privileged; add acceptPrivileged: true to "
            f"confirm it, or use the variant {variant}"
        )
    if privileged:
        risk = f"{name}, which lets anyone who can run a job reach the node"
        yield from untrusted(cluster, risk, f"use the variant {variant}")
    elif accepted:
        yield f"{name}, which is not privileged; remove acceptPrivileged"


def no_room_for_uids(name: str, variant: str) -> str:
    """Say why a rootless image has no use for ``hostUsers: false``; ``variant`` is one that has."""
    return (
        f"{name} and hostUsers: false, but that image maps uids 100000 to 165535 and a pod's user "
        f"namespace ends at 65535, so newuidmap fails; use variant: {variant} with hostUsers: "
        "false, or remove hostUsers"
    )


def user_namespace_blockers(cluster: Cluster, instead: str) -> Iterator[str]:
    """Yield why ``hostUsers: false`` cannot be, unless the nodes offer user namespaces."""
    if not cluster.nodes.user_namespaces:
        yield (
            "asks for hostUsers: false, which older runtimes ignore without an error, and the "
            f"stack file does not declare that the nodes offer user namespaces; {instead}, or set "
            "cluster.nodes.userNamespaces: true (Kubernetes 1.33, Linux 6.3, containerd 2.0 or "
            "CRI-O 1.25)"
        )


def unconfined(
    user: int, profiles: NodeProfiles | None, capabilities: tuple[str, ...] = ()
) -> tuple[Security, PodSecurity]:
    """What a tool needs that unshares and mounts: no profile, or profiles of the nodes' own.

    Pod Security's baseline level refuses ``Unconfined`` and takes ``Localhost``.
    """
    seccomp = app_armor = {"type": "Unconfined"}
    if profiles:
        seccomp = {"type": "Localhost", "localhostProfile": profiles.seccomp}
        app_armor = {"type": "Localhost", "localhostProfile": profiles.app_armor}
    security = Security(user=user, capabilities=capabilities, seccomp=seccomp, app_armor=app_armor)
    return security, "baseline" if profiles else "privileged"


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


def no_engine(kind: str, *, has_client: bool = False) -> str:
    """Write shell that says in the log of a job for Docker that its runner has no engine.

    ``has_client`` says that all jobs have Docker's client, so that only a variable gives one away.
    """
    client = "" if has_client else " || command -v docker >/dev/null"
    return f"""\
if [ -n "${{DOCKER_HOST:-}}" ]{client}; then
  echo "This runner (strategy {kind}) has no Docker engine, which docker build and docker run need;"
  echo "see {PIPELINES}"
fi >&2
"""


def certificate_file(host: str) -> str:
    """Name the file that holds a registry's CA, without the colon before a port."""
    return f"{host.replace(':', '_')}.crt"


def certificate_files(
    registries: Sequence[Registry], file: Callable[[str], str] = certificate_file
) -> dict[str, str]:
    """The registries' own CAs by the file that a tool reads for a host."""
    return {
        file(registry.host): registry.ca_certificates
        for registry in registries
        if registry.ca_certificates
    }
