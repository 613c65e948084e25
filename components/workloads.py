"""What rules and reports know of objects: who creates pods, and what annotations and labels mean.

Only the standard library is imported here, since the policy pack links this file.
"""

_POD_MAKERS = {
    "cronjobs",
    "daemonsets",
    "deployments",
    "jobs",
    "pods",
    "replicasets",
    "replicationcontrollers",
    "statefulsets",
    "*",
}
_WRITING = {"create", "patch", "update", "*"}

LEVEL = "image-builds/pod-security"
"""The annotation of a Role that says which Pod Security level its namespace enforces."""
LOGINS = "image-builds/logins"
"""The annotation of a Secret with the name of its login by registry, in JSON: no value of a Secret
is in a report.
"""
CERTIFICATES = "image-builds/certificates-digest"
"""The annotation of a Secret with a digest of the certificates in it."""
PROTECTED = "image-builds/protected"
"""The annotation of the account of jobs that are of protected branches and tags only."""
PATCH_FORCE = "pulumi.com/patchForce"
"""The provider's annotation that lets it change what others have set, and so take over theirs."""
CONTROL_PLANE = frozenset(
    f"node-role.kubernetes.io/{role}"
    for role in ("control-plane", "controlplane", "etcd", "master")
)
"""The taints and labels of nodes that run the control plane: kubeadm's, and those of RKE."""
DAEMON_VARIABLES = frozenset(
    {
        "BUILDKIT_HOST",
        "BUILDX_BUILDER",
        "CONTAINER_CONNECTION",
        "CONTAINER_HOST",
        "DOCKER_CERT_PATH",
        "DOCKER_CONTEXT",
        "DOCKER_HOST",
        "DOCKER_TLS",
        "DOCKER_TLS_VERIFY",
    }
)
"""What clients of Docker, BuildKit and Podman read for the address of their daemon."""

CHART_DIGEST = "image-builds/chart-digest"
"""The annotation of a manager's Deployment that holds the digest of its chart."""


def creates_pods(verb: str, resource: str) -> bool:
    """Whether a permission lets an account create pods, itself or through a controller."""
    return verb in _WRITING and resource in _POD_MAKERS
