"""The contract of the stack file: its models and its domain types.

Everything that is not secret sits in ``image-builds:settings``; secrets are config keys of their
own. Each default of the project is written here and nowhere else. What a choice means for
Kubernetes is not decided here but in ``components/strategies``.
"""

import re
import ssl
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic.alias_generators import to_camel

PROJECT = "image-builds"
ACCEPTED_RISKS = f"{PROJECT}:acceptedRisks"


def _dns_label(value: str) -> str:
    if len(value) > 63 or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", value):
        message = (
            "is no DNS label (RFC 1123), which Kubernetes names must be; use at most 63 lower-case "
            "letters, digits and '-', with a letter or digit at both ends"
        )
        raise ValueError(message)
    return value


def _image(value: str) -> str:
    pattern = (
        r"([a-zA-Z0-9.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*"
        r"(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
    )
    if not re.fullmatch(pattern, value):
        message = "is no image reference; write host/path:tag or host/path:tag@sha256:<64 hex>"
        raise ValueError(message)
    tag = re.search(r":([\w][\w.-]*)(@|$)", value)
    if "@sha256:" not in value and (tag is None or tag[1] == "latest"):
        message = "is not pinned, so builds would change under you; name a version tag or a digest"
        raise ValueError(message)
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        message = "is no URL with scheme and host; write it like https://gitlab.example.com"
        raise ValueError(message)
    if parts.username or parts.password:
        message = "holds credentials, which would be readable in state; remove them from the URL"
        raise ValueError(message)
    if parts.query or parts.fragment:
        message = "has a query or fragment; end it after the path"
        raise ValueError(message)
    return value.rstrip("/")


def _registry_host(value: str) -> str:
    if "://" in value or "/" in value:
        message = "is not a bare host; write host or host:port without scheme and path"
        raise ValueError(message)
    found = re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:(\d{1,5}))?", value)
    if found is None or (found[3] and not 0 < int(found[3]) < 65536):
        message = "is no registry host; write a lower-case host name or address, and :port if any"
        raise ValueError(message)
    return value


def _certificates(value: str) -> str:
    try:
        ssl.create_default_context().load_verify_locations(cadata=value)
    except (ssl.SSLError, ValueError) as error:
        message = (
            "is no PEM certificate; paste the CA from '-----BEGIN CERTIFICATE-----' to its END "
            "line, as a YAML block scalar (|)"
        )
        raise ValueError(message) from error
    if "PRIVATE KEY" in value:
        message = "holds a private key, which must not be in a stack file; remove it and replace it"
        raise ValueError(message)
    return value.strip() + "\n"


_FACTORS = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{s}i": Decimal(1024) ** power for power, s in enumerate("KMGTPE", start=1)},
    **{suffix: Decimal(1000) ** -power for power, suffix in enumerate("mun", start=1)},
}


def _amount(quantity: str) -> Decimal:
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|)", quantity)
    if found is None:
        message = "is no Kubernetes quantity; write a number with at most one suffix: 500m, 2, 1Gi"
        raise ValueError(message)
    return Decimal(found[1]) * _FACTORS.get(found[2], Decimal(1))


def _quantity(value: object) -> object:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if isinstance(text, str) and _amount(text) <= 0:
        message = "is not above zero; leave the key out to set nothing"
        raise ValueError(message)
    return text


