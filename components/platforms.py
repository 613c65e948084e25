"""What clusters refuse of a plan, what they must give its account, and which namespaces they keep.

The facts are from the documentation of AWS, Google, Microsoft, Red Hat, Rancher and RKE2.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from components import openshift
from components.plan import BuildPlan
from components.site import Cluster

_LEVELS = ("privileged", "baseline", "restricted")
_RUNTIMES = {"openShift": "CRI-O", "rke2": "RKE2's containerd", "eksAuto": "EKS Auto Mode"}

# Each pattern of namespaces with whose they are.
_RESERVED = (
    # kubernetes.io: "Namespaces", which reserves the prefix.
    ("kube-*", "Kubernetes"),
    # Red Hat: "Default projects"; openshift/managed-cluster-validating-webhooks for the last.
    ("openshift", "OpenShift"),
    ("openshift-*", "OpenShift"),
    ("redhat-*", "OpenShift"),
    # Google Cloud: "Exclude namespaces from Policy Controller", which lists those of GKE.
    ("gke-*", "GKE"),
    ("gmp-*", "GKE"),
    ("cnrm-system", "GKE"),
    ("config-management-*", "GKE"),
    ("resource-group-system", "GKE"),
    # AWS: the add-ons for CloudWatch and GuardDuty, and logging on EKS Fargate.
    ("amazon-*", "EKS"),
    ("aws-observability", "EKS"),
    # Microsoft: "az aks command invoke", Istio and application routing of AKS, Azure Arc.
    ("aks-*", "AKS"),
    ("app-routing-system", "AKS"),
    ("azure-arc", "AKS"),
    # Rancher: "Sample PodSecurityConfiguration", which lists those that it exempts.
    ("cattle-*", "Rancher"),
    ("fleet-default", "Rancher"),
    ("fleet-local", "Rancher"),
    ("rancher-*", "Rancher"),
    # The same list; AKS, EKS and OpenShift install them too.
    ("calico-apiserver", "Calico"),
    ("calico-system", "Calico"),
    ("tigera-operator", "Calico"),
    ("gatekeeper-system", "Gatekeeper"),
)


def keeper(namespace: str) -> str | None:
    """Return whose a namespace is that Kubernetes or a platform keeps for itself, or None."""
    return next((whose for pattern, whose in _RESERVED if fnmatchcase(namespace, pattern)), None)


def refusals(plan: BuildPlan, cluster: Cluster, instead: str) -> Iterator[str]:
    """Yield why ``cluster`` refuses ``plan``, each with the way out, such as ``instead``."""
    where, level = "its job namespace", plan.pod_security
    if plan.daemon:
        where, level = f"the namespace of {plan.daemon.name}", plan.daemon.pod_security
    if _LEVELS.index(level) < _LEVELS.index(cluster.pod_security_limit):
        yield (
            f"needs the Pod Security level {level} in {where}, and cluster.podSecurityLimit is "
            f"{cluster.pod_security_limit}; {_to_be_stricter(plan, instead)}"
        )
    yield from _platform_refusals(plan, cluster, instead)


def _to_be_stricter(plan: BuildPlan, instead: str) -> str:
    if plan.build.seccomp or plan.daemon:
        return f"{instead}, or nodeProfiles if the nodes' owner can install profiles"
    if plan.pod_security == "privileged":
        return f"{instead}, or have the cluster's owner raise the limit for this namespace"
    return "have the cluster's owner raise the limit for this namespace"


def _platform_refusals(plan: BuildPlan, cluster: Cluster, instead: str) -> Iterator[str]:
    unshares = plan.unshares or plan.daemon is not None
    match cluster.platform:
        case "gkeAutopilot" if plan.host_paths:
            yield (
                f"needs host paths, which GKE Autopilot refuses; {instead}, or a GKE Standard "
                "cluster"
            )
        case "gkeAutopilot" if plan.privileged and not cluster.privileged_allowlist:
            yield (
                "needs privileged containers, which GKE Autopilot refuses by default "
                f"(autogke-disallow-privilege); {instead}, or a GKE Standard cluster, or set "
                "cluster.privilegedAllowlist: true where a WorkloadAllowlist admits these jobs"
            )
        case "gkeAutopilot" if unshares:
            yield (
                "makes user namespaces, which GKE Autopilot refuses by its seccomp profile "
                f"RuntimeDefault; {instead}, or a GKE Standard cluster"
            )
        case "eksFargate" if plan.privileged or plan.host_paths or plan.build.capabilities:
            yield (
                "needs privileged containers, host paths or added capabilities, which EKS Fargate "
                f"refuses; {instead}, or jobs on EC2 nodes"
            )
        case "eksFargate" | "eksAuto" if unshares:
            yield (
                "makes user namespaces, which nodes of EKS Fargate and EKS Auto Mode do not allow "
                f"(user.max_user_namespaces=0, fixed); {instead}, or a node group of your own"
            )
        case "eksFargate" | "eksAuto" if not plan.host_users:
            yield (
                "asks for hostUsers: false, and nodes of EKS Fargate and EKS Auto Mode do not "
                f"allow user namespaces; {instead}, or a node group of your own"
            )
        case "openShift" if _app_armor(plan):
            yield (
                "has nodeProfiles with an AppArmor profile, and the kernel of OpenShift's nodes "
                f"has SELinux in its place; remove nodeProfiles, or {instead}"
            )
        case "openShift" | "rke2" | "eksAuto" if plan.host_paths:
            yield (
                f"needs a Docker engine on the nodes, and {_RUNTIMES[cluster.platform]} has none; "
                f"{instead}"
            )
        case _:
            pass


def _app_armor(plan: BuildPlan) -> bool:
    """Whether the plan names a profile of the nodes; without AppArmor a kubelet rejects the pod."""
    profiles = [plan.build.app_armor]
    if plan.daemon:
        profiles.append(plan.daemon.security.app_armor)
    return any(profile.get("type") == "Localhost" for profile in profiles)


def account_setup(plan: BuildPlan, cluster: Cluster, seccomp: str | None = None) -> tuple[str, ...]:
    """Return a line for each thing that the cluster's owner must give the stack's accounts.

    ``seccomp`` is the profile that the runner gives the pods of its jobs, if any.
    """
    if cluster.platform != "openShift":
        return ()
    return tuple(openshift.account_setup(plan, seccomp))
