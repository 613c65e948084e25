"""Which risks a change raises and lowers.

Each side is a set of facts: the risks of each subject, such as the host paths of one pod. A risk
that a subject gains is raised, one that it loses is lowered. A new subject counts only for what it
has beyond an ordinary container, so a first deployment raises little.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import cast

from components.network.addresses import METADATA_NAME
from components.quantity import amount
from components.strategies import STRATEGIES
from report.analysis.facts import collect
from report.analysis.risk_kind import RiskKind
from report.analysis.risk_kinds import KINDS
from report.analysis.trust.peers import DIRECTIONS, everything, is_allowed
from report.analysis.trust.subjects import Origin, RiskFacts, Subject
from report.inputs.events import Plan
from report.model import Direction, RiskChange, RiskSeverity
from report.stack_file import StackFile
from report.tree import Objects, Pair, Tree, inside

_NOTHING = frozenset[str]()
_ALL_KNOWN: Mapping[str, str] = {}

# What nothing new needs either.
_GRAVE = re.compile(
    rf"\*|^(bind|escalate|impersonate|approve|sign) |^create serviceaccounts/token|"
    rf"^\w+ (nodes|pods/ephemeralcontainers|certificatesigningrequests)\b|^ingress from everywhere|"
    rf"^egress to {METADATA_NAME}"
)

SEVERITIES: dict[RiskSeverity, int] = {"critical": 0, "major": 1, "minor": 2, "info": 3}
"""The order of severities."""


def changes(
    plan: Plan,
    rendered: Mapping[str, Pair[Objects]],
    stack_file: StackFile,
    settings: Tree,
    unknown: Mapping[str, str] = _ALL_KNOWN,
) -> tuple[RiskChange, ...]:
    """Return the risks that change, raised ones first, by severity.

    ``rendered`` has the objects of each release by its URN, and ``unknown`` the chart of those of
    which only the new objects are known. ``settings`` are those that the program read, which can
    differ from those of the file.
    """
    facts = collect(plan, rendered)
    _add_unknown(facts, plan, unknown)
    before, after = (inside(side, "runners") for side in (plan.old_outputs, plan.new_outputs))
    switched = {name for name in before if _strategy(before, name) != _strategy(after, name)}
    found = [
        change
        for subject in sorted(facts.old.risks.keys() | facts.new.risks.keys())
        for change in _changes_of(subject, facts, switched, stack_file, settings)
    ]
    return by_severity(found)


def by_severity(found: Iterable[RiskChange]) -> tuple[RiskChange, ...]:
    """Return risks in the order of reports: raised ones first, each by severity."""
    return tuple(
        sorted(found, key=lambda item: (item.direction == "lowered", SEVERITIES[item.severity]))
    )


def _strategy(runners: Tree, name: str) -> object:
    return inside(runners, name).get("strategy")


def _add_unknown(facts: Pair[RiskFacts], plan: Plan, unknown: Mapping[str, str]) -> None:
    for step in plan.steps:
        if step.urn in unknown:
            subject = Subject("chartContents", f"the chart of release {step.name}", "")
            for side, risks in zip(facts, ((), {unknown[step.urn]}), strict=True):
                side.add(subject, risks, Origin(("chart",), None))


def _changes_of(
    subject: Subject,
    facts: Pair[RiskFacts],
    switched: set[str],
    stack_file: StackFile,
    settings: Tree,
) -> Iterator[RiskChange]:
    kind = KINDS[subject.kind]
    origin = (facts.new if subject in facts.new.origins else facts.old).origins[subject]
    key, line = stack_file.find(*origin.key)
    by_strategy = _acceptance(settings, origin.runner) if kind.of_the_job else ""
    switches = origin.runner in switched
    milder = switches and kind.by_switch not in {None, "quiet"}
    severity = cast("RiskSeverity", kind.by_switch) if milder else kind.severity
    risks = _compare(subject, facts, switches=switches)
    found: list[tuple[Direction, str]] = [
        *(("raised", risk) for risk in sorted(risks.new)),
        *(("lowered", risk) for risk in sorted(risks.old) if kind.lowered),
    ]
    for direction, risk in found:
        identity = f"{subject.kind}/{subject.name}/{risk}".replace(" ", "-")
        text = kind.raised if direction == "raised" else kind.lowered
        yield RiskChange(
            identity=identity,
            direction=direction,
            severity=severity,
            what=text.format(name=subject.name, risk=risk),
            reason=kind.reason,
            key=key,
            line=line,
            accepted=by_strategy or stack_file.accepted.get(identity, ""),
        )


def _compare(subject: Subject, facts: Pair[RiskFacts], *, switches: bool) -> Pair[frozenset[str]]:
    """Return the risks that a subject has on one side only.

    Its runner ``switches`` if its strategy changes.
    """
    kind = KINDS[subject.kind]
    before, after = facts.old.risks.get(subject), facts.new.risks.get(subject)
    if switches and kind.by_switch == "quiet":
        before = None
    moved = subject.namespace in facts.old.namespaces ^ facts.new.namespaces
    if subject.kind == "reach" and not (moved and None in {before, after}):
        return _by_policy(subject, facts)
    if after is None:
        # The risks of a deleted subject are gone with it.
        return Pair(_NOTHING, _NOTHING)
    if kind.safeguard or kind.measured:
        return Pair(_NOTHING, _lost_or_moved(kind, before or _NOTHING, after))
    if before is None:
        return Pair(_NOTHING, _worst(after - _expected(subject, after, facts)))
    raised = _NOTHING if kind.widest in before else after - before
    lowered = before - after - {kind.widest}
    if subject.kind == "unfiltered":
        raised -= facts.new.limited[subject.namespace]
        lowered -= facts.old.limited[subject.namespace]
    return Pair(lowered, _worst(raised))


def _by_policy(subject: Subject, facts: Pair[RiskFacts]) -> Pair[frozenset[str]]:
    """Return what a policy closes and opens, beside the others of its namespace.

    A direction that none of them limits is open, and so is what one of them allows.
    """
    space, rest = subject.namespace, subject._replace(kind="unfiltered")
    own = facts.map(lambda side: DIRECTIONS.keys() - side.risks.get(rest, DIRECTIONS.keys()))
    peers = facts.map(lambda side: side.risks.get(subject, _NOTHING))
    # Which policies others have in their namespaces is not known.
    theirs = space not in facts.old.namespaces
    before = {*DIRECTIONS} if theirs else own.old | facts.old.limited[space]
    after = own.new | facts.new.limited[space]

    def more(new: frozenset[str], known: frozenset[str]) -> set[str]:
        limited = {risk for risk in new - known if risk.split()[0] in before & after}
        return {risk for risk in limited if not is_allowed(risk, known)}

    opened = more(peers.new, peers.old | facts.old.allowed[space])
    closed = more(peers.old, peers.new | facts.new.allowed[space])
    # Of one that stays, another risk says what it no longer limits.
    if subject not in facts.old.risks:
        closed |= set(map(everything, own.new - before))
    if subject not in facts.new.risks:
        opened |= set(map(everything, own.old - after))
    return Pair(frozenset(closed), frozenset(opened))


def _lost_or_moved(kind: RiskKind, before: frozenset[str], after: frozenset[str]) -> frozenset[str]:
    """Return the safeguards that are lost, or the amounts and versions that grow or fall."""
    if kind.safeguard:
        return before - after
    if not before:
        return _NOTHING
    if kind.measured == "shrinks":
        smallest = min(map(_amount, before))
        return frozenset(risk for risk in after if _amount(risk) < smallest)
    if kind.measured == "grows":
        most = max(map(_amount, before))
        return frozenset(risk for risk in after if _amount(risk) > most)
    least = min(map(_version, before))
    return frozenset(risk for risk in after if _version(risk) < least)


def _amount(quantity: str) -> Decimal:
    """Return the number of a quantity, and nothing for what is none, such as a variable."""
    try:
        return amount(quantity)
    except ValueError:
        return Decimal(0)


def _version(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", text)]


def _expected(subject: Subject, risks: frozenset[str], facts: Pair[RiskFacts]) -> frozenset[str]:
    """Return the risks that a new subject may have without a mention."""
    kind = KINDS[subject.kind]
    if kind.fresh == "always":
        return risks
    # What somebody else made, and the whole cluster, are not new with the plan.
    made = facts.new.made - facts.old.namespaces
    if kind.fresh == "namespace" and subject.namespace in made:
        return frozenset(risk for risk in risks if not _GRAVE.search(risk))
    return kind.ordinary


def _worst(risks: frozenset[str]) -> frozenset[str]:
    """Leave out a level that another one includes."""
    return risks - {"baseline"} if "privileged" in risks else risks


def _acceptance(settings: Tree, runner: str | None) -> str:
    """Return how a runner's strategy accepts its privilege, empty if it does not."""
    strategy = inside(settings, "runners", runner or "", "strategy")
    known = STRATEGIES.get(str(strategy.get("kind")))
    said = (key for key in strategy if strategy[key] is True and known and known.acceptance(key))
    return next((f"the strategy has {key}" for key in said), "")
