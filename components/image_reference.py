"""Image references by the grammar that Docker, containerd and Kubernetes share.

The grammar and its names are those of github.com/distribution/reference. Only the standard library
is imported here, since the policy pack links this file, and its environment has no pydantic.
"""

import dataclasses
import re
from typing import Self

DOCKER_HUB = "docker.io"
"""Docker Hub as image references name it."""

_HUB_HOSTS = frozenset({"index.docker.io", "registry-1.docker.io"})
_OFFICIAL = "library"
_COMPONENT = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REGISTRY = re.compile(rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
_REPOSITORY = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# The algorithms that github.com/opencontainers/go-digest registers.
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
# Such a name could be an image's ID.
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
_MESSAGE = (
    "must be an image reference; write it like registry.example.com/team/tool:1.2, with a "
    "lowercase path, and @sha256:<64 hex digits> for a digest"
)


def registry_host(host: str) -> str:
    """Return the host that references name: ``docker.io`` for each address of Docker Hub."""
    return DOCKER_HUB if host in _HUB_HOSTS else host


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageReference:
    """An image's name as it was written, with its tag and its digest, empty where there is none.

    Raises:
        ValueError: if a part breaks the grammar.
    """

    name: str
    tag: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        """Refuse what containerd refuses, so that an instance is always a valid reference."""
        if (
            _IDENTIFIER.fullmatch(self.name)
            or not _REGISTRY.fullmatch(self.registry)
            or not _REPOSITORY.fullmatch(self.repository)
            or len(self.repository) > 255
            or (self.tag and not _TAG.fullmatch(self.tag))
            or (self.digest and not _DIGEST.fullmatch(self.digest))
        ):
            raise ValueError(_MESSAGE)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Split ``name[:tag][@digest]``.

        Raises:
            ValueError: if the text is not a reference.
        """
        tagged, _, digest = text.partition("@")
        path, slash, last = tagged.rpartition("/")
        last, _, tag = last.partition(":")
        reference = cls(name=f"{path}{slash}{last}", tag=tag, digest=digest)
        if str(reference) != text:
            # A mark without what it stands for, such as "tool:".
            raise ValueError(_MESSAGE)
        return reference

    @property
    def registry(self) -> str:
        """The registry's host, with its port if it has one; Docker Hub where none is written."""
        return self._split()[0]

    @property
    def repository(self) -> str:
        """The path within the registry; official images of Docker Hub are in ``library``."""
        return self._split()[1]

    @property
    def canonical(self) -> str:
        """The whole reference with its registry, as containerd looks images up."""
        return self._spell(f"{self.registry}/{self.repository}")

    def __str__(self) -> str:
        """Spell the reference as it was written."""
        return self._spell(self.name)

    def _spell(self, name: str) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{name}{tag}{digest}"

    def _split(self) -> tuple[str, str]:
        """Part a registry from a path's first part (distribution/reference: normalize.go)."""
        first, slash, rest = self.name.partition("/")
        if slash and (first == "localhost" or {".", ":"} & set(first) or first != first.lower()):
            registry, repository = registry_host(first), rest
        else:
            registry, repository = DOCKER_HUB, self.name
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"{_OFFICIAL}/{repository}"
        return registry, repository
