"""A runner without wishes and the names of its objects, for tests to replace parts of."""

from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from components.bounds import Amounts, Resources
from components.gitlab_runner import charts
from components.gitlab_runner.config_toml import render
from components.plan import BuildPlan, RunnerNames
from components.settings.chart import Chart
from components.settings.models import Settings
from components.settings.runners.runner import RunnerSettings
from tests.support.configured import SETTINGS as GOOD

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
SETTINGS = Settings.model_validate(GOOD)
RUNNER = RunnerSettings(
    tags=["build"],
    environment={"GREETING": "hello"},
    resources=Resources(requests=Amounts(cpu="500m"), limits=Amounts(memory="1Gi")),
)


class Toml(SingleFileSnapshotExtension):
    """One readable TOML file for each snapshot."""

    _write_mode = WriteMode.TEXT
    file_extension = "toml"


def rendered(
    plan: BuildPlan,
    names: RunnerNames = NAMES,
    chart: str = charts.DEFAULT_VERSION,
    /,
    **changes: object,
) -> str:
    """Return the config.toml of ``RUNNER`` with ``changes`` of its settings, unchecked."""
    settings = SETTINGS.model_copy(update={"chart": Chart(version=chart)})
    return render(plan, RUNNER.model_copy(update=changes), names, {}, settings)
