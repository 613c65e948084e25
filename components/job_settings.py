"""What jobs get whatever their strategy, from a stack's settings: limits, nodes and variables."""

from components.plan import BuildPlan, DaemonPlan
from components.resources.runner import RunnerNames
from components.runner_toml import JobSettings
from components.settings.models import Settings
from components.site import Bounds, Resources


def job_settings(
    name: str,
    settings: Settings,
    names: RunnerNames,
    plan: BuildPlan,
) -> JobSettings:
    """Return what jobs of the runner ``name`` get, with the names of their objects."""
    runner = settings.runners[name]
    address = {plan.daemon.address: _url(settings, plan.daemon)} if plan.daemon else {}
    return JobSettings(
        namespace=names["job_namespace"],
        service_account=names["job_account"],
        pull_secret=names["pull_secret"],
        push_secret=names["push_secret"],
        daemon_secret=names["daemon_secret"],
        files=names["files"],
        concurrent=runner.concurrent,
        environment={**address, **runner.environment},
        resources=_resources(plan, runner.resources),
        node_selector=runner.node_selector,
        tolerations={
            taint.key if taint.value is None else f"{taint.key}={taint.value}": taint.effect or ""
            for taint in runner.tolerations
        },
        runtime_class=runner.runtime_class_name,
        priority_class=runner.priority_class_name,
        seccomp_profile=runner.seccomp_profile,
        pod_disruption_budget=runner.pod_disruption_budget,
    )


def _url(settings: Settings, daemon: DaemonPlan) -> str:
    return f"tcp://{daemon.name}.{settings.daemon_namespace(daemon.name)}.svc:{daemon.port}"


def _resources(plan: BuildPlan, asked: Resources) -> dict[str, str]:
    """What the stack file asks for, and the plan's requests where it gives no request or limit.

    Kubernetes refuses a request above the limit, and takes the limit where there is no request.
    """
    given = {**_amounts("", asked), **_amounts("service_", asked.service)}
    missing = {
        key: quantity
        for key, quantity in plan.resources.items()
        if key not in given and key.replace("_request", "_limit") not in given
    }
    return {**missing, **given}


def _amounts(prefix: str, bounds: Bounds) -> dict[str, str]:
    return {
        f"{prefix}{resource}_{bound}": quantity
        for bound, given in (("request", bounds.requests), ("limit", bounds.limits))
        for resource, quantity in given
        if quantity
    }
