from typing import Any

import pytest

from report.analysis.risks import changes
from report.inputs.events import read
from report.redact import Scrubber
from tests.support.configured import SETTINGS
from tests.support.previews import pre_event, stack_file
from tests.support.risks import (
    NAMESPACE,
    NAMESPACE_KIND,
    URN,
    changes_of,
    changes_of_jobs,
    container,
    context,
    item,
    lines,
    pod,
    runner,
)


def _mounts(*volumes: dict[str, Any]) -> dict[str, Any]:
    return pod(volumes=list(volumes))


C = "container c of Pod ns/x"
LEVEL = {"pod-security.kubernetes.io/enforce": "restricted"}
PAIRS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (context(), context(privileged=True), f"{C} is privileged", "no longer privileged"),
    (
        context(),
        context(capabilities={"add": ["SYS_ADMIN"]}),
        f"{C} has the capability SYS_ADMIN",
        f"{C} loses the capability SYS_ADMIN",
    ),
    (
        context(capabilities={"drop": ["ALL"]}),
        context(),
        f"{C} keeps the default capabilities",
        f"{C} drops the default capabilities",
    ),
    (
        context(runAsUser=1000),
        context(runAsUser=0),
        f"{C} may run as uid 0",
        "does not run as uid 0",
    ),
    (context(runAsNonRoot=True), context(), f"{C} may run as uid 0", "does not run as uid 0"),
    (
        context(seccompProfile={"type": "RuntimeDefault"}),
        context(),
        f"{C} has no seccomp profile",
        f"{C} has a seccomp profile",
    ),
    (
        context(),
        context(appArmorProfile={"type": "Unconfined"}),
        f"{C} runs with AppArmor Unconfined",
        f"{C} no longer runs with AppArmor Unconfined",
    ),
    (
        context(allowPrivilegeEscalation=False),
        context(),
        f"{C} may gain privileges",
        f"{C} cannot gain privileges",
    ),
    (pod(), pod(hostPID=True), "Pod ns/x has hostPID", "Pod ns/x no longer has hostPID"),
    (pod(hostUsers=False), pod(), "the user namespace of the node", "in its own user namespace"),
    (
        _mounts(),
        _mounts({"name": "v", "hostPath": {"path": "/etc"}}),
        "Pod ns/x mounts /etc from the node",
        "Pod ns/x no longer mounts /etc from the node",
    ),
    (
        _mounts(),
        _mounts({"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}),
        "Pod ns/x can read the Secret s",
        "Pod ns/x can no longer read the Secret s",
    ),
    (
        item("ServiceAccount", automountServiceAccountToken=False),
        item("ServiceAccount"),
        "ServiceAccount ns/x mounts the token of its account",
        "ServiceAccount ns/x no longer mounts the token of its account",
    ),
    (
        item("Role", rules=[]),
        item("Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]),
        "Role ns/x may get pods",
        "Role ns/x may no longer get pods",
    ),
    (
        item("ClusterRole"),
        item("ClusterRole", rules=[{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]),
        "ClusterRole ns/x may get /metrics",
        "ClusterRole ns/x may no longer get /metrics",
    ),
    (
        item("NetworkPolicy", spec={"egress": []}),
        item("NetworkPolicy", spec={"egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]}),
        "NetworkPolicy ns/x allows egress to addresses 192.0.2.0/24",
        "NetworkPolicy ns/x no longer allows egress",
    ),
    (
        pod(containers=[{"name": "c", "image": "host:5000/a:1"}]),
        pod(containers=[{"name": "c", "image": "host:5000/a"}]),
        f"{C} runs host:5000/a, which is not pinned",
        f"{C} no longer runs host:5000/a, which is not pinned",
    ),
    (
        {**NAMESPACE, "metadata": {"name": "x", "labels": {}}},
        {**NAMESPACE, "metadata": {"name": "x"}},
        "",
        "",
    ),
]


@pytest.mark.parametrize(("safe", "risky", "raised", "lowered"), PAIRS)
def test_a_change_raises_a_risk_and_its_reverse_lowers_it(
    safe: dict[str, Any], risky: dict[str, Any], raised: str, lowered: str
) -> None:
    there, back = lines(changes_of(safe, risky)), lines(changes_of(risky, safe))

    assert len(there) == len(back) == bool(raised)
    assert all(line.startswith("raised: ") and raised in line for line in there)
    assert all(line.startswith("lowered: ") and lowered in line for line in back)


def test_an_image_that_loses_its_digest_is_listed_as_info() -> None:
    digest = f"a:1@sha256:{'0' * 64}"
    (delta,) = changes_of(
        pod(containers=[{"name": "c", "image": digest}]),
        pod(containers=[{"name": "c", "image": "a:1"}]),
    )

    assert delta.what == f"{C} runs a by its tag"
    assert not delta.weighs


def test_a_deleted_policy_raises_and_a_new_one_lowers() -> None:
    policy = item("NetworkPolicy", spec={"ingress": []})

    assert lines(changes_of(policy, None)) == [
        "raised: NetworkPolicy ns/x allows ingress from everywhere"
    ]
    assert lines(changes_of(None, policy)) == [
        "lowered: NetworkPolicy ns/x no longer allows ingress from everywhere"
    ]


def test_a_deleted_object_lowers_nothing() -> None:
    assert changes_of(context(privileged=True), None) == ()


def test_a_new_pod_counts_for_what_is_not_ordinary() -> None:
    new = "raised: Pod ns/x is new in namespace ns"

    assert lines(changes_of(None, context(privileged=True))) == [f"raised: {C} is privileged", new]
    assert lines(changes_of(None, context())) == [new]


@pytest.mark.parametrize("name", ["cluster-admin", "reader"])
def test_accounts_bound_to_a_role_that_reads_secrets_read_them(name: str) -> None:
    def bound(*subjects: dict[str, str]) -> dict[str, Any]:
        role = {"kind": "ClusterRole", "name": name}
        return {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "b"},
            "roleRef": role,
            "subjects": list(subjects),
        }

    reads = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
    role = {"kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": [reads]}
    group = {"kind": "Group", "name": "all"}
    plan = read(
        [
            pre_event("same", f"{URN}r::r", "kubernetes:x:ClusterRole", old=role, new=role),
            pre_event("update", f"{URN}b::b", "kubernetes:x:B", old=bound(), new=bound(group)),
        ],
        Scrubber(),
    )

    found = changes(plan, {}, stack_file(SETTINGS), SETTINGS)

    assert lines(found) == [
        f"raised: Group all has the permissions of ClusterRole {name} in all namespaces",
        "raised: Group all can read the Secrets of all namespaces",
    ]


def test_a_role_that_reads_no_secrets_makes_no_reader() -> None:
    binding = item("RoleBinding", roleRef={"kind": "Role", "name": "x"}, subjects=[])
    found = changes_of(binding, {**binding, "subjects": [{"kind": "User", "name": "a"}]})

    assert lines(found) == ["raised: User a has the permissions of Role ns/x"]


PEER: dict[str, dict[str, str]] = {"podSelector": {}}


def test_what_a_new_namespace_brings_along_is_not_told() -> None:
    """The Role, its binding and the policy of a new runner are as new as its namespace."""
    account = {"kind": "ServiceAccount", "name": "a", "namespace": "made"}
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    role = {"kind": "Role", "name": "r"}
    made = [
        {"kind": "Namespace", "metadata": {"name": "made", "labels": LEVEL}},
        item("ServiceAccount", name="a", namespace="made"),
        item("Role", name="r", namespace="made", rules=[rule]),
        item("RoleBinding", name="b", namespace="made", roleRef=role, subjects=[account]),
        item("NetworkPolicy", name="p", namespace="made", spec={"ingress": [{"from": [PEER]}]}),
    ]
    steps = [
        pre_event("create", f"{URN}x::{number}", "kubernetes:x:X", new=new)
        for number, new in enumerate(made)
    ]
    stranger = {"kind": "User", "name": "eve"}
    bound = {**made[3], "subjects": [stranger]}
    also = pre_event("create", f"{URN}x::also", "kubernetes:x:X", new=bound)

    quiet, loud = (
        changes(read(events, Scrubber()), {}, stack_file(SETTINGS), SETTINGS)
        for events in (steps, [*steps, also])
    )

    assert quiet == ()
    assert lines(loud) == ["raised: User eve has the permissions of Role made/r"]


def test_a_second_policy_allows_more_and_the_first_less() -> None:
    first = item("NetworkPolicy", name="first", spec={})
    second = item("NetworkPolicy", name="second", spec={"ingress": [{}]})
    namespace = pre_event("same", f"{URN}n::n", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE)
    kept = pre_event("same", f"{URN}p::first", "kubernetes:x:X", old=first, new=first)
    added = pre_event("create", f"{URN}p::second", "kubernetes:x:X", new=second)
    plan = read([namespace, kept, added], Scrubber())

    found = changes(plan, {}, stack_file(SETTINGS), SETTINGS)

    assert lines(found) == ["raised: NetworkPolicy ns/second allows ingress from everywhere"]


def test_pods_of_other_kinds_are_looked_into() -> None:
    inner = {"spec": context(privileged=True)["spec"]}
    job = {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": inner}}
    nightly = {
        "kind": "CronJob",
        "metadata": {"name": "n"},
        "spec": {"jobTemplate": {"spec": {"template": inner}}},
    }

    assert "raised: container c of Deployment d is privileged" in lines(changes_of(None, job))
    assert "raised: container c of CronJob n is privileged" in lines(changes_of(None, nightly))


@pytest.mark.parametrize(
    ("jobs", "raised"),
    [
        ({"privileged": True}, "the build container of runner main is privileged"),
        ({"cap_add": ["SYS_ADMIN"]}, "the build container of runner main has the capability"),
        (
            {"automount_service_account_token": True},
            "the job pod of runner main mounts the token of its account",
        ),
        (
            {"volumes": {"host_path": [{"name": "v", "host_path": "/etc"}]}},
            "the job pod of runner main mounts /etc from the node",
        ),
        (
            {"volumes": {"secret": [{"name": "s", "mount_path": "/s"}]}},
            "the job pod of runner main can read the Secret s",
        ),
        (
            {"image": "kaniko"},
            "the build container of runner main runs kaniko, which is not pinned",
        ),
        (
            {"image_pull_secrets": ["others"]},
            "the job pod of runner main pulls images with the Secret others",
        ),
    ],
)
def test_config_toml_counts_like_objects(jobs: dict[str, Any], raised: str) -> None:
    found = changes_of_jobs(runner(), runner(**jobs))

    assert any(raised in line for line in lines(found) if line.startswith("raised: "))
    assert {delta.key for delta in found} == {"runners.main.strategy"}


@pytest.mark.parametrize(
    ("safe", "risky", "raised"),
    [
        (
            context(seccompProfile={"type": "RuntimeDefault"}),
            context(seccompProfile={"type": "Localhost", "localhostProfile": "own.json"}),
            "is filtered by the seccomp profile own.json of the node",
        ),
        (context(readOnlyRootFilesystem=True), context(), "can write to its root file system"),
        (container(args=["--tls"]), container(), "runs another command"),
        (container(resources={"limits": {"memory": "1Gi"}}), container(), "has no memory limit"),
        (container(), container(args=["--insecure"]), "runs another command"),
        (container(), container(envFrom=[{"secretRef": {"name": "s"}}]), "can read the Secret s"),
        (
            container(),
            container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]),
            "can read the Secret s",
        ),
        (
            pod(),
            pod(volumes=[{"name": "v", "csi": {"nodePublishSecretRef": {"name": "s"}}}]),
            "can read the Secret s",
        ),
    ],
)
def test_a_small_risk_is_listed(safe: dict[str, Any], risky: dict[str, Any], raised: str) -> None:
    found = [line for line in lines(changes_of(safe, risky)) if line.startswith("raised: ")]

    assert any(raised in line for line in found) == bool(raised)


def test_a_containers_own_context_outranks_the_general_one() -> None:
    general: dict[str, Any] = {"allow_privilege_escalation": False}
    own = {"helper_container_security_context": {"allow_privilege_escalation": True}}
    found = changes_of_jobs(runner(**general), runner(**general, **own))

    assert lines(found) == [
        "raised: the helper of runner main may gain privileges through setuid programs"
    ]


def test_a_config_without_jobs_has_no_risks_of_jobs() -> None:
    empty = {"values": {"runners": {"config": "[[runners]]"}}}

    assert changes_of_jobs(empty, empty) == ()
