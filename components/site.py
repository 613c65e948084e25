"""What the stack file says of the site: cluster, nodes, registries, and what containers get."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from components.quantity import Quantity, amount
from components.types import CaCertificates, LabelKey, LabelValue, Model, RegistryHost

PodSecurity = Literal["privileged", "baseline", "restricted"]

TARGET_LEVEL: PodSecurity = "baseline"
"""What a target namespace enforces that the stack creates."""


class Nodes(Model):
    """The nodes that run jobs: what they offer, and who is trusted with them.

    The program cannot see nodes, so a strategy that needs something of them is rejected until it is
    declared here.
    """

    os: Literal["ubuntu", "other"] = "other"
    """The nodes' operating system. With `ubuntu`, a preview names the sysctl that rootless builds
    need from Ubuntu 24.04 on, and on premises `strategy: auto` may choose the nodes' Docker
    daemon."""
    runtime: Literal["containerd", "crio", "docker"] = "containerd"
    """The container runtime of the nodes. Set `crio` where nodes run CRI-O, whose default seccomp
    profile lets a build create a user namespace; that of containerd does not."""
    docker_socket: bool = False
    """Set `true` if a Docker daemon listens on `/var/run/docker.sock` of the nodes. Jobs can build
    with it only where it is declared; nodes of managed clusters run containerd without one."""
    user_namespaces: bool = False
    """Set `true` if pods can have user namespaces (`hostUsers: false`), for builds that are
    privileged only inside one: Kubernetes 1.33, Linux 6.3, and containerd 2.0 or CRI-O 1.25. Older
    runtimes ignore the field without an error, so the default is `false`."""
    trusted: bool = False
    """Set `true` if everyone who can run a job is trusted with root on these nodes. Strategies that
    give jobs a privileged container or the node's Docker daemon need it."""
    selector: dict[LabelKey, LabelValue] = Field(default_factory=dict[str, str])
    """Labels of the nodes that may run jobs with a privileged container or the node's Docker
    daemon. Set it where only some nodes have the Docker socket or are set aside for such jobs."""


class Cluster(Model):
    """The target cluster: what kind it is, and what it admits."""

    kind: Literal["managed", "onPrem"]
    """Who runs the nodes: `managed` for a cloud provider, `onPrem` for yourselves. Jobs cannot use
    a Docker daemon of `managed` nodes, which have none."""
    platform: Literal["eksAuto", "eksFargate", "gkeAutopilot", "openShift", "rke2", "other"] = (
        "other"
    )
    """A platform with special limits, which strategies are checked against: GKE Autopilot and
    EKS Fargate reject privileged pods, for example. Leave `other` for EKS with node groups, GKE
    Standard, AKS and plain Kubernetes."""
    privileged_allowlist: bool = False
    """Set `true` where GKE Autopilot has a WorkloadAllowlist that admits the privileged pods of
    these jobs, which it rejects by default. Eligible customers can create such lists of their
    workloads."""
    pod_security_limit: PodSecurity = "privileged"
    """The least strict Pod Security level that the cluster's owner allows for a namespace. Set it
    where a policy enforces one, so that a strategy that needs more is rejected before a deployment
    and not by the API server."""
    nodes: Nodes = Nodes()
    """What the nodes that run jobs offer; by default they are plain nodes with containerd."""

    @model_validator(mode="after")
    def _allowlists_are_of_autopilot(self) -> Self:
        if self.privileged_allowlist and self.platform != "gkeAutopilot":
            message = "must not have privilegedAllowlist without platform: gkeAutopilot; remove it"
            raise ValueError(message)
        return self

    @property
    def crio(self) -> bool:
        """Whether the nodes run CRI-O, as all of OpenShift's do."""
        return self.nodes.runtime == "crio" or self.platform == "openShift"


