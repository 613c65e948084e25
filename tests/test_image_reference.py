"""The parser, held to the grammar of github.com/distribution/reference as it is written there."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.image_reference import ImageReference, registry_host

DIGEST = f"sha256:{64 * 'a'}"

# The reference's own expressions (regexp.go), with Go's \w and [:xdigit:], which are ASCII.
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN_NAME = rf"{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*"
_DOMAIN = rf"(?:{_DOMAIN_NAME}|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_REMOTE_NAME = rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*"
_NAME = rf"(?:{_DOMAIN}/)?{_REMOTE_NAME}"
_TAG = r"[\w][\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*[:][0-9a-fA-F]{32,}"
GRAMMAR = re.compile(rf"({_NAME})(?::({_TAG}))?(?:@({_DIGEST}))?", re.ASCII)

HOSTS = st.one_of(
    st.from_regex(rf"\A{_DOMAIN_NAME}\.{_DOMAIN_COMPONENT}\Z"),
    st.from_regex(rf"\A{_DOMAIN_COMPONENT}:[0-9]+\Z"),
    st.just("localhost"),
)
PATHS = st.from_regex(rf"\A{_REMOTE_NAME}\Z").filter(lambda path: len(path) <= 255)
TAGS = st.from_regex(re.compile(rf"\A{_TAG}\Z", re.ASCII))
DIGESTS = st.one_of(
    st.binary(min_size=32, max_size=32).map(lambda number: f"sha256:{number.hex()}"),
    st.binary(min_size=64, max_size=64).map(lambda number: f"sha512:{number.hex()}"),
)


def _parses(text: str) -> bool:
    try:
        ImageReference.parse(text)
    except ValueError:
        return False
    return True


@given(host=HOSTS, path=PATHS, tag=TAGS | st.just(""), digest=DIGESTS | st.just(""))
def test_what_the_grammar_makes_comes_apart_again(
    host: str, path: str, tag: str, digest: str
) -> None:
    text = f"{host}/{path}{tag and f':{tag}'}{digest and f'@{digest}'}"

    found = ImageReference.parse(text)

    assert (found.registry, found.repository) == (host, path)
    assert (found.tag, found.digest) == (tag, digest)
    assert str(found) == found.canonical == text


@given(st.text("aZ0é٣._-/:@[]\n", max_size=12))
@example("ghcr.io//x..y:v1")
@example("repository:tagé")
def test_what_the_grammar_refuses_is_refused(text: str) -> None:
    assert GRAMMAR.fullmatch(text) or not _parses(text)


@given(st.text("a0.-/:", min_size=1, max_size=10))
def test_what_the_grammar_takes_is_taken(text: str) -> None:
    assert _parses(text) is bool(GRAMMAR.fullmatch(text))


@pytest.mark.parametrize(
    ("text", "registry", "repository"),
    [
        ("docker:29", "docker.io", "library/docker"),
        ("moby/buildkit", "docker.io", "moby/buildkit"),
        ("docker.io/docker", "docker.io", "library/docker"),
        ("index.docker.io/docker", "docker.io", "library/docker"),
        ("registry-1.docker.io/moby/buildkit", "docker.io", "moby/buildkit"),
        ("localhost/tool", "localhost", "tool"),
        ("registry:5000/tool", "registry:5000", "tool"),
        ("Registry/tool", "Registry", "tool"),
        ("[2001:db8::1]:5000/tool", "[2001:db8::1]:5000", "tool"),
    ],
)
def test_the_registry_is_found_as_containerd_does(
    text: str, registry: str, repository: str
) -> None:
    found = ImageReference.parse(text)

    assert (found.registry, found.repository) == (registry, repository)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tool:",
        "tool@",
        f"tool:@{DIGEST}",
        "/tool",
        "tool/",
        "Tool",
        "a_b.c/tool",
        "tool@md5:0123456789abcdef0123456789abcdef",
        f"tool@sha256:{63 * '0'}",
        f"tool@sha256:{64 * 'A'}",
        64 * "a",
        f"tool:{129 * 'a'}",
        256 * "a",
    ],
)
def test_a_part_that_is_no_image_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be an image reference"):
        ImageReference.parse(text)


def test_a_longest_repository_and_tag_are_taken() -> None:
    text = f"registry.example.com/{255 * 'a'}:{128 * 'b'}"

    assert str(ImageReference.parse(text)) == text


@pytest.mark.parametrize("host", ["index.docker.io", "registry-1.docker.io", "docker.io"])
def test_each_address_of_docker_hub_has_one_name(host: str) -> None:
    assert registry_host(host) == "docker.io"


def test_another_host_keeps_its_name() -> None:
    assert registry_host("registry.docker.io") == "registry.docker.io"
