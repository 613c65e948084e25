"""All checks that only look."""

from collections.abc import Sequence

from doctor.checks import (
    admission,
    cluster,
    declared,
    deployed,
    network,
    nodes,
    pods,
    references,
    rights,
    room,
)
from doctor.checks.servers import caches, charts, gitlab, registries
from doctor.examine import Examination

DECLARED: Sequence[Examination] = (declared.declarations, declared.user_namespaces)
"""Those of what the stack file declares of the cluster."""

EVERY: Sequence[Examination] = (
    cluster.answers,
    cluster.version,
    cluster.kubelets,
    cluster.pods,
    cluster.clock,
    cluster.clocks,
    cluster.groups,
    cluster.services,
    cluster.dns,
    # What waits longest begins first.
    gitlab.address,
    gitlab.version,
    gitlab.runner,
    registries.registries,
    caches.caches,
    charts.charts,
    admission.pods_of_runner,
    admission.objects,
    admission.quotas,
    rights.deployer,
    rights.managers,
    rights.jobs,
    nodes.nodes,
    nodes.managers,
    nodes.runtimes,
    room.full,
    *DECLARED,
    network.policies,
    network.plugin,
    network.egress,
    deployed.namespaces,
    deployed.secrets,
    deployed.parts,
    deployed.objects,
    references.references,
    references.storage,
    references.claims,
    references.identities,
    deployed.managers,
    deployed.daemons,
    pods.pods,
)
