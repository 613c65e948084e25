"""The strategy ``auto``: the cluster's facts pick one that builds."""

from typing import ClassVar, Literal, final

from components.plan import BuildPlan
from components.site import Site
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from components.strategies.shared import Forms, StrategyOptions

_PREFERRED = Dood(accept_node_root=True)


@final
class Auto(StrategyOptions):
    """Choose between `dood` and `kaniko` by what is declared of the cluster.

    `dood` is chosen on premises, on trusted Ubuntu nodes with a Docker socket, and `kaniko` on all
    other clusters.
    """

    kind: Literal["auto"] = "auto"
    """Selects this strategy."""

    forms: ClassVar[Forms] = {}
    """None: a runner has that of the strategy that is picked."""
    command: ClassVar[str] = ""
    """None: what is deployed is the strategy that is picked."""

    def plan(self, site: Site) -> BuildPlan:
        """Return the plan of the strategy that is picked."""
        return self.choose(site).plan(site)

    def choose(self, site: Site) -> Kaniko | Dood:
        """Pick DooD where the stack file declares all that it needs, Kaniko anywhere else."""
        cluster = site.cluster
        nodes = cluster.nodes
        admitted = cluster.platform == "other" and cluster.pod_security_limit == "privileged"
        own = cluster.kind == "onPrem" and nodes.os == "ubuntu"
        if admitted and own and nodes.docker_socket and nodes.trusted:
            return _PREFERRED
        return Kaniko()

    def why(self, site: Site) -> str:
        """Say why it picks what it picks."""
        if self.choose(site) == _PREFERRED:
            return "auto: the nodes are on-premises, Ubuntu, trusted and have a Docker socket"
        refusals = _PREFERRED.refusals(_PREFERRED.plan(site), site)
        stopped = next(refusals, "is for Ubuntu nodes of your own")
        return f"auto: it needs the least, and {_PREFERRED.kind} {stopped}"
