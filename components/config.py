"""The contract of the stack file: its models, its domain types and how it is read.

Everything that is not secret sits in ``image-builds:settings``; secrets are config keys of their
own. Each default of the project is written here and nowhere else. What a choice means for
Kubernetes is not decided here but in ``components/strategies``.
"""

import difflib
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeVar, cast
from urllib.parse import urlsplit

import pulumi
import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

PROJECT = "image-builds"


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
    if _version(value) < _version("0.86.0"):
        message = "is older than 0.86.0, the oldest supported; raise it"
        raise ValueError(message)
    return value


def _version(value: str) -> tuple[int, ...]:
    return tuple(int(part) for part in value.split("."))


def _tag(value: str) -> str:
    if not value.strip() or "," in value or len(value) > 255:
        message = "is no GitLab tag; use 1 to 255 characters without a comma"
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


_AnyModel = TypeVar("_AnyModel", bound=_Model)


class GitLab(_Model):
    """The GitLab instance that the runners serve, and the CA that signed its certificate."""

    url: Url
    certificates: Certificates | None = None


class Nodes(_Model):
    """What the nodes that run jobs are, and whether the people who run jobs are trusted."""

    os: Literal["ubuntu", "other"] = "other"
    docker_socket: bool = False
    trusted: bool = False
    selector: dict[LabelKey, LabelValue] = Field(default_factory=dict[str, str])


