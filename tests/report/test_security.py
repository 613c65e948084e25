import json
from typing import Any

import pytest
import tomlkit

from report.analysis.risks import changes
from report.inputs.events import read
from report.model import RiskChange
from report.redact import Scrubber
from tests.support.configured import SETTINGS
from tests.support.previews import pre_event, stack_file

URN = "urn:pulumi:test::image-builds::"
NAMESPACE: dict[str, Any] = {"kind": "Namespace", "metadata": {"name": "ns", "labels": {}}}
NAMESPACE_KIND = "kubernetes:core/v1:Namespace"


def _changes(old: dict[str, Any] | None, new: dict[str, Any] | None) -> tuple[RiskChange, ...]:
    """What changes when one object does, in a namespace that stays."""
    operation = "create" if old is None else "delete" if new is None else "update"
    plan = read(
        [
            pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE),
            pre_event(operation, f"{URN}x::x", "kubernetes:x:X", old=old, new=new),
        ],
        Scrubber(),
    )
    return changes(plan, {}, stack_file(SETTINGS), SETTINGS)


def _said(found: tuple[RiskChange, ...]) -> list[str]:
    return [f"{delta.direction}: {delta.what}" for delta in found]


def _object(kind: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"kind": kind, "metadata": {"name": "x", "namespace": "ns"}, **fields}


