"""The contract of the stack file: everything in ``image-builds:settings``.

Each default is written once, in these models, in ``components/site.py``, in a strategy's options or
in ``components/gitlab_runner/charts.py``.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

import pydantic
from pydantic import AfterValidator, Field

from components.bounds import Resources
from components.gitlab_runner import charts
from components.network.egress import Network
from components.plan import BuildPlan
from components.settings.registration import AnyRegistration, TokenRegistration
from components.site import Cluster, Registry, Site
from components.strategies import DEFAULT, AnyStrategy
from components.types import (
    CaCertificates,
    ChartDigest,
    ChartVersion,
    DnsLabel,
    DnsName,
    LabelKey,
    LabelValue,
    Model,
    Reason,
    RegistryHost,
    Tag,
    Url,
    VariableName,
)
from components.workloads import creates_pods

Plans = Mapping[str, BuildPlan]
"""The plan of each runner, by the runner's name."""


class GitLab(Model):
    """The GitLab instance that the runners serve."""

    url: Url
    """The address that managers and jobs use, with its path: `https://gitlab.example.com`."""
    ca_certificates: CaCertificates | None = None
    """The CA certificates of an instance with a private CA, in PEM, as a block scalar (`|`). Set it
    where jobs fail with `x509: certificate signed by unknown authority`."""


class Chart(Model):
    """The official GitLab Runner chart: which version, and from where."""

    version: ChartVersion = charts.DEFAULT_VERSION
    """The exact version of the chart, 0.86.0 or later, so that each deployment installs the same. A
    preview names the fixes that versions below 0.88.4 lack; some keys of a runner need a later one.
    With `archive`, it must be the version of the archive."""
    repository: Url = "https://charts.gitlab.io"
    """The Helm repository that has the chart. Set it to a mirror where the cluster's operators
    cannot reach GitLab's own."""
    archive: str | None = Field(default=None, min_length=1)
    """A chart archive or folder on the machine that deploys, used in place of the repository, for
    deployments without a network. It needs `digest`."""
    digest: ChartDigest | None = None
    """The SHA-256 of the chart's archive, as `sha256sum` prints it, or of the list of files in a
    folder: `find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum`. An archive
    with another digest is rejected; a preview checks what a repository has."""


class TargetNamespace(Model):
    """A namespace that runs built images, and so gets the Secret with the pull logins."""

    create: bool = False
    """Set `true` to create the namespace. By default it must exist. It stays when the stack or this
    entry goes, since it runs what others deploy; remove it by `kubectl delete namespace`."""
    delete_with_stack: bool = False
    """Set `true` to delete a created namespace, with all that runs in it, when the stack or this
    entry goes."""
    adopt_pull_secret: bool = False
    """Set `true` to take over a Secret `registry-pull` that exists already, for example one from
    `kubectl create secret docker-registry`. Its contents are replaced, and it stays when the stack
    or this entry goes. By default such a Secret fails the deployment, so that nothing that others
    made is overwritten."""


class Toleration(Model):
    """A taint of nodes that jobs tolerate."""

    key: LabelKey
    """The taint's key."""
    value: LabelValue | None = None
    """The taint's value; by default any."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; by default every one."""


def _one_effect_each(tolerations: list[Toleration]) -> list[Toleration]:
    seen: set[tuple[str, str | None]] = set()
    for toleration in tolerations:
        taint = (toleration.key, toleration.value)
        if taint in seen:
            message = (
                f"must name the taint {toleration.key} once, because GitLab Runner keeps one "
                "effect for each; remove effect, to tolerate every one"
            )
            raise ValueError(message)
        seen.add(taint)
    return tolerations


