"""The manager of a runner: what its pod gets, where it runs, and how it is watched."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.bounds import CLIENT, Amounts, Bounds
from components.settings.runners.nodes import NodeAffinity, Spread, Toleration
from components.settings.runners.pods import SECURITY
from components.types import DnsName, LabelKey, LabelValue, Model, VariableName

# The flags of `gitlab-runner register` and `run` are variables too, and `LOG_LEVEL` hides the line
# that the liveness probe looks for (gitlab-runner: commands/register.go, log/configuration.go).
_FLAGS = re.compile(
    r"(CACHE|CI_SERVER|CUSTOM|DOCKER|KUBERNETES|LOG|MACHINE|REGISTER|REGISTRATION|RUNNER|SSH)_\w+|"
    r"(CLONE_URL|CONFIG_FILE|CONFIG_PATH_FOR_INIT|LISTEN_ADDRESS|TEMPLATE_CONFIG_FILE)"
)
_SECRET = re.compile(r".*(ACCESS_KEY|CREDENTIALS|PASSWORD|PASSWD|PRIVATE_KEY|SECRET|TOKEN)")
_PROXY = re.compile(r"(ALL|HTTPS?|NO)_PROXY", re.IGNORECASE)
_OF_THE_CHART = {"app", "chart", "heritage", "release"}
_OF_THE_STACK = re.compile(r"(image-builds|checksum|prometheus\.io)/.*")


def _variable(name: str) -> str:
    if _FLAGS.fullmatch(name):
        message = (
            "is an option of gitlab-runner itself, which would change config.toml without a word "
            "in a report; remove it, and use the key of the runner or of manager for it"
        )
    elif _SECRET.fullmatch(name):
        message = (
            "is named like a secret, which would be readable in the values of the release; remove "
            "it, and give the manager an identity of the cloud, or a Secret that a key names"
        )
    elif _PROXY.fullmatch(name):
        message = "is set by proxy, for all that needs one, with what needs none; use that key"
    else:
        return name
    raise ValueError(message)


def _label(key: str) -> str:
    if key in _OF_THE_CHART:
        message = "is a label that the chart sets, by which the manager is found; use another one"
        raise ValueError(message)
    return _free(key)


def _free(key: str) -> str:
    if _OF_THE_STACK.fullmatch(key):
        message = "is set by the stack or the chart; remove it"
        raise ValueError(message)
    if SECURITY.fullmatch(key):
        message = "changes what the pod may do, past the plan; remove it, and use the key for it"
        raise ValueError(message)
    return key


Variable = Annotated[VariableName, AfterValidator(_variable)]
ManagerLabel = Annotated[LabelKey, AfterValidator(_label)]
Annotation = Annotated[LabelKey, AfterValidator(_free)]


class ManagerResources(Bounds):
    """Requests and limits of the manager, which only talks to GitLab and the API server."""

    requests: Amounts = Amounts(cpu=CLIENT["cpu_request"], memory=CLIENT["memory_request"])
    """What the scheduler reserves for the manager; by default 100m CPU and 128Mi memory."""


class Probe(Model):
    """When the kubelet asks a manager whether it works."""

    initial_delay_seconds: int = Field(default=60, ge=1)
    """The seconds before the first question."""
    period_seconds: int = Field(default=60, ge=1)
    """The seconds between two questions."""
    failure_threshold: int = Field(default=3, ge=1)
    """How many wrong answers in a row count."""


class Manager(Model):
    """The manager of a runner, which takes jobs from GitLab and makes their pods."""

    resources: ManagerResources = ManagerResources()
    """Requests and limits of the manager."""
    replicas: int = Field(default=1, ge=1)
    """How many managers serve the runner. Each runs up to `concurrent` jobs, so the runner runs
    that many times `replicas`. Each numbers its own jobs, so `CI_CONCURRENT_ID` is not unique
    among them: a claim or a cache that is named by it can be used by two jobs at a time."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict[str, str])
    """Labels of the nodes that managers run on."""
    tolerations: list[Toleration] = Field(default_factory=list[Toleration])
    """Taints that managers tolerate."""
    node_affinity: NodeAffinity | None = None
    """Which nodes managers may run on, or run on rather than on others, where labels with one value
    do not say it."""
    spread: Spread | None = None
    """Spreads managers over nodes or zones, as far as there is room. It needs two `replicas` or
    more."""
    priority_class_name: DnsName | None = None
    """The PriorityClass of managers. A manager that is evicted ends its running jobs."""
    disruption_budget: bool = False
    """Set `true` to let drains of nodes evict one manager at a time. It needs two `replicas` or
    more, since with one it would stop every drain."""
    termination_grace_period: int | None = Field(default=None, ge=1)
    """The seconds that a manager has to finish its jobs when it is to end; by default an hour. What
    still runs then fails. Set the longest timeout of a job."""
    metrics: Literal["podMonitor", "annotations"] | None = None
    """Serves metrics of the runner on port 9252. `annotations` lets a Prometheus find them by
    `prometheus.io/scrape`; `podMonitor` also makes a PodMonitor, if the cluster has the Prometheus
    Operator's: without it the chart leaves it out, without an error. By default nothing listens.
    Security: there is no login, and Go's profiler is there too; all pods but those of jobs reach
    it."""
    log_level: Literal["debug", "info", "warn", "error"] | None = None
    """The least severe messages in the manager's log; by default `info`. Security: `debug` has an
    entry for each request, with names of projects and jobs."""
    log_format: Literal["runner", "text", "json"] | None = None
    """The form of the manager's log; by default `runner`, for people. `json` is for collectors."""
    environment: dict[Variable, str] = Field(default_factory=dict[str, str])
    """Variables of the manager. Options of `gitlab-runner` are rejected, since they would change
    `config.toml`, and a proxy has the key `proxy`. Security: they are readable in the values of the
    release, so they must not be secret."""
    liveness_probe: Probe | None = None
    """Restarts a manager that GitLab does not know as valid: when its token is revoked, and also
    while GitLab is down, which ends its running jobs. By default there is none from chart 0.94.0
    on; older charts always have one, whose times this sets."""
    readiness_probe: Probe | None = None
    """Says when a manager is ready, which decides how long a deployment waits; by default after a
    minute."""
    probe_timeout_seconds: int | None = Field(default=None, ge=1)
    """The seconds that both probes wait for an answer; by default 4."""
    labels: dict[ManagerLabel, LabelValue] = Field(default_factory=dict[str, str])
    """Labels of the pods of managers, for cost reports or logs. Security: policies of the cluster
    may choose pods by them."""
    annotations: dict[Annotation, str] = Field(default_factory=dict[str, str])
    """Annotations of the pods of managers. Security: those that change what the pod may do are
    rejected."""

    @model_validator(mode="after")
    def _fits_replicas(self) -> Self:
        if self.disruption_budget and self.replicas == 1:
            message = (
                "must not have disruptionBudget with one replica, which would stop every drain of "
                "its node; remove it, or set replicas to 2 or more"
            )
            raise ValueError(message)
        if self.spread and self.replicas == 1:
            message = (
                "must not have spread with one replica, which is on one node; remove it, or set "
                "replicas to 2 or more"
            )
            raise ValueError(message)
        return self
