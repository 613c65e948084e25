"""What a change does to security, from what there is before and after it.

Both sides become facts: a set of risky things by what they are about, such as the host paths of
one pod. What a fact gains is raised and what it loses is lowered. Something that is new counts
for what it has beyond an ordinary container, so that a first deployment raises little. Strategies
are not told apart here: objects and config.toml are all that is looked at.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

from report.analysis.facts import Facts, Subject, collect
from report.inputs.charts import Objects
from report.inputs.events import Plan
from report.model import Delta, Severity
from report.stack_file import StackFile
from report.values import inside

_EVERYTHING = frozenset({"everything"})

SEVERITIES: dict[Severity, int] = {"critical": 0, "major": 1, "minor": 2, "info": 3}
"""From the gravest on."""


class Kind(NamedTuple):
    """A kind of fact: how grave it is, how it is told, and why it matters.

    ``ordinary`` are the things that something new may have without a word. ``fresh`` says where
    all that is new is ordinary: in a new namespace only, ``always``, or never. ``of_the_job``
    says that a strategy whose privilege is accepted brings it. An empty text is not told.
    """

    severity: Severity
    raised: str
    lowered: str
    reason: str
    ordinary: frozenset[str] = frozenset()
    fresh: Literal["never", "namespace", "always"] = "never"
    of_the_job: bool = True


_KINDS: dict[str, Kind] = {
    "podSecurity": Kind(
        "critical",
        "{name} admits pods at {thing}",
        "{name} no longer admits pods at {thing}",
        "pods that violate the stricter level are admitted there",
        frozenset({"baseline"}),
    ),
    "privileged": Kind(
        "critical",
        "{name} is privileged",
        "{name} is no longer privileged",
        "a privileged container is root on its node",
    ),
    "hostPath": Kind(
        "critical",
        "{name} sees {thing} of the node",
        "{name} no longer sees {thing} of the node",
        "a path of the node can be a way out of the pod",
    ),
    "hostNamespace": Kind(
        "critical",
        "{name} has {thing}",
        "{name} no longer has {thing}",
        "it shares what keeps pods apart from their node",
    ),
    "userNamespace": Kind(
        "major",
        "{name} runs in the node's own user namespace",
        "{name} runs in a user namespace of its own",
        "root in the container is then root on the node, where it gets out",
        frozenset({"node"}),
    ),
    "unconfined": Kind(
        "major",
        "{name} runs with {thing}",
        "{name} no longer runs with {thing}",
        "the kernel shows it more than it shows an ordinary container",
    ),
    "noProfile": Kind(
        "minor",
        "{name} has no seccomp profile",
        "{name} has a seccomp profile",
        "most clusters then filter no system calls",
        frozenset({"none"}),
    ),
    "capability": Kind(
        "major",
        "{name} has the capability {thing}",
        "{name} loses the capability {thing}",
        "it is a part of root's powers that ordinary containers do not have",
    ),
    "defaultCapabilities": Kind(
        "minor",
        "{name} keeps the default capabilities",
        "{name} drops the default capabilities",
        "they are parts of root's powers that it may not need",
        frozenset({"kept"}),
    ),
    "root": Kind(
        "minor",
        "{name} may run as uid 0",
        "{name} runs as another uid than 0",
        "a hole in the kernel or the runtime weighs more as root",
        frozenset({"0"}),
    ),
    "escalation": Kind(
        "minor",
        "{name} may gain privileges by setuid programs",
        "{name} cannot gain privileges by setuid programs",
        "a process can become more than it was started as",
        frozenset({"allowed"}),
    ),
    "accountToken": Kind(
        "major",
        "{name} has its account's token mounted",
        "{name} no longer has its account's token mounted",
        "whatever runs there can call the Kubernetes API",
        frozenset({"token"}),
        of_the_job=False,
    ),
    "right": Kind(
        "major",
        "{name} may {thing}",
        "{name} may no longer {thing}",
        "whoever takes over this account can do so too",
        of_the_job=False,
        fresh="namespace",
    ),
    "secretReader": Kind(
        "major",
        "{thing} can read the Secrets of {name}",
        "{thing} can no longer read the Secrets of {name}",
        "credentials there are as safe as the weakest who reads them",
        of_the_job=False,
        fresh="namespace",
    ),
    "mountedSecret": Kind(
        "minor",
        "{name} can read the Secret {thing}",
        "{name} can no longer read the Secret {thing}",
        "whoever runs there has what it holds",
        fresh="always",
    ),
    "reach": Kind(
        "major",
        "{name}: {thing}",
        "{name} no longer: {thing}",
        "the network lets through what it kept out",
        of_the_job=False,
        fresh="namespace",
    ),
    "unpinned": Kind(
        "major",
        "{name} runs {thing}, which is not pinned",
        "{name} no longer runs {thing}, which is not pinned",
        "what runs can change without a change here",
        of_the_job=False,
    ),
    "undigested": Kind(
        "info",
        "{name} runs {thing} by its tag",
        "",
        "whoever owns the repository can move a tag",
        of_the_job=False,
        fresh="always",
    ),
    "imageSource": Kind(
        "minor",
        "{name} runs images of {thing}",
        "",
        "its owner decides on what runs there",
        of_the_job=False,
        fresh="always",
    ),
}


def deltas(
    plan: Plan,
    rendered: tuple[Mapping[str, Objects], Mapping[str, Objects]],
    stack_file: StackFile,
    settings: Mapping[str, Any],
) -> tuple[Delta, ...]:
    """Return what becomes more and less dangerous, the raised and the gravest first.

    Args:
        plan: what the preview said.
        rendered: the objects of each release by its URN, before and after.
        stack_file: where the lines and the acceptances are.
        settings: as they were previewed, which can differ from those of the file.
    """
    old = collect(plan, "old", rendered[0])
    new = collect(plan, "new", rendered[1])
    found: list[Delta] = []
    for subject in sorted(old.things.keys() | new.things.keys()):
        raised, lowered = _compare(subject, old, new)
        origin = (new if subject in new.origins else old).origins[subject]
        key, line = stack_file.find(*origin.key)
        kind = _KINDS[subject.kind]
        by_strategy = _accepts(settings, origin.runner) if kind.of_the_job else ""
        told = [("raised", thing) for thing in sorted(raised)]
        told += [("lowered", thing) for thing in sorted(lowered) if kind.lowered]
        for direction, thing in told:
            identity = f"{subject.kind}/{subject.name}/{thing}".replace(" ", "-")
            text = kind.raised if direction == "raised" else kind.lowered
            found.append(
                Delta(
                    identity=identity,
                    direction=cast("Literal['raised', 'lowered']", direction),
                    severity=kind.severity,
                    what=text.format(name=subject.name, thing=thing),
                    reason=kind.reason,
                    key=key,
                    line=line,
                    accepted=by_strategy or stack_file.accepted.get(identity, ""),
                ),
            )
    return tuple(
        sorted(found, key=lambda delta: (delta.direction == "lowered", SEVERITIES[delta.severity])),
    )


def _compare(subject: Subject, old: Facts, new: Facts) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a subject gains and what it loses."""
    kind = _KINDS[subject.kind]
    before, after = old.things.get(subject), new.things.get(subject)
    if subject.kind == "reach" and subject.namespace in old.namespaces & new.namespaces:
        # Where no policy is, all is let through.
        if after is None:
            return _EVERYTHING, frozenset()
        if before is None:
            return frozenset(), _EVERYTHING
    if after is None:
        # What goes takes its risks along.
        return frozenset(), frozenset()
    if before is None:
        quiet = kind.fresh == "always" or (
            kind.fresh == "namespace" and subject.namespace not in old.namespaces
        )
        ordinary = {thing for thing in after if "*" not in thing} if quiet else kind.ordinary
        return _worst(after - ordinary), frozenset()
    return _worst(after - before), before - after


def _worst(things: frozenset[str]) -> frozenset[str]:
    """Leave out the level that another one includes."""
    return things - {"baseline"} if "privileged" in things else things


def _accepts(settings: Mapping[str, Any], runner: str | None) -> str:
    """Return where a runner's strategy says out loud that it accepts its privilege."""
    strategy = inside(settings, "runners", runner or "", "strategy")
    said = (key for key, value in strategy.items() if key.startswith("accept") and value is True)
    return next((f"the strategy says {key}" for key in said), "")
