"""What each kind of risk weighs, how a report says it, and why it matters."""

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
    "right",
    "secretReader",
    "mountedSecret",
    "reach",
    "unpinned",
    "undigested",
    "imageSource",
]


class RiskKind(NamedTuple):
    """A kind of fact: how grave it is, how it is told, and why it matters.

    ``ordinary`` are the things that something new may have without a word. ``fresh`` says where
    all that is new is ordinary: in a new namespace only, ``always``, or never. ``of_the_job``
    says that a strategy whose privilege is accepted brings it. An empty text is not told.
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
        "{name} admits pods at {risk}",
        "{name} no longer admits pods at {risk}",
        "pods that violate the stricter level are admitted there",
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
        "{name} sees {risk} of the node",
        "{name} no longer sees {risk} of the node",
        "a path of the node can be a way out of the pod",
    ),
    "hostNamespace": RiskKind(
        "critical",
        "{name} has {risk}",
        "{name} no longer has {risk}",
        "it shares what keeps pods apart from their node",
    ),
    "userNamespace": RiskKind(
        "major",
        "{name} runs in the node's own user namespace",
        "{name} runs in a user namespace of its own",
        "root in the container is then root on the node, where it gets out",
        frozenset({"node"}),
    ),
    "unconfined": RiskKind(
        "major",
        "{name} runs with {risk}",
        "{name} no longer runs with {risk}",
        "the kernel shows it more than it shows an ordinary container",
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
        "it is a part of root's powers that ordinary containers do not have",
    ),
    "defaultCapabilities": RiskKind(
        "minor",
        "{name} keeps the default capabilities",
        "{name} drops the default capabilities",
        "they are parts of root's powers that it may not need",
        frozenset({"kept"}),
    ),
    "root": RiskKind(
        "minor",
        "{name} may run as uid 0",
        "{name} runs as another uid than 0",
        "a hole in the kernel or the runtime weighs more as root",
        frozenset({"0"}),
    ),
    "escalation": RiskKind(
        "minor",
        "{name} may gain privileges by setuid programs",
        "{name} cannot gain privileges by setuid programs",
        "a process can become more than it was started as",
        frozenset({"allowed"}),
    ),
    "accountToken": RiskKind(
        "major",
        "{name} has its account's token mounted",
        "{name} no longer has its account's token mounted",
        "whatever runs there can call the Kubernetes API",
        frozenset({"token"}),
        of_the_job=False,
    ),
    "right": RiskKind(
        "major",
        "{name} may {risk}",
        "{name} may no longer {risk}",
        "whoever takes over this account can do so too",
        of_the_job=False,
        fresh="namespace",
    ),
    "secretReader": RiskKind(
        "major",
        "{risk} can read the Secrets of {name}",
        "{risk} can no longer read the Secrets of {name}",
        "credentials there are as safe as the weakest who reads them",
        of_the_job=False,
        fresh="namespace",
    ),
    "mountedSecret": RiskKind(
        "minor",
        "{name} can read the Secret {risk}",
        "{name} can no longer read the Secret {risk}",
        "whoever runs there has what it holds",
        fresh="always",
    ),
    "reach": RiskKind(
        "major",
        "{name}: {risk}",
        "{name} no longer: {risk}",
        "the network lets through what it kept out",
        of_the_job=False,
        fresh="namespace",
    ),
    "unpinned": RiskKind(
        "major",
        "{name} runs {risk}, which is not pinned",
        "{name} no longer runs {risk}, which is not pinned",
        "what runs can change without a change here",
        of_the_job=False,
    ),
    "undigested": RiskKind(
        "info",
        "{name} runs {risk} by its tag",
        "",
        "whoever owns the repository can move a tag",
        of_the_job=False,
        fresh="always",
    ),
    "imageSource": RiskKind(
        "minor",
        "{name} runs images of {risk}",
        "",
        "its owner decides on what runs there",
        of_the_job=False,
        fresh="always",
    ),
}
