"""The storage of caches, from the machine that runs doctor."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from components.settings.runners.cache import AzureCache, S3Cache
from doctor.checks.network import only_inside
from doctor.checks.servers.s3 import signed
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, not_run, of_runner
from doctor.web import FailedError, answered, is_broken, server

_REGION = "us-east-1"
"""What storage that does not know regions takes for its own, as MinIO does."""
# Of a login that may do little, such storage says AccessDenied, and the login may be right.
_REFUSED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "ExpiredToken"}


@of_runner("cache-unreachable", "cache-bucket", "cache-region", "cache-login", "cache-public")
def caches(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask for the bucket without a login, which storage refuses unless there is none; then with."""
    cache, url = visit.of.settings.cache, visit.of.cache_url
    if cache is None:
        return
    if reason := only_inside(visit.stack.settings, urlsplit(url).hostname or ""):
        raise UnseenError(reason)
    try:
        answer = _answer(url, visit.of.settings.ca_certificates)
    except FailedError as error:
        yield fault("cache-unreachable", visit.of.name, url=url, reason=error)
        return
    if is_broken(answer):
        yield fault("cache-unreachable", visit.of.name, url=url, reason=answered(answer))
        return
    region = answer.headers.get("x-amz-bucket-region", "")
    if isinstance(cache, S3Cache) and region and region != (cache.region or region):
        yield fault("cache-region", visit.of.name, bucket=cache.bucket, found=region)
    elif answer.status_code == HTTPStatus.OK and "<ListBucketResult" in answer.text:
        yield fault("cache-public", visit.of.name, url=url)
    # Azure hides a container that is private.
    elif answer.status_code == HTTPStatus.NOT_FOUND and not isinstance(cache, AzureCache):
        yield fault("cache-bucket", visit.of.name, bucket=cache.bucket, url=url)
    elif cache.credentials:
        yield from _login(visit, url, region)


def _login(visit: Visit, url: str, region: str) -> Iterator[Fault | NotRun]:
    """Ask with the login of the manager, who signs the addresses that jobs ask."""
    cache, runner = visit.of.settings.cache, visit.of.name
    if not isinstance(cache, S3Cache):
        yield not_run("cache-login", runner, "only logins of S3 are tried")
        return
    now = dt.datetime.now(dt.UTC)
    place = f"{url}?location"
    headers = signed(place, visit.of.cache_login, cache.region or region or _REGION, now)
    try:
        answer = _answer(place, visit.of.settings.ca_certificates, headers)
    except FailedError as error:
        yield not_run("cache-login", runner, f"{url} does not answer: {error}")
        return
    found = re.search(r"<Code>(\w+)</Code>", answer.text)
    if found and found[1] in _REFUSED:
        yield fault("cache-login", runner, url=url, login=cache.credentials, code=found[1])


def _answer(
    url: str, certificates: str | None, headers: Mapping[str, str] | None = None
) -> requests.Response:
    with server(certificates) as asked:
        return asked.send("GET", url, headers=headers)
