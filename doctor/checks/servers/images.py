"""Images of jobs that their registry does not have."""

from collections.abc import Iterator
from http import HTTPStatus

from components.image_reference import ImageReference
from doctor.checks.servers.sessions import RegistrySession
from doctor.diagnosis import Fault, fault
from doctor.examine import Visit
from doctor.job_pod import job_pod

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def missing(visit: Visit, host: str, session: RegistrySession) -> Iterator[Fault]:
    """Ask a registry for those of its images that the pods of jobs run.

    Raises:
        FailedError: no answer came.
    """
    pods = [job_pod(runner) for runner in visit.stack.runners.values()]
    names = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    for image in map(ImageReference.parse, sorted(names)):
        if image.registry != host:
            continue
        version = image.digest or image.tag or "latest"
        url = f"{session.base}/v2/{image.repository}/manifests/{version}"
        scope, headers = f"repository:{image.repository}:pull", {"Accept": ", ".join(_MANIFESTS)}
        if session.send("HEAD", url, scope, headers).status_code == HTTPStatus.NOT_FOUND:
            yield fault("image-missing", image=image)
