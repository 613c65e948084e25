"""Domain types of the stack file: the grammar of each value, and what to write instead.

Every grammar is ASCII: Python's own classes for digits and letters also match other scripts.
"""

import re
from typing import Annotated, TypeAlias
from urllib.parse import SplitResult, urlsplit

import pydantic
import semver
from cryptography import x509
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.alias_generators import to_camel

from components.gitlab_runner import charts
from components.image_reference import ImageReference, registry_host

PROJECT = "image-builds"
ACCEPTED_RISKS = f"{PROJECT}:acceptedRisks"
"""The key of the config that holds the risks that a stack accepts."""

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
"""What a stack file holds before it is checked."""

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_HOST = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*"
_OLDEST_CHART = semver.Version.parse(charts.OLDEST)


def dns_label(value: str) -> str:
    """Return the name of an object, if it is a DNS label."""
    if len(value) > 63 or not re.fullmatch(_LABEL, value):
        message = (
            "must be a DNS label (RFC 1123): up to 63 lowercase letters, digits and '-', starting "
            "and ending with a letter or digit"
        )
        raise ValueError(message)
    return value


def dns_name(value: str) -> str:
    """Return the name of an object, if it is a DNS subdomain."""
    if len(value) > 253 or not re.fullmatch(_NAME, value):
        message = (
            "must be a DNS name (RFC 1123): lowercase letters, digits, '-' and '.', with a letter "
            "or digit at the start and end of each part"
        )
        raise ValueError(message)
    return value


def _image(value: str) -> str:
    reference = ImageReference.parse(value)
    if not reference.digest and reference.tag in {"", "latest"}:
        message = "must be pinned, so that builds do not change by themselves; add a tag or digest"
        raise ValueError(message)
    return _at_docker_hub(reference)


def _repository(value: str) -> str:
    reference = ImageReference.parse(value)
    if reference.tag or reference.digest:
        message = "must be a repository, to which the tool adds its own tags; remove tag and digest"
        raise ValueError(message)
    return _at_docker_hub(reference)


def _at_docker_hub(reference: ImageReference) -> str:
    """Spell other addresses of Docker Hub as docker.io, by which logins and mirrors are found."""
    host = reference.name.partition("/")[0]
    return str(reference) if registry_host(host) == host else reference.canonical


def _url(value: str) -> str:
    if not re.fullmatch(r"[-A-Za-z0-9._~:/?#@%+,=&\[\]]*", value):
        message = (
            "must contain only characters of a URL: no whitespace, line break or quote; remove it"
        )
        raise ValueError(message)
    parts = _split(value)
    if parts is None or parts.scheme not in {"https", "http"}:
        message = "must be a URL with a scheme and a host; write it like https://gitlab.example.com"
        raise ValueError(message)
    if parts.query or parts.fragment:
        message = "must end after the path; remove the query and the fragment"
        raise ValueError(message)
    return value.rstrip("/")


def _split(value: str) -> SplitResult | None:
    """Return a URL's parts, or None where it has no valid host or port."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        valid = parts.port != 0 and (":" in host or re.fullmatch(_HOST, host))
    except ValueError:
        return None
    return parts if valid else None


def bare_host(value: str) -> str:
    """Return a registry's host, which images are named after."""
    if "://" in value or "/" in value:
        message = "must be a bare host; write host or host:port, without scheme and path"
        raise ValueError(message)
    host, colon, port = value.partition(":")
    if (
        len(host) > 253
        or not re.fullmatch(_NAME, host)
        or (colon and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536))
    ):
        message = "must be a lowercase host name or an IPv4 address, with :port if it has one"
        raise ValueError(message)
    return registry_host(value)


def _ca_certificates(value: str) -> str:
    if "PRIVATE KEY" in value:
        message = "must not contain a private key; remove it here, and replace it where it is used"
        raise ValueError(message)
    try:
        x509.load_pem_x509_certificates(value.encode("ascii"))
    except ValueError as error:
        message = (
            "must be certificates in PEM; paste the CA from '-----BEGIN CERTIFICATE-----' to its "
            "END line, as a YAML block scalar (|)"
        )
        raise ValueError(message) from error
    return value.strip() + "\n"


