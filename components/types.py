"""Domain types of the stack file: what a value must look like, and what to write instead."""

import re
import ssl
from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.alias_generators import to_camel

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


def _ca_certificates(value: str) -> str:
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


def amount(quantity: str) -> Decimal:
    """Turn a quantity in Kubernetes' notation into a number."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|)", quantity)
    if found is None:
        message = "is no Kubernetes quantity; write a number with at most one suffix: 500m, 2, 1Gi"
        raise ValueError(message)
    return Decimal(found[1]) * _FACTORS.get(found[2], Decimal(1))


def _quantity(value: object) -> object:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if isinstance(text, str) and amount(text) <= 0:
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


def named_kind(value: object) -> object:
    """Let ``strategy: kaniko`` stand for ``strategy: {kind: kaniko}``."""
    return {"kind": value} if isinstance(value, str) else value


DnsLabel = Annotated[str, AfterValidator(_dns_label)]
Image = Annotated[str, AfterValidator(_image)]
Url = Annotated[str, AfterValidator(_url)]
RegistryHost = Annotated[str, AfterValidator(_registry_host)]
CaCertificates = Annotated[str, AfterValidator(_ca_certificates)]
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


class Model(pydantic.BaseModel):
    """camelCase keys as Pulumi and Kubernetes spell them, unknown ones refused, values frozen."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
    )
