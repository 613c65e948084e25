"""The SCC that each plan is advised on OpenShift, against the rules that OpenShift publishes.

They are those of openshift/cluster-kube-apiserver-operator:bindata/bootkube/scc-manifests, read on
2026-11-27. The pods are those that GitLab Runner makes of config.toml.
"""

import dataclasses
import re
import tomllib
from typing import Any

import pytest

from components.gitlab_runner.config_toml import render
from components.plan import BuildPlan, RunnerNames
from components.platforms import account_setup, refusals
from components.resources.daemon_pod import pod_spec
from components.settings.runners.runner import RunnerSettings
from components.site import Cluster, Nodes, Site
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from tests.executor.pod import Request, job_pod
from tests.support.configured import FORMS
from tests.support.runners import SETTINGS

ROOT, ANY = (0, 65534), (0, 2**31)
NAMESPACE = (1000650000, 1000659999)
"""Ids as OpenShift gives each namespace its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scc:
    """The rules of an SCC; ``seccomp`` empty means that a pod may not ask for a profile."""

    users: tuple[int, int]
    groups: tuple[int, int]
    seccomp: tuple[str, ...]
    escalation: bool = True
    privileged: bool = False
    host_paths: bool = False
    capabilities: tuple[str, ...] = ()
    drops_all: bool = False
    user_namespace: bool = False


RESTRICTED: dict[str, Any] = {
    "escalation": False,
    "drops_all": True,
    "capabilities": ("NET_BIND_SERVICE",),
    "seccomp": ("runtime/default",),
}
SCCS = {
    "restricted-v3": Scc(
        **RESTRICTED, users=(1000, 65534), groups=(1000, 65534), user_namespace=True
    ),
    "restricted-v2": Scc(**RESTRICTED, users=NAMESPACE, groups=NAMESPACE),
    "nonroot-v2": Scc(**RESTRICTED, users=(1, 2**31), groups=ANY),
    "nested-container": Scc(
        users=ROOT,
        groups=ROOT,
        seccomp=("*",),
        capabilities=("SETUID", "SETGID"),
        user_namespace=True,
    ),
    "anyuid": Scc(users=ANY, groups=ANY, seccomp=()),
    "hostmount-anyuid": Scc(users=ANY, groups=ANY, seccomp=(), host_paths=True),
    "privileged": Scc(
        users=ANY, groups=ANY, seccomp=("*",), capabilities=("*",), privileged=True, host_paths=True
    ),
}
"""From the narrowest to the widest."""
PROFILES = {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}
NAMES: RunnerNames = {
    "runner": "main",
    "job_namespace": "jobs",
    "manager_account": "manager",
    "job_account": "job",
    "pull_secret": "pull",
    "push_secret": "push",
    "daemon_secret": "daemon",
    "files": "files",
}
CLUSTER = Cluster(
    kind="onPrem", platform="openShift", nodes=Nodes(trusted=True, user_namespaces=True)
)


def _admits(scc: Scc, spec: dict[str, Any]) -> bool:
    pod: dict[str, Any] = spec.get("securityContext") or {}
    host_paths = any("hostPath" in volume for volume in spec.get("volumes", []))
    return (
        (not scc.user_namespace or spec.get("hostUsers") is False)
        and (not host_paths or scc.host_paths)
        and scc.groups[0] <= pod.get("fsGroup", scc.groups[0]) <= scc.groups[1]
        and all(
            _admits_container(scc, pod, container.get("securityContext", {}))
            for container in (*spec.get("initContainers", []), *spec["containers"])
        )
    )


def _admits_container(scc: Scc, pod: dict[str, Any], context: dict[str, Any]) -> bool:
    # An image's own user may be root.
    user = context.get("runAsUser", pod.get("runAsUser", 0))
    profile = context.get("seccompProfile") or pod.get("seccompProfile")
    added: set[str] = set(context.get("capabilities", {}).get("add", []))
    dropped: list[str] = context.get("capabilities", {}).get("drop", [])
    return (
        scc.users[0] <= user <= scc.users[1]
        and (scc.privileged or not context.get("privileged"))
        and (scc.escalation or context.get("allowPrivilegeEscalation") is False)
        and ("*" in scc.capabilities or added <= set(scc.capabilities))
        and (not scc.drops_all or "ALL" in dropped)
        and (profile is None or bool({"*", _spelled(profile)} & set(scc.seccomp)))
    )


def _spelled(profile: dict[str, str]) -> str:
    return PROFILES.get(profile["type"]) or f"localhost/{profile['localhostProfile']}"


def _spec(plan: BuildPlan, **runner: object) -> dict[str, Any]:
    settings = RunnerSettings.model_validate({"tags": ["x"], **runner})
    names: RunnerNames = {**NAMES, "files": "files" if plan.files else None}
    text = render(plan, settings, names, {}, SETTINGS)
    (table,) = tomllib.loads(text)["runners"]
    return job_pod(table, Request(), "credentials")["spec"]


def _advised(line: str) -> tuple[str, Scc]:
    """Return what a line advises: an SCC of OpenShift's own, or one with more than its rules."""
    if named := re.search(r"must have the SCC ([\w-]+)$", line):
        return named[1], SCCS[named[1]]
    found = re.search(r"must have a custom SCC, with the rules of ([\w-]+) and (.*), since", line)
    assert found, line
    more: dict[str, Any] = {}
    for text in found[2].split(" and "):
        key, _, value = text.partition(": ")
        items = tuple(value.strip("[]").split(", "))
        more |= {
            "allowedCapabilities": {"capabilities": items},
            "seccompProfiles": {"seccomp": items},
            "allowPrivilegedContainer": {"privileged": value == "true"},
        }[key]
    return "custom", dataclasses.replace(SCCS[found[1]], **more)


