"""What the stack file says of the site: cluster, nodes, registries, and what containers get."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from components.types import (
    ApiGroup,
    ApiResource,
    CaCertificates,
    LabelKey,
    LabelValue,
    Model,
    Quantity,
    RegistryHost,
    Verb,
    amount,
)

PodSecurity = Literal["privileged", "baseline", "restricted"]


class Nodes(Model):
    """What the nodes that run jobs are, and whether the people who run jobs are trusted."""

    os: Literal["ubuntu", "other"] = "other"
    runtime: Literal["containerd", "crio", "docker"] = "containerd"
    docker_socket: bool = False
    user_namespaces: bool = False
    trusted: bool = False
    selector: dict[LabelKey, LabelValue] = Field(default_factory=dict[str, str])


class Cluster(Model):
    """What the stack file says about the target cluster.

    ``podSecurityLimit`` is the least strict level that it lets a namespace have.
    """

    kind: Literal["managed", "onPrem"]
    platform: Literal["eksAuto", "eksFargate", "gkeAutopilot", "openShift", "rke2", "other"] = (
        "other"
    )
    pod_security_limit: PodSecurity = "privileged"
    nodes: Nodes = Nodes()


class Registry(Model):
    """A registry that builds reach; ``pull`` and ``push`` name keys of registryCredentials."""

    host: RegistryHost
    insecure: bool = False
    ca_certificates: CaCertificates | None = None
    pull: str | None = None
    push: str | None = None

    @model_validator(mode="after")
    def _one_kind_of_trust(self) -> Self:
        if self.insecure and self.ca_certificates:
            message = (
                "is insecure and has caCertificates, which contradict each other; remove "
                "'insecure' to check the certificate, or 'caCertificates' to use plain HTTP"
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
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = None


class Bounds(Model):
    """Requests and limits of a container."""

    requests: Amounts = Amounts()
    limits: Amounts = Amounts()

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        for name in ("cpu", "memory", "ephemeral_storage"):
            request, limit = getattr(self.requests, name), getattr(self.limits, name)
            if request and limit and amount(request) > amount(limit):
                message = (
                    f"requests more {to_camel(name)} ({request}) than it limits ({limit}), which "
                    "Kubernetes refuses; lower the request or raise the limit"
                )
                raise ValueError(message)
        return self


class Resources(Bounds):
    """Requests and limits of the build container, and those of each service beside it."""

    service: Bounds = Bounds()


class NodeProfiles(Model):
    """Profiles that the nodes' owner has installed, by their names there."""

    seccomp: str = Field(min_length=1)
    app_armor: str = Field(min_length=1)

    def described(self) -> str:
        """Name both for the nodes' owner."""
        return f"the seccomp profile {self.seccomp} and the AppArmor profile {self.app_armor}"


_DECIDES_ON_RIGHTS = (
    "decides on rights, a job's own included; leave it out, and have the cluster's owner make "
    "roles and bindings"
)


_INTO_CONTAINERS = (
    "reaches into containers that run already, past what is deployed; deploy a Job in its place, "
    "and read pods/log"
)


# What no job is given, to read or to change, by API group and resource: why, and the way out.


_NEVER_GRANTED: dict[tuple[str, str], str] = {
    ("", "secrets"): (
        "would show a job the logins and keys of all that runs there; leave it out: pull logins "
        "come from this stack, and with HELM_DRIVER: configmap Helm needs no Secret"
    ),
    ("", "serviceaccounts/token"): (
        "would let a job act as another account; leave it out, and list what it needs itself"
    ),
    ("", "namespaces"): (
        "would let a job lower the Pod Security level there; leave it out: the level is set by "
        "whoever makes the namespace"
    ),
    **{
        ("", f"{resource}/{subresource}"): _INTO_CONTAINERS
        for resource, subresource in (
            ("pods", "attach"),
            ("pods", "ephemeralcontainers"),
            ("pods", "exec"),
            ("pods", "portforward"),
            ("pods", "proxy"),
            ("services", "proxy"),
        )
    },
    **{
        (group, resource): _DECIDES_ON_RIGHTS
        for group in ("rbac.authorization.k8s.io", "authorization.openshift.io")
        for resource in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
    },
}


class Permission(Model):
    """What a deployment may do in a target namespace: a rule of a Role, without wildcards."""

    api_groups: list[ApiGroup] = Field(min_length=1)
    resources: list[ApiResource] = Field(min_length=1)
    verbs: list[Verb] = Field(min_length=1)

    @model_validator(mode="after")
    def _within_what_is_granted(self) -> Self:
        for group in self.api_groups:
            for resource in self.resources:
                whole = resource.partition("/")[0]
                reason = _NEVER_GRANTED.get((group, resource), _NEVER_GRANTED.get((group, whole)))
                if reason:
                    message = f"grants {resource}, which {reason}"
                    raise ValueError(message)
        return self
