"""A plan, and where its jobs run, as the text of a runner's config.toml.

Keys are those of gitlab-runner:common/config.go; GitLab Runner ignores an unknown key without an
error, so none is ever taken from a user. No credential is in the text: it names Secrets only.
"""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any, cast

import tomlkit

from components.gitlab_runner import authorities, before_job, charts
from components.gitlab_runner.cache import cache_table
from components.gitlab_runner.pods import pod_keys
from components.gitlab_runner.security import security_keys
from components.gitlab_runner.volumes import volume_patches, volume_tables
from components.plan import BuildPlan, RunnerNames, Service
from components.quantity import amount
from components.settings.models import Settings
from components.settings.runners.runner import RunnerSettings

_WRITABLE = "/tmp"  # noqa: S108 - a path in the job's own pod
_PATCHES = "FF_USE_ADVANCED_POD_SPEC_CONFIGURATION"
_DEADLINE = "FF_USE_POD_ACTIVE_DEADLINE_SECONDS"
_SCRIPT = "pre_build_script"
_ENTRYPOINT = "FF_KUBERNETES_HONOR_ENTRYPOINT"
_OF_PEOPLE = {"node_selector", "node_tolerations", "pod_annotations", "pod_labels"}
"""The tables whose keys people choose."""
_PROCESSORS = {"amd64": "x86_64"}
"""What helper images call processors, where it is not Kubernetes' name for them."""
REQUESTS = 4
"""How many jobs a manager may ask for at once; it asks for as many as it gets.

With one, the runner's own, a request that GitLab holds open delays the next job for up to 50 s
(gitlab-runner:docs/configuration/advanced-configuration.md, Long polling).
"""


def render(
    plan: BuildPlan,
    runner: RunnerSettings,
    names: RunnerNames,
    address: Mapping[str, str],
    settings: Settings,
) -> str:
    """Return the TOML text; equal arguments give equal bytes.

    ``address`` holds the variables by which jobs find their daemon and a proxy. The version of the
    chart in ``settings`` decides which keys the runner knows.
    """
    pushes = before_job.pushes(plan, names)
    clouds = _clouds(plan, settings)
    folder = {"DOCKER_CONFIG": plan.credentials_folder} if pushes or clouds else {}
    # The home of a user that an image does not know is /, where git and kubectl cannot write.
    home = {"HOME": _WRITABLE} if plan.restricted else {}
    trusted = {"SSL_CERT_DIR": authorities.FOLDERS} if runner.ca_certificates else {}
    given = {**trusted, **plan.environment, **address, **runner.environment}
    environment = {**home, **folder, **given}
    script = before_job.script(
        plan, runner.resources, names, clouds, proxied="NO_PROXY" in environment
    )
    script = (authorities.SHELL if runner.ca_certificates else "") + script
    # The stack's own shell comes first, so that a site's can use what it prepares.
    script += str(runner.extra.get(_SCRIPT, ""))
    kubernetes = _kubernetes(plan, runner, names, settings)
    patched = {_PATCHES: True} if kubernetes["pod_spec"] else {}
    content = {
        "clone_url": settings.gitlab.clone_url,
        # The runner's recipe for pods with a user namespace
        # (gitlab-runner:docs/executors/kubernetes/_index.md).
        "builds_dir": None if plan.host_users else f"{_WRITABLE}/builds",
        "environment": [f"{name}={value}" for name, value in sorted(environment.items()) if value],
        # A rotated token would be saved in the pod only and lost with it, and the next pod could
        # not register (gitlab-runner:commands/multi.go, resetOneRunnerToken).
        "feature_flags": {
            "FF_DISABLE_AUTOMATIC_TOKEN_ROTATION": True,
            # It is on by default, and only here a job cannot turn it off: a pod whose manager is
            # gone ends with the timeout of its job (gitlab-runner:common/build_settings.go).
            _DEADLINE: True,
            # It takes from every service the command that config.toml gives it (getCommandAndArgs).
            **({_ENTRYPOINT: False} if plan.services else {}),
            **patched,
        },
        # The runner counts in KiB (gitlab-runner:network/trace.go).
        "output_limit": ceil(amount(runner.log_limit) / 1024) if runner.log_limit else None,
        "request_concurrency": min(runner.concurrent, REQUESTS),
        _SCRIPT: tomlkit.string(script, multiline=True) if script else None,
        "cache": cache_table(runner.cache),
        "kubernetes": kubernetes,
    }
    rest = {key: value for key, value in runner.extra.items() if key != _SCRIPT}
    return tomlkit.dumps({"runners": [_joined(_without_empty(content), rest)]})


