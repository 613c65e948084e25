"""The contract of the stack file: everything in ``image-builds:settings``.

Each default of the project is written in these models or in those of ``components/strategies``.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from components.plan import BuildPlan
from components.site import Cluster, Registry, Resources, Site
from components.strategies import DEFAULT, AnyStrategy
from components.types import (
    PROJECT,
    CaCertificates,
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
    named_kind,
)

ACCEPTED_RISKS = f"{PROJECT}:acceptedRisks"


Plans = Mapping[str, BuildPlan]
"""The plan of each runner, by the runner's name."""


class GitLab(Model):
    """The GitLab instance that the runners serve, and the CA that signed its certificate."""

    url: Url
    ca_certificates: CaCertificates | None = None


class Chart(Model):
    """The official GitLab Runner chart: which version, and from where."""

    version: ChartVersion = "0.86.0"
    repository: Url = "https://charts.gitlab.io"
    archive: str | None = Field(default=None, min_length=1)


class TargetNamespace(Model):
    """A namespace that runs built images and so gets the pull secret.

    ``create: false`` uses a namespace that exists; ``adoptPullSecret`` takes over a pull secret
    that is there already, made by ``kubectl create secret docker-registry`` for example.
    """

    create: bool = False
    adopt_pull_secret: bool = False


class TokenRegistration(Model):
    """The runner exists in GitLab; its ``glrt-`` token is in image-builds:runnerTokens."""

    kind: Literal["token"] = "token"


class UserRunner(Model):
    """The stack creates the runner in GitLab (``gitlab.UserRunner``) and keeps its token."""

    kind: Literal["userRunner"]
    runner_type: Literal["instance_type", "group_type", "project_type"]
    group_id: int | None = Field(default=None, ge=1)
    project_id: int | None = Field(default=None, ge=1)
    access_level: Literal["not_protected", "ref_protected"] = "not_protected"
    untagged: bool = False

    @model_validator(mode="after")
    def _owner_fits_type(self) -> Self:
        owners = {"group_type": "group_id", "project_type": "project_id"}
        wanted = owners.get(self.runner_type)
        for key in ("group_id", "project_id"):
            if (getattr(self, key) is not None) != (key == wanted):
                verb = "needs" if key == wanted else "takes no"
                action = "add it" if key == wanted else "remove it"
                message = f"a runner of type {self.runner_type} {verb} {to_camel(key)}; {action}"
                raise ValueError(message)
        return self


_AnyRegistration = Annotated[TokenRegistration | UserRunner, Field(discriminator="kind")]


class Toleration(Model):
    """A taint that jobs tolerate; without ``value`` any value, without ``effect`` every effect."""

    key: LabelKey
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


def _one_effect_each(tolerations: list[Toleration]) -> list[Toleration]:
    seen: set[tuple[str, str | None]] = set()
    for toleration in tolerations:
        taint = (toleration.key, toleration.value)
        if taint in seen:
            message = (
                f"names the taint {toleration.key} a second time, and the runner keeps one effect "
                "for each; leave effect out, which tolerates every effect"
            )
            raise ValueError(message)
        seen.add(taint)
    return tolerations


class RunnerSettings(Model):
    """One GitLab runner: its tags, how its jobs build images, and where they run."""

    tags: list[Tag] = Field(min_length=1)
    strategy: AnyStrategy = DEFAULT
    registration: Annotated[
        _AnyRegistration,
        BeforeValidator(
            named_kind,
            json_schema_input_type=_AnyRegistration | Literal["token"],
        ),
    ] = TokenRegistration()
    job_namespace: DnsLabel | None = None
    concurrent: int = Field(default=10, ge=1)
    resources: Resources = Resources()
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict[str, str])
    tolerations: Annotated[list[Toleration], AfterValidator(_one_effect_each)] = Field(
        default_factory=list[Toleration],
    )
    runtime_class_name: DnsName | None = None
    priority_class_name: DnsName | None = None
    environment: dict[VariableName, str] = Field(default_factory=dict[str, str])
    seccomp_profile: Literal["RuntimeDefault"] | None = None
    pod_disruption_budget: bool = False


class Settings(Model):
    """Everything in ``image-builds:settings``.

    ``previewAccount`` makes an account for the previews of merge requests, which reads no Secret.
    """

    gitlab: GitLab
    cluster: Cluster
    namespace: DnsLabel
    preview_account: bool = False
    chart: Chart = Chart()
    registries: list[Registry] = Field(default_factory=list[Registry])
    registry_mirrors: list[RegistryHost] = Field(default_factory=list[str])
    target_namespaces: dict[DnsLabel, TargetNamespace] = Field(
        default_factory=dict[str, TargetNamespace],
    )
    runners: dict[DnsLabel, RunnerSettings] = Field(min_length=1)

    @property
    def site(self) -> Site:
        """What strategies read of the stack file."""
        return Site(
            cluster=self.cluster,
            registries=self.registries,
            mirrors=self.registry_mirrors,
        )

    def plans(self) -> Plans:
        """Make the plan of each runner."""
        site = self.site
        return {name: runner.strategy.plan(site) for name, runner in self.runners.items()}

    def job_namespace(self, runner: str) -> str:
        """The runner's job namespace; by default the stack's namespace and the runner's name."""
        return self.runners[runner].job_namespace or f"{self.namespace}-{runner}"

    def daemon_namespace(self, daemon: str) -> str:
        """The namespace of a daemon that the runners share."""
        return f"{self.namespace}-{daemon}"


class AcceptedRisks(pydantic.RootModel[dict[str, Reason]]):
    """The risks in ``image-builds:acceptedRisks``: by the name that a report gives, the reason.

    Nothing that is deployed depends on them; whether a change is let through does.
    """
