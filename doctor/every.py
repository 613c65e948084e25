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
)
from doctor.checks.servers import caches, charts, gitlab, registries
from doctor.examine import Examination

DECLARED: Sequence[Examination] = (declared.declarations, declared.user_namespaces)
"""Those of what the stack file declares of the cluster."""

EVERY: Sequence[Examination] = (
    cluster.answers,
    cluster.version,
    cluster.kubelets,
    cluster.clock,
    cluster.groups,
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
    *DECLARED,
    network.policies,
    network.plugin,
    network.egress,
    deployed.namespaces,
    deployed.secrets,
    deployed.objects,
    references.references,
    references.storage,
    deployed.managers,
    deployed.daemons,
    pods.pods,
)
