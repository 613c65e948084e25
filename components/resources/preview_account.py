"""Who previews the stack in a merge request: an account that sees what is deployed, no Secret.

A preview asks the API server for what it would change, and for a dry run of the change, which is a
``patch``; where it is refused, the provider compares with the state by itself
(pulumi-kubernetes: provider/pkg/provider/provider.go). So ``get`` is all that is granted, and only
in the stack's own namespaces: a Role there covers the namespace itself too. Secrets are left out,
since a merge request runs its own program with this account. A refresh reads Secrets and is not
for it.
"""

from collections.abc import Mapping
from typing import TypedDict

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict

from components.resources.access import Place, grant

_READ = (
    ("", ("configmaps", "namespaces", "serviceaccounts", "services")),
    ("apps", ("deployments",)),
    ("networking.k8s.io", ("networkpolicies",)),
    ("policy", ("poddisruptionbudgets",)),
    ("rbac.authorization.k8s.io", ("rolebindings", "roles")),
)


def rules() -> list[PolicyRuleArgsDict]:
    """Return the Role's rules: to get each kind that a stack deploys, but Secrets."""
    return [
        {"api_groups": [group], "resources": list(resources), "verbs": ["get"]}
        for group, resources in _READ
    ]


class ReviewerArgs(TypedDict):
    """What the account is called, where it is, and the stack's namespaces by the user's names."""

    account: str
    home: pulumi.Input[str]
    namespaces: Mapping[str, pulumi.Input[str]]


class Reviewer(pulumi.ComponentResource):
    """An account with a Role in each of the stack's namespaces.

    The key of the stack file is ``previewAccount``. The class keeps its earlier name, which is in
    URNs: another would replace the account, and its tokens would end.
    """

    def __init__(
        self, name: str, args: ReviewerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("image-builds:index:Reviewer", name, None, opts)
        k8s.core.v1.ServiceAccount(
            name,
            metadata={"name": args["account"], "namespace": args["home"]},
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        for place, namespace in args["namespaces"].items():
            account = (args["account"], args["home"])
            grant(f"{name}.{place}", account, Place(namespace), rules(), self)
        self.register_outputs({})
