"""Each kind of risk: its severity, how a report says it, and why it matters."""

from typing import Literal, NamedTuple, TypeAlias

from report.model import RiskSeverity

RiskName: TypeAlias = Literal[
    "podSecurity",
    "privileged",
    "hostPath",
    "hostNamespace",
    "userNamespace",
    "unconfined",
    "noProfile",
    "capability",
    "defaultCapabilities",
    "root",
    "escalation",
    "accountToken",
    "permission",
    "secretReader",
    "mountedSecret",
    "reach",
    "unpinned",
    "undigested",
    "imageSource",
]


class RiskKind(NamedTuple):
    """A kind of risk: its severity, the sentences for it, and why it matters.

    ``raised`` and ``lowered`` take the name of the subject and the risk; a report does not mention
    a change whose sentence is empty. A new subject may have the ``ordinary`` risks without a
    mention, and with ``fresh`` any risk without a wildcard: always, or in a new namespace only.
    ``of_the_job`` is False for what no acceptance of a strategy covers.
    """

    severity: RiskSeverity
    raised: str
    lowered: str
    reason: str
    ordinary: frozenset[str] = frozenset()
    fresh: Literal["never", "namespace", "always"] = "never"
    of_the_job: bool = True


KINDS: dict[RiskName, RiskKind] = {
    "podSecurity": RiskKind(
        "critical",
        "{name} admits pods at level {risk}",
        "{name} no longer admits pods at level {risk}",
        "that level admits pods which a stricter one rejects",
        frozenset({"baseline"}),
    ),
    "privileged": RiskKind(
        "critical",
        "{name} is privileged",
        "{name} is no longer privileged",
        "a privileged container is root on its node",
    ),
    "hostPath": RiskKind(
        "critical",
        "{name} mounts {risk} from the node",
        "{name} no longer mounts {risk} from the node",
        "a host path can be a way out of the pod",
    ),
    "hostNamespace": RiskKind(
        "critical",
        "{name} has {risk}",
        "{name} no longer has {risk}",
        "sharing it removes isolation from the node",
    ),
    "userNamespace": RiskKind(
        "major",
        "{name} runs in the user namespace of the node",
        "{name} runs in its own user namespace",
        "root that escapes from the container is then root on the node",
        frozenset({"node"}),
    ),
    "unconfined": RiskKind(
        "major",
        "{name} runs with {risk}",
        "{name} no longer runs with {risk}",
        "an unconfined container reaches more of the kernel",
    ),
    "noProfile": RiskKind(
        "minor",
        "{name} has no seccomp profile",
        "{name} has a seccomp profile",
        "most clusters then filter no system calls",
        frozenset({"none"}),
    ),
    "capability": RiskKind(
        "major",
        "{name} has the capability {risk}",
        "{name} loses the capability {risk}",
        "ordinary containers do not have this power of root",
    ),
    "defaultCapabilities": RiskKind(
        "minor",
        "{name} keeps the default capabilities",
        "{name} drops the default capabilities",
        "these are powers of root that it may not need",
        frozenset({"kept"}),
    ),
    "root": RiskKind(
        "minor",
        "{name} may run as uid 0",
        "{name} does not run as uid 0",
        "an exploit of the kernel or the runtime is worse as root",
        frozenset({"0"}),
    ),
    "escalation": RiskKind(
        "minor",
        "{name} may gain privileges through setuid programs",
        "{name} cannot gain privileges through setuid programs",
        "a process can gain more privileges than it started with",
        frozenset({"allowed"}),
    ),
    "accountToken": RiskKind(
        "major",
        "{name} mounts the token of its account",
        "{name} no longer mounts the token of its account",
        "anything that runs there can call the Kubernetes API",
        frozenset({"token"}),
        of_the_job=False,
    ),
    "permission": RiskKind(
        "major",
        "{name} may {risk}",
        "{name} may no longer {risk}",
        "anyone who takes over this account can do so too",
        of_the_job=False,
        fresh="namespace",
    ),
    "secretReader": RiskKind(
        "major",
        "{risk} can read the Secrets of {name}",
        "{risk} can no longer read the Secrets of {name}",
        "credentials there are as safe as their weakest reader",
        of_the_job=False,
        fresh="namespace",
    ),
    "mountedSecret": RiskKind(
        "minor",
        "{name} can read the Secret {risk}",
        "{name} can no longer read the Secret {risk}",
        "anyone who runs code there can read its contents",
        fresh="always",
    ),
    "reach": RiskKind(
        "major",
        "{name} allows {risk}",
        "{name} no longer allows {risk}",
        "each allowed peer is a way in or out",
        of_the_job=False,
        fresh="namespace",
    ),
    "unpinned": RiskKind(
        "major",
        "{name} runs {risk}, which is not pinned",
        "{name} no longer runs {risk}, which is not pinned",
        "the image can change without a change here",
        of_the_job=False,
    ),
    "undigested": RiskKind(
        "info",
        "{name} runs {risk} by its tag",
        "",
        "the owner of the repository can move a tag",
        of_the_job=False,
        fresh="always",
    ),
    "imageSource": RiskKind(
        "minor",
        "{name} runs images from {risk}",
        "",
        "the owner of the repository decides what runs there",
        of_the_job=False,
        fresh="always",
    ),
}
