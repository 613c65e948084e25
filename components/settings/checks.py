"""Which combinations in a stack file cannot or must not be deployed, why, and the way out.

Pure: from checked models to (path, message) pairs, all of them, so that they are reported together.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from pydantic.alias_generators import to_camel

from components.gitlab_runner import charts
from components.plan import BuildPlan
from components.platforms import keeper
from components.settings.models import Plans, Settings
from components.settings.namespaces import namespace_errors, own_namespaces
from components.settings.runners.cache import S3Cache
from components.settings.runners.extra import extra_errors
from components.settings.runners.images import image_errors
from components.settings.runners.nodes import architecture_errors
from components.settings.runners.pods import pod_resource_errors
from components.settings.runners.registration import UserRunner
from components.settings.runners.runner import RunnerSettings
from components.settings.runners.variables import variable_errors
from components.settings.runners.volumes import volume_errors
from components.strategies.shared import FALLBACK

_FEATURES: Mapping[str, charts.Feature] = {
    "seccomp_profile": "security_profiles",
    "pod_disruption_budget": "pod_disruption_budget",
}
"""What the chart must have for a key of a runner."""


def setting_errors(settings: Settings, plans: Plans) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of each combination that cannot or must not be deployed."""
    own = own_namespaces(settings, plans)
    for name, runner in settings.runners.items():
        path, plan = f"runners.{name}", plans[name]
        for reason in runner.strategy.refusals(plan, settings.site):
            yield f"{path}.strategy", reason
        for key, reason in (
            *_scheduling_errors(runner, plan),
            *image_errors(runner, plan),
            *variable_errors(runner, plan),
            *volume_errors(runner.volumes, plan),
            *architecture_errors(runner.node_selector, runner.node_affinity),
            *pod_resource_errors(runner.resources, plan, settings.chart.version),
            *extra_errors(runner.extra, settings.chart.version, plan),
            *_permission_errors(settings, plan, own),
            *_registration_errors(runner, plan),
            *_chart_errors(runner, settings.chart.version),
        ):
            yield f"{path}.{key}", reason
    if settings.gitlab.ca_certificates and "[" in settings.gitlab.url:
        # The manager looks for <host>.crt, and a Secret's key allows no colon.
        yield (
            "gitlab.caCertificates",
            "must be for a DNS name, since the runner expects the CA of an IPv6 address under a "
            "name that no Secret can hold; use a DNS name in gitlab.url",
        )
    yield from _daemon_errors(plans)
    yield from _tag_errors(settings)
    yield from _identity_errors(settings)
    yield from namespace_errors(settings, own)
    yield from _registry_errors(settings)
    yield from _group_login_errors(settings, plans)
    yield from _network_errors(settings)


def _chart_errors(runner: RunnerSettings, deployed: str) -> Iterator[tuple[str, str]]:
    for key, feature in _FEATURES.items():
        chosen = getattr(runner, key) != type(runner).model_fields[key].default
        if chosen and not charts.has(deployed, feature):
            since = charts.since(feature)
            yield (
                to_camel(key),
                f"needs chart {since} or later, and chart.version {deployed} would ignore it; "
                "remove it or raise chart.version",
            )


def _daemon_errors(plans: Plans) -> Iterator[tuple[str, str]]:
    for name, plan in plans.items():
        if not plan.daemon_of:
            continue
        owner = plans.get(plan.daemon_of)
        if owner is None or owner.daemon is None or owner.daemon_of:
            yield (
                f"runners.{name}.strategy.daemonOf",
                "must be a runner of this stack that has its own daemon; name one with the "
                f"strategy {plan.strategy} and without daemonOf, or remove daemonOf",
            )


def _scheduling_errors(runner: RunnerSettings, plan: BuildPlan) -> Iterator[tuple[str, str]]:
    for label, value in runner.node_selector.items():
        needed = plan.node_selector.get(label, value)
        if needed != value:
            yield (
                "nodeSelector",
                f"selects nodes with {label}={value}, and {plan.strategy} needs those with "
                f"{label}={needed} by cluster.nodes.selector, so no node fits; remove one",
            )
    if runner.runtime_class_name and plan.host_paths:
        yield (
            "runtimeClassName",
            f"runs jobs outside of the node's own runtime, and {plan.strategy} mounts the node's "
            f"{plan.host_paths[0].path}; remove it, or use {FALLBACK}",
        )


