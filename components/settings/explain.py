"""Why a runner builds as it does: what each strategy would cost here, or what stops it."""

import dataclasses
from collections.abc import Sequence

from components.plan import BuildPlan
from components.settings.checks import obstacles
from components.settings.models import Settings
from components.site import Cluster
from components.strategies import Strategy, choose, plan_for
from components.strategies.auto import Auto
from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.buildkit_service import BuildkitService
from components.strategies.buildx import Buildx
from components.strategies.deploy import Deploy
from components.strategies.dind import Dind
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko

# Every kind and variant that builds, with what it has to accept in writing accepted.
_CANDIDATES: tuple[Strategy, ...] = (
    Kaniko(),
    BuildkitService(),
    Buildkit(),
    Buildkit(variant="rootful", host_users=False),
    Buildah(),
    Buildah(variant="root"),
    Buildkit(variant="privileged", accept_privileged=True),
    Buildah(variant="privileged", accept_privileged=True),
    Buildx(accept_privileged=True),
    Dind(variant="rootless", accept_privileged=True),
    Dind(accept_privileged=True),
    Dind(variant="socket", accept_privileged=True),
    Dood(accept_node_root=True),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one strategy would be for a runner; ``reason`` is why it is chosen, or not."""

    strategy: str
    chosen: bool
    pod_security: str
    privilege: str
    reason: str


def explain(settings: Settings) -> dict[str, Sequence[Verdict]]:
    """Return the verdicts on all strategies by runner, the chosen one first."""
    return {
        name: _verdicts(runner.strategy, settings.cluster)
        for name, runner in settings.runners.items()
    }


def _verdicts(asked: Strategy, cluster: Cluster) -> list[Verdict]:
    taken = choose(cluster) if isinstance(asked, Auto) else asked
    candidates = () if isinstance(taken, Deploy) else _CANDIDATES
    why = _why(taken, cluster) if isinstance(asked, Auto) else "the stack file names it"
    rest = [candidate for candidate in candidates if _label(candidate) != _label(taken)]
    return [
        _verdict(taken, cluster, chosen=True, reason=why),
        *(
            _verdict(candidate, cluster, chosen=False, reason=_why_not(candidate, cluster))
            for candidate in rest
        ),
    ]


def _verdict(strategy: Strategy, cluster: Cluster, *, chosen: bool, reason: str) -> Verdict:
    plan = plan_for(strategy, cluster, (), ())
    return Verdict(
        strategy=_label(strategy),
        chosen=chosen,
        pod_security=plan.pod_security,
        privilege=privilege(plan),
        reason=reason,
    )


def _label(strategy: Strategy) -> str:
    variant = getattr(strategy, "variant", None)
    return f"{strategy.kind} ({variant})" if variant else strategy.kind


def _why(taken: Strategy, cluster: Cluster) -> str:
    if isinstance(taken, Dood):
        return "auto: the nodes are on-premises, Ubuntu, trusted and have a Docker socket"
    stopped = next(obstacles(Dood(accept_node_root=True), cluster), "")
    return f"auto: it needs the least, and dood {stopped or 'is for Ubuntu nodes of your own'}"


def _why_not(candidate: Strategy, cluster: Cluster) -> str:
    found = next(obstacles(candidate, cluster), "")
    return f"refused: {found}" if found else "possible, not asked for"


def privilege(plan: BuildPlan) -> str:  # noqa: PLR0911 - one for each kind of privilege
    """Say in a phrase what a job of the plan may do that an ordinary container may not."""
    if plan.host_paths:
        return f"root on the node, through {plan.host_paths[0].path}"
    if plan.service.privileged:
        return "a privileged service, commanded by the job"
    if plan.build.privileged and not plan.host_users:
        return "privileged within a user namespace of the pod's own"
    if plan.build.privileged:
        return "a privileged job container"
    if plan.daemon:
        return f"none in jobs; {plan.daemon.name} runs at {plan.daemon.pod_security}"
    if plan.account_rules:
        return "rights to make any pod in the job namespace"
    if plan.build.seccomp:
        profile = plan.build.seccomp["type"]
        return f"uid {plan.build.user}, seccomp and AppArmor {profile}"
    rights = ", with its account's rights in target namespaces" if plan.account_token else ""
    return f"none: uid {plan.build.user or 0} in an ordinary container{rights}"
