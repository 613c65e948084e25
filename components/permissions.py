"""What the jobs of a deployment may do in a target namespace, and what no job is granted."""

import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from components.types import Model, dns_name

_READING = ("get", "list", "watch")
_VERBS = (*_READING, "create", "update", "patch", "delete", "deletecollection")


def _listed(value: str) -> str:
    if "*" in value:
        message = (
            "must not be a wildcard, which also grants what later versions add; list each one by "
            "its name"
        )
        raise ValueError(message)
    return value


def _api_group(value: str) -> str:
    if "/" in value:
        message = "must be an API group without a version; write the group alone, such as apps"
        raise ValueError(message)
    return dns_name(value) if value else value


def _api_resource(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)?", value):
        message = (
            "must be a resource of the Kubernetes API; write its plural in lowercase, such as "
            "deployments, or deployments/scale for a subresource"
        )
        raise ValueError(message)
    return value


def _verb(value: str) -> str:
    if value in {"bind", "escalate", "impersonate"}:
        message = (
            "would let a job take permissions that the stack file does not list; remove it, and "
            "list the permissions that the deployment needs"
        )
        raise ValueError(message)
    if value not in _VERBS:
        message = f"must be a verb that deployments use; use one of {', '.join(_VERBS)}"
        raise ValueError(message)
    return value


_DECIDES_ON_PERMISSIONS = (
    "decides on permissions, the job's included; remove it, and have the cluster's owner create "
    "roles and bindings"
)

_INTO_CONTAINERS = (
    "reaches into running containers, past what is deployed; remove it, deploy a Job instead, and "
    "read pods/log"
)

# Why no job may read or change a resource, and the way out, by API group and resource.
_NEVER_GRANTED: dict[tuple[str, str], str] = {
    ("", "secrets"): (
        "shows a job the logins and keys of everything that runs there; remove it: this stack "
        "provides pull logins, and Helm needs no Secret with HELM_DRIVER: configmap"
    ),
    ("", "serviceaccounts/token"): (
        "lets a job act as another account; remove it, and list what the job needs itself"
    ),
    ("", "namespaces"): (
        "lets a job lower the Pod Security level there; remove it, and leave the level to the "
        "namespace's owner"
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
        (group, resource): _DECIDES_ON_PERMISSIONS
        for group in ("rbac.authorization.k8s.io", "authorization.openshift.io")
        for resource in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
    },
}

# What leads further without being refused, since a deployment may need it: a job that writes such
# an object has more done than the permission says.
_LEADS_FURTHER: dict[tuple[str, str], str] = {
    ("", "serviceaccounts"): (
        "decides which identities in the cloud, and which image pull Secrets, the pods there have"
    ),
    ("", "endpoints"): "sends the traffic of Services there to any address",
    ("", "nodes"): "reaches the kubelets, and so every pod of their nodes",
    ("discovery.k8s.io", "endpointslices"): "sends the traffic of Services there to any address",
    ("networking.k8s.io", "networkpolicies"): "opens what network policies close there",
    ("external-secrets.io", "*"): "brings any secret of the stores there into the namespace",
    ("argoproj.io", "*"): "has Argo create objects with its own permissions",
    ("helm.toolkit.fluxcd.io", "*"): "has Flux create objects with its own permissions",
    ("kustomize.toolkit.fluxcd.io", "*"): "has Flux create objects with its own permissions",
    ("tekton.dev", "*"): "has Tekton create pods, as any account of the namespace",
}
# Kubernetes' own groups beside those that end in .k8s.io.
_OF_KUBERNETES = {"", "apps", "autoscaling", "batch", "extensions", "policy"}


ApiGroup = Annotated[str, AfterValidator(_listed), AfterValidator(_api_group)]
ApiResource = Annotated[str, AfterValidator(_listed), AfterValidator(_api_resource)]
Verb = Annotated[str, AfterValidator(_listed), AfterValidator(_verb)]


class Permission(Model):
    """What a deployment may do in a target namespace: a rule of a Role, without wildcards."""

    api_groups: list[ApiGroup] = Field(min_length=1)
    """API groups of the resources, without versions; `""` is the core group, with Pods, Services
    and ConfigMaps. `kubectl api-resources` lists the group of each resource."""
    resources: list[ApiResource] = Field(min_length=1)
    """Resources in the plural, such as `deployments`, or `deployments/scale` for a subresource.
    Security: Secrets, RBAC objects, namespaces, account tokens and anything that enters a running
    container, such as `pods/exec`, are rejected, because they lead to more permissions than listed.
    That list is of Kubernetes itself: a preview warns of resources of operators, which can lead
    further."""
    verbs: list[Verb] = Field(min_length=1)
    """What a job may do with the resources: `get`, `list`, `watch`, `create`, `update`, `patch`,
    `delete` or `deletecollection`. `kubectl apply` needs `get`, `create` and `patch`."""

    @model_validator(mode="after")
    def _grants_no_more_than_it_lists(self) -> Self:
        for group in self.api_groups:
            for resource in self.resources:
                whole = resource.partition("/")[0]
                reason = _NEVER_GRANTED.get((group, resource), _NEVER_GRANTED.get((group, whole)))
                if reason:
                    message = f"must not grant {resource}, which {reason}"
                    raise ValueError(message)
        return self

    def warnings(self) -> Iterator[str]:
        """Yield what a job may do by it that leads further than the permission says."""
        verbs = [verb for verb in self.verbs if verb not in _READING]
        for group in self.api_groups if verbs else ():
            for resource in self.resources:
                whole = resource.partition("/")[0]
                reason = _LEADS_FURTHER.get((group, whole), _LEADS_FURTHER.get((group, "*"), ""))
                if not reason and group not in _OF_KUBERNETES and not group.endswith(".k8s.io"):
                    reason = "has an operator do what is not known here"
                if reason:
                    name = f"{resource}.{group}" if group else resource
                    yield f"{', '.join(verbs)} {name}, which {reason}"
