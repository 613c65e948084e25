"""Requests to GitLab and to registries, and in plain words why one failed."""

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import requests
from requests.auth import HTTPBasicAuth

_TIMEOUT = (3.0, 5.0)
"""Seconds to connect, and to wait for an answer."""

Failure = Literal["name", "certificate", "plain", "unreachable"]


class FailedError(Exception):
    """A request failed before an answer came; ``kind`` says in which way."""

    def __init__(self, kind: Failure, reason: str) -> None:
        super().__init__(reason)
        self.kind: Failure = kind


class WebLogin(NamedTuple):
    """A user name and a password."""

    username: str
    password: str


class Server:
    """One server, with the CA that it is trusted by; nothing of a user's own login is sent."""

    def __init__(self, trusted: str = "") -> None:
        """Remember whom to trust: those in a file of CAs, by default those known."""
        self._session = requests.Session()
        self._verify = trusted or True
        self._session.auth = _leave

    def send(
        self,
        method: str,
        url: str,
        *,
        login: WebLogin | None = None,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Return the answer, whatever its status.

        Raises:
            FailedError: no answer came.
        """
        arguments: dict[str, Any] = {"headers": headers, "json": json, "timeout": _TIMEOUT}
        # With each request, since that of a session gives way to REQUESTS_CA_BUNDLE.
        arguments["verify"] = self._verify
        if login:
            arguments["auth"] = HTTPBasicAuth(*login)
        try:
            return self._session.request(method, url, allow_redirects=False, **arguments)
        except (requests.RequestException, OSError) as error:
            raise FailedError(*_failure(error)) from error


def _leave(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add nothing: otherwise requests takes what ~/.netrc has for the host."""
    return request


@contextlib.contextmanager
def server(certificates: str | None) -> Generator[Server]:
    """Yield a server that is trusted by these CA certificates, by default by the known ones."""
    if not certificates:
        yield Server()
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ca.pem"
        file.write_text(certificates, encoding="utf-8")
        yield Server(str(file))


def _failure(error: BaseException) -> tuple[Failure, str]:
    causes = [*_causes(error)]
    for kind, cause_type, reason in _REASONS:
        for cause in causes:
            if isinstance(cause, cause_type) and (said := reason(cause)):
                return kind, said
    return "unreachable", "the connection fails"


def _said_by_tls(error: BaseException) -> str:
    return f"TLS fails: {getattr(error, 'reason', '') or error}"


# The first that fits one of an error's causes, and says something, counts.
_REASONS: Sequence[tuple[Failure, type[BaseException], Callable[[BaseException], str]]] = (
    (
        "certificate",
        ssl.SSLCertVerificationError,
        lambda error: str(getattr(error, "verify_message", error)),
    ),
    ("name", socket.gaierror, lambda _: "the name is not known"),
    (
        "plain",
        ssl.SSLError,
        lambda error: "it speaks plain HTTP" if "WRONG_VERSION_NUMBER" in str(error) else "",
    ),
    ("unreachable", ssl.SSLError, _said_by_tls),
    ("unreachable", ConnectionRefusedError, lambda _: "the connection is refused"),
    ("unreachable", ConnectionResetError, lambda _: "the connection is reset"),
    ("unreachable", requests.Timeout, lambda _: f"no answer came within {_TIMEOUT[1]:.0f} seconds"),
)


def _causes(error: BaseException) -> Generator[BaseException]:
    """Yield an error and what it was made of: requests and urllib3 wrap what happened."""
    todo, seen = [error], set[int]()
    while todo:
        item = todo.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        inner = (item.__cause__, item.__context__, getattr(item, "reason", None), *item.args)
        todo += [one for one in inner if isinstance(one, BaseException)]
