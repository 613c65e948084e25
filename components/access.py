"""Who a runner's manager and its jobs are, and what the manager may do in the job namespace.

The verbs are those that the features in use need, from the runner's own annotations
(gitlab-runner:executors/kubernetes/*.go, ``kubeAPI:``). Services for web terminals are left out:
no image build has ports. Jobs get an account without a token and without any rights.
"""

from typing import TypedDict

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict

_CORE = ""
_ALWAYS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (_CORE, "pods", ("create", "delete", "get", "list", "watch")),
    (_CORE, "pods/attach", ("create", "delete", "get", "patch")),
    (_CORE, "pods/exec", ("create", "delete", "get", "patch")),
    (_CORE, "pods/log", ("get", "list")),
    (_CORE, "secrets", ("create", "delete", "get", "update")),
    (_CORE, "events", ("list",)),
)
_DISRUPTION_BUDGETS = (("policy", "poddisruptionbudgets", ("create", "get")),)


def rules(*, pod_disruption_budget: bool) -> list[PolicyRuleArgsDict]:
    """Return the Role's rules, one for each resource, never with a wildcard."""
    needed = (*_ALWAYS, *(_DISRUPTION_BUDGETS if pod_disruption_budget else ()))
    return [
        {"api_groups": [group], "resources": [resource], "verbs": list(verbs)}
        for group, resource, verbs in needed
    ]


class AccessArgs(TypedDict):
    """Where the manager and the jobs run, and which features the manager uses."""

    manager_namespace: pulumi.Input[str]
    job_namespace: pulumi.Input[str]
    manager_account: str
    job_account: str
    pod_disruption_budget: bool


class Access(pulumi.ComponentResource):
    """Two accounts, and the manager's Role in the job namespace."""

    manager_account: pulumi.Output[str]
    """The manager's account, known once it may do its work."""

    def __init__(
        self,
        name: str,
        args: AccessArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the accounts, the Role and its binding."""
        super().__init__("image-builds:index:Access", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        k8s.core.v1.ServiceAccount(
            f"{name}-manager",
            metadata={"name": args["manager_account"], "namespace": args["manager_namespace"]},
            opts=child,
        )
        k8s.core.v1.ServiceAccount(
            f"{name}-job",
            metadata={"name": args["job_account"], "namespace": args["job_namespace"]},
            automount_service_account_token=False,
            opts=child,
        )
        role = k8s.rbac.v1.Role(
            f"{name}-manager",
            metadata={"name": args["manager_account"], "namespace": args["job_namespace"]},
            rules=rules(pod_disruption_budget=args["pod_disruption_budget"]),
            opts=child,
        )
        binding = k8s.rbac.v1.RoleBinding(
            f"{name}-manager",
            metadata={"name": args["manager_account"], "namespace": args["job_namespace"]},
            role_ref={
                "api_group": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": args["manager_account"],
            },
            subjects=[
                {
                    "kind": "ServiceAccount",
                    "name": args["manager_account"],
                    "namespace": args["manager_namespace"],
                },
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),
        )
        self.manager_account = binding.id.apply(lambda _: args["manager_account"])
        self.register_outputs({"manager_account": self.manager_account})