def _chart_version(value: str) -> str:
    version = semver.Version.parse(value) if semver.Version.is_valid(value) else None
    if version is None or version.prerelease or version.build:
        message = (
            "must be an exact version, so that deployments are the same; write it like "
            f"{charts.DEFAULT_VERSION}"
        )
        raise ValueError(message)
    if version < _OLDEST_CHART:
        message = f"must be {_OLDEST_CHART} or later, which is the oldest chart supported; raise it"
        raise ValueError(message)
    return value


def _chart_digest(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        message = "must be a SHA-256: 64 digits and letters from a to f, as sha256sum prints it"
        raise ValueError(message)
    return value


def _tag(value: str) -> str:
    if not value.strip() or "," in value or len(value) > 255:
        message = "must be a GitLab tag: 1 to 255 characters without a comma"
        raise ValueError(message)
    return value


def _reason(value: object) -> object:
    if not isinstance(value, str) or not value.strip():
        message = "must be the reason why this risk is acceptable; write it in words"
        raise ValueError(message)
    return value


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        message = "must be a variable name: letters, digits and '_', not starting with a digit"
        raise ValueError(message)
    if value == "DOCKER_OPTS":
        message = (
            "has no effect in a job: the Docker client does not read it, and the node's daemon "
            "reads insecure registries from /etc/docker/daemon.json; remove it and set "
            "registries[].insecure"
        )
        raise ValueError(message)
    if value in {"DOCKER_AUTH_CONFIG", "CI_JOB_TOKEN"}:
        message = (
            "contains credentials, which would be readable in config.toml; remove it and use "
            f"{PROJECT}:registryCredentials"
        )
        raise ValueError(message)
    return value


def _label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    wrong_prefix = slash and (len(prefix) > 253 or not re.fullmatch(_NAME, prefix))
    if wrong_prefix or not re.fullmatch(_QUALIFIED, name):
        message = (
            "must be a Kubernetes label key: a name of up to 63 letters, digits, '-', '_' and "
            "'.', after a DNS name and '/' if it has a prefix"
        )
        raise ValueError(message)
    return value


def label_value(value: str) -> str:
    """Return the value of a label, if it is one."""
    if value and not re.fullmatch(_QUALIFIED, value):
        message = (
            "must be a Kubernetes label value: up to 63 letters, digits, '-', '_' and '.', "
            "starting and ending with a letter or digit"
        )
        raise ValueError(message)
    return value


def named_kind(value: object) -> object:
    """Let ``strategy: auto`` stand for ``strategy: {kind: auto}``."""
    return {"kind": value} if isinstance(value, str) else value


DnsLabel = Annotated[str, AfterValidator(dns_label)]
DnsName = Annotated[str, AfterValidator(dns_name)]
Image = Annotated[str, AfterValidator(_image)]
Repository = Annotated[str, AfterValidator(_repository)]
Url = Annotated[str, AfterValidator(_url)]
RegistryHost = Annotated[str, AfterValidator(bare_host)]
CaCertificates = Annotated[str, AfterValidator(_ca_certificates)]
ChartDigest = Annotated[str, AfterValidator(_chart_digest)]
ChartVersion = Annotated[str, AfterValidator(_chart_version)]
Tag = Annotated[str, AfterValidator(_tag)]
VariableName = Annotated[str, AfterValidator(_variable)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(label_value)]
Reason = Annotated[str, Field(min_length=1), BeforeValidator(_reason)]


class Model(pydantic.BaseModel):
    """camelCase keys as Pulumi and Kubernetes spell them, unknown ones refused, values frozen.

    The docstring below a field is its description in the JSON schema and in the documentation, so
    it is Markdown for people who write stack files.
    """

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
    )
