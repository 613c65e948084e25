"""One runner: its tags, how its jobs build images, and where they run."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from components.bounds import Resources
from components.quantity import Quantity
from components.settings.runners.cache import Cache
from components.settings.runners.extra import Extra
from components.settings.runners.identity import Identity
from components.settings.runners.manager import Manager
from components.settings.runners.nodes import NodeAffinity, Spread, Toleration, Tolerations
from components.settings.runners.pods import Dns, JobAnnotations, JobLabels
from components.settings.runners.registration import AnyRegistration, TokenRegistration
from components.settings.runners.volumes import AnyVolume, Volume
from components.strategies import DEFAULT, AnyStrategy
from components.strategies.docker import ImagePattern
from components.types import (
    CaCertificates,
    DnsLabel,
    DnsName,
    LabelKey,
    LabelValue,
    Model,
    Tag,
    VariableName,
)
from components.workloads import PROTECTED

PullPolicy = Literal["always", "if-not-present"]
"""When nodes pull an image."""


class RunnerSettings(Model):
    """One GitLab runner: its tags, how its jobs build images, and where they run."""

    tags: list[Tag] = Field(min_length=1)
    """The tags by which jobs ask for this runner. With `registration: token` they are set in
    GitLab, and are only reported here. Security: anyone who may use the runner in GitLab can run
    jobs with these tags."""
    strategy: AnyStrategy = DEFAULT
    """How jobs build images: a strategy by name, or a mapping with `kind` and its options. `auto`
    chooses the one that needs the least and works on the cluster. Security: it decides what a job
    may do on its node; [Strategies](strategies.md) compares them."""
    registration: AnyRegistration = TokenRegistration()
    """How the runner comes into GitLab: `token` for one that exists there, a mapping with `kind:
    secret` where others keep its token, or one with `kind: userRunner` for a runner that the stack
    creates."""
    identity: Identity = Identity()
    """As whom managers and jobs act in the cloud of the cluster. Security: by default they have no
    identity there but that of their node, which network policies keep from them."""
    manager: Manager = Manager()
    """The runner's manager: what its pod gets, where it runs, and how it is watched."""
    job_namespace: DnsLabel | None = None
    """The namespace of the jobs; by default the stack's namespace, `-` and the runner's name.
    Security: each runner has its own, so that jobs cannot read the Secrets of others."""
    concurrent: int = Field(default=10, ge=1)
    """How many jobs the runner runs at a time. Ten is a start; the nodes must have room for as many
    times `resources.requests`."""
    resources: Resources = Resources()
    """Requests and limits of a job's containers. By default the container that builds requests 500m
    CPU, 1Gi memory and 2Gi disk, one that only calls a daemon 100m CPU and 128Mi memory, and
    nothing is limited."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict[str, str])
    """Labels of the nodes that jobs run on, beside those that the strategy needs. In a cluster of
    several architectures, or of another one than amd64, it must have `kubernetes.io/arch`, by which
    GitLab Runner chooses its helper image; images of jobs must be for it too."""
    tolerations: Tolerations = Field(default_factory=list[Toleration])
    """Taints that jobs tolerate, for nodes that are set aside for builds."""
    node_affinity: NodeAffinity | None = None
    """Labels of nodes that jobs need or prefer, by expressions, for what `nodeSelector` cannot say:
    several values, nodes without a label, or nodes that are only preferred."""
    spread: Spread | None = None
    """Set `node` or `zone` to start jobs of this runner on different nodes or zones while there is
    room. By default the scheduler decides."""
    pod_start_timeout: int = Field(default=600, ge=1)
    """How long a job's pod may take to start, in seconds, before the job fails: time to make a
    node and to pull the images. A waiting job counts as one of `concurrent`."""
    labels: JobLabels = Field(default_factory=dict[str, str])
    """Labels of the pods of jobs, for costs, logs and network policies. Values may have variables
    of the job, such as `$CI_PROJECT_ID`. Security: a job can change its variables, so policies must
    not trust them. Labels that change what a pod may do are rejected."""
    annotations: JobAnnotations = Field(default_factory=dict[str, str])
    """Annotations of the pods of jobs, whose values may have variables of the job. Security: those
    that change what a pod may do, such as AppArmor profiles, cloud identities and sidecars, are
    rejected."""
    volumes: list[AnyVolume] = Field(default_factory=list[Volume])
    """Volumes that jobs get beside those of their strategy: claims, Secrets, ConfigMaps and room to
    work in. Security: all jobs of the runner can read them, and write to claims."""
    cache: Cache | None = None
    """Storage for the caches of pipelines (`cache:` in `.gitlab-ci.yml`). Without it a cache is
    gone with its job, and the job that wants it goes on without. Security: what a job puts there,
    later ones take."""
    ca_certificates: CaCertificates | None = None
    """CA certificates that tools in jobs trust beside those of their image, in PEM, as a block
    scalar (`|`), for servers with a private CA: what reads `SSL_CERT_FILE`, as OpenSSL and programs
    in Go do, curl, Git, pip, Requests, the CLI of AWS and Node.js, and GitLab's helper for caches
    and artifacts. Java, services, the steps of a build and Git in the helper do not; for GitLab and
    for registries, set their `caCertificates`. Security: anyone who has the key of such a CA can
    stand in for any server that jobs ask."""
    dns: Dns | None = None
    """How jobs resolve names, where the cluster's DNS does not do. Security: name servers decide
    which addresses jobs ask."""
    runtime_class_name: DnsName | None = None
    """The RuntimeClass of jobs, for example a sandbox such as gVisor or Kata. It cannot be set
    where jobs use the node's Docker daemon, which needs the node's own runtime. Security: a sandbox
    keeps jobs from the kernel of the node."""
    priority_class_name: DnsName | None = None
    """The PriorityClass of jobs: whose pods are scheduled first and preempted last."""
    environment: dict[VariableName, str] = Field(default_factory=dict[str, str])
    """Variables of every job. A job's own variables take precedence. Security: they are readable in
    `config.toml`, so they must not be secret."""
    pull_policy: PullPolicy | Annotated[list[PullPolicy], Field(min_length=1)] | None = None
    """When nodes pull the images of jobs. `always` asks the registry for each job. By default
    tagged images are taken from the node, which nodes that cannot reach the registries need. With
    `[always, if-not-present]` a job takes the node's own where the registry does not answer, or
    refuses it. Security: without `always` alone, a job can run a private image that its node has
    pulled with another login."""
    allowed_pull_policies: list[Literal["always", "if-not-present", "never"]] = Field(
        default_factory=lambda given: (
            ["always"]
            if given.get("pull_policy") in ("always", ["always"])
            else ["always", "if-not-present"]
        ),
        min_length=1,
    )
    """What jobs may choose as the pull policy of an image or service. By default `always` and
    `if-not-present`, or `always` alone where that is `pullPolicy`. Security: with `if-not-present`
    and `never`, a job can run private images that its node has pulled for others, without a login,
    unless kubelets check that, as they do from Kubernetes 1.35 on."""
    log_limit: Quantity | None = None
    """The most that GitLab Runner keeps of a job's log, such as `20Mi`; what follows is cut off,
    and the job goes on. By default it is 4Mi. GitLab has its own limit of 100 MB."""
    extra: Extra = Field(default_factory=dict[str, JsonValue])
    """Keys of `config.toml` that have none here, as they are below `[[runners]]`: `kubernetes:
    {poll_interval: 5}`. The runner of the chart must know them. `pre_build_script` runs after the
    stack's own. Security: those that would undo the plan, such as `privileged`, paths of the node
    and other accounts, are rejected. What the rest does is not checked, so a report names each as a
    risk."""
    allowed_images: list[ImagePattern] = Field(default_factory=list[str])
    """Patterns of the images that jobs may run, such as `registry.example.com/**/*`, beside the
    image of the strategy. GitLab Runner compares them with the name as the job has it, so list
    short names too. By default jobs may run any image. Security: without it, a job runs any image,
    and only its registry decides who may."""
    allowed_services: list[ImagePattern] = Field(default_factory=list[str])
    """The same for the services of jobs. Where the strategy starts a privileged service, its
    `serviceImages` decides. Security: without it, a job runs any image as a service."""
    seccomp_profile: Literal["RuntimeDefault"] | None = None
    """`RuntimeDefault` sets the container runtime's seccomp profile on job pods, for clusters whose
    kubelets leave it out. It needs chart 0.88.0 or later. Security: it blocks calls by which a job
    could attack the node's kernel."""
    pod_disruption_budget: bool = False
    """Set `true` to keep drains of nodes from evicting running jobs. It needs chart 0.88.0 or
    later, and lets managers create PodDisruptionBudgets."""

    @property
    def pull_policies(self) -> list[str]:
        """The policies in their order, none where Kubernetes decides."""
        given = self.pull_policy or []
        return [given] if isinstance(given, str) else [*given]

    @property
    def manager_annotations(self) -> dict[str, str]:
        """What the account of managers says of its identity."""
        return self.identity.manager.annotations if self.identity.manager else {}

    @property
    def job_annotations(self) -> dict[str, str]:
        """What the account of jobs says of its identity, and of who has it."""
        if not self.identity.jobs:
            return {}
        registration = self.registration
        protected = registration.kind == "userRunner" and registration.protected
        return {**self.identity.jobs.annotations, **({PROTECTED: "true"} if protected else {})}
