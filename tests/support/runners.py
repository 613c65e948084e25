"""A runner without wishes and the names of its objects, for tests to replace parts of."""

from components.bounds import Amounts, Resources
from components.gitlab_runner import charts
from components.gitlab_runner.config_toml import render
from components.plan import BuildPlan, RunnerNames
from components.settings.runners.runner import RunnerSettings

NAMES: RunnerNames = {
    "runner": "main",
    "job_namespace": "builds-main",
    "manager_account": "gitlab-runner-main",
    "job_account": "gitlab-job-main",
    "pull_secret": "registry-pull",
    "push_secret": "registry-push",
    "daemon_secret": "daemon-certificates",
    "files": "registry-files",
}
RUNNER = RunnerSettings(
    tags=["build"],
    environment={"GREETING": "hello"},
    resources=Resources(requests=Amounts(cpu="500m"), limits=Amounts(memory="1Gi")),
)


def rendered(
    plan: BuildPlan,
    names: RunnerNames = NAMES,
    chart: str = charts.DEFAULT_VERSION,
    /,
    **changes: object,
) -> str:
    """Return the config.toml of ``RUNNER`` with ``changes`` of its settings, unchecked."""
    return render(plan, RUNNER.model_copy(update=changes), names, {}, chart)
