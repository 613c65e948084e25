"""Which variables a runner must not give its jobs: those that the stack or a strategy sets."""

from collections.abc import Iterator

from components.gitlab_runner import authorities
from components.plan import BuildPlan
from components.settings.runners.runner import RunnerSettings
from components.workloads import DAEMON_VARIABLES


def variable_errors(runner: RunnerSettings, plan: BuildPlan) -> Iterator[tuple[str, str]]:
    """Yield (key below the runner, message) of each variable that must not be set."""
    reasons = dict.fromkeys(
        DAEMON_VARIABLES,
        "would send what jobs build, with its logins, to a daemon that the strategy does not "
        "choose; remove it, and choose a strategy",
    )
    reasons |= dict.fromkeys(
        _set_by_stack(plan),
        f"is set by the stack for {plan.strategy}, which may not work with another value; remove "
        "it, and set the options of the strategy or of registries",
    )
    if plan.daemon:
        reasons[plan.daemon.address] = (
            f"is the address of {plan.daemon.name}, which the stack sets; remove it"
        )
    reasons |= plan.refused_variables
    if runner.ca_certificates:
        reasons |= dict.fromkeys(
            (*authorities.VARIABLES, authorities.ADDS, "SSL_CERT_DIR"),
            "is set for the job's tools by caCertificates; remove one of both",
        )
    for variable in runner.environment:
        if variable in reasons:
            yield f"environment.{variable}", reasons[variable]


def _set_by_stack(plan: BuildPlan) -> Iterator[str]:
    """Yield the variables that config.toml has for this plan (``components.gitlab_runner``)."""
    yield from (name for name, value in plan.environment.items() if value)
    if plan.builds:
        yield "DOCKER_CONFIG"
    if plan.restricted:
        yield "HOME"
