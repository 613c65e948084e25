"""Requests to GitLab and to registries, and in plain words why one failed."""

import contextlib
import datetime as dt
import functools
import re
import socket
import ssl
from collections.abc import Callable, Generator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import requests
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import (
    Certificate,
    InvalidVersion,
    load_pem_x509_certificate,
    load_pem_x509_certificates,
)
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import get_environ_proxies
from urllib3.util import create_urllib3_context

from doctor.at_once import at_once

HUB = "registry-1.docker.io"
"""The registry of Docker Hub, whose images are named after docker.io."""
_TIMEOUT = (3.0, 5.0)
"""Seconds to connect, and to wait for an answer."""
_DNS = 3.0
"""Seconds to look up a name, for which the system's own resolver may take half a minute."""

Failure = Literal["name", "certificate", "plain", "unreachable", "answer", "read-only"]


class FailedError(Exception):
    """A request failed before an answer came; ``kind`` says in which way."""

    def __init__(self, reason: str, kind: Failure = "unreachable") -> None:
        super().__init__(reason)
        self.kind: Failure = kind


class WebLogin(NamedTuple):
    """A user name and a password."""

    username: str
    password: str


class TrustsAsGo(HTTPAdapter):
    """Trusts whom managers and build tools trust, which are programs in Go.

    They trust the CAs of the stack file beside those that everybody knows. A CA that another one
    signed is enough for them, and it need not have all that Python wants of one from 3.13 on.
    """

    def __init__(self, certificates: str | None) -> None:
        """Make the context of all connections, by the certificates of CAs in PEM."""
        self._context = create_urllib3_context()
        self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if certificates:
            known = load_pem_x509_certificates(certificates.encode())
            self._context.load_verify_locations(cadata=b"".join(map(_binary, known)))
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - of the base
        """Give it to connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of the base
        """Give it to connections by a proxy."""
        return super().proxy_manager_for(*args, ssl_context=self._context, **kwargs)


def _binary(certificate: Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


class Server:
    """One server; nothing of a user's own login is sent."""

    def __init__(self, session: requests.Session) -> None:
        """Remember by which session it is asked."""
        self._session = session
        self._session.auth = _leave

    def send(  # noqa: PLR0913 - the options of a request
        self,
        method: str,
        url: str,
        *,
        login: WebLogin | None = None,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, str] | None = None,
        redirects: bool = False,
    ) -> requests.Response:
        """Return the answer, whatever its status; by default one that leads elsewhere too.

        Raises:
            FailedError: no answer came.
        """
        arguments: dict[str, Any] = {"headers": headers, "json": json, "timeout": _TIMEOUT}
        if login:
            arguments["auth"] = HTTPBasicAuth(*login)
        # A proxy looks names up itself.
        if not get_environ_proxies(url):
            addresses(urlsplit(url).hostname or "")
        try:
            return self._session.request(method, url, allow_redirects=redirects, **arguments)
        except (requests.RequestException, OSError) as error:
            kind, reason = _failure(error)
            raise FailedError(reason, kind) from error


def answered(answer: requests.Response) -> str:
    """Say what an answer is that nobody expects: its status, and where it leads."""
    place = answer.headers.get("Location", "").partition("?")[0]
    return f"it has the status {answer.status_code}{f' and leads to {place}' if place else ''}"


def expiry(url: str) -> dt.datetime | None:
    """Return when the certificate of a server ends, None where this machine cannot see it."""
    parts = urlsplit(url)
    if parts.scheme != "https" or get_environ_proxies(url):
        return None
    try:
        # Whether it is trusted, others judge.
        place = (parts.hostname or "", parts.port or 443)
        text = ssl.get_server_certificate(place, timeout=_TIMEOUT[0])
        return load_pem_x509_certificate(text.encode("ascii")).not_valid_after_utc
    except (OSError, ValueError, InvalidVersion):
        return None


SOON = dt.timedelta(days=14)
"""How long before its end a token or a certificate is a fault."""


def is_broken(answer: requests.Response) -> bool:
    """Whether a server, or a proxy before it, says that it cannot answer now."""
    busy = answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
    return busy or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR


@functools.cache
def addresses(host: str) -> Sequence[str]:
    """Return the addresses of a host by the DNS of this machine.

    Raises:
        FailedError: it has none, or DNS does not answer.
    """
    (found,) = at_once([functools.partial(_looked_up, host)], threads=1, seconds=_DNS)
    if found is None:
        message = f"DNS does not answer within {_DNS:.0f} seconds"
        raise FailedError(message, "name")
    if not found:
        message = "DNS has no such name"
        raise FailedError(message, "name")
    return found


def _looked_up(host: str) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    # Of a name that cannot be one in DNS, such as one with a part that is empty.
    except (OSError, UnicodeError):
        return ()
    return sorted({str(item[4][0]) for item in found})


def _leave(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add nothing: otherwise requests takes what ~/.netrc has for the host."""
    return request


@contextlib.contextmanager
def server(certificates: str | None) -> Generator[Server]:
    """Yield a server that is trusted by these CA certificates, or by those that everybody knows."""
    with requests.Session() as session:
        session.mount("https://", TrustsAsGo(certificates))
        yield Server(session)


def _failure(error: BaseException) -> tuple[Failure, str]:
    causes = [*_causes(error)]
    for kind, cause_type, reason in _REASONS:
        for cause in causes:
            if isinstance(cause, cause_type) and (said := reason(cause)):
                return kind, said
    return "unreachable", "the connection fails"


def _said_by_tls(error: BaseException) -> str:
    return f"TLS fails: {getattr(error, 'reason', '') or error}"


def _said_by_proxy(error: BaseException) -> str:
    causes = [str(cause) for cause in _causes(error) if isinstance(cause, OSError)]
    said = [text for text in causes if text.startswith("Tunnel connection failed")]
    return f"the proxy of this machine does not lead there ({(said or ['no answer'])[0]})"


# The first that fits one of an error's causes, and says something, counts.
_REASONS: Sequence[tuple[Failure, type[BaseException], Callable[[BaseException], str]]] = (
    (
        "certificate",
        ssl.SSLCertVerificationError,
        lambda error: str(getattr(error, "verify_message", error)),
    ),
    ("unreachable", requests.exceptions.ProxyError, _said_by_proxy),
    (
        "plain",
        ssl.SSLError,
        # The second is what OpenSSL says of it from 3.2 on.
        lambda error: (
            "it speaks plain HTTP"
            if re.search("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE", str(error))
            else ""
        ),
    ),
    ("unreachable", ssl.SSLError, _said_by_tls),
    ("unreachable", ConnectionRefusedError, lambda _: "the connection is refused"),
    ("unreachable", ConnectionResetError, lambda _: "the connection is reset"),
    (
        "unreachable",
        requests.ConnectTimeout,
        lambda _: f"no connection came about within {_TIMEOUT[0]:.0f} seconds",
    ),
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
