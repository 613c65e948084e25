"""Who a runner's manager and its jobs are, and what the manager may do in the job namespace.

The verbs are those of the requests that the runner sends for the features in use
(gitlab-runner:executors/kubernetes/*.go). Its own list (``kubeAPI:`` there) has more: streams are
opened by POST only (exec.go, NewSPDYExecutor), which is ``create``, and a log is read by ``get``.
What web terminals need is left out: no session server is configured, and no image build has
ports. The jobs' account mounts no token by itself, and has the permissions in target namespaces
that the stack file lists: none, unless its jobs deploy.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypedDict, cast

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict

from components.plan import AccountRule, BuildPlan, PodSecurity
from components.workloads import LEVEL

_CORE = ""
_ALWAYS = (
    AccountRule(_CORE, "pods", ("create", "delete", "get", "list", "watch")),
    AccountRule(_CORE, "pods/attach", ("create",)),
    AccountRule(_CORE, "pods/exec", ("create",)),
    AccountRule(_CORE, "pods/log", ("get",)),
    AccountRule(_CORE, "secrets", ("create", "delete", "get", "update")),
    AccountRule(_CORE, "events", ("list",)),
)
_DISRUPTION_BUDGETS = (AccountRule("policy", "poddisruptionbudgets", ("create", "get")),)


def rules(*, pod_disruption_budget: bool) -> list[PolicyRuleArgsDict]:
    """Return the Role's rules, one for each resource, never with a wildcard."""
    return _policy_rules((*_ALWAYS, *(_DISRUPTION_BUDGETS if pod_disruption_budget else ())))


def _policy_rules(granted: Iterable[AccountRule]) -> list[PolicyRuleArgsDict]:
    return [
        {"api_groups": [group], "resources": [resource], "verbs": list(verbs)}
        for group, resource, verbs in granted
    ]


class AccessArgs(TypedDict):
    """Where the manager and the jobs run, which features the manager uses, and the jobs' plan.

    ``targets`` holds the target namespaces by the names that the plan has for them, and ``levels``
    the Pod Security level of each that the stack creates. The annotations are of the accounts.
    """

    manager_namespace: pulumi.Input[str]
    job_namespace: pulumi.Input[str]
    manager_account: str
    job_account: str
    manager_annotations: Mapping[str, str]
    job_annotations: Mapping[str, str]
    pod_disruption_budget: bool
    plan: BuildPlan
    targets: Mapping[str, pulumi.Input[str]]
    levels: Mapping[str, PodSecurity]


class Access(pulumi.ComponentResource):
    """Two accounts, the manager's Role in the job namespace, and the jobs' in target namespaces."""

    def __init__(
        self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("image-builds:index:Access", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        plan, namespace = args["plan"], args["job_namespace"]
        manager = (args["manager_account"], args["manager_namespace"])
        job = (args["job_account"], namespace)
        k8s.core.v1.ServiceAccount(
            f"{name}-manager",
            metadata={
                "name": args["manager_account"],
                "namespace": args["manager_namespace"],
                **_annotated(args["manager_annotations"]),
            },
            opts=child,
        )
        k8s.core.v1.ServiceAccount(
            f"{name}-job",
            metadata={
                "name": args["job_account"],
                "namespace": namespace,
                **_annotated(args["job_annotations"]),
            },
            automount_service_account_token=False,
            opts=child,
        )
        needed = rules(pod_disruption_budget=args["pod_disruption_budget"])
        grant(f"{name}-manager", manager, Place(namespace), needed, self)
        if plan.account_rules:
            grant(f"{name}-job", job, Place(namespace), _policy_rules(plan.account_rules), self)
        for target, permissions in plan.permissions.items():
            # A permission's keys are those of a Role's rule.
            listed = cast("list[PolicyRuleArgsDict]", [item.model_dump() for item in permissions])
            place = Place(args["targets"][target], args["levels"].get(target))
            # Neither name has a dot, so no two pairs share this one.
            grant(f"{name}.{target}", job, place, listed, self)
        self.register_outputs({})


def _annotated(annotations: Mapping[str, str]) -> ObjectMetaArgsDict:
    return {"annotations": annotations} if annotations else {}


class Place(NamedTuple):
    """A namespace, and the Pod Security level that is known to hold there, for rules to read."""

    namespace: pulumi.Input[str]
    level: PodSecurity | None = None


def grant(
    name: str,
    account: tuple[str, pulumi.Input[str]],
    place: Place,
    granted: Sequence[PolicyRuleArgsDict],
    parent: pulumi.Resource,
) -> None:
    """Let ``account``, by name and namespace, do what is ``granted`` in a ``place``."""
    account_name, home = account
    role_metadata: ObjectMetaArgsDict = {"name": account_name, "namespace": place.namespace}
    if place.level:
        role_metadata["annotations"] = {LEVEL: place.level}
    role = k8s.rbac.v1.Role(
        name, metadata=role_metadata, rules=granted, opts=pulumi.ResourceOptions(parent=parent)
    )
    k8s.rbac.v1.RoleBinding(
        name,
        metadata={"name": account_name, "namespace": place.namespace},
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": account_name},
        subjects=[{"kind": "ServiceAccount", "name": account_name, "namespace": home}],
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[role]),
    )
