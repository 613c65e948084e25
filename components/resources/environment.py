"""A whole environment: the managers' namespace, target namespaces, daemons and runners."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import pulumi

from components.network.egress import Egress
from components.resources.daemon import Daemon, DaemonArgs
from components.resources.namespace import BuildNamespace
from components.resources.network import metrics_ingress, network_policies, of_managers
from components.resources.preview_account import Reviewer
from components.resources.registry import Login, RegistryLogin
from components.resources.runner import Runner, RunnerSpec
from components.site import TARGET_LEVEL


class TargetArgs(TypedDict):
    """A namespace that runs built images."""

    create: bool
    delete_with_stack: bool
    adopt: bool


class EnvironmentArgs(TypedDict):
    """What the stack holds, each mapping by the user's own name; ``daemons`` by their runners'.

    ``metrics_hidden_from`` are the namespaces that may not read the metrics of managers, None where
    nobody serves any. ``image_logins`` pull the images of managers. ``preview_account`` is the
    account of previews, None where there is to be none.
    """

    namespace: str
    egress: Egress
    metrics_hidden_from: Sequence[str] | None
    preview_account: str | None
    targets: Mapping[str, TargetArgs]
    pull_secret: str
    pull_logins: Mapping[str, Login]
    image_logins: Mapping[str, Login]
    daemons: Mapping[str, DaemonArgs]
    runners: Mapping[str, RunnerSpec]


class Environment(pulumi.ComponentResource):
    """Everything that one stack deploys."""

    def __init__(
        self, name: str, args: EnvironmentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("image-builds:index:Environment", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        managers = BuildNamespace(
            "managers",
            {"namespace": args["namespace"], "pod_security": "restricted", "keep": False},
            child,
        )
        network_policies(
            "managers",
            "managers",
            managers.namespace,
            of_managers(args["egress"]),
            child,
            ingress=metrics_ingress(args["metrics_hidden_from"]),
        )
        if args["image_logins"]:
            RegistryLogin(
                "managers-pull",
                {
                    "namespace": managers.namespace,
                    "secret": args["pull_secret"],
                    "logins": args["image_logins"],
                    "adopt": False,
                },
                child,
            )
        targets: dict[str, pulumi.Input[str]] = {}
        for target, wanted in args["targets"].items():
            namespace: pulumi.Input[str] = target
            if wanted["create"]:
                kept = not wanted["delete_with_stack"]
                namespace = BuildNamespace(
                    f"target-{target}",
                    {"namespace": target, "pod_security": TARGET_LEVEL, "keep": kept},
                    child,
                ).namespace
            targets[target] = namespace
            if args["pull_logins"]:
                RegistryLogin(
                    f"target-{target}-pull",
                    {
                        "namespace": namespace,
                        "secret": args["pull_secret"],
                        "logins": args["pull_logins"],
                        "adopt": wanted["adopt"],
                    },
                    child,
                )
        daemons = {
            runner: Daemon(runner, wanted, child) for runner, wanted in args["daemons"].items()
        }
        runners = {
            runner: Runner(
                runner,
                {
                    "spec": spec,
                    "manager_namespace": managers.namespace,
                    "targets": targets,
                    "daemon_certificates": (
                        daemons[spec["plan"].daemon_of or runner].client_certificates
                        if spec["plan"].daemon
                        else None
                    ),
                },
                child,
            )
            for runner, spec in args["runners"].items()
        }
        if args["preview_account"]:
            ours = {
                name: target for name, target in targets.items() if args["targets"][name]["create"]
            }
            Reviewer(
                "reviewer",
                {
                    "account": args["preview_account"],
                    "home": managers.namespace,
                    "namespaces": {
                        "managers": managers.namespace,
                        **{f"target-{name}": target for name, target in ours.items()},
                        **{f"daemon-{name}": item.namespace for name, item in daemons.items()},
                        **{f"jobs-{name}": item.job_namespace for name, item in runners.items()},
                    },
                },
                child,
            )
        self.register_outputs({})
