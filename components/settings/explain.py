"""Why a runner builds as it does: what each strategy would cost here, or what stops it."""

import dataclasses
from collections.abc import Sequence

from components.plan import BuildPlan
from components.settings.models import Plans, Settings
from components.site import Site
from components.strategies import Strategy, forms, resolve
from components.types import PROJECT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one strategy would cost a runner; ``reason`` is why it is chosen, or not."""

    strategy: str
    chosen: bool
    pod_security: str
    privilege: str
    reason: str


def explain(settings: Settings, plans: Plans) -> dict[str, Sequence[Verdict]]:
    """Return the verdicts on all strategies by runner, the chosen one first."""
    site = settings.site
    candidates: dict[str, tuple[Strategy, BuildPlan]] = {}
    for _, strategy in forms():
        candidates.setdefault(label(strategy), (strategy, strategy.plan(site)))
    verdicts: dict[str, Sequence[Verdict]] = {}
    for name, chosen in _chosen(settings, plans).items():
        others = [
            _verdict(strategy, plan, _why_not(strategy, plan, site), chosen=False)
            for name_of, (strategy, plan) in candidates.items()
            if plan.builds and plans[name].builds and name_of != chosen.strategy
        ]
        verdicts[name] = [chosen, *others]
    return verdicts


def choices(settings: Settings, plans: Plans) -> list[str]:
    """Return a line for each runner: which strategy it has, at what cost, and why."""
    return [
        f"runners.{name}: {verdict.strategy} at {verdict.pod_security}; {verdict.privilege}; "
        f"{verdict.reason}"
        for name, verdict in _chosen(settings, plans).items()
    ]


def way_out(settings: Settings, kind: str, namespace: str) -> str:
    """Say which key to change where others have an object of this kind and namespace already.

    A namespace itself has its own name as ``namespace``.
    """
    here = f"{PROJECT}:settings"
    target = settings.target_namespaces.get(namespace)
    path = f"{here}.targetNamespaces.{namespace}"
    if target and target.create:
        return f"remove {path}.create, if others keep that namespace"
    if target and kind == "Secret":
        return f"set {path}.adoptPullSecret to true, if its contents may be replaced"
    if target:
        return "give the runner that deploys there another name, which the object's name follows"
    for runner in settings.runners:
        if settings.job_namespace(runner) == namespace:
            return f"choose another {here}.runners.{runner}.jobNamespace"
    return f"choose another {here}.namespace"


def _chosen(settings: Settings, plans: Plans) -> dict[str, Verdict]:
    verdicts: dict[str, Verdict] = {}
    for name, runner in settings.runners.items():
        strategy, reason = resolve(runner.strategy, settings.site)
        verdict = _verdict(strategy, plans[name], reason, chosen=True)
        for target in settings.unknown_levels(plans[name]):
            risk = f"root on the nodes of {target}, unless it enforces baseline"
            verdict = dataclasses.replace(verdict, privilege=f"{verdict.privilege}; {risk}")
        verdicts[name] = verdict
    return verdicts


def _verdict(strategy: Strategy, plan: BuildPlan, reason: str, *, chosen: bool) -> Verdict:
    return Verdict(
        strategy=label(strategy),
        chosen=chosen,
        pod_security=plan.pod_security,
        privilege=privilege(plan),
        reason=reason,
    )


def label(strategy: Strategy) -> str:
    """Name a strategy with its variant, if it has variants."""
    variant = getattr(strategy, "variant", None)
    return f"{strategy.kind} ({variant})" if variant else strategy.kind


def _why_not(strategy: Strategy, plan: BuildPlan, site: Site) -> str:
    found = next(strategy.refusals(plan, site), "")
    return f"refused: {found}" if found else "possible, not asked for"


def privilege(plan: BuildPlan) -> str:  # noqa: PLR0911 - one for each kind of privilege
    """Say in a phrase what a job of the plan may do that an ordinary container may not."""
    if plan.host_paths:
        return f"root on the node, through {plan.host_paths[0].path}"
    if plan.privileged and not plan.build.privileged:
        return "a privileged service, commanded by the job"
    if plan.build.privileged and not plan.host_users:
        return "privileged within the pod's own user namespace"
    if plan.build.privileged:
        return "a privileged job container"
    if plan.daemon:
        daemon = plan.daemon
        return (
            f"none in jobs; {daemon.name} runs at {daemon.pod_security}, and builds in it can read "
            "each other's secrets"
        )
    if plan.account_rules:
        return "permission to create any pod in the job namespace"
    if plan.build.seccomp:
        profile = plan.build.seccomp["type"]
        return f"uid {plan.build.user}, seccomp and AppArmor {profile}"
    permissions = ", with permissions in target namespaces" if plan.account_token else ""
    return f"none: uid {plan.build.user or 0} in an ordinary container{permissions}"
