"""The rules of ``report.analysis.rules`` as a policy pack, which Pulumi runs in its operations.

``report`` is a link, so the published pack contains the rules. It has no other part of this
project but ``components.image_reference``, and only the packages of ``requirements.txt``.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
)
from pulumi_policy.deserialize import serialize_properties

from report.analysis.rule import is_production
from report.analysis.rules import RULES, Finding, Resource, Rule
from report.model import RiskSeverity
from report.redact import Scrubber, clean

_SEVERITIES: dict[RiskSeverity, Severity] = {
    "critical": Severity.CRITICAL,
    "major": Severity.HIGH,
    "minor": Severity.MEDIUM,
    "info": Severity.LOW,
}


class _Violation(NamedTuple):
    rule: Rule
    finding: Finding
    reason: str | None


def _violations(args: ResourceValidationArgs, *rules: Rule) -> Iterator[_Violation]:
    """Yield the violations of a resource, each with the reason if the stack accepts it."""
    start, _, types, name = args.urn.split("::", maxsplit=3)
    # Unwrapped, since any access to a value that a preview does not know would fail.
    inputs = clean(serialize_properties(args.props), Scrubber())
    components = frozenset(types.split("$")[:-1])
    resource = Resource(args.resource_type, name, components, inputs)
    config = pulumi.Config("image-builds")
    accepted = cast("Mapping[str, str]", config.get_object("acceptedRisks") or {})
    settings = cast("Mapping[str, object]", config.get_object("settings") or {})
    production = is_production(start.rpartition(":")[2], settings.get("production"))
    for rule in rules:
        for finding in rule.findings(resource, production=production):
            yield _Violation(rule, finding, accepted.get(rule.identity(finding)))


def _policy(rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        for violation in _violations(args, rule):
            if not violation.reason:
                name = rule.identity(violation.finding)
                advice = f'{rule.remediation}, or accept it as "{name}"'
                report_violation(f"{violation.finding.text}; {advice}", None)

    return ResourceValidationPolicy(
        name=rule.name,
        description=rule.description,
        validate=validate,
        enforcement_level=(
            EnforcementLevel.MANDATORY if rule.mandatory else EnforcementLevel.ADVISORY
        ),
        severity=_SEVERITIES[rule.severity],
        remediation_steps=rule.remediation,
    )


def _report_accepted(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
    for rule, finding, reason in _violations(args, *RULES):
        if reason:
            report_violation(f"{rule.name}: {finding.text}; accepted: {reason}", None)


PolicyPack(
    name="image-builds",
    policies=[
        *map(_policy, RULES),
        ResourceValidationPolicy(
            name="accepted-risks",
            description="Reports what the stack file accepts in image-builds:acceptedRisks.",
            validate=_report_accepted,
            enforcement_level=EnforcementLevel.ADVISORY,
        ),
    ],
)
