"""Domain types, held to the grammars of Kubernetes and of registries."""

import re
from typing import Any

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from components.quantity import Quantity, amount
from components.types import (
    CaCertificates,
    ChartVersion,
    DnsLabel,
    DnsName,
    Image,
    LabelKey,
    LabelValue,
    RegistryHost,
    Repository,
    Tag,
    Url,
    VariableName,
)
from tests.support.configured import CERTIFICATE

# k8s.io/apimachinery: pkg/util/validation/validation.go, with the lengths apart as they are there.
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"


def _matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern)


TEXT: st.SearchStrategy[str] = st.text("aZ0é٣_-./:\n", max_size=9)
LONG = st.tuples(TEXT, st.integers(1, 40)).map(lambda parts: parts[0] * parts[1])


def _takes(kind: Any, value: str) -> bool:  # noqa: ANN401 - an annotated type
    try:
        TypeAdapter(kind).validate_python(value)
    except pydantic.ValidationError:
        return False
    return True


def _is_label(text: str) -> bool:
    return len(text) <= 63 and bool(re.fullmatch(_LABEL, text))


def _is_subdomain(text: str) -> bool:
    return len(text) <= 253 and bool(re.fullmatch(_SUBDOMAIN, text))


def _is_qualified(text: str) -> bool:
    return len(text) <= 63 and bool(re.fullmatch(_QUALIFIED, text))


def _is_label_key(text: str) -> bool:
    match text.split("/"):
        case [name]:
            return _is_qualified(name)
        case [prefix, name]:
            return _is_subdomain(prefix) and _is_qualified(name)
        case _:
            return False


@given(TEXT | LONG | _matching(rf"\A{_LABEL}\Z"))
@example(63 * "a")
@example(64 * "a")
def test_a_dns_label_is_kubernetes_own(text: str) -> None:
    assert _takes(DnsLabel, text) is _is_label(text)


@given(TEXT | LONG | _matching(rf"\A{_SUBDOMAIN}\Z"))
@example(253 * "a")
@example(254 * "a")
def test_a_dns_name_is_kubernetes_own(text: str) -> None:
    assert _takes(DnsName, text) is _is_subdomain(text)


@given(TEXT | LONG | _matching(rf"\A{_SUBDOMAIN}/{_QUALIFIED}\Z"))
@example("../a")
@example(f"a/{63 * 'b'}")
@example(f"{254 * 'a'}/b")
@example("a/b/c")
def test_a_label_key_is_kubernetes_own(text: str) -> None:
    assert _takes(LabelKey, text) is _is_label_key(text)


@given(TEXT | LONG | _matching(rf"\A{_QUALIFIED}\Z"))
@example("aéb")
@example("")
def test_a_label_value_is_kubernetes_own(text: str) -> None:
    assert _takes(LabelValue, text) is (text == "" or _is_qualified(text))


@given(
    _matching(rf"\A{_SUBDOMAIN}\Z").filter(lambda host: len(host) <= 253),
    st.integers(1, 65535) | st.none(),
)
def test_a_registry_is_a_host_and_a_port(host: str, port: int | None) -> None:
    assert _takes(RegistryHost, host if port is None else f"{host}:{port}")


@pytest.mark.parametrize(
    "host",
    [
        "a..b",
        "a.-b",
        "é.example.com",
        "a:0",
        "a:٣",
        "a:65536",
        "a:",
        "a:1:2",
        ":5000",
        "A",
        254 * "a",
    ],
)
def test_another_host_is_refused(host: str) -> None:
    assert not _takes(RegistryHost, host)


@pytest.mark.parametrize("host", ["index.docker.io", "registry-1.docker.io", "docker.io"])
def test_docker_hub_is_one_registry(host: str) -> None:
    assert TypeAdapter(RegistryHost).validate_python(host) == "docker.io"