def _check(line: str, spec: dict[str, Any]) -> str:
    """Assert that the SCC admits the pod, and that no narrower one of OpenShift's own does."""
    name, scc = _advised(line)
    admitting = [known for known, rules in SCCS.items() if _admits(rules, spec)]

    assert _admits(scc, spec), line
    assert admitting[0] == ("privileged" if name == "custom" else name)
    return name


ADVICE = {
    "kaniko": "anyuid",
    "kaniko-user-namespace": "nested-container",
    "buildkit-service": "nonroot-v2",
    "buildkit-service-buildx": "nonroot-v2",
    "buildkit-service-profiles": "nonroot-v2",
    "buildkit": "custom",
    "buildkit-profiles": "custom",
    "buildkit-rootful": "custom",
    "buildkit-privileged": "privileged",
    "buildah": "anyuid",
    "buildah-profiles": "custom",
    "buildah-root": "custom",
    "buildah-user-namespace": "custom",
    "buildah-privileged": "privileged",
    "buildx": "anyuid",
    "dind": "privileged",
    "dind-tls": "privileged",
    "dind-rootless": "privileged",
    "dood": "hostmount-anyuid",
    "deploy": "nonroot-v2",
}


@pytest.mark.parametrize("form", FORMS)
def test_the_advised_scc_is_the_narrowest_that_admits_the_job(form: str) -> None:
    plan = FORMS[form].plan(Site(cluster=CLUSTER))

    line, *_ = account_setup(plan, CLUSTER)

    assert line.startswith("the job account must have ")
    assert _check(line, _spec(plan)) == ADVICE[form]


def test_a_seccomp_profile_of_the_runner_counts() -> None:
    """The SCC anyuid lets no pod ask for a profile."""
    plan = Kaniko().plan(Site(cluster=CLUSTER))

    line, *_ = account_setup(plan, CLUSTER, "RuntimeDefault")

    assert "the rules of anyuid and seccompProfiles: [runtime/default]" in line
    assert _check(line, _spec(plan, seccompProfile="RuntimeDefault")) == "custom"


@pytest.mark.parametrize(
    ("capabilities", "needed"), [((), None), (("SETUID",), None), (("SETFCAP",), "SETFCAP")]
)
def test_a_user_namespace_admits_what_needs_no_privilege(
    capabilities: tuple[str, ...], needed: str | None
) -> None:
    plan = FORMS["buildkit"].plan(Site(cluster=CLUSTER))
    build = dataclasses.replace(plan.build, capabilities=capabilities)
    plan = dataclasses.replace(plan, host_users=False, build=build)

    line, *_ = account_setup(plan, CLUSTER)

    assert _check(line, _spec(plan)) == ("custom" if needed else "nested-container")
    assert ("allowedCapabilities: [SETFCAP]" in line) == bool(needed)


def test_a_restricted_job_in_a_user_namespace_needs_the_least() -> None:
    plan = dataclasses.replace(FORMS["deploy"].plan(Site(cluster=CLUSTER)), host_users=False)

    line, *_ = account_setup(plan, CLUSTER)

    assert _check(line, _spec(plan)) == "restricted-v3"


def test_the_daemon_and_the_pods_of_jobs_have_accounts_too() -> None:
    service = FORMS["buildkit-service"].plan(Site(cluster=CLUSTER))
    assert service.daemon
    spec: Any = pod_spec(service.daemon, "certificates", {}, {})
    camel = {"runAsUser": "run_as_user", "privileged": "privileged"}
    context = spec["containers"][0]["security_context"]
    pod = {key: context[name] for key, name in camel.items()}
    pod["seccompProfile"] = context["seccomp_profile"]

    *_, daemon = account_setup(service, CLUSTER)
    *_, made = account_setup(FORMS["buildx"].plan(Site(cluster=CLUSTER)), CLUSTER)

    for line in (daemon, made):
        assert _check(line, {"containers": [{"securityContext": pod}]}) == "custom"
    assert daemon.startswith("the account of buildkitd must have")
    assert made.startswith("the account default of the job namespace must have")


def test_the_manager_has_a_user_that_its_namespace_does_not_own() -> None:
    manager = {
        "runAsUser": 100,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    pod = {"fsGroup": 65533, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"securityContext": pod, "containers": [{"securityContext": manager}]}

    _, line = account_setup(Kaniko().plan(Site(cluster=CLUSTER)), CLUSTER)

    assert line.startswith("the manager account")
    assert _check(line, spec) == "nonroot-v2"


def test_other_platforms_have_no_sccs() -> None:
    assert account_setup(Kaniko().plan(Site(cluster=CLUSTER)), Cluster(kind="managed")) == ()


@pytest.mark.parametrize("form", [name for name in FORMS if name.endswith("-profiles")])
def test_nodes_without_app_armor_have_no_profiles_for_it(form: str) -> None:
    plan = FORMS[form].plan(Site(cluster=CLUSTER))

    assert any("remove nodeProfiles" in line for line in refusals(plan, CLUSTER, "use kaniko"))


def test_dood_stays_refused_since_cri_o_has_no_engine() -> None:
    dood = Dood(accept_node_root=True)
    site = Site(cluster=CLUSTER)

    assert any("CRI-O has none" in line for line in dood.refusals(dood.plan(site), site))