class RunnerSettings(Model):
    """One GitLab runner: its tags, how its jobs build images, and where they run."""

    tags: list[Tag] = Field(min_length=1)
    """The tags by which jobs ask for this runner. With `registration: token` they are set in
    GitLab, and are only reported here."""
    strategy: AnyStrategy = DEFAULT
    """How jobs build images: a strategy by name, or a mapping with `kind` and its options. `auto`
    chooses the one that needs the least and works on the cluster."""
    registration: AnyRegistration = TokenRegistration()
    """How the runner comes into GitLab: `token` for one that exists there, or a mapping with `kind:
    userRunner` for one that the stack creates."""
    job_namespace: DnsLabel | None = None
    """The namespace of the jobs; by default the stack's namespace, `-` and the runner's name. Each
    runner has its own, so that jobs cannot read the Secrets of others."""
    concurrent: int = Field(default=10, ge=1)
    """How many jobs the runner runs at a time. Ten is a start; the nodes must have room for as many
    times `resources.requests`."""
    resources: Resources = Resources()
    """Requests and limits of a job's containers. By default the container that builds requests 500m
    CPU, 1Gi memory and 2Gi disk, one that only calls a daemon 100m CPU and 128Mi memory, and
    nothing is limited."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict[str, str])
    """Labels of the nodes that jobs run on, beside those that the strategy needs."""
    tolerations: Annotated[list[Toleration], AfterValidator(_one_effect_each)] = Field(
        default_factory=list[Toleration]
    )
    """Taints that jobs tolerate, for nodes that are set aside for builds."""
    runtime_class_name: DnsName | None = None
    """The RuntimeClass of jobs, for example a sandbox such as gVisor or Kata. It cannot be set
    where jobs use the node's Docker daemon, which needs the node's own runtime."""
    priority_class_name: DnsName | None = None
    """The PriorityClass of jobs: whose pods are scheduled first and preempted last."""
    environment: dict[VariableName, str] = Field(default_factory=dict[str, str])
    """Variables of every job. They are readable in `config.toml`, so they must not be secret; a
    job's own variables take precedence."""
    pull_policy: Literal["always", "if-not-present"] | None = None
    """When nodes pull the images of jobs. `always` asks the registry for each job, so that no job
    runs an image that the node pulled with another login. By default tagged images are taken from
    the node, which nodes that cannot reach the registries need."""
    allowed_pull_policies: list[Literal["always", "if-not-present", "never"]] = Field(
        default_factory=lambda given: (
            ["always"] if given.get("pull_policy") == "always" else ["always", "if-not-present"]
        ),
        min_length=1,
    )
    """What jobs may choose as the pull policy of an image or service. By default `always` and
    `if-not-present`, or `always` alone where that is `pullPolicy`. With `if-not-present` and
    `never`, a job can run private images that its node has pulled for others, without a login,
    unless kubelets check that, as they do from Kubernetes 1.35 on."""
    seccomp_profile: Literal["RuntimeDefault"] | None = None
    """`RuntimeDefault` sets the container runtime's seccomp profile on job pods, for clusters whose
    kubelets leave it out. It needs chart 0.88.0 or later."""
    pod_disruption_budget: bool = False
    """Set `true` to keep drains of nodes from evicting running jobs. It needs chart 0.88.0 or
    later, and lets managers create PodDisruptionBudgets."""


class Settings(Model):
    """Everything about an environment that is not secret."""

    gitlab: GitLab
    """The GitLab instance that the runners serve."""
    cluster: Cluster
    """The target cluster. Strategies are checked against it before a deployment."""
    namespace: DnsLabel
    """The namespace of the managers, which the stack creates, and the first part of the names of
    the job namespaces. Stacks on one cluster need different ones."""
    production: bool | None = None
    """Whether this is a production stack, which must follow the policies for production. By default
    it is one if its name contains `prod`, in any case: `prod2`, `eu-Prod`. Set `true` for one that
    has another name, such as `live`, and `false` for one such as `products`."""
    preview_account: bool = False
    """Set `true` to create an account for previews in merge requests. It can get what the stack
    deploys, but no Secret, and change nothing."""
    chart: Chart = Chart()
    """The chart of GitLab Runner, by default a tested version from GitLab's repository."""
    registries: list[Registry] = Field(default_factory=list[Registry])
    """The registries that need settings or a login. Others are reached over TLS without a login."""
    registry_mirrors: list[RegistryHost] = Field(default_factory=list[str])
    """Mirrors of Docker Hub, tried in this order, as `host` or `host:port`. They avoid its limit of
    pulls; a mirror with a private CA or plain HTTP also needs an entry in `registries`."""
    network: Network = Network()
    """What network policies allow the pods of jobs, managers and BuildKit daemons."""
    target_namespaces: dict[DnsLabel, TargetNamespace] = Field(
        default_factory=dict[str, TargetNamespace]
    )
    """The namespaces that run built images, by name. They get the pull logins as the Secret
    `registry-pull`, which pods name in `imagePullSecrets`."""
    runners: dict[DnsLabel, RunnerSettings] = Field(min_length=1)
    """The GitLab runners of this environment, by name. A name is part of the names of namespaces,
    accounts and the Helm release, so another name makes another runner."""

    @property
    def site(self) -> Site:
        """What strategies read of the stack file."""
        return Site(cluster=self.cluster, registries=self.registries, mirrors=self.registry_mirrors)

    def plans(self) -> Plans:
        """Make the plan of each runner, with the daemon of the runner that it shares one with."""
        site = self.site
        plans = {name: runner.strategy.plan(site) for name, runner in self.runners.items()}
        return {
            name: dataclasses.replace(plan, daemon=plans.get(plan.daemon_of, plan).daemon)
            for name, plan in plans.items()
        }

    def job_namespace(self, runner: str) -> str:
        """Return a runner's job namespace, by default named after the stack's and the runner."""
        return self.runners[runner].job_namespace or f"{self.namespace}-{runner}"

    def unknown_levels(self, plan: BuildPlan) -> list[str]:
        """Return the target namespaces where jobs may create pods and no level is known to hold.

        The stack sets the Pod Security level only of namespaces that it creates.
        """
        return [
            target
            for target, permissions in plan.permissions.items()
            if not self.target_namespaces[target].create
            and any(
                creates_pods(verb, resource)
                for permission in permissions
                for verb in permission.verbs
                for resource in permission.resources
            )
        ]

    def daemon_namespace(self, runner: str, daemon: str) -> str:
        """Return the namespace of a runner's own daemon."""
        return f"{self.namespace}-{runner}-{daemon}"


class AcceptedRisks(pydantic.RootModel[dict[str, Reason]]):
    """Risks that are accepted: the reason, by the name that a report gives the risk.

    Nothing that is deployed depends on them, only whether a pipeline lets a change pass.
    """