@pytest.mark.parametrize(
    ("written", "image"),
    [
        ("docker:29", "docker:29"),
        ("docker.io/docker:29", "docker.io/docker:29"),
        ("index.docker.io/docker:29", "docker.io/library/docker:29"),
        ("registry-1.docker.io/moby/buildkit:v1", "docker.io/moby/buildkit:v1"),
    ],
)
def test_an_image_stays_as_written_but_for_docker_hub(written: str, image: str) -> None:
    assert TypeAdapter(Image).validate_python(written) == image


@pytest.mark.parametrize("image", ["tool", "tool:latest", "ghcr.io//x..y:v1", "tool:é", "a b:1"])
def test_an_image_that_is_not_pinned_or_not_one_is_refused(image: str) -> None:
    assert not _takes(Image, image)


def test_a_repository_has_neither_tag_nor_digest() -> None:
    assert _takes(Repository, "registry.example.com:5000/cache")
    assert not _takes(Repository, "registry.example.com:5000/cache:v1")
    assert not _takes(Repository, f"cache@sha256:{64 * '0'}")


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.example.com",
        "http://GitLab:8080/path/",
        "https://[2001:db8::1]:8443",
        "https://192.0.2.1",
    ],
)
def test_a_url_has_a_scheme_and_a_host(url: str) -> None:
    assert TypeAdapter(Url).validate_python(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://gitlab.example.com",
        "https://",
        "https://gitlab..example.com",
        "https://gitlab.example.com:0",
        "https://gitlab.example.com:99999",
        "https://[::1",
    ],
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="must be a URL with a scheme and a host"):
        TypeAdapter(Url).validate_python(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://a b",
        "https://gitläb.example.com",
        "https://gitlab.example.com\n",
        "https://gitlab.example.com/ä",
    ],
)
def test_a_url_has_only_the_characters_of_one(url: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="must contain only characters of a URL"):
        TypeAdapter(Url).validate_python(url)


@given(st.tuples(st.integers(0, 99), st.integers(86, 999), st.integers(0, 99)))
def test_an_exact_chart_version_is_taken(version: tuple[int, int, int]) -> None:
    assert _takes(ChartVersion, ".".join(map(str, version)))


@pytest.mark.parametrize(
    "version",
    ["0.86", "0.86.0-rc1", "0.86.0+1", "v0.86.0", "0.086.0", "0.8٦.0", ">=0.86.0", "0.85.9"],
)
def test_another_chart_version_is_refused(version: str) -> None:
    assert not _takes(ChartVersion, version)


@given(
    _matching(r"\A([0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9})\Z"),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti"]),
)
def test_a_quantity_is_a_number_and_a_suffix(number: str, suffix: str) -> None:
    assert _takes(Quantity, f"{number}{suffix}") is (amount(number) > 0)


@pytest.mark.parametrize("quantity", ["٣", "1 Gi", "1e3", "-1", "+1", "1K", "1mi", ".", "20GB", ""])
def test_another_quantity_is_refused(quantity: str) -> None:
    assert not _takes(Quantity, quantity)


@pytest.mark.parametrize("name", ["é", "1A", "A-B", "A٣", "", "A\n"])
def test_another_variable_is_refused(name: str) -> None:
    assert not _takes(VariableName, name)


def test_a_tag_is_any_text_without_a_comma() -> None:
    assert _takes(Tag, "K8s Runner é")
    assert not _takes(Tag, "a,b")
    assert not _takes(Tag, 256 * "a")


def test_certificates_are_one_pem_or_several() -> None:
    bundle = f"# the site's CAs\n{CERTIFICATE}\n{CERTIFICATE}"

    assert TypeAdapter(CaCertificates).validate_python(bundle) == bundle


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", CERTIFICATE.replace("MIIB", "AAAA"), f"{CERTIFICATE}é", CERTIFICATE[:200]],
)
def test_what_no_library_reads_is_no_certificate(text: str) -> None:
    assert not _takes(CaCertificates, text)
