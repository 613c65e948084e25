"""What the containers of a job get: requests, limits, and how much a job may ask for itself."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from components.quantity import Quantity, amount
from components.types import LabelKey, Model

BUILDS: Mapping[str, str] = {
    "cpu_request": "500m",
    "memory_request": "1Gi",
    # A base image, its layers and the context. As many builds as the CPU of a small node takes fit
    # on the smallest disk that clouds give nodes, 20 GiB on EKS.
    "ephemeral_storage_request": "2Gi",
}
"""The requests of a container that builds, by the runner's key, unless the stack file has them.

On a node without room, pods that use more disk or memory than they request are evicted first
(kubernetes.io: Node-pressure Eviction).
"""

CLIENT: Mapping[str, str] = {"cpu_request": "100m", "memory_request": "128Mi"}
"""The requests of a container that only runs a client."""

_RESOURCES = ("cpu", "memory", "ephemeral_storage")


class Amounts(Model):
    """Quantities of a container, in Kubernetes' notation."""

    cpu: Quantity | None = None
    """CPU in cores or thousandths: `2` or `500m`."""
    memory: Quantity | None = None
    """Memory in bytes, with a suffix: `1Gi`. A container that exceeds its limit is killed."""
    ephemeral_storage: Quantity | None = None
    """Disk of the node for layers and files in the container, with a suffix: `20Gi`. A pod that
    exceeds its limit is evicted."""


class Bounds(Model):
    """Requests and limits of a container."""

    requests: Amounts = Amounts()
    """What the scheduler reserves on a node. Where a node runs out of memory or disk, pods that use
    more than they request are evicted first."""
    limits: Amounts = Amounts()
    """The most that the container may use. Security: without a memory limit, one build can take the
    memory of the node, so the policies demand one."""

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        for name in _RESOURCES:
            request, limit = getattr(self.requests, name), getattr(self.limits, name)
            if request and limit and amount(request) > amount(limit):
                message = (
                    f"must not request more {to_camel(name)} ({request}) than it limits ({limit}), "
                    "which Kubernetes rejects; lower the request or raise the limit"
                )
                raise ValueError(message)
        return self


class JobBounds(Bounds):
    """Requests and limits of a container of a job, and what a job may have in their place."""

    maximum: Amounts = Amounts()
    """The most that a job may request, or set as its limit, by GitLab's variables for it, such as
    `KUBERNETES_MEMORY_REQUEST` and `KUBERNETES_MEMORY_LIMIT`. A job that asks for more fails. By
    default jobs may not ask, and the job's log says that the variable has no effect."""

    @model_validator(mode="after")
    def _maximum_above_the_rest(self) -> Self:
        for name in _RESOURCES:
            maximum = getattr(self.maximum, name)
            for key, bound in (("requests", self.requests), ("limits", self.limits)):
                given = getattr(bound, name)
                if maximum and given and amount(given) > amount(maximum):
                    message = (
                        f"must have a maximum of {to_camel(name)} ({maximum}) that is not below "
                        f"its {key} ({given}), which jobs get without asking; raise the maximum "
                        f"or lower the {key}"
                    )
                    raise ValueError(message)
        return self


class PodAmounts(Model):
    """Quantities of a whole pod."""

    cpu: Quantity | None = None
    """CPU in cores or thousandths: `2` or `500m`."""
    memory: Quantity | None = None
    """Memory in bytes, with a suffix: `4Gi`."""


class PodBounds(Model):
    """Requests and limits of a job's pod as a whole, which its containers share."""

    requests: PodAmounts = PodAmounts()
    """What the scheduler reserves, no less than the requests of all containers together."""
    limits: PodAmounts = PodAmounts()
    """The most that all containers may use together."""

    def by_key(self) -> dict[str, str]:
        """Return all by the runner's keys."""
        return {
            f"pod_{resource}_{bound}": quantity
            for bound, amounts in (("request", self.requests), ("limit", self.limits))
            for resource, quantity in amounts
            if quantity
        }


