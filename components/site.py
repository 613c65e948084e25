"""What the stack file says of the site: its cluster, nodes and registries."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.image_reference import DOCKER_HUB
from components.types import CaCertificates, DnsName, LabelKey, LabelValue, Model, bare_host

_NAME = r"[a-z0-9]+([._-]+[a-z0-9]+)*"

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
    with it only where it is declared; nodes of managed clusters run containerd without one.
    Security: jobs that use it become root on the node."""
    user_namespaces: bool = False
    """Set `true` if pods can have user namespaces (`hostUsers: false`), for builds that are
    privileged only inside one: Kubernetes 1.33, Linux 6.3, and containerd 2.0 or CRI-O 1.25. Older
    runtimes ignore the field without an error, so the default is `false`. Security: a runtime that
    ignores the field runs such builds as root of the node."""
    trusted: bool = False
    """Set `true` if everyone who can run a job is trusted with root on these nodes. Strategies that
    give jobs a privileged container or the node's Docker daemon need it. Security: such jobs can
    take over the node and all that runs there."""
    selector: dict[LabelKey, LabelValue] = Field(default_factory=dict[str, str])
    """Labels of the nodes that may run jobs with a privileged container or the node's Docker
    daemon. Set it where only some nodes have the Docker socket or are set aside for such jobs.
    Security: other nodes are not exposed to such jobs."""


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
    and not by the API server. Security: no namespace of the stack enforces a level that is less
    strict."""
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


def _below_a_host(value: str) -> str:
    host, slash, path = value.partition("/")
    if "://" in value or not slash:
        return bare_host(value)
    bare = bare_host(host)
    if bare == DOCKER_HUB:
        message = "must be docker.io alone, since Docker Hub has one login for all; remove the path"
        raise ValueError(message)
    if not re.fullmatch(rf"{_NAME}(/{_NAME})*", path):
        message = (
            "must go on as names of images do: lowercase letters and digits, with '.', '_', '-' "
            "between them and '/' between names; correct the path"
        )
        raise ValueError(message)
    return f"{bare}/{path}"


_CLOUDS = {
    "aws": (
        r"[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
    ),
    "google": (r"([a-z0-9-]+-docker\.pkg\.dev|([a-z]+\.)?gcr\.io)", "europe-docker.pkg.dev"),
    "azure": (r"[a-z0-9-]+\.azurecr\.(io|cn|us)", "name.azurecr.io"),
}
"""The hosts of each cloud's registries, and one of them."""


class Registry(Model):
    """A registry that builds pull from or push to, or a group of its repositories."""

    host: Annotated[str, AfterValidator(_below_a_host)]
    """The registry as image names begin with it: `host` or `host:port`, in lowercase. Docker Hub is
    `docker.io`, whichever of its addresses is given. With a path, such as
    `registry.example.com/group`, the entry has logins for the images below it, as GitLab's deploy
    tokens of groups are; only Buildah pushes with such a login."""
    insecure: bool = False
    """Set `true` for a registry that speaks plain HTTP. Build tools get the setting; the images of
    pods are pulled by the nodes' container runtime, which needs its own. Security: everyone on the
    way can read logins and change images."""
    ca_certificates: CaCertificates | None = None
    """The CA certificates of a registry with a private CA, in PEM, as a block scalar (`|`). Without
    it, tools trust the CAs in their images. They are public, so they need no encryption. Security:
    anyone who has the key of such a CA can stand in for the registry."""
    pull: str | None = None
    """The name of the login in `image-builds:registryCredentials` that pulls. Security: it goes as
    the Secret `registry-pull` to job namespaces and to `targetNamespaces`."""
    push: str | None = None
    """The name of the login in `image-builds:registryCredentials` that pushes. Security: jobs that
    build can read it, so it should reach only the repositories of this environment."""
    pull_secret: DnsName | None = None
    """The name of a Secret of the type `kubernetes.io/dockerconfigjson` that others keep, in place
    of `pull`. They put it into each job namespace; pods of `targetNamespaces` name one there
    themselves. Security: the stack does not see what is in it, nor when it changes."""
    push_secret: DnsName | None = None
    """The same in place of `push`. One Secret serves all registries that jobs push to. Security:
    jobs that build can read all logins in it."""

    identity: Literal["aws", "google", "azure"] | None = None
    """The cloud whose registry this is, where jobs push by their identity there and not by a stored
    login: `aws` for ECR, `google` for Artifact Registry, `azure` for ACR. Each runner that builds
    needs `identity.jobs` of that cloud. Nodes pull by what the cloud gives them. Security: anyone
    who can run a job can push what the identity may."""

    @model_validator(mode="after")
    def _identity_is_of_its_cloud(self) -> Self:
        if not self.identity:
            return self
        pattern, like = _CLOUDS[self.identity]
        if not re.fullmatch(pattern, self.host):
            message = (
                f"must not have identity: {self.identity} with a host that is not like {like}; "
                "correct one"
            )
        elif self.push or self.push_secret:
            message = "must not have both identity and a login that pushes; remove one"
        else:
            return self
        raise ValueError(message)

    @model_validator(mode="after")
    def _one_login_each(self) -> Self:
        for use in ("pull", "push"):
            if getattr(self, use) and getattr(self, f"{use}_secret"):
                message = f"must not have both {use} and {use}Secret; remove one"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _one_kind_of_trust(self) -> Self:
        if "/" in self.host and (self.insecure or self.ca_certificates):
            message = (
                "must not have insecure or caCertificates with a path, since they are about the "
                "whole host; move them to an entry without the path"
            )
            raise ValueError(message)
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
