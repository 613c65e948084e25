"""The rules that a stack violates, with lines of its stack file and acceptances."""

from collections.abc import Mapping

from report.analysis import rules
from report.analysis.facts import origin_of
from report.analysis.rule import Resource, is_production
from report.inputs.events import Plan
from report.model import Violation
from report.stack_file import StackFile


def violations(
    plan: Plan, stack: str, stack_file: StackFile, unseen: Mapping[str, tuple[str, ...]]
) -> tuple[Violation, ...]:
    """Return the violations of the stack as it will be, those that block a change first.

    The plan is that of a preview or of a state. ``unseen`` has by URN what releases install that a
    preview does not show.
    """
    found: list[Violation] = []
    production = is_production(stack, plan.new_outputs.get("production"))
    for step in plan.steps:
        if step.new is None:
            continue
        hidden = unseen.get(step.urn, ())
        resource = Resource(step.type, step.name, plan.components(step), step.new, hidden)
        origin = origin_of(plan, step)
        for rule, finding in rules.findings(resource, production=production):
            path = ("runners", origin.runner, *rule.key) if origin.runner else origin.key
            key, line = stack_file.find(*path)
            identity = rule.identity(finding)
            found.append(
                Violation(
                    rule=rule.name,
                    mandatory=rule.mandatory,
                    severity=rule.severity,
                    identity=identity,
                    what=finding.text,
                    remediation=rule.remediation,
                    key=key,
                    line=line,
                    accepted=stack_file.accepted.get(identity, ""),
                )
            )
    order = [rule.name for rule in rules.RULES]
    return tuple(
        sorted(
            found, key=lambda item: (not item.stops, bool(item.accepted), order.index(item.rule))
        )
    )