def _extended(value: dict[str, int]) -> dict[str, int]:
    for name in value:
        domain = name.partition("/")[0]
        if domain == name or domain.endswith("kubernetes.io"):
            message = (
                f"must not have {name}, which no device plugin offers: its resources are named "
                "after its domain; write it like nvidia.com/gpu"
            )
            raise ValueError(message)
    return value


class Resources(JobBounds):
    """Requests and limits of the build container, and of the containers beside it."""

    helper: JobBounds = JobBounds()
    """The same for GitLab's helper container, which clones, moves artifacts and caches, and runs
    hooks of the job. It has the limits of the build where none are given here."""
    service: JobBounds = JobBounds()
    """The same for each service container, such as a job's Docker daemon or a database. A service
    that a job names itself has the limits of the build where none are given here; how many services
    a job starts is not limited. Where nodes use cgroup v2, the limits do not hold for what a Docker
    daemon builds (moby/moby#45378)."""
    pod: PodBounds = PodBounds()
    """Requests and limits of the pod as a whole, so that a job with many services needs no limit
    for each. It needs chart 0.87.0 or later and Kubernetes 1.34 or later; older ones ignore it."""
    extended: Annotated[dict[LabelKey, Annotated[int, Field(ge=1)]], AfterValidator(_extended)] = (
        Field(default_factory=dict[str, int])
    )
    """Devices of nodes that each job gets for its build container, by the name that a device plugin
    offers: `nvidia.com/gpu: 1`. Security: programs of the job reach the driver in the node's
    kernel."""

    def by_key(self, defaults: Mapping[str, str], *, own_services: bool) -> dict[str, str]:
        """Return all by the runner's keys, with requests of a plan where nothing else is given.

        What a job brings along, its hooks, which run in the helper, and its ``own_services``, gets
        the limits of the build. Kubernetes refuses a request above the limit, and takes the limit
        where there is no request.
        """
        given = {
            **_limits_of("helper_", self, self.helper),
            **(_limits_of("service_", self, self.service) if own_services else {}),
            **{
                key: quantity
                for prefix, bounds in self.containers().items()
                for key, quantity in _amounts(prefix, bounds)
            },
        }
        missing = {
            key: quantity
            for key, quantity in defaults.items()
            if key not in given and key.replace("_request", "_limit") not in given
        }
        return {**missing, **given, **self.pod.by_key()}

    def containers(self) -> Mapping[str, JobBounds]:
        """Return the bounds of each kind of container, by the prefix of the runner's keys."""
        return {"": self, "helper_": self.helper, "service_": self.service}


def _limits_of(prefix: str, build: Bounds, own: Bounds) -> dict[str, str]:
    """Return the limits of the build for a container without its own, and a small request.

    Disk is limited for the pod as a whole, by the sum of all limits.
    """
    found: dict[str, str] = {}
    for resource in ("cpu", "memory"):
        limit, request = getattr(build.limits, resource), getattr(own.requests, resource)
        if not limit or getattr(own.limits, resource):
            continue
        small = CLIENT[f"{resource}_request"]
        if not request and amount(small) <= amount(limit):
            found[f"{prefix}{resource}_request"] = small
        above = request and amount(request) > amount(limit)
        found[f"{prefix}{resource}_limit"] = request if above else limit
    return found


def _amounts(prefix: str, bounds: JobBounds) -> Iterator[tuple[str, str]]:
    """Yield what is given, by the runner's keys; a maximum is one of requests and of limits."""
    for suffix, amounts in (
        ("request", bounds.requests),
        ("limit", bounds.limits),
        ("request_overwrite_max_allowed", bounds.maximum),
        ("limit_overwrite_max_allowed", bounds.maximum),
    ):
        for resource, quantity in amounts:
            if quantity:
                yield f"{prefix}{resource}_{suffix}", quantity