def _chart_version(value: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+", value):
        message = "is no exact chart version, so deployments would differ; write it like 0.86.0"
        raise ValueError(message)
    if version_tuple(value) < version_tuple("0.86.0"):
        message = "is older than 0.86.0, the oldest supported; raise it"
        raise ValueError(message)
    return value


def version_tuple(value: str) -> tuple[int, ...]:
    """Turn an exact version into what compares as versions do."""
    return tuple(int(part) for part in value.split("."))


def _tag(value: str) -> str:
    if not value.strip() or "," in value or len(value) > 255:
        message = "is no GitLab tag; use 1 to 255 characters without a comma"
        raise ValueError(message)
    return value


def _reason(value: object) -> object:
    if not isinstance(value, str) or not value.strip():
        message = "gives no reason; write in words why this risk is acceptable"
        raise ValueError(message)
    return value


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        message = "is no variable name; use letters, digits and '_', not starting with a digit"
        raise ValueError(message)
    if value == "DOCKER_OPTS":
        message = (
            "does nothing in a job: the Docker client does not read it, and a daemon's insecure "
            "registries are set in /etc/docker/daemon.json on the node; remove it and set "
            "registries[].insecure"
        )
        raise ValueError(message)
    if value in {"DOCKER_AUTH_CONFIG", "CI_JOB_TOKEN"}:
        message = "carries credentials, which would be readable in config.toml; remove it and use "
        raise ValueError(message + "image-builds:registryCredentials")
    return value


def _label_key(value: str) -> str:
    if not re.fullmatch(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", value):
        message = "is no Kubernetes label key; write name or prefix/name"
        raise ValueError(message)
    return value


def _label_value(value: str) -> str:
    if not re.fullmatch(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", value):
        message = "is no Kubernetes label value; use at most 63 letters, digits, '-', '_' and '.'"
        raise ValueError(message)
    return value


def _dns_name(value: str) -> str:
    label = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    if len(value) > 253 or not re.fullmatch(rf"{label}(\.{label})*", value):
        message = (
            "is no DNS name (RFC 1123), which such objects are called by; use lower-case letters, "
            "digits, '-' and '.', with a letter or digit at both ends"
        )
        raise ValueError(message)
    return value


def _listed(value: str) -> str:
    if "*" in value:
        message = (
            "has a wildcard, which grants what nobody has read, and what later versions add; list "
            "each one by its name"
        )
        raise ValueError(message)
    return value


def _api_group(value: str) -> str:
    if "/" in value:
        message = "holds a version, which a right has not; write the group alone, such as apps"
        raise ValueError(message)
    return _dns_name(value) if value else value


def _api_resource(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)?", value):
        message = (
            "is no resource of the Kubernetes API; write its plural in lower case, such as "
            "deployments, or deployments/scale for a subresource"
        )
        raise ValueError(message)
    return value


_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


def _verb(value: str) -> str:
    if value in {"bind", "escalate", "impersonate"}:
        message = (
            "lets a job take rights that the stack file does not list; remove it, and list the "
            "rights that the deployment needs"
        )
        raise ValueError(message)
    if value not in _VERBS:
        message = f"is no verb of a deployment; use one of {', '.join(_VERBS)}"
        raise ValueError(message)
    return value


def _named_kind(value: object) -> object:
    """Let ``strategy: kaniko`` stand for ``strategy: {kind: kaniko}``."""
    return {"kind": value} if isinstance(value, str) else value


DnsLabel = Annotated[str, AfterValidator(_dns_label)]
Image = Annotated[str, AfterValidator(_image)]
Url = Annotated[str, AfterValidator(_url)]
RegistryHost = Annotated[str, AfterValidator(_registry_host)]
Certificates = Annotated[str, AfterValidator(_certificates)]
Quantity = Annotated[str, BeforeValidator(_quantity, json_schema_input_type=str | float)]
ChartVersion = Annotated[str, AfterValidator(_chart_version)]
Tag = Annotated[str, AfterValidator(_tag)]
VariableName = Annotated[str, AfterValidator(_variable)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
DnsName = Annotated[str, AfterValidator(_dns_name)]
ApiGroup = Annotated[str, AfterValidator(_listed), AfterValidator(_api_group)]
ApiResource = Annotated[str, AfterValidator(_listed), AfterValidator(_api_resource)]
Verb = Annotated[str, AfterValidator(_listed), AfterValidator(_verb)]
Reason = Annotated[str, Field(min_length=1), BeforeValidator(_reason)]


class _Model(pydantic.BaseModel):
    """camelCase keys as Pulumi and Kubernetes spell them, unknown ones refused, values frozen."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
    )


class GitLab(_Model):
    """The GitLab instance that the runners serve, and the CA that signed its certificate."""

    url: Url
    certificates: Certificates | None = None


PodSecurity = Literal["privileged", "baseline", "restricted"]


class Nodes(_Model):
    """What the nodes that run jobs are, and whether the people who run jobs are trusted."""

    os: Literal["ubuntu", "other"] = "other"
    runtime: Literal["containerd", "crio", "docker"] = "containerd"
    docker_socket: bool = False
    user_namespaces: bool = False
    trusted: bool = False
    selector: dict[LabelKey, LabelValue] = Field(default_factory=dict[str, str])


class Cluster(_Model):
    """What the stack file says about the target cluster.

    ``podSecurityLimit`` is the least strict level that it lets a namespace have.
    """

    kind: Literal["managed", "onPrem"]
    platform: Literal["eksAuto", "eksFargate", "gkeAutopilot", "openShift", "rke2", "other"] = (
        "other"
    )
    pod_security_limit: PodSecurity = "privileged"
    nodes: Nodes = Nodes()


class Chart(_Model):
    """The official GitLab Runner chart: which version, and from where."""

    version: ChartVersion = "0.86.0"
    repository: Url = "https://charts.gitlab.io"
    archive: str | None = Field(default=None, min_length=1)


class Registry(_Model):
    """A registry that builds reach; ``pull`` and ``push`` name keys of registryCredentials."""

    host: RegistryHost
    insecure: bool = False
    certificates: Certificates | None = None
    pull: str | None = None
    push: str | None = None

    @model_validator(mode="after")
    def _one_kind_of_trust(self) -> Self:
        if self.insecure and self.certificates:
            message = (
                "is insecure and has certificates, which contradict each other; remove 'insecure' "
                "to check the certificate, or 'certificates' to use plain HTTP"
            )
            raise ValueError(message)
        return self


class TargetNamespace(_Model):
    """A namespace that runs built images and so gets the pull secret.

    ``create: false`` uses a namespace that exists; ``adoptPullSecret`` takes over a pull secret
    that is there already, made by ``kubectl create secret docker-registry`` for example.
    """

    create: bool = False
    adopt_pull_secret: bool = False


class Amounts(_Model):
    """Quantities of a container, in Kubernetes' notation."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = None


class Bounds(_Model):
    """Requests and limits of a container."""

    requests: Amounts = Amounts()
    limits: Amounts = Amounts()

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        for name in ("cpu", "memory", "ephemeral_storage"):
            request, limit = getattr(self.requests, name), getattr(self.limits, name)
            if request and limit and _amount(request) > _amount(limit):
                message = (
                    f"requests more {to_camel(name)} ({request}) than it limits ({limit}), which "
                    "Kubernetes refuses; lower the request or raise the limit"
                )
                raise ValueError(message)
        return self


class Resources(Bounds):
    """Requests and limits of the build container, and those of each service beside it."""

    service: Bounds = Bounds()


_DOCKER_CLIENT = (
    "docker:29.7.2-cli@sha256:3f4743208d2338c934d7b8bcfbe1bb54c0b2355c510ad5e0f31c0c4a54bd704e"
)
_DOCKER_ENGINES = {
    False: (
        "docker:29.7.2-dind@sha256:3ef33f2e220b79ed3ef3b99d81746f06f306cd6340e2cb7331d17ae996e74cb6"
    ),
    True: (
        "docker:29.7.2-dind-rootless"
        "@sha256:ec3201de648f98b94882e4dd8a3d30df8b3ca6723a242fab76150f25127e194e"
    ),
}
"""By whether the engine is rootless."""


class Kaniko(_Model):
    """Build in the job's own container, without privilege.

    The default image is the maintained fork's: Google's was archived on 2025-06-03
    (osscontainertools/kaniko:README.md). ``-debug`` has the shell that GitLab needs.
    """

    kind: Literal["kaniko"] = "kaniko"
    image: Image = (
        "ghcr.io/osscontainertools/kaniko:v1.28.5-debug"
        "@sha256:d6d74217dc077acfd3094992e917c357080a2d3fdd1042a49e34e29a7e57c572"
    )
    cache_repository: Image | None = None


class Dood(_Model):
    """Build with the node's own Docker engine, through its socket.

    Whoever runs a job is root on the node, so the stack file must say that it accepts this.
    """

    kind: Literal["dood"] = "dood"
    accept_node_root: Literal[True]
    image: Image = _DOCKER_CLIENT


def _engine_image(given: Mapping[str, Any]) -> str:
    return _DOCKER_ENGINES[given.get("variant") == "rootless"]


class Dind(_Model):
    """Build with a Docker engine that runs privileged beside the job.

    Whoever runs a job commands that engine, so the stack file must say that it accepts this.
    ``tls`` and ``socket`` are how the client reaches it; ``rootless`` runs it as uid 1000, reached
    with TLS. Client and engine are of one version: engines of 29.0 refuse older clients.
    """

    kind: Literal["dind"] = "dind"
    variant: Literal["tls", "socket", "rootless"] = "tls"
    accept_privileged: Literal[True]
    image: Image = _DOCKER_CLIENT
    daemon_image: Image = Field(default_factory=_engine_image)


class NodeProfiles(_Model):
    """Profiles that the nodes' owner has installed, by their names there."""

    seccomp: str = Field(min_length=1)
    app_armor: str = Field(min_length=1)

    def described(self) -> str:
        """Name both for the nodes' owner."""
        return f"the seccomp profile {self.seccomp} and the AppArmor profile {self.app_armor}"


_BUILDKIT = "moby/buildkit:v0.34.2"


def _buildkit_image(given: Mapping[str, Any]) -> str:
    suffix = "-rootless" if given.get("variant") == "rootless" else ""
    return f"{_BUILDKIT}{suffix}"


class Buildkit(_Model):
    """Build with a BuildKit daemon inside the job's own container.

    ``rootful`` is privileged in a user namespace of the pod's own (``hostUsers: false``).
    """

    kind: Literal["buildkit"] = "buildkit"
    variant: Literal["rootless", "rootful", "privileged"] = "rootless"
    host_users: bool = True
    accept_privileged: Literal[True] | None = None
    node_profiles: NodeProfiles | None = None
    image: Image = Field(default_factory=_buildkit_image)


def _client_image(given: Mapping[str, Any]) -> str:
    return _DOCKER_CLIENT if given.get("client") == "buildx" else f"{_BUILDKIT}-rootless"


class BuildkitService(_Model):
    """Build with one BuildKit daemon that the stack's runners share, rootless, outside of the jobs.

    ``client`` is what jobs call: ``buildctl``, or ``docker buildx`` with the driver ``remote``.
    ``cache_size`` is how much of the daemon's layers survives its garbage collection; they are
    gone when its pod is. ``resources`` are the daemon's.
    """

    kind: Literal["buildkit-service"] = "buildkit-service"
    client: Literal["buildctl", "buildx"] = "buildctl"
    cache_size: Quantity = "20Gi"
    resources: Bounds = Bounds()
    node_profiles: NodeProfiles | None = None
    daemon_image: Image = f"{_BUILDKIT}-rootless"
    image: Image = Field(default_factory=_client_image)

    def cache_bytes(self) -> int:
        """The cache's size in bytes."""
        return int(_amount(self.cache_size))


class Buildx(_Model):
    """Build with ``docker buildx`` and BuildKit pods that each job makes for itself.

    The driver is ``kubernetes``; the others are ``buildkit-service`` with ``client: buildx``
    (``remote``), and ``dind`` and ``dood`` as they are (``docker``). Whoever can run a job can make
    privileged pods, so the stack file must say that it accepts this.
    """

    kind: Literal["buildx"] = "buildx"
    accept_privileged: Literal[True]
    image: Image = _DOCKER_CLIENT
    daemon_image: Image = f"{_BUILDKIT}-rootless"


class Buildah(_Model):
    """Build with Buildah in the job's own container.

    ``chroot`` runs as uid 1000 and ``root`` as uid 0, both without privilege.
    """

    kind: Literal["buildah"] = "buildah"
    variant: Literal["chroot", "root", "privileged"] = "chroot"
    storage_driver: Literal["vfs", "overlay"] = "vfs"
    accept_privileged: Literal[True] | None = None
    node_profiles: NodeProfiles | None = None
    image: Image = "quay.io/containers/buildah:v1.43.5"


_DECIDES_ON_RIGHTS = (
    "decides on rights, a job's own included; leave it out, and have the cluster's owner make "
    "roles and bindings"
)
_INTO_CONTAINERS = (
    "reaches into containers that run already, past what is deployed; deploy a Job in its place, "
    "and read pods/log"
)
# What no job is given, to read or to change, by API group and resource: why, and the way out.
_NEVER_GRANTED: dict[tuple[str, str], str] = {
    ("", "secrets"): (
        "would show a job the logins and keys of all that runs there; leave it out: pull logins "
        "come from this stack, and with HELM_DRIVER: configmap Helm needs no Secret"
    ),
    ("", "serviceaccounts/token"): (
        "would let a job act as another account; leave it out, and list what it needs itself"
    ),
    ("", "namespaces"): (
        "would let a job lower the Pod Security level there; leave it out: the level is set by "
        "whoever makes the namespace"
    ),
    **{
        ("", f"{resource}/{subresource}"): _INTO_CONTAINERS
        for resource, subresource in (
            ("pods", "attach"),
            ("pods", "ephemeralcontainers"),
            ("pods", "exec"),
            ("pods", "portforward"),
            ("pods", "proxy"),
            ("services", "proxy"),
        )
    },
    **{
        (group, resource): _DECIDES_ON_RIGHTS
        for group in ("rbac.authorization.k8s.io", "authorization.openshift.io")
        for resource in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
    },
}


class Right(_Model):
    """What a deployment may do in a target namespace: a rule of a Role, without wildcards."""

    api_groups: list[ApiGroup] = Field(min_length=1)
    resources: list[ApiResource] = Field(min_length=1)
    verbs: list[Verb] = Field(min_length=1)

    @model_validator(mode="after")
    def _within_what_is_granted(self) -> Self:
        for group in self.api_groups:
            for resource in self.resources:
                whole = resource.partition("/")[0]
                reason = _NEVER_GRANTED.get((group, resource), _NEVER_GRANTED.get((group, whole)))
                if reason:
                    message = f"grants {resource}, which {reason}"
                    raise ValueError(message)
        return self


class Deploy(_Model):
    """Build nothing: run deployments, with the rights in target namespaces that are listed.

    The image has ``kubectl`` and ``helm``. Whoever can run a job has these rights, and who may
    make pods in a namespace can mount every Secret there (kubernetes/website:
    content/en/docs/concepts/security/rbac-good-practices.md).
    """

    kind: Literal["none"] = "none"
    image: Image = (
        "alpine/k8s:1.34.1@sha256:ec714df3813b5405292860f8a1c55c5727bf8c33c88992f1e981efad8065547f"
    )
    rights: dict[DnsLabel, Annotated[list[Right], Field(min_length=1)]] = Field(
        default_factory=dict[str, list[Right]],
    )


class Auto(_Model):
    """Let the cluster decide: its facts pick one of the strategies that build."""

    kind: Literal["auto"] = "auto"


Strategy = Kaniko | Dood | Dind | Buildkit | BuildkitService | Buildx | Buildah | Deploy | Auto


class TokenRegistration(_Model):
    """The runner exists in GitLab; its ``glrt-`` token is in image-builds:runnerTokens."""

    kind: Literal["token"] = "token"


class UserRunner(_Model):
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


_AnyStrategy = Annotated[Strategy, Field(discriminator="kind")]
_AnyRegistration = Annotated[TokenRegistration | UserRunner, Field(discriminator="kind")]


class Toleration(_Model):
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


class Runner(_Model):
    """One GitLab runner: its tags, how its jobs build images, and where they run."""

    tags: list[Tag] = Field(min_length=1)
    strategy: Annotated[
        _AnyStrategy,
        # The ones that are missing here cannot be given by their names alone.
        BeforeValidator(
            _named_kind,
            json_schema_input_type=_AnyStrategy
            | Literal["auto", "buildah", "buildkit", "buildkit-service", "kaniko", "none"],
        ),
    ] = Auto()
    registration: Annotated[
        _AnyRegistration,
        BeforeValidator(
            _named_kind,
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


class Settings(_Model):
    """Everything in ``image-builds:settings``.

    ``reviewer`` makes an account for the previews of merge requests, which reads no Secret.
    """

    gitlab: GitLab
    cluster: Cluster
    namespace: DnsLabel
    reviewer: bool = False
    chart: Chart = Chart()
    registries: list[Registry] = Field(default_factory=list[Registry])
    registry_mirrors: list[RegistryHost] = Field(default_factory=list[str])
    target_namespaces: dict[DnsLabel, TargetNamespace] = Field(
        default_factory=dict[str, TargetNamespace],
    )
    runners: dict[DnsLabel, Runner] = Field(min_length=1)

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


class RegistryLogin(_Model):
    """A user name and a password or token."""

    username: str = Field(min_length=1)
    password: SecretStr = Field(min_length=1)


def _runner_token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text.startswith("GR"):
        message = (
            "is a registration token, which GitLab removes in 20.0; create the runner in GitLab "
            "and use its authentication token, which begins with glrt-"
        )
        raise ValueError(message)
    if text != text.strip():
        message = "has white space around it, which breaks the runner's requests; strip it"
        raise ValueError(message)
    if not re.fullmatch(r"glrt-[\w.-]{8,}", text):
        message = "is no runner authentication token; use the one that begins with glrt-"
        raise ValueError(message)
    return value


class Secrets(_Model):
    """The secret config keys beside ``settings``."""

    runner_tokens: dict[str, Annotated[SecretStr, AfterValidator(_runner_token)]] = Field(
        default_factory=dict[str, SecretStr],
    )
    registry_credentials: dict[str, RegistryLogin] = Field(
        default_factory=dict[str, RegistryLogin],
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a whole stack file, for editors."""
    settings = Settings.model_json_schema(ref_template="#/$defs/{model}")
    accepted = AcceptedRisks.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of image-builds",
        "type": "object",
        "$defs": settings.pop("$defs"),
        "properties": {
            "config": {
                "type": "object",
                "properties": {f"{PROJECT}:settings": settings, ACCEPTED_RISKS: accepted},
                "required": [f"{PROJECT}:settings"],
            },
        },
        "required": ["config"],
    }
