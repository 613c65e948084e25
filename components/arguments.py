"""From a stack's settings and plans to the arguments of components: what goes where, and its name.

It stands between the two so that a component need not know where its arguments come from.
"""

from collections.abc import Mapping

import pulumi

from components.gitlab_runner import authorities
from components.gitlab_runner.chart_values import chart_values
from components.gitlab_runner.config_toml import render
from components.plan import (
    DAEMON_SECRET,
    FILES,
    PULL_SECRET,
    PUSH_SECRET,
    BuildPlan,
    ManagerNames,
    RunnerNames,
)
from components.resources.daemon import DaemonArgs
from components.resources.environment import EnvironmentArgs
from components.resources.registration import RegistrationArgs, UserRunnerArgs
from components.resources.registry import Login
from components.resources.runner import ChartArgs, RunnerSpec
from components.settings.advice import advice, node_setup, warnings_of_runners
from components.settings.load import Stack
from components.settings.models import Settings
from components.settings.runners.registration import SecretRegistration, TokenRegistration
from components.settings.secrets import Secrets
from components.site import TARGET_LEVEL


def environment_args(stack: Stack, year: int) -> EnvironmentArgs:
    """Return the arguments of the stack's one component; secrets stay secret outputs.

    ``year`` is that of the certificates of daemons, which each new one replaces.
    """
    settings, secrets = stack.settings, stack.secrets
    return {
        "namespace": settings.namespace,
        "egress": settings.network.egress,
        "metrics_hidden_from": _metrics_hidden_from(stack),
        "preview_account": "reviewer" if settings.preview_account else None,
        "targets": {
            name: {
                "create": target.create,
                "delete_with_stack": target.delete_with_stack,
                "adopt": target.adopt_pull_secret,
            }
            for name, target in settings.target_namespaces.items()
        },
        "pull_secret": PULL_SECRET,
        "pull_logins": _logins(settings, secrets, "pull"),
        "image_logins": _image_logins(settings, secrets),
        "daemons": _daemons(stack, year),
        "runners": {
            name: _runner(name, settings, secrets, plan) for name, plan in stack.plans.items()
        },
    }


def _metrics_hidden_from(stack: Stack) -> list[str] | None:
    """The namespaces where code of jobs runs, or None where no manager serves metrics."""
    settings = stack.settings
    if not any(runner.manager.metrics for runner in settings.runners.values()):
        return None
    daemons = {_daemon_namespace(name, settings, plan) for name, plan in stack.plans.items()}
    return sorted([*map(settings.job_namespace, settings.runners), *filter(None, daemons)])


def summary(stack: Stack) -> dict[str, dict[str, object]]:
    """Return what runs where, by runner, as the stack's output ``runners``."""
    return {
        name: {
            "strategy": plan.strategy,
            "tags": stack.settings.runners[name].tags,
            "jobNamespace": stack.settings.job_namespace(name),
            "podSecurity": plan.pod_security,
            "nodeSetup": list(node_setup(stack.settings, name, plan)),
        }
        for name, plan in stack.plans.items()
    }


def warnings(stack: Stack) -> list[str]:
    """Return a line for each risk that is taken, and for each thing that owners must set."""
    return [*advice(stack.settings, stack.plans), *warnings_of_runners(stack.settings, stack.plans)]


def _logins(settings: Settings, secrets: Secrets, use: str) -> dict[str, Login]:
    """The login of each registry that has one for ``use``, which is ``pull`` or ``push``."""
    names = {registry.host: getattr(registry, use) for registry in settings.registries}
    return {host: _login(secrets, name) for host, name in names.items() if name}


def _image_logins(settings: Settings, secrets: Secrets) -> dict[str, Login]:
    """The logins for the images of managers and of the helper, none where they need none."""
    name = settings.chart.images.pull
    return {host: _login(secrets, name) for host in settings.chart.image_hosts()} if name else {}


def _login(secrets: Secrets, name: str) -> Login:
    login = secrets.registry_credentials[name]
    return {
        "name": name,
        "username": login.username,
        "password": pulumi.Output.secret(login.password.get_secret_value()),
    }


