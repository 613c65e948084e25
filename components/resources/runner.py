"""One GitLab runner with everything that is its own: namespace, access, logins, token, release.

The official chart deploys the manager; it creates no account and no permissions, and its values
hold no secret, so that a preview stays readable. They come in ready, with config.toml.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from components.gitlab_runner import authorities
from components.network.egress import Egress
from components.plan import BuildPlan, ManagerNames, PodSecurity, RunnerNames
from components.resources.access import Access
from components.resources.namespace import BuildNamespace
from components.resources.network import network_policies
from components.resources.registration import (
    Registration,
    RegistrationArgs,
    digest,
    login_digest,
    visible_digest,
)
from components.resources.registry import Login, RegistryFiles, RegistryLogin
from components.workloads import CERTIFICATES


class ChartArgs(TypedDict):
    """The chart: a name with its repository, or an archive, for which the repository is None.

    ``digest`` is the SHA-256 of what it contains, None where the stack file does not say it.
    """

    chart: str
    version: str
    repository: str | None
    digest: str | None


class RunnerSpec(TypedDict):
    """What a stack file decides of one runner, and the plan of its jobs.

    ``egress`` is what its jobs may reach, with the daemon in ``daemon_namespace`` if they use one.
    ``cache_login`` has the keys of a Secret by which the manager signs addresses of caches.
    ``levels`` are the Pod Security levels of the target namespaces that the stack creates, and
    ``registration`` is None where others keep the token's Secret. Identities are annotations of
    the accounts.
    """

    plan: BuildPlan
    names: RunnerNames
    manager: ManagerNames
    manager_disruption_budget: bool
    manager_identity: Mapping[str, str]
    job_identity: Mapping[str, str]
    pod_disruption_budget: bool
    levels: Mapping[str, PodSecurity]
    pull_logins: Mapping[str, Login]
    push_logins: Mapping[str, Login]
    authorities: Mapping[str, str]
    registration: RegistrationArgs | None
    gitlab_certificates: Mapping[str, str]
    cache_login: Mapping[str, pulumi.Input[str]]
    chart: ChartArgs
    values: Mapping[str, Any]
    egress: Egress
    daemon_namespace: str | None


class RunnerArgs(TypedDict):
    """Everything that one runner is made of, with what the stack makes before it.

    ``targets`` are all target namespaces by name, and ``daemon_certificates`` those with which
    jobs reach their daemon, None where they have none.
    """

    spec: RunnerSpec
    manager_namespace: pulumi.Input[str]
    targets: Mapping[str, pulumi.Input[str]]
    daemon_certificates: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None


class Runner(pulumi.ComponentResource):
    """A runner: its job namespace, accounts, logins, token and Helm release."""

    job_namespace: pulumi.Output[str]
    """The namespace of its jobs."""

    def __init__(
        self, name: str, args: RunnerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("image-builds:index:Runner", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        spec, names = args["spec"], args["spec"]["names"]
        jobs = BuildNamespace(
            f"{name}-jobs",
            {
                "namespace": names["job_namespace"],
                "pod_security": spec["plan"].pod_security,
                "keep": False,
            },
            child,
        )
        access = Access(
            name,
            {
                "manager_namespace": args["manager_namespace"],
                "job_namespace": jobs.namespace,
                "manager_account": names["manager_account"],
                "job_account": names["job_account"],
                "manager_annotations": spec["manager_identity"],
                "job_annotations": spec["job_identity"],
                "pod_disruption_budget": spec["pod_disruption_budget"],
                "plan": spec["plan"],
                "targets": args["targets"],
                "levels": spec["levels"],
            },
            child,
        )
        place, daemon = jobs.namespace, spec["daemon_namespace"]
        policies = network_policies(
            f"{name}-jobs", "jobs", place, spec["egress"], child, daemon=daemon
        )
        needed = [*policies, *self._registries(name, args, place)]
        wanted = spec["registration"]
        token = Registration(name, wanted, child).token if wanted else None
        self._release(name, args, [access, *needed], token)
        self.job_namespace = jobs.namespace
        self.register_outputs({"job_namespace": self.job_namespace})

    def _registries(
        self, name: str, args: RunnerArgs, namespace: pulumi.Output[str]
    ) -> list[pulumi.Resource]:
        """Declare what jobs reach registries and a daemon with; the manager starts after it."""
        child = pulumi.ResourceOptions(parent=self)
        spec, names = args["spec"], args["spec"]["names"]
        logins = (
            ("pull", names["pull_secret"], spec["pull_logins"]),
            ("push", names["push_secret"], spec["push_logins"]),
        )
        resources: list[pulumi.Resource] = [
            RegistryLogin(
                f"{name}-{use}",
                {"namespace": namespace, "secret": secret, "logins": login, "adopt": False},
                child,
            )
            for use, secret, login in logins
            if secret and login
        ]
        mounted = (
            ("files", names["files"], spec["plan"].files),
            ("authorities", authorities.CONFIG_MAP, spec["authorities"]),
        )
        resources += [
            RegistryFiles(
                f"{name}-{part}",
                {"namespace": namespace, "config_map": config_map, "files": files},
                child,
            )
            for part, config_map, files in mounted
            if config_map and files
        ]
        if args["daemon_certificates"] and names["daemon_secret"]:
            daemon_secret = k8s.core.v1.Secret(
                f"{name}-daemon",
                metadata={"name": names["daemon_secret"], "namespace": namespace},
                data=args["daemon_certificates"],
                opts=child,
            )
            resources.append(daemon_secret)
        return resources

    def _release(
        self,
        name: str,
        args: RunnerArgs,
        needed: list[pulumi.Resource],
        token: pulumi.Output[str] | None,
    ) -> None:
        child = pulumi.ResourceOptions(parent=self)
        spec, names = args["spec"], args["spec"]["manager"]
        after = list(needed)
        digests: dict[str, pulumi.Output[str]] = {}
        if token is not None:
            # Nothing in the chart restarts the manager when only the token changes.
            digests = {"image-builds/token-digest": visible_digest(token)}
            token_secret = k8s.core.v1.Secret(
                f"{name}-token",
                metadata={"name": names["token_secret"], "namespace": args["manager_namespace"]},
                # The chart mounts both keys, so both must be there (templates/deployment.yaml).
                string_data={"runner-token": token, "runner-registration-token": ""},
                opts=child,
            )
            after.append(token_secret)
        if names["gitlab_certificates"]:
            gitlab_certificates = k8s.core.v1.Secret(
                f"{name}-gitlab-certificates",
                metadata={
                    "name": names["gitlab_certificates"],
                    "namespace": args["manager_namespace"],
                    "annotations": {
                        CERTIFICATES: digest("".join(spec["gitlab_certificates"].values()))
                    },
                },
                string_data=spec["gitlab_certificates"],
                opts=child,
            )
            after.append(gitlab_certificates)
        if names["cache_secret"]:
            digests |= {"image-builds/cache-digest": login_digest(token, spec["cache_login"])}
            cache_secret = k8s.core.v1.Secret(
                f"{name}-cache",
                metadata={"name": names["cache_secret"], "namespace": args["manager_namespace"]},
                string_data=spec["cache_login"],
                opts=child,
            )
            after.append(cache_secret)
        if spec["manager_disruption_budget"]:
            k8s.policy.v1.PodDisruptionBudget(
                f"{name}-manager",
                metadata={"name": names["release"], "namespace": args["manager_namespace"]},
                spec={
                    "max_unavailable": 1,
                    "selector": {"match_labels": {"release": names["release"]}},
                },
                opts=child,
            )
        repository = spec["chart"]["repository"]
        # A Release and not a Chart: it is Helm that users upgrade, roll back and inspect with.
        k8s.helm.v3.Release(
            name,
            name=names["release"],
            namespace=args["manager_namespace"],
            chart=spec["chart"]["chart"],
            version=spec["chart"]["version"],
            repository_opts={"repo": repository} if repository else {},
            # The chart's first readiness probe comes after a minute.
            timeout=600,
            values={
                **spec["values"],
                "podAnnotations": {**spec["values"].get("podAnnotations", {}), **digests},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