class Cluster(_Model):
    """What the stack file says about the target cluster."""

    kind: Literal["managed", "onPrem"]
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
    """Quantities of the build container, in Kubernetes' notation."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = None


class Resources(_Model):
    """Requests and limits of the build container."""

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


_DOCKER_CLIENT = (
    "docker:29.7.2-cli@sha256:000bb62ff495f986c9f5578eb67cc2cb98b91138eda81d7762d5371eb8a497fe"
)


class Kaniko(_Model):
    """Build in the job's own container, without privilege.

    The default image is the maintained fork's: Google's was archived on 2025-06-03
    (osscontainertools/kaniko:README.md). ``-debug`` has the shell that GitLab needs.
    """

    kind: Literal["kaniko"] = "kaniko"
    image: Image = "ghcr.io/osscontainertools/kaniko:v1.28.3-debug"
    cache_repository: Image | None = None


class Dood(_Model):
    """Build with the node's own Docker engine, through its socket.

    Whoever runs a job is root on the node, so the stack file must say that it accepts this.
    """

    kind: Literal["dood"] = "dood"
    accept_node_root: Literal[True]
    image: Image = _DOCKER_CLIENT


class Dind(_Model):
    """Build with a Docker engine that runs privileged beside the job.

    Whoever runs a job commands that engine, so the stack file must say that it accepts this.
    Client and engine are of one version: engines of 29.0 refuse older clients.
    """

    kind: Literal["dind"] = "dind"
    accept_privileged: Literal[True]
    image: Image = _DOCKER_CLIENT
    daemon_image: Image = "docker:29.7.2-dind"


class Auto(_Model):
    """Let the cluster decide: its facts pick one of the other strategies."""

    kind: Literal["auto"] = "auto"


Strategy = Kaniko | Dood | Dind | Auto


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


class Runner(_Model):
    """One GitLab runner: its tags, how its jobs build images, and where they run."""

    tags: list[Tag] = Field(min_length=1)
    strategy: Annotated[
        _AnyStrategy,
        # The ones that are missing here cannot be given by their names alone.
        BeforeValidator(
            _named_kind,
            json_schema_input_type=_AnyStrategy | Literal["auto", "kaniko"],
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
    environment: dict[VariableName, str] = Field(default_factory=dict[str, str])
    seccomp_profile: Literal["RuntimeDefault"] | None = None
    pod_disruption_budget: bool = False


# Which chart first carries the runner that knows the key: facts from the structs of the
# runner's release tags (gitlab-runner:common/config.go), by the key's path within a runner.
_SINCE_CHART = {"seccomp_profile": "0.88.0", "pod_disruption_budget": "0.88.0"}


class Settings(_Model):
    """Everything in ``image-builds:settings``."""

    gitlab: GitLab
    cluster: Cluster
    namespace: DnsLabel
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

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Yield (path, message) of each combination that cannot or must not be deployed."""
        for name, runner in self.runners.items():
            path = f"runners.{name}"
            yield from _strategy_mistakes(f"{path}.strategy", runner.strategy, self.cluster)
            for key, version in _SINCE_CHART.items():
                chosen = getattr(runner, key) != type(runner).model_fields[key].default
                if chosen and _version(self.chart.version) < _version(version):
                    yield (
                        f"{path}.{to_camel(key)}",
                        f"is read from chart {version} on, and chart.version {self.chart.version} "
                        f"would ignore it; remove it or raise chart.version",
                    )
        if self.gitlab.certificates and "[" in self.gitlab.url:
            # The manager looks for <host>.crt, and a Secret's key allows no colon.
            yield (
                "gitlab.certificates",
                "cannot be given for an IPv6 address, since the runner looks for the CA under a "
                "name that no Secret can hold; use a DNS name in gitlab.url",
            )
        yield from self._namespace_mistakes()
        yield from self._registry_mistakes()

    def _namespace_mistakes(self) -> Iterator[tuple[str, str]]:
        owners = {self.namespace: "namespace"}
        for name in self.target_namespaces:
            if name in owners:
                yield f"target_namespaces.{name}", "is the managers' namespace; use another one"
            owners[name] = f"targetNamespaces.{name}"
        for runner in self.runners:
            namespace = self.job_namespace(runner)
            path = f"runners.{runner}.job_namespace"
            if len(namespace) > 63:
                message = "is longer than 63 characters; shorten the names or set jobNamespace"
                yield path, f"the namespace {namespace} {message}"
            if namespace in owners:
                message = "so one's jobs could read the other's secrets; give each its own"
                yield path, f"is {namespace}, as {owners[namespace]} is, {message}"
            owners[namespace] = f"runners.{runner}.jobNamespace"
            if len(f"gitlab-runner-{runner}") > 53:
                message = "is longer than 39 characters, more than a Helm release name can hold"
                yield f"runners.{runner}", f"{message}; shorten it"

    def _registry_mistakes(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for index, registry in enumerate(self.registries):
            if registry.host in seen:
                message = "so only one's settings would hold; merge the two"
                yield f"registries.{index}.host", f"names {registry.host} a second time, {message}"
            seen.add(registry.host)


def _strategy_mistakes(
    path: str,
    strategy: Strategy,
    cluster: Cluster,
) -> Iterator[tuple[str, str]]:
    if isinstance(strategy, Dood):
        yield from _socket_mistakes(path, cluster)
    elif isinstance(strategy, Dind) and not cluster.nodes.trusted:
        yield (
            path,
            "is dind, whose privileged engine lets whoever runs a job reach the node; use kaniko, "
            "or set cluster.nodes.trusted: true if all who can run jobs are trusted with the nodes",
        )


def _socket_mistakes(path: str, cluster: Cluster) -> Iterator[tuple[str, str]]:
    if cluster.kind == "managed":
        yield (
            path,
            "is dood on a managed cluster, whose nodes run containerd without a Docker socket; "
            "use kaniko, or set cluster.kind to onPrem if the nodes are yours",
        )
        return
    if not cluster.nodes.docker_socket:
        yield (
            path,
            "is dood, but the nodes are not said to run a Docker engine; use kaniko, or set "
            "cluster.nodes.dockerSocket: true where /var/run/docker.sock exists",
        )
    if not cluster.nodes.trusted:
        yield (
            path,
            "is dood, which makes whoever runs a job root on the node; use kaniko, or set "
            "cluster.nodes.trusted: true if all who can run jobs are trusted with the nodes",
        )


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

    def mistakes(self, settings: Settings) -> Iterator[tuple[str, str]]:
        """Yield (key, message) of each secret that the settings need and is not there."""
        for name, runner in settings.runners.items():
            if isinstance(runner.registration, TokenRegistration) and (
                name not in self.runner_tokens
            ):
                yield (
                    f"{PROJECT}:runnerTokens.{name}",
                    f"is missing and runner {name} cannot register without it; run: pulumi config "
                    f"set --secret --path 'runnerTokens.{name}' (and paste the glrt- token)",
                )
        for name in sorted(self.runner_tokens):
            if name not in settings.runners:
                message = "belongs to no runner of image-builds:settings.runners; remove or rename"
                yield f"{PROJECT}:runnerTokens.{name}", f"{message} it"
            elif not isinstance(settings.runners[name].registration, TokenRegistration):
                message = "is never used, since the stack creates that runner in GitLab; remove it"
                yield f"{PROJECT}:runnerTokens.{name}", f"{message}, or set registration: token"
        for index, registry in enumerate(settings.registries):
            for use in ("pull", "push"):
                name = getattr(registry, use)
                if name and name not in self.registry_credentials:
                    yield (
                        f"{PROJECT}:registryCredentials.{name}",
                        f"is missing, and settings.registries[{index}].{use} names it; run: pulumi "
                        f"config set --path 'registryCredentials.{name}.username' NAME and pulumi "
                        f"config set --secret --path 'registryCredentials.{name}.password'",
                    )


def load() -> tuple[Settings, Secrets]:
    """Read and check the stack's config.

    Raises:
        pulumi.RunError: with one line for each mistake, none of which holds a value of a secret.
    """
    lines: list[str] = []
    settings = _read(Settings, f"{PROJECT}:settings", _object("settings", lines), lines)
    secrets = _read(Secrets, PROJECT, _secret_objects(lines), lines)
    if settings is not None:
        lines += [f"{PROJECT}:settings.{_dotted(p)}: {m}" for p, m in settings.mistakes()]
    if settings is not None and secrets is not None:
        lines += [f"{path}: {message}" for path, message in secrets.mistakes(settings)]
    kubernetes = pulumi.Config("kubernetes")
    if not (kubernetes.get("context") or kubernetes.get("kubeconfig")):
        lines.append(
            "kubernetes:context: is missing, and no cluster is touched that is not named; run: "
            "pulumi config set kubernetes:context NAME (names: kubectl config get-contexts)",
        )
    if settings is None or secrets is None or lines:
        count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        message = "\n".join((f"{count} in the config of this stack; nothing was changed:", *lines))
        raise pulumi.RunError(message)
    return settings, secrets


def _object(key: str, lines: list[str]) -> object:
    try:
        return pulumi.Config(PROJECT).get_object(key)
    except pulumi.ConfigTypeError:
        lines.append(f"{PROJECT}:{key}: is no object; write it as a YAML mapping")
        return None


def _secret_objects(lines: list[str]) -> dict[str, object]:
    """Read the secret keys in plain, to check them; one that is not encrypted is refused."""
    found: dict[str, object] = {}
    for key in (to_camel(name) for name in Secrets.model_fields):
        value = _object(key, lines)
        if value is None:
            continue
        if pulumi.runtime.is_config_secret(f"{PROJECT}:{key}"):
            found[key] = value
        else:
            lines.append(
                f"{PROJECT}:{key}: is stored in plain text; remove it from the stack file, make "
                f"new credentials, and store them with pulumi config set --secret --path",
            )
            found[key] = {}
    return found


def _read(
    model: type[_AnyModel],
    prefix: str,
    value: object,
    lines: list[str],
) -> _AnyModel | None:
    """Validate ``value`` and append one line for each mistake to ``lines``."""
    if value is None:
        if not any(line.startswith(f"{prefix}:") for line in lines):
            lines.append(f"{prefix}: is missing; add it, see README.md, The stack file")
        return None
    for path in _templates(value):
        separator = ":" if prefix == PROJECT else "."
        where = f"{prefix}{separator}{path}"
        lines.append(
            f"{where}: holds '{{{{', which the chart would run as a template; write it without",
        )
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as failure:
        for error in failure.errors(include_url=False, include_input=False):
            separator = ":" if prefix == PROJECT else "."
            path = _path(error["loc"], value)
            where = f"{prefix}{separator}{path}" if path else prefix
            lines.append(f"{where}: {_explain(error, model)}")
        return None


def _templates(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of every string that holds ``{{``."""
    if isinstance(value, str) and "{{" in value:
        yield path
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, object]", value).items():
            yield from _templates(key, f"{path}.{key}".lstrip("."))
            yield from _templates(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _templates(item, f"{path}[{index}]")


def _path(location: Sequence[int | str], value: object) -> str:
    """Spell an error's location as the stack file does, without the names of union members."""
    path = ""
    kind: object = None
    for position, part in enumerate(location):
        current = cast("Any", value)
        last = position == len(location) - 1
        if isinstance(current, list) and isinstance(part, int):
            path += f"[{part}]"
            value = cast("list[object]", current)[part]
        elif isinstance(current, Mapping) and part in current:
            path += f".{part}"
            value = cast("Mapping[str, object]", current)[str(part)]
        elif last and part not in (kind, "[key]"):
            path += f".{part}"
        kind = cast("dict[str, object]", value).get("kind") if isinstance(value, dict) else value
    return path.lstrip(".")


def _dotted(path: str) -> str:
    """Turn a path of attribute names, such as ``registries.0.host``, into the stack file's."""
    parts = path.split(".")
    spelled = [
        f"[{part}]" if part.isdigit() and parts[0] == "registries" else f".{to_camel(part)}"
        for part in parts
    ]
    return "".join(spelled).lstrip(".")


_ADVICE = {
    "missing": "is required; add it",
    "string_type": "is no text; put it in quotes",
    "int_type": "is no whole number; write it without quotes",
    "bool_type": "is neither true nor false; write one of them, without quotes",
    "list_type": "is no list; write each entry on a line of its own after '- '",
    "dict_type": "is no mapping; write it as 'key: value' lines",
    "model_type": "is no mapping; write it as 'key: value' lines",
    "model_attributes_type": "is no mapping; write it as 'key: value' lines",
    "too_short": "is empty; add at least one entry or give it a value",
    "string_too_short": "is empty; give it a value or remove the key",
    "union_tag_not_found": "names no kind; add 'kind: …'",
}


def _explain(error: ErrorDetails, model: type[_Model]) -> str:  # noqa: PLR0911 - one for each type of error
    """Say what is wrong and what to do, never quoting a value that was given."""
    context = error.get("ctx", {})
    if error["loc"][-1:] == ("acceptNodeRoot",) and error["type"] != "extra_forbidden":
        return (
            "must be said out loud, since whoever runs a job becomes root on the node; write "
            "'strategy: {kind: dood, acceptNodeRoot: true}', or use kaniko"
        )
    if error["loc"][-1:] == ("acceptPrivileged",) and error["type"] != "extra_forbidden":
        return (
            "must be said out loud, since a privileged engine runs beside each job; write "
            "'strategy: {kind: dind, acceptPrivileged: true}', or use kaniko"
        )
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            key = str(error["loc"][-1])
            close = difflib.get_close_matches(key, _keys(model, error["loc"][:-1]), n=1)
            advice = f"did you mean {close[0]}?" if close else "remove it"
            return f"is an unknown key; {advice}"
        case "literal_error":
            return f"is not one of the values allowed; use {context['expected']}"
        case "union_tag_invalid":
            return f"is no known kind; use one of {context['expected_tags']}"
        case "greater_than_equal":
            return f"is too small; use {context['ge']} or more"
        case kind:
            return _ADVICE[kind]


def _keys(model: type[_Model], location: Sequence[int | str]) -> set[str]:
    """All keys that may stand where an error's location ends; a union's members count together."""
    schema = model.model_json_schema()
    places: list[dict[str, Any]] = [schema]
    for part in location:
        places = list(_expanded(places, schema))
        below = [
            place.get("properties", {}).get(part)
            or (place.get("items") if isinstance(part, int) else place.get("additionalProperties"))
            for place in places
        ]
        # Nothing below: the part is the name of a union's member.
        places = [place for place in below if place] or places
    return {key for place in _expanded(places, schema) for key in place.get("properties", {})}


def _expanded(places: Sequence[dict[str, Any]], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each schema itself, or the ones that it refers to or chooses from."""
    for place in places:
        if "$ref" in place:
            name = place["$ref"].rpartition("/")[2]
            yield from _expanded([schema["$defs"][name]], schema)
        elif chosen := place.get("oneOf") or place.get("anyOf"):
            yield from _expanded(chosen, schema)
        else:
            yield place


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a whole stack file, for editors."""
    settings = Settings.model_json_schema(ref_template="#/$defs/{model}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of image-builds",
        "type": "object",
        "$defs": settings.pop("$defs"),
        "properties": {
            "config": {
                "type": "object",
                "properties": {f"{PROJECT}:settings": settings},
                "required": [f"{PROJECT}:settings"],
            },
        },
        "required": ["config"],
    }