def _pod(**spec: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return _object("Pod", spec=spec)


def _context(**context: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return _pod(containers=[{"name": "c", "image": "a:1", "securityContext": context}])


def _mounts(*volumes: dict[str, Any]) -> dict[str, Any]:
    return _pod(volumes=list(volumes))


C = "container c of Pod ns/x"
PAIRS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (_context(), _context(privileged=True), f"{C} is privileged", "no longer privileged"),
    (
        _context(),
        _context(capabilities={"add": ["SYS_ADMIN"]}),
        f"{C} has the capability SYS_ADMIN",
        f"{C} loses the capability SYS_ADMIN",
    ),
    (
        _context(capabilities={"drop": ["ALL"]}),
        _context(),
        f"{C} keeps the default capabilities",
        f"{C} drops the default capabilities",
    ),
    (
        _context(runAsUser=1000),
        _context(runAsUser=0),
        f"{C} may run as uid 0",
        "does not run as uid 0",
    ),
    (_context(runAsNonRoot=True), _context(), f"{C} may run as uid 0", "does not run as uid 0"),
    (
        _context(seccompProfile={"type": "RuntimeDefault"}),
        _context(),
        f"{C} has no seccomp profile",
        f"{C} has a seccomp profile",
    ),
    (
        _context(),
        _context(appArmorProfile={"type": "Unconfined"}),
        f"{C} runs with AppArmor Unconfined",
        f"{C} no longer runs with AppArmor Unconfined",
    ),
    (
        _context(allowPrivilegeEscalation=False),
        _context(),
        f"{C} may gain privileges",
        f"{C} cannot gain privileges",
    ),
    (_pod(), _pod(hostPID=True), "Pod ns/x has hostPID", "Pod ns/x no longer has hostPID"),
    (_pod(hostUsers=False), _pod(), "the user namespace of the node", "in its own user namespace"),
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
        _object("ServiceAccount", automountServiceAccountToken=False),
        _object("ServiceAccount"),
        "ServiceAccount ns/x mounts the token of its account",
        "ServiceAccount ns/x no longer mounts the token of its account",
    ),
    (
        _object("Role", rules=[]),
        _object("Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]),
        "Role ns/x may get pods",
        "Role ns/x may no longer get pods",
    ),
    (
        _object("ClusterRole"),
        _object("ClusterRole", rules=[{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]),
        "ClusterRole ns/x may get /metrics",
        "ClusterRole ns/x may no longer get /metrics",
    ),
    (
        _object("NetworkPolicy", spec={"egress": []}),
        _object("NetworkPolicy", spec={"egress": [{"to": [{"ipBlock": {"cidr": "::/0"}}]}]}),
        'NetworkPolicy ns/x allows egress to {"ipBlock": {"cidr": "::/0"}}',
        "NetworkPolicy ns/x no longer allows egress",
    ),
    (
        _pod(containers=[{"name": "c", "image": "host:5000/a:1"}]),
        _pod(containers=[{"name": "c", "image": "host:5000/a"}]),
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
    there, back = _said(_changes(safe, risky)), _said(_changes(risky, safe))

    assert len(there) == len(back) == bool(raised)
    assert all(line.startswith("raised: ") and raised in line for line in there)
    assert all(line.startswith("lowered: ") and lowered in line for line in back)


def test_an_image_that_loses_its_digest_is_listed_as_info() -> None:
    digest = f"a:1@sha256:{'0' * 64}"
    (delta,) = _changes(
        _pod(containers=[{"name": "c", "image": digest}]),
        _pod(containers=[{"name": "c", "image": "a:1"}]),
    )

    assert delta.what == f"{C} runs a by its tag"
    assert not delta.weighs


def test_a_deleted_policy_raises_and_a_new_one_lowers() -> None:
    policy = _object("NetworkPolicy", spec={"ingress": []})

    assert _said(_changes(policy, None)) == ["raised: NetworkPolicy ns/x allows everything"]
    assert _said(_changes(None, policy)) == [
        "lowered: NetworkPolicy ns/x no longer allows everything"
    ]


def test_a_deleted_object_lowers_nothing() -> None:
    assert _changes(_context(privileged=True), None) == ()


def test_a_new_pod_counts_for_what_is_not_ordinary() -> None:
    assert _said(_changes(None, _context(privileged=True))) == [f"raised: {C} is privileged"]
    assert _changes(None, _context()) == ()


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

    assert _said(found) == ["raised: Group all can read the Secrets of all namespaces"]


def test_a_role_that_reads_no_secrets_makes_no_reader() -> None:
    binding = _object("RoleBinding", roleRef={"kind": "Role", "name": "x"}, subjects=[])

    assert _changes(binding, {**binding, "subjects": [{"kind": "User", "name": "a"}]}) == ()


def test_pods_of_other_kinds_are_looked_into() -> None:
    inner = {"spec": _context(privileged=True)["spec"]}
    job = {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": inner}}
    nightly = {
        "kind": "CronJob",
        "metadata": {"name": "n"},
        "spec": {"jobTemplate": {"spec": {"template": inner}}},
    }

    assert _said(_changes(None, job)) == ["raised: container c of Deployment d is privileged"]
    assert _said(_changes(None, nightly)) == ["raised: container c of CronJob n is privileged"]


UNCONFINED = {"name": "build", "securityContext": {"seccompProfile": {"type": "Unconfined"}}}


def _release(**jobs: Any) -> dict[str, Any]:  # noqa: ANN401 - TOML
    kubernetes = {"namespace": "ns", "automount_service_account_token": False, **jobs}
    text = tomlkit.dumps({"runners": [{"kubernetes": kubernetes}]})
    return {"name": "r", "values": {"runners": {"config": text}}}


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
            {"pod_spec": [{"patch": json.dumps({"containers": [UNCONFINED]})}]},
            "the build container of runner main runs with seccomp Unconfined",
        ),
        (
            {"image": "kaniko"},
            "the build container of runner main runs kaniko, which is not pinned",
        ),
    ],
)
def test_config_toml_counts_like_objects(jobs: dict[str, Any], raised: str) -> None:
    kind = "kubernetes:helm.sh/v3:Release"
    event = pre_event("update", f"{URN}{kind}::main", kind, old=_release(), new=_release(**jobs))
    plan = read([event], Scrubber())

    found = changes(plan, {}, stack_file(SETTINGS), SETTINGS)

    assert any(raised in line for line in _said(found) if line.startswith("raised: "))
    assert {delta.key for delta in found} == {"runners.main.strategy"}


def test_a_pod_patch_that_is_not_json_is_skipped() -> None:
    kind = "kubernetes:helm.sh/v3:Release"
    new = _release(pod_spec=[{"patch": "hostUsers: false"}])
    plan = read(
        [pre_event("update", f"{URN}{kind}::main", kind, old=_release(), new=new)], Scrubber()
    )

    assert changes(plan, {}, stack_file(SETTINGS), SETTINGS) == ()
