"""Registries, from the machine that runs doctor; what is begun there is given up."""

import datetime as dt
import functools
from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import requests

from components.image_reference import DOCKER_HUB
from components.settings.models import Settings
from components.site import Registry
from doctor.at_once import at_once
from doctor.checks.network import only_inside
from doctor.checks.servers.images import missing
from doctor.checks.servers.sessions import RegistrySession
from doctor.diagnosis import WHOLE_STACK, Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, not_run, of_stack
from doctor.web import HUB, SOON, FailedError, WebLogin, answered, expiry, is_broken, server

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
    "registry-storage",
    "registry-upload",
    "image-missing",
)
_VERSION = "Docker-Distribution-Api-Version"
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
    found: list[Fault | NotRun] = []
    try:
        found.extend(_looked_at(visit, place))
    except (UnseenError, LookupError, TypeError, ValueError, AttributeError) as error:
        known = isinstance(error, UnseenError)
        reason = f"{error}" if known else f"{place.registry.host} gives an answer that nobody knows"
        found += [not_run(name, WHOLE_STACK, reason) for name in ("registry-pull", "registry-push")]
    return found


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
    if reason := only_inside(visit.stack.settings, urlsplit(f"//{host}").hostname or ""):
        for name in _NAMES:
            yield not_run(name, WHOLE_STACK, reason)
        return
    scheme = "http" if registry.insecure else "https"
    base = f"{scheme}://{HUB if host == DOCKER_HUB else host}"
    with server(registry.ca_certificates) as asked:
        try:
            # Clients follow a registry that has moved; one that wants TLS says so in that way.
            answer = asked.send("GET", f"{base}/v2/", redirects=not registry.insecure)
        except FailedError as error:
            yield _failed(registry, error)
            return
        if found := _not_a_registry(registry, answer):
            yield found
            return
        end = expiry(base)
        if end and end - dt.datetime.now(dt.UTC) < SOON:
            yield fault("registry-expires", host=host, date=end.date())
        challenge = answer.headers.get("WWW-Authenticate", "")
        for use, name, path, login in place.logins:
            session = RegistrySession(asked, base, login, challenge)
            try:
                yield from _login(visit, host, (use, name, path), session)
            except FailedError as error:
                for check in ("registry-login", f"registry-{use}"):
                    yield not_run(check, WHOLE_STACK, f"{host} does not answer: {error}")
        pull = next((login for use, _, _, login in place.logins if use == "pull"), None)
        try:
            yield from missing(visit, host, RegistrySession(asked, base, pull, challenge))
        except FailedError as error:
            yield not_run("image-missing", WHOLE_STACK, f"{host} does not answer: {error}")


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
    page = "html" in answer.headers.get("Content-Type", "") and _VERSION not in answer.headers
    if asks or (status == HTTPStatus.OK and not page):
        return None
    if status == HTTPStatus.OK:
        return fault("registry-answer", host=host, reason="it shows a page")
    if is_broken(answer):
        return fault("registry-unreachable", host=host, reason=answered(answer))
    # Servers of Go and nginx say so in words that differ.
    if registry.insecure and (answer.is_redirect or _speaks_tls(host)):
        return fault("registry-tls", host=host)
    return fault("registry-answer", host=host, reason=f"of /v2/, {answered(answer)}")


def _login(
    visit: Visit, host: str, about: tuple[str, str, str], session: RegistrySession
) -> Iterator[Fault | NotRun]:
    use, name, path = about
    if not session.is_open and not session.is_accepted():
        yield fault("registry-login", host=host, use=use, login=name)
        return
    named = visit.repository.removeprefix(f"{host}/") if visit.repository else ""
    named = named if named != visit.repository and _is_below(path, named) else ""
    if session.has_tokens and not named:
        # Its tokens are for one repository, and nobody knows which ones this login reaches.
        reason = f"name a repository of {host} that the login reaches, by --repository"
        yield not_run(f"registry-{use}", WHOLE_STACK, reason)
        return
    repository = named or "/".join(filter(None, (path, _REPOSITORY)))
    reason = _pulls(session, repository) if use == "pull" else _pushes(host, session, repository)
    if isinstance(reason, Fault):
        yield reason
        return
    if "404" in reason and not named:
        # Some registries have only repositories that somebody has made before.
        reason = f"{host} has no {repository}; name one that exists, by --repository"
        yield not_run(f"registry-{use}", WHOLE_STACK, reason)
    elif reason:
        yield fault(f"registry-{use}", login=name, repository=f"{host}/{repository}", reason=reason)


def _is_below(path: str, repository: str) -> bool:
    """Whether a repository is one that a login of a group is for; one of a host has no path."""
    return not path or f"{repository}/".startswith(f"{path}/")


def _pulls(session: RegistrySession, repository: str) -> str:
    """Say why a login may not read a repository, which need not exist."""
    url = f"{session.base}/v2/{repository}/tags/list"
    status = session.send("GET", url, f"repository:{repository}:pull").status_code
    refused = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    return f"status {status}" if refused else ""


def _pushes(host: str, session: RegistrySession, repository: str) -> str | Fault:
    """Begin an upload and give it up; say why a login may not write, or what keeps all from it."""
    scope = f"repository:{repository}:pull,push"
    answer = session.send("POST", f"{session.base}/v2/{repository}/blobs/uploads/", scope)
    status = answer.status_code
    if status in _REFUSED:
        return f"status {status}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return fault("registry-storage", host=host, status=status)
    if status != HTTPStatus.ACCEPTED:
        message = f"the upload to {repository} gets the status {status}"
        raise UnseenError(message)
    place = urlsplit(urljoin(f"{session.base}/", answer.headers["Location"]))
    where = {"host": host, "place": f"{place.scheme}://{place.netloc}"}
    if session.base.startswith("https:") and place.scheme != "https":
        return fault(
            "registry-upload", **where, reason="the registry speaks TLS, and that does not"
        )
    try:
        if place.netloc == urlsplit(session.base).netloc:
            session.send("DELETE", place.geturl(), scope)
        else:
            session.reach(place.geturl())
    except FailedError as error:
        return fault("registry-upload", **where, reason=error)
    return ""
