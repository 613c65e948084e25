"""A namespace with its Pod Security level.

It is enforced at exactly the level that is asked for; violations of ``restricted`` are warned
about and audited, so that people see what a strategy costs.
"""

from typing import TypedDict

import pulumi
import pulumi_kubernetes as k8s

from components.plan import PodSecurity


class BuildNamespaceArgs(TypedDict):
    """What a namespace is called, what it admits, and whether it stays when the stack goes."""

    namespace: str
    pod_security: PodSecurity
    keep: bool


class BuildNamespace(pulumi.ComponentResource):
    """A namespace that the stack owns."""

    namespace: pulumi.Output[str]
    """The namespace's name, known once it exists."""

    def __init__(
        self, name: str, args: BuildNamespaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("image-builds:index:BuildNamespace", name, None, opts)
        namespace = k8s.core.v1.Namespace(
            name,
            metadata={
                "name": args["namespace"],
                "labels": {
                    "app.kubernetes.io/managed-by": "pulumi",
                    "pod-security.kubernetes.io/enforce": args["pod_security"],
                    "pod-security.kubernetes.io/warn": "restricted",
                    "pod-security.kubernetes.io/audit": "restricted",
                },
            },
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args["keep"]),
        )
        # Not by its metadata, whose annotations a first preview does not know.
        self.namespace = namespace.kind.apply(lambda _: args["namespace"])
        self.register_outputs({"namespace": self.namespace})
