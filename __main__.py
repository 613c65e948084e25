"""The program: read the stack file, plan, place, and report what runs where."""

import datetime as dt

import pulumi
import pulumi_kubernetes as k8s

from components.arguments import environment_args, warnings
from components.outputs import outputs
from components.ownership.marks import Ownership
from components.resources.environment import Environment
from components.settings.explain import choices
from components.settings.load import load

stack = load()
pulumi.log.info("\n".join(choices(stack.settings, stack.plans)))
for warning in warnings(stack):
    pulumi.log.warn(warning)

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
    upsert_existing_objects=True,  # ownership decides, and what a killed update made is found
)
ownership = Ownership(cluster, stack.settings)
environment = Environment(
    pulumi.get_stack(),
    environment_args(stack, dt.datetime.now(dt.UTC).year),
    pulumi.ResourceOptions(provider=cluster, transformations=[ownership.mark]),
)

for name, value in outputs(stack).items():
    pulumi.export(name, value)