class Registry(Model):
    """A registry that builds pull from or push to."""

    host: RegistryHost
    """The registry as image names begin with it: `host` or `host:port`, in lowercase. Docker Hub is
    `docker.io`, whichever of its addresses is given."""
    insecure: bool = False
    """Set `true` for a registry that speaks plain HTTP. Build tools get the setting; the images of
    pods are pulled by the nodes' container runtime, which needs its own."""
    ca_certificates: CaCertificates | None = None
    """The CA certificates of a registry with a private CA, in PEM, as a block scalar (`|`). Without
    it, tools trust the CAs in their images. They are public, so they need no encryption."""
    pull: str | None = None
    """The name of the login in `image-builds:registryCredentials` that pulls. It goes as the Secret
    `registry-pull` to job namespaces and to `targetNamespaces`."""
    push: str | None = None
    """The name of the login in `image-builds:registryCredentials` that pushes. Jobs that build can
    read it, so it should reach only the repositories of this environment."""

    @model_validator(mode="after")
    def _one_kind_of_trust(self) -> Self:
        if self.insecure and self.ca_certificates:
            message = (
                "must not have both insecure and caCertificates, which contradict each other; "
                "remove 'insecure' to use TLS, or 'caCertificates' to use plain HTTP"
            )
            raise ValueError(message)
        return self


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """What a strategy reads: the cluster, and the registries and mirrors that builds reach.

    ``mirrors`` are hosts that serve the images of Docker Hub, in the order in which they are tried.
    """

    cluster: Cluster
    registries: Sequence[Registry] = ()
    mirrors: Sequence[str] = ()


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
    """What the scheduler reserves on a node."""
    limits: Amounts = Amounts()
    """The most that the container may use. Without a memory limit, one build can take the memory of
    the node, so the policies demand one."""

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        for name in ("cpu", "memory", "ephemeral_storage"):
            request, limit = getattr(self.requests, name), getattr(self.limits, name)
            if request and limit and amount(request) > amount(limit):
                message = (
                    f"must not request more {to_camel(name)} ({request}) than it limits ({limit}), "
                    "which Kubernetes rejects; lower the request or raise the limit"
                )
                raise ValueError(message)
        return self


BUILDS: Mapping[str, str] = {"cpu_request": "500m", "memory_request": "1Gi"}
"""The requests of a container that builds, by the runner's key, unless the stack file has them."""

CLIENT: Mapping[str, str] = {"cpu_request": "100m", "memory_request": "128Mi"}
"""The requests of a container that only runs a client."""


class Resources(Bounds):
    """Requests and limits of the build container, and of each service beside it.

    GitLab's helper container, which runs hooks of the job too, gets the limits of the build.
    """

    service: Bounds = Bounds()
    """The same for each service container, such as a job's Docker daemon or a database. A service
    that a job names itself has the limits of the build where none are given here; how many services
    a job starts is not limited. Where nodes use cgroup v2, the limits do not hold for what a Docker
    daemon builds (moby/moby#45378)."""

    def by_key(self, defaults: Mapping[str, str], *, own_services: bool) -> dict[str, str]:
        """Return all by the runner's keys, with requests of a plan where nothing else is given.

        What a job brings along, its hooks, which run in the helper, and its ``own_services``, gets
        the limits of the build. Kubernetes refuses a request above the limit, and takes the limit
        where there is no request.
        """
        given = {
            **_limits_of("helper_", self, Bounds()),
            **(_limits_of("service_", self, self.service) if own_services else {}),
            **_amounts("", self),
            **_amounts("service_", self.service),
        }
        missing = {
            key: quantity
            for key, quantity in defaults.items()
            if key not in given and key.replace("_request", "_limit") not in given
        }
        return {**missing, **given}


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


def _amounts(prefix: str, bounds: Bounds) -> dict[str, str]:
    return {
        f"{prefix}{resource}_{bound}": quantity
        for bound, given in (("request", bounds.requests), ("limit", bounds.limits))
        for resource, quantity in given
        if quantity
    }


class NodeProfiles(Model):
    """Security profiles that the nodes' owner has installed, by their names on the nodes.

    With them a build needs no `Unconfined` profile, so its namespace can be at the Pod Security
    level `baseline`.
    """

    seccomp: str = Field(min_length=1)
    """The path of a seccomp profile below the kubelet's folder for them, such as
    `profiles/build.json` (Kubernetes: `localhostProfile`). It must allow `unshare` and `mount`."""
    app_armor: str = Field(min_length=1)
    """The name of an AppArmor profile that is loaded on the nodes. It must allow `mount` and user
    namespaces."""

    def described(self) -> str:
        """Name both for the nodes' owner."""
        return f"the seccomp profile {self.seccomp} and the AppArmor profile {self.app_armor}"
