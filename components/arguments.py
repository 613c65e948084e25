"""From a stack's settings and plans to the arguments of components: what goes where, and its name.

It stands between the two so that a component need not know where its arguments come from.
"""

from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

import pulumi

from components.gitlab_runner.chart_values import chart_values
from components.gitlab_runner.config_toml import render
from components.plan import BuildPlan, ManagerNames, RunnerNames
from components.platforms import account_setup
from components.resources.daemon import DaemonArgs
from components.resources.environment import EnvironmentArgs
from components.resources.registration import RegistrationArgs, UserRunnerArgs
from components.resources.registry import Login
from components.resources.runner import ChartArgs, RunnerSpec
from components.settings.advice import advice
from components.settings.load import Stack
from components.settings.models import Settings
from components.settings.runners.registration import TokenRegistration
from components.settings.runners.runner import RunnerSettings
from components.settings.secrets import Secrets
from components.site import TARGET_LEVEL

_PULL_SECRET = "registry-pull"  # noqa: S105 - the name of an object
_PUSH_SECRET = "registry-push"  # noqa: S105 - the name of an object
_FILES = "registry-files"
_DAEMON_SECRET = "daemon-certificates"  # noqa: S105 - the name of an object


def environment_args(stack: Stack, year: int) -> EnvironmentArgs:
    """Return the arguments of the stack's one component; secrets stay secret outputs.

    ``year`` is that of the certificates of daemons, which each new one replaces.
    """
    settings, secrets = stack.settings, stack.secrets
    return {
        "namespace": settings.namespace,
        "egress": settings.network.egress,
        "preview_account": "reviewer" if settings.preview_account else None,
        "targets": {
            name: {
                "create": target.create,
                "delete_with_stack": target.delete_with_stack,
                "adopt": target.adopt_pull_secret,
            }
            for name, target in settings.target_namespaces.items()
        },
        "pull_secret": _PULL_SECRET,
        "pull_logins": _logins(settings, secrets, "pull"),
        "daemons": _daemons(stack, year),
        "runners": {
            name: _runner(name, settings, secrets, plan) for name, plan in stack.plans.items()
        },
    }


def summary(stack: Stack) -> dict[str, dict[str, object]]:
    """Return what runs where, by runner, as the stack's output ``runners``."""
    return {
        name: {
            "strategy": plan.strategy,
            "tags": stack.settings.runners[name].tags,
            "jobNamespace": stack.settings.job_namespace(name),
            "podSecurity": plan.pod_security,
            "nodeSetup": list(_node_setup(stack, name, plan)),
        }
        for name, plan in stack.plans.items()
    }


def warnings(stack: Stack) -> list[str]:
    """Return a line for each risk that is taken, and for each thing that owners must set."""
    return [*advice(stack.settings, stack.plans), *_warnings_of_runners(stack)]


def _warnings_of_runners(stack: Stack) -> list[str]:
    return [
        f"runners.{name}: {line}"
        for name, plan in stack.plans.items()
        for line in (
            *plan.warnings,
            *_target_warnings(plan, stack.settings),
            *_sandbox_warnings(plan, stack.settings.runners[name]),
            *_node_setup(stack, name, plan),
        )
    ]


def _node_setup(stack: Stack, name: str, plan: BuildPlan) -> tuple[str, ...]:
    seccomp = stack.settings.runners[name].seccomp_profile
    return (*plan.node_setup, *account_setup(plan, stack.settings.cluster, seccomp))


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


def _sandbox_warnings(plan: BuildPlan, runner: RunnerSettings) -> list[str]:
    return [plan.in_sandbox] if runner.runtime_class_name and plan.in_sandbox else []


def _logins(settings: Settings, secrets: Secrets, use: str) -> dict[str, Login]:
    """The login of each registry that has one for ``use``, which is ``pull`` or ``push``."""
    names = {registry.host: getattr(registry, use) for registry in settings.registries}
    return {
        host: {
            "name": name,
            "username": secrets.registry_credentials[name].username,
            "password": pulumi.Output.secret(
                secrets.registry_credentials[name].password.get_secret_value()
            ),
        }
        for host, name in names.items()
        if name
    }


def _runner(name: str, settings: Settings, secrets: Secrets, plan: BuildPlan) -> RunnerSpec:
    runner = settings.runners[name]
    pull_logins = _logins(settings, secrets, "pull")
    push_logins = _logins(settings, secrets, "push") if plan.builds else {}
    names: RunnerNames = {
        "runner": name,
        "job_namespace": settings.job_namespace(name),
        "manager_account": f"gitlab-runner-{name}",
        "job_account": f"gitlab-job-{name}",
        "pull_secret": _PULL_SECRET if pull_logins else None,
        "push_secret": _PUSH_SECRET if push_logins else None,
        "daemon_secret": _DAEMON_SECRET if plan.daemon else None,
        "files": _FILES if plan.files else None,
    }
    gitlab_certificates = _gitlab_certificates(settings)
    manager = _manager(names, gitlab_certificates)
    config_toml = render(
        plan, runner, names, _address(name, settings, plan), settings.chart.version
    )
    return {
        "plan": plan,
        "names": names,
        "manager": manager,
        "pod_disruption_budget": runner.pod_disruption_budget,
        "levels": {
            target: TARGET_LEVEL
            for target, wanted in settings.target_namespaces.items()
            if wanted.create
        },
        "pull_logins": pull_logins,
        "push_logins": push_logins,
        "registration": _registration(name, settings, secrets),
        "gitlab_certificates": gitlab_certificates,
        "chart": _chart(settings),
        "values": chart_values(settings, runner, manager, config_toml),
        "egress": settings.network.egress,
        "daemon_namespace": _daemon_namespace(name, settings, plan),
    }


def _manager(names: RunnerNames, gitlab_certificates: Mapping[str, str]) -> ManagerNames:
    release = f"gitlab-runner-{names['runner']}"
    return {
        "release": release,
        "account": names["manager_account"],
        "token_secret": f"{release}-token",
        "gitlab_certificates": f"{release}-gitlab-certificates" if gitlab_certificates else None,
    }


def _address(runner: str, settings: Settings, plan: BuildPlan) -> dict[str, str]:
    """The variable by which the jobs of a runner find their daemon, if they have one."""
    daemon = plan.daemon
    if not daemon:
        return {}
    host = f"{daemon.name}.{_daemon_namespace(runner, settings, plan)}.svc"
    return {daemon.address: f"tcp://{host}:{daemon.port}"}


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


def _registration(name: str, settings: Settings, secrets: Secrets) -> RegistrationArgs:
    runner = settings.runners[name]
    wanted = runner.registration
    if isinstance(wanted, TokenRegistration):
        token = secrets.runner_tokens[name].get_secret_value()
        return {"token": pulumi.Output.secret(token), "user_runner": None}
    user_runner = {**wanted.model_dump(exclude={"kind"}), "tag_lists": runner.tags}
    return {"token": None, "user_runner": cast("UserRunnerArgs", user_runner)}


def _gitlab_certificates(settings: Settings) -> dict[str, str]:
    """The manager reads ``<host>.crt`` (gitlab-runner: network/client.go, newClient).

    It takes the host in the URL's own case, which ``hostname`` would lower.
    """
    host = urlsplit(settings.gitlab.url).netloc.split(":")[0]
    text = settings.gitlab.ca_certificates
    return {f"{host}.crt": text} if text else {}


def _chart(settings: Settings) -> ChartArgs:
    chart = settings.chart
    return {
        "chart": chart.archive or "gitlab-runner",
        "version": chart.version,
        "repository": None if chart.archive else chart.repository,
        "digest": chart.digest,
    }
