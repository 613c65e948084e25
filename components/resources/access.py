"""Who a runner's manager and its jobs are, and what the manager may do in the job namespace.

The verbs are those of the requests that the runner sends for the features in use
(gitlab-runner:executors/kubernetes/*.go). Its own list (``kubeAPI:`` there) has more: streams are
opened by POST only (exec.go, NewSPDYExecutor), which is ``create``, and a log is read by ``get``.
What web terminals need is left out: no session server is configured, and no image build has
ports. The jobs' account mounts no token by itself, and has the permissions in target namespaces
that the stack file lists: none, unless its jobs deploy.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict

_CORE = ""
_ALWAYS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (_CORE, "pods", ("create", "delete", "get", "list", "watch")),
    (_CORE, "pods/attach", ("create",)),
    (_CORE, "pods/exec", ("create",)),
    (_CORE, "pods/log", ("get",)),
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
    """Where the manager and the jobs run, which features the manager uses, and the jobs' rules.

    ``job_rules`` hold in the job namespace; ``permissions`` are by target namespace, and
    ``targets`` holds those namespaces.
    """

    manager_namespace: pulumi.Input[str]
    job_namespace: pulumi.Input[str]
    manager_account: str
    job_account: str
    pod_disruption_budget: bool
    job_rules: Sequence[PolicyRuleArgsDict]
    targets: Mapping[str, pulumi.Input[str]]
    permissions: Mapping[str, Sequence[PolicyRuleArgsDict]]


class Access(pulumi.ComponentResource):
    """Two accounts, the manager's Role in the job namespace, and the jobs' in target namespaces."""

    manager_account: pulumi.Output[str]
    """The manager's account, known once it may do its work."""

    def __init__(
        self,
        name: str,
        args: AccessArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
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
        binding = self._grant(
            f"{name}-manager",
            args["manager_account"],
            args["manager_namespace"],
            args["job_namespace"],
            rules(pod_disruption_budget=args["pod_disruption_budget"]),
        )
        if args["job_rules"]:
            self._grant(
                f"{name}-job",
                args["job_account"],
                args["job_namespace"],
                args["job_namespace"],
                args["job_rules"],
            )
        for target, granted in args["permissions"].items():
            self._grant(
                f"{name}.{target}",  # neither name has a dot, so no two pairs share this one
                args["job_account"],
                args["job_namespace"],
                args["targets"][target],
                granted,
            )
        self.manager_account = binding.id.apply(lambda _: args["manager_account"])
        self.register_outputs({"manager_account": self.manager_account})

    def _grant(
        self,
        name: str,
        account: str,
        home: pulumi.Input[str],
        namespace: pulumi.Input[str],
        granted: Sequence[PolicyRuleArgsDict],
    ) -> k8s.rbac.v1.RoleBinding:
        """Let ``account``, which is in ``home``, do what is ``granted`` in ``namespace``."""
        role = k8s.rbac.v1.Role(
            name,
            metadata={"name": account, "namespace": namespace},
            rules=granted,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return k8s.rbac.v1.RoleBinding(
            name,
            metadata={"name": account, "namespace": namespace},
            role_ref={
                "api_group": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": account,
            },
            subjects=[{"kind": "ServiceAccount", "name": account, "namespace": home}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),
        )