def _runner(name: str, settings: Settings, secrets: Secrets, plan: BuildPlan) -> RunnerSpec:
    runner = settings.runners[name]
    pull_logins = {**_image_logins(settings, secrets), **_logins(settings, secrets, "pull")}
    push_logins = _logins(settings, secrets, "push") if plan.builds else {}
    names: RunnerNames = {
        "runner": name,
        "job_namespace": settings.job_namespace(name),
        "manager_account": f"gitlab-runner-{name}",
        "job_account": f"gitlab-job-{name}",
        "pull_secret": PULL_SECRET if pull_logins else None,
        "push_secret": _push_secret(settings, push_logins) if plan.builds else None,
        "daemon_secret": DAEMON_SECRET if plan.daemon else None,
        "files": FILES if plan.files else None,
    }
    gitlab_certificates = settings.gitlab.certificates
    manager = _manager(names, settings, gitlab_certificates)
    config_toml = render(plan, runner, names, _addresses(name, settings, plan), settings)
    return {
        "plan": plan,
        "names": names,
        "manager": manager,
        "manager_disruption_budget": runner.manager.disruption_budget,
        "manager_identity": runner.manager_annotations,
        "job_identity": runner.job_annotations,
        "pod_disruption_budget": runner.pod_disruption_budget,
        "levels": {
            target: TARGET_LEVEL
            for target, wanted in settings.target_namespaces.items()
            if wanted.create
        },
        "pull_logins": pull_logins,
        "push_logins": push_logins,
        "authorities": {authorities.FILE: runner.ca_certificates} if runner.ca_certificates else {},
        "registration": _registration(name, settings, secrets),
        "gitlab_certificates": gitlab_certificates,
        "cache_login": {
            key: pulumi.Output.secret(text) for key, text in secrets.of_cache(runner.cache).items()
        },
        "chart": _chart(settings),
        "values": chart_values(settings, runner, manager, config_toml),
        "egress": settings.network.egress,
        "daemon_namespace": _daemon_namespace(name, settings, plan),
    }


def _push_secret(settings: Settings, logins: Mapping[str, Login]) -> str | None:
    others = (registry.push_secret for registry in settings.registries if registry.push_secret)
    return PUSH_SECRET if logins else next(others, None)


def _manager(
    names: RunnerNames, settings: Settings, gitlab_certificates: Mapping[str, str]
) -> ManagerNames:
    release = f"gitlab-runner-{names['runner']}"
    runner = settings.runners[names["runner"]]
    wanted, cache = runner.registration, runner.cache
    return {
        "release": release,
        "account": names["manager_account"],
        "token_secret": wanted.name if wanted.kind == "secret" else f"{release}-token",
        "cache_secret": f"{release}-cache" if cache and cache.credentials else None,
        "pull_secret": PULL_SECRET if settings.chart.images.pull else None,
        "gitlab_certificates": f"{release}-gitlab-certificates" if gitlab_certificates else None,
    }


def _addresses(runner: str, settings: Settings, plan: BuildPlan) -> dict[str, str]:
    """The variables by which the jobs of a runner find their daemon and the proxy, if any."""
    proxy = settings.proxy_variables(*(service.alias for service in plan.services))
    daemon = plan.daemon
    if not daemon:
        return proxy
    host = f"{daemon.name}.{_daemon_namespace(runner, settings, plan)}.svc"
    return {**proxy, daemon.address: f"tcp://{host}:{daemon.port}"}


def _daemon_namespace(runner: str, settings: Settings, plan: BuildPlan) -> str | None:
    """The namespace of the daemon that a runner's jobs use, if they have one."""
    owner = plan.daemon_of or runner
    return settings.daemon_namespace(owner, plan.daemon.name) if plan.daemon else None


def _daemons(stack: Stack, year: int) -> dict[str, DaemonArgs]:
    """The daemon of each runner that shares none of another one."""
    settings = stack.settings
    return {
        owner: {
            "namespace": settings.daemon_namespace(owner, plan.daemon.name),
            "daemon": plan.daemon,
            "egress": settings.network.egress,
            "environment": settings.proxy_variables(),
            "host_aliases": settings.host_aliases,
            "job_namespaces": [
                settings.job_namespace(runner)
                for runner, other in stack.plans.items()
                if owner in (runner, other.daemon_of)
            ],
            "year": year,
        }
        for owner, plan in stack.plans.items()
        if plan.daemon and not plan.daemon_of
    }


def _registration(name: str, settings: Settings, secrets: Secrets) -> RegistrationArgs | None:
    runner = settings.runners[name]
    wanted = runner.registration
    if isinstance(wanted, SecretRegistration):
        return None
    if isinstance(wanted, TokenRegistration):
        token = secrets.runner_tokens[name].get_secret_value()
        return {"token": pulumi.Output.secret(token), "user_runner": None}
    user_runner: UserRunnerArgs = {
        "runner_type": wanted.runner_type,
        "group_id": wanted.group_id,
        "project_id": wanted.project_id,
        "access_level": "ref_protected" if wanted.protected else "not_protected",
        "untagged": wanted.run_untagged,
        "locked": wanted.locked,
        "maximum_timeout": wanted.maximum_timeout,
        "tag_lists": runner.tags,
    }
    return {"token": None, "user_runner": user_runner}


def _chart(settings: Settings) -> ChartArgs:
    chart = settings.chart
    return {
        "chart": chart.archive or "gitlab-runner",
        "version": chart.version,
        "repository": None if chart.archive else chart.repository,
        "digest": chart.digest,
    }