def _permission_errors(
    settings: Settings, plan: BuildPlan, owners: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    jobs = {settings.job_namespace(runner): runner for runner in settings.runners}
    for target in plan.permissions:
        path = f"strategy.permissions.{target}"
        if target in owners:
            yield (
                path,
                f"is {owners[target]}, where a job could take over what other jobs rely on; "
                "deploy to a namespace of targetNamespaces",
            )
        elif target in jobs:
            yield (
                path,
                f"is the job namespace of runners.{jobs[target]}, where a job could read the "
                "logins of others; deploy to a namespace of targetNamespaces",
            )
        elif whose := keeper(target):
            yield (
                path,
                f"is a namespace of {whose}, where a job could take over the cluster; deploy to a "
                "namespace of your own",
            )
        elif target not in settings.target_namespaces:
            message = f"must be in targetNamespaces; add {target} there, or remove its permissions"
            yield path, message


def _registration_errors(runner: RunnerSettings, plan: BuildPlan) -> Iterator[tuple[str, str]]:
    registration = runner.registration
    if not plan.builds and isinstance(registration, UserRunner) and registration.run_untagged:
        yield (
            "registration.runUntagged",
            "would let any job of its projects deploy, since it takes jobs without tags too; "
            "remove it, and give the deploy job the runner's tag",
        )


def _identity_errors(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, runner in settings.runners.items():
        identities = {"manager": runner.identity.manager, "jobs": runner.identity.jobs}
        for key, identity in identities.items():
            if identity and identity.google and not settings.network.egress.metadata:
                yield (
                    f"runners.{name}.identity.{key}.google",
                    "needs the metadata server, which network policies close; set "
                    "network.egress.metadata: true, where each pod has its own identity",
                )


def _tag_errors(settings: Settings) -> Iterator[tuple[str, str]]:
    owners: dict[frozenset[str], str] = {}
    for name, runner in settings.runners.items():
        owner = owners.setdefault(frozenset(runner.tags), name)
        if settings.runners[owner].strategy != runner.strategy:
            yield (
                f"runners.{name}.tags",
                f"duplicate those of runners.{owner}, which uses another strategy, so GitLab would "
                "pick either; use different tags or one strategy",
            )


def _registry_errors(settings: Settings) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, registry in enumerate(settings.registries):
        if registry.host in seen:
            message = "so only one's settings would hold; merge the two"
            yield f"registries[{index}].host", f"names {registry.host} a second time, {message}"
        seen.add(registry.host)


def _group_login_errors(settings: Settings, plans: Plans) -> Iterator[tuple[str, str]]:
    """Yield each push login that a tool would use for the whole registry (docker/cli: file_store).

    Of several for one host, it would take any.
    """
    others = [name for name, plan in plans.items() if plan.builds and not plan.group_logins]
    for index, registry in enumerate(settings.registries):
        if "/" in registry.host and (registry.push or registry.push_secret) and others:
            plan = plans[others[0]]
            yield (
                f"registries[{index}].{'push' if registry.push else 'pushSecret'}",
                f"is a login for {registry.host} alone, and runners.{others[0]} builds with "
                f"{plan.strategy}, which finds logins by host alone; use a login for the host, or "
                "let jobs log in with a variable of their group (docs/how-to/registries.md)",
            )


def _network_errors(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each address that jobs need and network policies would close; names are not known."""
    hosts = {
        "gitlab.url": urlsplit(settings.gitlab.url).hostname or "",
        **{
            f"registries[{index}].host": registry.host.partition("/")[0].partition(":")[0]
            for index, registry in enumerate(settings.registries)
        },
        **{
            f"registryMirrors[{index}]": host.partition(":")[0]
            for index, host in enumerate(settings.registry_mirrors)
        },
        **{
            f"proxy.{key}": urlsplit(url).hostname or ""
            for key, url in (settings.proxy.addresses() if settings.proxy else ())
        },
        **{f"hostAliases.{address}": address for address in settings.host_aliases},
        **{
            f"runners.{name}.dns.servers[{index}]": server
            for name, runner in settings.runners.items()
            for index, server in enumerate(runner.dns.servers if runner.dns else ())
        },
        **{
            f"runners.{name}.cache.endpoint": urlsplit(runner.cache.endpoint).hostname or ""
            for name, runner in settings.runners.items()
            if isinstance(runner.cache, S3Cache) and runner.cache.endpoint
        },
    }
    for path, host in hosts.items():
        if not settings.network.egress.reaches(host):
            yield (
                path,
                f"is at {host}, which network.egress keeps jobs from; add it to "
                "network.egress.allow",
            )
