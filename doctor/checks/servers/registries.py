"""Registries, from the machine that runs doctor; what is begun there is given up."""

import datetime as dt
import functools
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import requests

from components.image_reference import DOCKER_HUB
from components.settings.models import Settings
from components.site import Registry
from doctor.at_once import at_once
from doctor.checks.network import of_the_cluster
from doctor.diagnosis import WHOLE_STACK, Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, not_run, of_stack
from doctor.web import SOON, FailedError, Server, WebLogin, answered, expiry, is_broken, server

_HUB = "registry-1.docker.io"
_SECONDS = 5.5
"""How long all registries may take, less than all checks."""
_REPOSITORY = "image-builds-doctor"
"""The repository that is asked for where nobody names one."""
_NAMES = (
    "registry-name",
    "registry-unreachable",
    "registry-certificate",
    "registry-plain",
    "registry-tls",
    "registry-answer",
    "registry-expires",
    "registry-login",
    "registry-pull",
    "registry-push",
)
_REFUSED = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
}


class _Place(NamedTuple):
    """A registry and its logins, each with its name, its use, and the path that it is for."""

    registry: Registry
    logins: list[tuple[str, str, str, WebLogin]]


@of_stack(*_NAMES)
def registries(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask all registries at once."""
    places = _places(visit)
    looks = [functools.partial(_look, visit, place) for place in places]
    for place, found in zip(places, at_once(looks, threads=8, seconds=_SECONDS), strict=True):
        reason = f"{place.registry.host} does not answer within {_SECONDS:g} seconds"
        yield from (
            [not_run(name, WHOLE_STACK, reason) for name in _NAMES] if found is None else (found)
        )


def _look(visit: Visit, place: _Place) -> list[Fault | NotRun]:
    """Look at one registry; what is odd there says nothing of the others."""
    try:
        return [*_looked_at(visit, place)]
    except (UnseenError, LookupError, TypeError, ValueError, AttributeError) as error:
        known = isinstance(error, UnseenError)
        reason = f"{error}" if known else f"{place.registry.host} gives an answer that nobody knows"
        return [not_run(name, WHOLE_STACK, reason) for name in ("registry-pull", "registry-push")]


def _places(visit: Visit) -> list[_Place]:
    settings, stack = visit.stack.settings, visit.stack
    hosts = {item.host.partition("/")[0]: item for item in _entries(settings)}
    places = {host: _Place(item, []) for host, item in hosts.items()}
    for item in settings.registries:
        host, _, path = item.host.partition("/")
        for use, name, logins in (("pull", item.pull, stack.pull), ("push", item.push, stack.push)):
            if name and item.host in logins:
                places[host].logins.append((use, name, path, WebLogin(*logins[item.host])))
    return [*places.values()]


def _entries(settings: Settings) -> Iterator[Registry]:
    """Yield what is known of each host; the entry without a path has its settings."""
    for mirror in settings.registry_mirrors:
        yield Registry(host=mirror)
    for item in sorted(settings.registries, key=lambda item: "/" not in item.host):
        host = item.host.partition("/")[0]
        yield item if host == item.host else Registry(host=host)


def _looked_at(visit: Visit, place: _Place) -> Iterator[Fault | NotRun]:
    registry = place.registry
    host = registry.host
    if of_the_cluster(urlsplit(f"//{host}").hostname or ""):
        for name in _NAMES:
            yield not_run(name, WHOLE_STACK, f"only the cluster knows the name {host}")
        return
    scheme = "http" if registry.insecure else "https"
    base = f"{scheme}://{_HUB if host == DOCKER_HUB else host}"
    with server(registry.ca_certificates) as asked:
        try:
            answer = asked.send("GET", f"{base}/v2/")
        except FailedError as error:
            yield _failed(registry, error)
            return
        if found := _not_a_registry(registry, answer):
            yield found
            return
        end = expiry(base)
        if end and end - dt.datetime.now(dt.UTC) < SOON:
            yield fault("registry-expires", host=host, date=end.date())
        for use, name, path, login in place.logins:
            session = _Session(asked, base, login, answer.headers.get("WWW-Authenticate", ""))
            try:
                yield from _login(visit, host, (use, name, path), session)
            except FailedError as error:
                for check in ("registry-login", f"registry-{use}"):
                    yield not_run(check, WHOLE_STACK, f"{host} does not answer: {error}")


def _failed(registry: Registry, error: FailedError) -> Fault:
    """Say why nothing came; one that speaks TLS drops what is not."""
    if registry.insecure and error.kind == "unreachable" and _speaks_tls(registry.host):
        return fault("registry-tls", host=registry.host)
    return fault(f"registry-{error.kind}", host=registry.host, reason=error)


def _speaks_tls(host: str) -> bool:
    with server(None) as asked:
        try:
            asked.send("GET", f"https://{host}/v2/")
        except FailedError as error:
            return error.kind == "certificate"
    return True


def _not_a_registry(registry: Registry, answer: requests.Response) -> Fault | None:
    status, host = answer.status_code, registry.host
    asks = status == HTTPStatus.UNAUTHORIZED and "WWW-Authenticate" in answer.headers
    page = "html" in answer.headers.get("Content-Type", "")
    if asks or (status == HTTPStatus.OK and not page):
        return None
    if status == HTTPStatus.OK:
        return fault("registry-answer", host=host, reason="it shows a page")
    if is_broken(answer) or status == HTTPStatus.TOO_MANY_REQUESTS:
        return fault("registry-unreachable", host=host, reason=answered(answer))
    # Servers of Go and nginx say so in words that differ.
    if registry.insecure and (answer.is_redirect or _speaks_tls(host)):
        return fault("registry-tls", host=host)
    return fault("registry-answer", host=host, reason=f"of /v2/, {answered(answer)}")


class _Session:
    """A login at a registry, by a password with each request, or by tokens for it."""

    def __init__(self, asked: Server, base: str, login: WebLogin, challenge: str) -> None:
        """Remember them; ``challenge`` is how the registry asks for a login."""
        self.base = base
        self._asked = asked
        self._login = login
        self._bearer = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        self.has_tokens = challenge.lower().startswith("bearer")
        self.is_open = not challenge

    def is_accepted(self) -> bool:
        """Whether the registry takes the user name and the password.

        Raises:
            FailedError: it does not say.
        """
        answer = (
            self._token("")
            if self.has_tokens
            else self._asked.send("GET", f"{self.base}/v2/", login=self._login)
        )
        refuses = answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        if answer.status_code != HTTPStatus.OK and not refuses:
            raise FailedError(answered(answer))
        return not refuses

    def _token(self, scope: str) -> requests.Response:
        if "realm" not in self._bearer:
            message = "it does not say who hands out its tokens"
            raise FailedError(message)
        given = {"service": self._bearer.get("service", ""), "scope": scope}
        asked = "&".join(f"{key}={quote(text)}" for key, text in given.items() if text)
        return self._asked.send("GET", f"{self._bearer['realm']}?{asked}", login=self._login)

    def sender(self, repository: str, actions: str) -> Callable[[str, str], requests.Response]:
        """Return what sends requests about a repository."""
        if not self.has_tokens:
            return lambda method, url: self._asked.send(method, url, login=self._login)
        answer = self._token(f"repository:{repository}:{actions}")
        known: dict[str, str] = answer.json() if answer.status_code == HTTPStatus.OK else {}
        token = known.get("token") or known.get("access_token", "")
        headers = {"Authorization": f"Bearer {token}"}
        return lambda method, url: self._asked.send(method, url, headers=headers)


def _login(
    visit: Visit, host: str, about: tuple[str, str, str], session: _Session
) -> Iterator[Fault | NotRun]:
    use, name, path = about
    if not session.is_open and not session.is_accepted():
        yield fault("registry-login", host=host, use=use, login=name)
        return
    named = visit.repository.removeprefix(f"{host}/") if visit.repository else ""
    named = named if named != visit.repository else ""
    if session.has_tokens and not named:
        # Its tokens are for one repository, and nobody knows which ones this login reaches.
        reason = f"name a repository of {host} that the login reaches, by --repository"
        yield not_run(f"registry-{use}", WHOLE_STACK, reason)
        return
    repository = named or "/".join(filter(None, (path, _REPOSITORY)))
    reason = _pushes(session, repository) if use == "push" else _pulls(session, repository)
    if "404" in reason and not named:
        # Some registries have only repositories that somebody has made before.
        reason = f"{host} has no {repository}; name one that exists, by --repository"
        yield not_run(f"registry-{use}", WHOLE_STACK, reason)
    elif reason:
        yield fault(f"registry-{use}", login=name, repository=f"{host}/{repository}", reason=reason)


def _pulls(session: _Session, repository: str) -> str:
    """Say why a login may not read a repository, which need not exist."""
    send = session.sender(repository, "pull")
    status = send("GET", f"{session.base}/v2/{repository}/tags/list").status_code
    refused = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    return f"status {status}" if refused else ""


def _pushes(session: _Session, repository: str) -> str:
    """Begin an upload and give it up; say why a login may not write."""
    send = session.sender(repository, "pull,push")
    answer = send("POST", f"{session.base}/v2/{repository}/blobs/uploads/")
    if answer.status_code == HTTPStatus.ACCEPTED:
        send("DELETE", urljoin(f"{session.base}/", answer.headers["Location"]))
        return ""
    if answer.status_code in _REFUSED:
        return f"status {answer.status_code}"
    message = f"the upload to {repository} gets the status {answer.status_code}"
    raise UnseenError(message)
