"""Which images jobs may run, and when nodes pull them."""

from collections.abc import Iterator

from components.plan import BuildPlan
from components.settings.runners.runner import RunnerSettings


def image_errors(runner: RunnerSettings, plan: BuildPlan) -> Iterator[tuple[str, str]]:
    """Yield (key below the runner, message) of each choice that cannot work for any job."""
    allowed, chosen = runner.allowed_pull_policies, runner.pull_policies
    if chosen and not {*chosen} <= {*allowed}:
        yield (
            "allowedPullPolicies",
            f"must contain {' and '.join(chosen)}, which is pullPolicy, because GitLab Runner "
            "rejects every job that does not choose another one; add it, or change pullPolicy",
        )
    if runner.allowed_services and plan.service.privileged:
        yield (
            "allowedServices",
            f"would decide which services {plan.strategy} runs privileged; remove it, and set "
            "serviceImages of the strategy, or jobEngines: false",
        )
