"""What OpenShift's owner must grant: the narrowest security context constraint that admits a pod.

The rules of these SCCs are those that OpenShift installs, nested-container from 4.20 on
(openshift/cluster-kube-apiserver-operator:bindata/bootkube/scc-manifests). Where none of them but
``privileged`` admits a pod that is not privileged on the node, a custom one is narrower.
"""

from collections.abc import Iterator, Mapping, Sequence

from components.plan import BuildPlan, Security


def account_setup(plan: BuildPlan, seccomp: str | None) -> Iterator[str]:
    """Yield a line for each account that needs an SCC; ``seccomp`` is the runner's own profile."""
    yield f"the job account must have {_of_jobs(plan, seccomp)}"
    yield "the manager account must have the SCC nonroot-v2"
    if plan.account_rules:
        pods = Security(user=1000, seccomp={"type": "Unconfined"})
        yield f"the account default of the job namespace must have {_of(pods)}"
    if plan.daemon and not plan.daemon_of:
        yield f"the account of {plan.daemon.name} must have {_of(plan.daemon.security)}"


def _of_jobs(plan: BuildPlan, seccomp: str | None) -> str:
    if plan.restricted:
        return f"the SCC {'nonroot-v2' if plan.host_users else 'restricted-v3'}"
    if plan.privileged and plan.host_users:
        return "the SCC privileged"
    if plan.privileged:
        return _custom("nested-container", ["allowPrivilegedContainer: true"])
    profile = plan.build.seccomp or ({"type": seccomp} if seccomp else {})
    security = Security(capabilities=plan.build.capabilities, seccomp=profile)
    return _of(security, host_users=plan.host_users, host_paths=bool(plan.host_paths))


def _of(security: Security, *, host_users: bool = True, host_paths: bool = False) -> str:
    """Return the SCC of a pod that runs as any user and may escalate, but is not privileged."""
    base = "hostmount-anyuid" if host_paths else "anyuid"
    capabilities: Sequence[str] = security.capabilities
    if not host_users:
        # It takes any seccomp profile, and these two capabilities.
        base = "nested-container"
        capabilities = [name for name in capabilities if name not in {"SETUID", "SETGID"}]
    needed: list[str] = []
    if capabilities:
        needed.append(f"allowedCapabilities: [{', '.join(capabilities)}]")
    if security.seccomp and host_users:
        needed.append(f"seccompProfiles: [{_spelled(security.seccomp)}]")
    return _custom(base, needed) if needed else f"the SCC {base}"


def _custom(base: str, needed: Sequence[str]) -> str:
    return (
        f"a custom SCC, with the rules of {base} and {' and '.join(needed)}, since OpenShift's own "
        "that admits its pod, privileged, lets it be root on the node"
    )


def _spelled(profile: Mapping[str, str]) -> str:
    """Spell a seccomp profile as an SCC does."""
    names = {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}
    return names.get(profile["type"]) or f"localhost/{profile['localhostProfile']}"