def _kubernetes(
    plan: BuildPlan, runner: RunnerSettings, names: RunnerNames, settings: Settings
) -> dict[str, Any]:
    security = security_keys(plan, runner, settings.chart.version)
    return {
        "namespace": names["job_namespace"],
        "image": plan.image,
        "pull_policy": runner.pull_policies,
        # Without a policy of the runner's, a job that chooses none has the empty one, which must be
        # among them (gitlab-runner:executors/kubernetes/kubernetes.go, preparePullManager).
        "allowed_pull_policies": [
            *([] if runner.pull_policy else [""]),
            *runner.allowed_pull_policies,
        ],
        "service_account": names["job_account"],
        "automount_service_account_token": plan.account_token,
        "privileged": False,
        "allow_privilege_escalation": plan.allow_privilege_escalation,
        "cap_drop": ["ALL"] if plan.restricted else [],
        **security,
        "pod_spec": [*security["pod_spec"], *volume_patches(runner.volumes)],
        "allowed_images": list(runner.allowed_images),
        "allowed_services": _allowed_services(plan, runner),
        "helper_image": _helper_image(settings, runner),
        "image_pull_secrets": list(_pull_secrets(names, settings)),
        "pod_disruption_budget": runner.pod_disruption_budget or None,
        # The services of a plan do its work, so only the stack file knows what they need.
        **runner.resources.by_key(plan.resources, own_services=not plan.services),
        **pod_keys(plan, runner, settings.host_aliases),
        "logs_base_dir": None if plan.host_users else _WRITABLE,
        "scripts_base_dir": None if plan.host_users else _WRITABLE,
        "services": [_service(service) for service in plan.services],
        "volumes": volume_tables(plan, names, runner),
    }


def _clouds(plan: BuildPlan, settings: Settings) -> dict[str, str]:
    """The cloud of each registry where jobs need a helper to log in by their identity."""
    if not plan.builds or plan.cloud_logins:
        return {}
    return {item.host: item.identity for item in settings.registries if item.identity}


def _helper_image(settings: Settings, runner: RunnerSettings) -> str | None:
    """Name the helper as the runner does, by the processors of the nodes (helperimage.Get)."""
    chart = settings.chart
    if chart.helper_image or not chart.images.registry:
        return chart.helper_image
    processors = runner.node_selector.get("kubernetes.io/arch", "amd64")
    tag = f"{_PROCESSORS.get(processors, processors)}-v{charts.runner_of(chart.version)}"
    return f"{chart.images.registry}/gitlab-runner/gitlab-runner-helper:{tag}"


def _pull_secrets(names: RunnerNames, settings: Settings) -> Iterator[str]:
    if names["pull_secret"]:
        yield names["pull_secret"]
    of_others = (item.pull_secret for item in settings.registries if item.pull_secret)
    yield from dict.fromkeys(of_others)


def _allowed_services(plan: BuildPlan, runner: RunnerSettings) -> list[str]:
    """Services that a job names itself are privileged, too, and the plan's own are checked."""
    own = [service.image for service in plan.services]
    if plan.service.privileged:
        return [*own, *plan.job_services]
    return [*own, *runner.allowed_services] if runner.allowed_services else []


def _joined(table: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Add keys to a table and to the tables in it; none is in both (``extra_errors``)."""
    both = {key: _joined(table[key], extra[key]) if key in table else extra[key] for key in extra}
    return {**table, **both}


def _service(service: Service) -> dict[str, Any]:
    environment = [f"{name}={value}" for name, value in sorted(service.environment.items())]
    return {
        "name": service.image,
        "alias": service.alias,
        "entrypoint": list(service.entrypoint),
        "command": list(service.command),
        "environment": environment,
    }


def _without_empty(value: Any) -> Any:  # noqa: ANN401 - what TOML or JSON holds
    """Drop from tables what is unset: an empty list, table or text, or None; not False or 0.

    Labels, annotations and taints stay as they are, since their values may be empty.
    """
    if isinstance(value, list):
        return [_without_empty(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    table = {
        key: item if key in _OF_PEOPLE else _without_empty(item)
        for key, item in cast("dict[str, Any]", value).items()
    }
    return {key: item for key, item in table.items() if item not in (None, [], {}, "")}
