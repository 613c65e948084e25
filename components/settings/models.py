"""The contract of the stack file: everything in ``image-builds:settings``.

Each default is written once, in these models, in ``components/site.py``, in a strategy's options or
in ``components/gitlab_runner/charts.py``.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pydantic
from pydantic import Field

from components.network.egress import Network
from components.network.proxy import Proxy, is_near
from components.plan import BuildPlan
from components.settings.chart import Chart
from components.settings.runners.pods import HostAliases
from components.settings.runners.runner import RunnerSettings
from components.site import Cluster, Registry, Site
from components.types import CaCertificates, DnsLabel, Model, Reason, RegistryHost, Url
from components.workloads import creates_pods

Plans = Mapping[str, BuildPlan]
"""The plan of each runner, by the runner's name."""


class GitLab(Model):
    """The GitLab instance that the runners serve."""

    url: Url
    """The address that managers and jobs use, with its path: `https://gitlab.example.com`.
    Security: managers and jobs send their tokens there, with `http` in plain text."""
    clone_url: Url | None = None
    """The address from which jobs clone, where it differs from that of the managers: its public one
    where managers reach GitLab by a Service of the cluster, or the other way round. Security: jobs
    send their token there."""
    ca_certificates: CaCertificates | None = None
    """The CA certificates of an instance with a private CA, in PEM, as a block scalar (`|`). Set it
    where jobs fail with `x509: certificate signed by unknown authority`. Security: anyone who has
    the key of such a CA can stand in for GitLab."""

    @property
    def certificates(self) -> dict[str, str]:
        """The CA certificates by ``<host>.crt``, which the manager reads (network/client.go)."""
        # In the URL's own case, which ``hostname`` would lower.
        host = urlsplit(self.url).netloc.split(":")[0]
        return {f"{host}.crt": self.ca_certificates} if self.ca_certificates else {}


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
    has another name, such as `live`, and `false` for one such as `products`. Security: the policies
    for production hold for such a stack only."""
    preview_account: bool = False
    """Set `true` to create an account for previews in merge requests. Security: it can get what the
    stack deploys, but no Secret, and change nothing."""
    chart: Chart = Chart()
    """The chart of GitLab Runner, by default a tested version from GitLab's repository."""
    registries: list[Registry] = Field(default_factory=list[Registry])
    """The registries that need settings or a login. Others are reached over TLS without a login."""
    registry_mirrors: list[RegistryHost] = Field(default_factory=list[str])
    """Mirrors of Docker Hub, tried in this order, as `host` or `host:port`. They avoid its limit of
    pulls; a mirror with a private CA or plain HTTP also needs an entry in `registries`. Security: a
    mirror decides what images contain that are named without a digest."""
    proxy: Proxy | None = None
    """The HTTP proxy by which managers, jobs and BuildKit daemons reach what is outside. Builds get
    it as build arguments. Nodes pull images by their own setting."""
    host_aliases: HostAliases = Field(default_factory=dict[str, list[str]])
    """Names of hosts by their IP address, for sites without DNS: `192.0.2.7: [gitlab.example.com]`.
    Managers, jobs and BuildKit daemons have them in `/etc/hosts`; nodes, which pull the images of
    pods, and steps of a build in BuildKit or in a Docker engine do not. Security: the addresses get
    the tokens and logins that are meant for these names."""
    network: Network = Network()
    """What network policies allow the pods of jobs, managers and BuildKit daemons."""
    target_namespaces: dict[DnsLabel, TargetNamespace] = Field(
        default_factory=dict[str, TargetNamespace]
    )
    """The namespaces that run built images, by name. Security: anyone who can create pods there can
    use the pull logins, which the stack puts there as the Secret `registry-pull`."""
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

    def logins(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each login in ``registryCredentials`` by the key that names it."""
        for index, registry in enumerate(self.registries):
            if registry.pull:
                yield f"registries[{index}].pull", registry.pull
            if registry.push:
                yield f"registries[{index}].push", registry.push
        if self.chart.images.pull:
            yield "chart.images.pull", self.chart.images.pull

    def proxy_variables(self, *direct: str) -> dict[str, str]:
        """Return the variables by which programs find the proxy, none where there is none.

        ``direct`` are further hosts that are reached without it.
        """
        if not self.proxy:
            return {}
        hosts = [
            registry.host.partition("/")[0].partition(":")[0]
            for registry in self.registries
            if registry.insecure
        ]
        known = (*(registry.host for registry in self.registries), *self.registry_mirrors)
        addresses = (host.partition("/")[0].partition(":")[0] for host in known)
        return self.proxy.variables((*direct, *hosts, *filter(is_near, addresses)))

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
