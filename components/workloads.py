"""What creates pods: who may create one chooses its privileges, its account and its mounts.

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


def creates_pods(verb: str, resource: str) -> bool:
    """Whether a permission lets an account create pods, itself or through a controller."""
    return verb in _WRITING and resource in _POD_MAKERS
