"""The program: read the stack file, plan, place, and report what runs where."""

import pulumi
import pulumi_kubernetes as k8s

from components.arguments import Placement
from components.resources.environment import Environment
from components.settings import load as stack

settings, secrets = stack.load()
placement = Placement(settings, secrets)
placement.tell()

named = pulumi.Config("kubernetes")
cluster = k8s.Provider(
    "cluster",
    context=named.get("context"),
    # Empty means $KUBECONFIG or the usual file, whose path must not get into the state: it
    # differs between the machines that work on one stack.
    kubeconfig=named.get_secret("kubeconfig") or "",
    # Otherwise a changed Secret or ConfigMap is deleted and made again, and is missing meanwhile.
    enable_secret_mutable=True,
    enable_config_map_mutable=True,
)

environment = Environment(
    pulumi.get_stack(),
    placement.environment,
    pulumi.ResourceOptions(provider=cluster),
)

pulumi.export("namespace", settings.namespace)
pulumi.export("runners", placement.summary)
