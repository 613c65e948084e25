"""What a stack file allows and its owner should know: a warning each, at every deployment."""

from collections.abc import Iterator

from components.gitlab_runner import charts
from components.plan import BuildPlan
from components.platforms import account_setup
from components.settings.chart import Chart
from components.settings.models import Plans, Settings
from components.settings.runners.cache import S3Cache
from components.settings.runners.nodes import NodeAffinity
from components.settings.runners.registration import UserRunner
from components.settings.runners.runner import RunnerSettings
from components.workloads import CONTROL_PLANE


def advice(settings: Settings, plans: Plans) -> Iterator[str]:
    """Yield a line for each, with the path of its key below the settings."""
    yield from _plain_http(settings)
    yield from _chart(settings.chart)
    for name, runner in settings.runners.items():
        for key in _control_plane(runner, plans[name]):
            yield (
                f"runners.{name}: {key} puts jobs on nodes of the control plane, where anyone who "
                "can run a job becomes root, and so takes over the cluster; use other nodes"
            )
        yield from _dns(name, runner, plans[name])


def _plain_http(settings: Settings) -> Iterator[str]:
    if settings.gitlab.url.startswith("http://"):
        yield (
            "gitlab.url: is plain HTTP, so runner tokens, sources and job logs can be read and "
            "changed on the network; use https://"
        )
    if settings.chart.repository.startswith("http://") and not settings.chart.archive:
        yield (
            "chart.repository: is plain HTTP, so the chart that is installed can be changed on the "
            "network; use https://"
        )
    for name, runner in settings.runners.items():
        if isinstance(runner.cache, S3Cache) and (runner.cache.endpoint or "").startswith(
            "http://"
        ):
            yield (
                f"runners.{name}.cache.endpoint: is plain HTTP, so caches can be read and changed "
                "on the network; use https://"
            )
    for index, registry in enumerate(settings.registries):
        if registry.insecure and (registry.pull or registry.push):
            yield (
                f"registries[{index}]: is plain HTTP, so the logins of {registry.host} can be read "
                "on the network; use TLS, with caCertificates for a private CA"
            )


def _chart(chart: Chart) -> Iterator[str]:
    if missing := list(charts.missing_fixes(chart.version)):
        yield (
            f"chart.version: {chart.version} deploys runner {charts.runner_of(chart.version)}, "
            f"where {' and '.join(missing)}; use {charts.DEFAULT_VERSION}"
        )
    if chart.repository != Chart().repository and not (chart.archive or chart.digest):
        yield (
            f"chart.digest: is not set, so the owner of {chart.repository} decides what chart "
            f"{chart.version} contains; set it to the SHA-256 of GitLab's own archive"
        )


def _control_plane(runner: RunnerSettings, plan: BuildPlan) -> Iterator[str]:
    if plan.roots_node:
        if CONTROL_PLANE & {toleration.key for toleration in runner.tolerations}:
            yield "tolerations"
        if CONTROL_PLANE & {*runner.node_selector, *plan.node_selector}:
            yield "nodeSelector"
        affinity = runner.node_affinity or NodeAffinity.model_construct()
        for requirement in (*affinity.require, *affinity.prefer):
            if requirement.key in CONTROL_PLANE and requirement.operator in {"In", "Exists"}:
                yield "nodeAffinity"


def _dns(name: str, runner: RunnerSettings, plan: BuildPlan) -> Iterator[str]:
    if plan.daemon and runner.dns and runner.dns.servers:
        yield (
            f"runners.{name}: dns.servers replace the DNS of the cluster, by which jobs find "
            f"{plan.daemon.name}; name servers that know Services, or remove them"
        )


def warnings_of_runners(settings: Settings, plans: Plans) -> Iterator[str]:
    """Yield a line for each risk that a runner takes, and for each thing that owners must set."""
    for name, plan in plans.items():
        for line in (
            *plan.warnings,
            *_target_warnings(plan, settings),
            *_sandbox_warnings(plan, settings.runners[name]),
            *_identity_warnings(settings.runners[name]),
            *node_setup(settings, name, plan),
        ):
            yield f"runners.{name}: {line}"


def node_setup(settings: Settings, name: str, plan: BuildPlan) -> tuple[str, ...]:
    """Return what the owners of nodes must set for a runner."""
    seccomp = settings.runners[name].seccomp_profile
    return (*plan.node_setup, *account_setup(plan, settings.cluster, seccomp))


def _target_warnings(plan: BuildPlan, settings: Settings) -> list[str]:
    further = [
        f"anyone who can run a job may, in {target}, {line}; remove it if no deployment needs it"
        for target, permissions in plan.permissions.items()
        for permission in permissions
        for line in permission.warnings()
    ]
    return further + [
        f"anyone who can run a job may create pods in {target}, as any account of that namespace, "
        "and is root on its nodes, unless it enforces the Pod Security level baseline or "
        "restricted; ask its owner, or set targetNamespaces."
        f"{target}.create: true for a new one"
        for target in settings.unknown_levels(plan)
    ]


def _identity_warnings(runner: RunnerSettings) -> list[str]:
    identity, registration = runner.identity.jobs, runner.registration
    if not identity or (isinstance(registration, UserRunner) and registration.protected):
        return []
    (whose,) = identity.annotations.values()
    return [
        f"anyone who can run a job acts in the cloud as {whose}; let the runner take jobs of "
        "protected branches only, by registration.protected or in GitLab"
    ]


def _sandbox_warnings(plan: BuildPlan, runner: RunnerSettings) -> list[str]:
    return [plan.in_sandbox] if runner.runtime_class_name and plan.in_sandbox else []
