"""The storage of caches, from the machine that runs doctor."""

from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

from components.settings.runners.cache import AzureCache, Cache, S3Cache
from doctor.checks.network import of_the_cluster
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_runner
from doctor.web import FailedError, server


@of_runner("cache-unreachable", "cache-bucket", "cache-region", "cache-public")
def caches(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask for the bucket without a login, which storage refuses unless there is none."""
    cache = visit.of.settings.cache
    if cache is None:
        return
    url = _address(cache)
    if of_the_cluster(urlsplit(url).hostname or ""):
        message = f"only the cluster knows the name in {url}"
        raise UnseenError(message)
    with server(None) as asked:
        try:
            answer = asked.send("GET", url)
        except FailedError as error:
            yield fault("cache-unreachable", visit.of.name, url=url, reason=error)
            return
    region = answer.headers.get("x-amz-bucket-region", "")
    if isinstance(cache, S3Cache) and region and region != (cache.region or region):
        yield fault("cache-region", visit.of.name, bucket=cache.bucket, found=region)
    elif answer.status_code == HTTPStatus.OK and "<ListBucketResult" in answer.text:
        yield fault("cache-public", visit.of.name, url=url)
    # Azure hides a container that is private.
    elif answer.status_code == HTTPStatus.NOT_FOUND and not isinstance(cache, AzureCache):
        yield fault("cache-bucket", visit.of.name, bucket=cache.bucket, url=url)


def _address(cache: Cache) -> str:
    if isinstance(cache, AzureCache):
        domain = cache.domain or "blob.core.windows.net"
        return f"https://{cache.account}.{domain}/{cache.container}"
    if not isinstance(cache, S3Cache):
        return f"https://storage.googleapis.com/{cache.bucket}"
    if cache.endpoint:
        return f"{cache.endpoint.rstrip('/')}/{cache.bucket}"
    region = f".{cache.region}" if cache.region else ""
    return f"https://{cache.bucket}.s3{region}.amazonaws.com/"
