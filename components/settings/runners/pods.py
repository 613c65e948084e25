"""How job pods resolve names, and what labels and annotations they have."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from components.bounds import Resources
from components.gitlab_runner import charts
from components.plan import BuildPlan
from components.quantity import amount
from components.types import DnsName, LabelKey, Model, label_value

_VARIABLE = re.compile(r"\$(\{[A-Za-z_]\w*\}|[A-Za-z_]\w*)", re.ASCII)
_OF_RUNNER = re.compile(r"pod|([a-z]+\.)?runner\.gitlab\.com/.*|image-builds/.*")
"""Labels of the runner and of the stack (gitlab-runner:executors/kubernetes/kubernetes.go)."""
SECURITY = re.compile(
    # Profiles, and what a runtime reads beside the pod's spec.
    r"container\.(apparmor|seccomp)\.security\.(alpha|beta)\.kubernetes\.io/.*|"
    r"seccomp\.security\.alpha\.kubernetes\.io/.*|io\.kubernetes\.cri-o\..*|"
    r"io\.katacontainers\..*|dev\.gvisor\..*|cdi\.k8s\.io/.*|openshift\.io/scc|"
    # Identities in clouds.
    r"iam\.amazonaws\.com/.*|eks\.amazonaws\.com/.*|iam\.gke\.io/.*|azure\.workload\.identity/.*|"
    # Other networks.
    r"k8s\.v1\.cni\.cncf\.io/.*|v1\.multus-cni\.io/.*"
)
"""Annotations by which a pod escapes what confines it, or becomes somebody else."""
_INJECTION = re.compile(r".*(inject|sidecar).*|istio\.io/.*|dapr\.io/.*", re.IGNORECASE)
"""What makes a webhook put another container, or a Secret, into the pod."""
_OFF = {"false", "disabled", "no", "off"}


def refusal(key: str, value: str) -> str | None:
    """Say why a label or an annotation must not be set, or None where it may."""
    if _OF_RUNNER.fullmatch(key):
        return "is set by GitLab Runner or by the stack; use another key"
    if "amazonaws.com" in key or "iam.gke.io" in key or "azure.workload.identity" in key:
        return (
            "lets jobs act in the cloud with the permissions of an identity, past what the stack "
            "file says of it; remove it, and use identity.jobs"
        )
    if SECURITY.fullmatch(key):
        return (
            "changes what confines the pod, past the level of its strategy; remove it, and choose "
            "a strategy or variant that needs it"
        )
    if _INJECTION.fullmatch(key) and value.lower() not in _OFF:
        return (
            "can put another container into the pods of jobs, which sees their files and secrets; "
            "remove it, or set it to 'false' to keep one out"
        )
    return None


def _checked(values: dict[str, str]) -> dict[str, str]:
    for key, value in values.items():
        if reason := refusal(key, value):
            message = f"must not have {key}, which {reason}"
            raise ValueError(message)
    return values


def _label(value: str) -> str:
    rest = _VARIABLE.sub("", value)
    if rest == value:
        return label_value(value)
    if not re.fullmatch(r"[-A-Za-z0-9_.]*", rest):
        message = (
            "must consist of letters, digits, '-', '_', '.' and variables, since GitLab Runner "
            "replaces all others by '_'; remove them"
        )
        raise ValueError(message)
    return value


JobLabels = Annotated[
    dict[LabelKey, Annotated[str, AfterValidator(_label)]], AfterValidator(_checked)
]
"""Labels that change no security; values may have variables of the job."""
JobAnnotations = Annotated[dict[LabelKey, str], AfterValidator(_checked)]
"""Annotations that change no security; values may have variables of the job."""


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        message = "must be an IPv4 or IPv6 address; write it like 192.0.2.7"
        raise ValueError(message) from error


Address = Annotated[str, AfterValidator(_address)]
"""An IP address."""


_Number = Annotated[int, Field(ge=0)]


class Dns(Model):
    """How job pods resolve names. Without it they use the DNS of the cluster."""

    servers: list[Address] = Field(default_factory=list[str], max_length=3)
    """The addresses of up to three name servers that are asked in place of the cluster's. Jobs then
    find Services of the cluster only if these servers know them."""
    searches: list[DnsName] = Field(default_factory=list[str], max_length=32)
    """Domains in which names are looked up, beside the cluster's, or in place of them with
    `servers`."""
    options: dict[str, _Number | None] = Field(default_factory=dict[str, int | None])
    """Options of the resolver by name, such as `ndots: 1`; those that take no number have `null`:
    `use-vc: null`. Programs with musl, as in Alpine, know only `ndots`, `attempts` and
    `timeout`."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.servers or self.searches or self.options):
            message = "must have servers, searches or options; add one, or remove dns"
            raise ValueError(message)
        return self


def _host_names(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        message = "must name each host once; remove the repetition"
        raise ValueError(message)
    return names


def _one_address_each(aliases: dict[str, list[str]]) -> dict[str, list[str]]:
    owners: dict[str, str] = {}
    for address, names in aliases.items():
        for name in names:
            owner = owners.setdefault(name, address)
            if owner != address:
                message = (
                    f"must give {name} one address, because programs use the first of {owner} and "
                    f"{address} only; remove it from one"
                )
                raise ValueError(message)
    return aliases


HostAliases = Annotated[
    dict[Address, Annotated[list[DnsName], Field(min_length=1), AfterValidator(_host_names)]],
    AfterValidator(_one_address_each),
]
"""Host names by their IP address."""


def pod_resource_errors(
    resources: Resources, plan: BuildPlan, chart: str
) -> Iterator[tuple[str, str]]:
    """Yield (key below the runner, message) of resources of a pod that Kubernetes would refuse."""
    pod = resources.pod.by_key()
    since = charts.since("pod_resources")
    if pod and not charts.has(chart, "pod_resources"):
        yield (
            "resources.pod",
            f"needs chart {since} or later, and chart.version {chart} would ignore it; remove it "
            "or raise chart.version",
        )
    each = resources.by_key(plan.resources, own_services=not plan.services)
    prefixes = ["", "helper_", *["service_"] * len(plan.services)]
    for pod_key, quantity in pod.items():
        rest = pod_key.removeprefix("pod_")
        given = [
            amount(each[f"{prefix}{rest}"]) for prefix in prefixes if f"{prefix}{rest}" in each
        ]
        needed = sum(given) if rest.endswith("request") else max(given, default=0)
        if amount(quantity) < needed:
            resource, _, bound = rest.rpartition("_")
            yield (
                f"resources.pod.{bound}s.{resource}",
                f"is {quantity}, less than what its containers have by resources and by "
                f"{plan.strategy}, which Kubernetes rejects; raise it, or lower those",
            )
