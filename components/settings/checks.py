"""Which combinations in a stack file cannot or must not be deployed, why, and the way out.

Pure: from checked models to (path, message) pairs, all of them, so that they are reported together.
"""

from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from components.plan import BuildPlan, Daemon
from components.settings.models import (
    RunnerSettings,
    Settings,
    TokenRegistration,
    UserRunner,
)
from components.settings.secrets import Secrets
from components.site import Cluster
from components.strategies import Strategy, plan_for
from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.buildkit_service import BuildkitService
from components.strategies.buildx import Buildx
from components.strategies.deploy import Deploy
from components.strategies.dind import Dind
from components.strategies.dood import Dood
from components.types import PROJECT, version_tuple

_LEVELS = ("privileged", "baseline", "restricted")
_UNPRIVILEGED = {"buildkit": "rootless", "buildah": "chroot"}
_RUNTIMES = {"openShift": "CRI-O", "rke2": "RKE2's containerd", "eksAuto": "EKS Auto Mode"}

# What to say where an acceptance is missing or is not `true`, with the strategy's kind put in.
ACCEPTANCES = {
    "acceptNodeRoot": (
        "must be said out loud, since whoever runs a job becomes root on the node; write "
        "'strategy: {{kind: {kind}, acceptNodeRoot: true}}', or use kaniko"
    ),
    "acceptPrivileged": (
        "must be said out loud, since a privileged container runs in each job, or may; set "
        "acceptPrivileged: true, as in 'strategy: {{kind: {kind}, acceptPrivileged: true}}', or "
        "use kaniko"
    ),
}

# Which chart first carries the runner that knows the key: facts from the structs of the
# runner's release tags (gitlab-runner:common/config.go), by the key's path within a runner.
_SINCE_CHART = {"seccomp_profile": "0.88.0", "pod_disruption_budget": "0.88.0"}


def setting_mistakes(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of each combination that cannot or must not be deployed."""
    for name, runner in settings.runners.items():
        path = f"runners.{name}"
        for reason in obstacles(runner.strategy, settings.cluster):
            yield f"{path}.strategy", reason
        for key, reason in _scheduling_mistakes(runner, settings.cluster):
            yield f"{path}.{key}", reason
        if isinstance(runner.strategy, Deploy):
            for key, reason in _deploy_mistakes(name, runner.strategy, settings):
                yield f"{path}.{key}", reason
        for key, version in _SINCE_CHART.items():
            chosen = getattr(runner, key) != type(runner).model_fields[key].default
            if chosen and version_tuple(settings.chart.version) < version_tuple(version):
                yield (
                    f"{path}.{to_camel(key)}",
                    f"is read from chart {version} on, and chart.version {settings.chart.version} "
                    f"would ignore it; remove it or raise chart.version",
                )
    if settings.gitlab.ca_certificates and "[" in settings.gitlab.url:
        # The manager looks for <host>.crt, and a Secret's key allows no colon.
        yield (
            "gitlab.caCertificates",
            "cannot be given for an IPv6 address, since the runner looks for the CA under a "
            "name that no Secret can hold; use a DNS name in gitlab.url",
        )
    yield from _daemon_mistakes(settings)
    yield from _tag_mistakes(settings)
    yield from _namespace_mistakes(settings)
    yield from _registry_mistakes(settings)


def _daemon_mistakes(settings: Settings) -> Iterator[tuple[str, str]]:
    owners: dict[str, tuple[str, Daemon]] = {}
    for name, runner in settings.runners.items():
        daemon = plan_for(runner.strategy, settings.cluster, (), ()).daemon
        if daemon is None:
            continue
        owner, first = owners.setdefault(daemon.name, (name, daemon))
        if daemon != first:
            yield (
                f"runners.{name}.strategy",
                f"asks for another {daemon.name} than runners.{owner} does, and a stack has one; "
                "give both the same options (image and client may differ), or use two stacks",
            )
        if "BUILDKITD_FLAGS" in runner.environment:
            yield (
                f"runners.{name}.environment.BUILDKITD_FLAGS",
                f"is read by a daemon in the job, and {daemon.name} runs outside of it; remove it, "
                "and set registries[].insecure or caCertificates, which reach the daemon",
            )
        if runner.environment.get(daemon.address):
            yield (
                f"runners.{name}.environment.{daemon.address}",
                f"is the address of {daemon.name}, which the stack sets; remove it",
            )


def _scheduling_mistakes(runner: RunnerSettings, cluster: Cluster) -> Iterator[tuple[str, str]]:
    plan = plan_for(runner.strategy, cluster, (), ())
    for label, value in runner.node_selector.items():
        needed = plan.node_selector.get(label, value)
        if needed != value:
            yield (
                "nodeSelector",
                f"asks for nodes with {label}={value}, and {plan.strategy} runs on those with "
                f"{label}={needed} by cluster.nodes.selector, so no node would do; remove one",
            )
    if runner.runtime_class_name and plan.host_paths:
        yield (
            "runtimeClassName",
            f"puts jobs into a runtime of their own, and {plan.strategy} needs the node's, whose "
            f"{plan.host_paths[0].path} it mounts; remove it, or use kaniko",
        )


def _deploy_mistakes(
    name: str,
    strategy: Deploy,
    settings: Settings,
) -> Iterator[tuple[str, str]]:
    owners = _own_namespaces(settings)
    jobs = {settings.job_namespace(runner): runner for runner in settings.runners}
    for target in strategy.permissions:
        path = f"strategy.permissions.{target}"
        if target in owners:
            yield (
                path,
                f"is {owners[target]}, where a job could take over what other jobs rely on; "
                "deploy to a namespace of targetNamespaces",
            )
        elif target in jobs:
            yield (
                path,
                f"is the job namespace of runners.{jobs[target]}, where a job could read the "
                "logins of others; deploy to a namespace of targetNamespaces",
            )
        elif target.startswith("kube-"):
            yield (
                path,
                "is a namespace of Kubernetes itself, where a job could take over the cluster; "
                "deploy to a namespace of your own",
            )
        elif target not in settings.target_namespaces:
            yield path, f"is none of targetNamespaces; add {target} there, or remove its rights"
    registration = settings.runners[name].registration
    if isinstance(registration, UserRunner) and registration.untagged:
        yield (
            "registration.untagged",
            "would let any job of its projects deploy, since it takes jobs without tags too; "
            "remove it, and give the deploy job the runner's tag",
        )


def _tag_mistakes(settings: Settings) -> Iterator[tuple[str, str]]:
    owners: dict[frozenset[str], str] = {}
    for name, runner in settings.runners.items():
        owner = owners.setdefault(frozenset(runner.tags), name)
        if settings.runners[owner].strategy != runner.strategy:
            yield (
                f"runners.{name}.tags",
                f"are those of runners.{owner}, whose strategy differs, so a job would build one "
                "way or the other by chance; give one of them another tag, or both one strategy",
            )


def _own_namespaces(settings: Settings) -> dict[str, str]:
    """What the stack's namespaces are for, but for those of jobs, by name."""
    owners = {settings.namespace: "the managers' namespace"}
    for runner in settings.runners.values():
        daemon = plan_for(runner.strategy, settings.cluster, (), ()).daemon
        if daemon:
            owners[settings.daemon_namespace(daemon.name)] = f"the namespace of {daemon.name}"
    return owners


def _namespace_mistakes(settings: Settings) -> Iterator[tuple[str, str]]:
    owners = _own_namespaces(settings)
    for name in settings.target_namespaces:
        if name in owners:
            yield f"targetNamespaces.{name}", f"is {owners[name]}; use another one"
        owners[name] = f"targetNamespaces.{name}"
    for runner in settings.runners:
        namespace = settings.job_namespace(runner)
        path = f"runners.{runner}.jobNamespace"
        if len(namespace) > 63:
            message = "is longer than 63 characters; shorten the names or set jobNamespace"
            yield path, f"the namespace {namespace} {message}"
        if namespace in owners:
            message = "so one's jobs could read the other's secrets; give each its own"
            yield path, f"is {namespace}, as {owners[namespace]} is, {message}"
        owners[namespace] = f"runners.{runner}.jobNamespace"
        if len(f"gitlab-runner-{runner}") > 53:
            message = "is longer than 39 characters, more than a Helm release name can hold"
            yield f"runners.{runner}", f"{message}; shorten it"


def _registry_mistakes(settings: Settings) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, registry in enumerate(settings.registries):
        if registry.host in seen:
            message = "so only one's settings would hold; merge the two"
            yield f"registries[{index}].host", f"names {registry.host} a second time, {message}"
        seen.add(registry.host)


def obstacles(strategy: Strategy, cluster: Cluster) -> Iterator[str]:
    """Yield why ``strategy`` cannot or must not run on ``cluster``, each with the way out."""
    plan = plan_for(strategy, cluster, (), ())
    match strategy:
        case Dood():
            yield from _socket_obstacles(cluster)
        case Buildx():
            yield from _pod_maker_obstacles(strategy, cluster)
        case Dind():
            yield from _engine_obstacles(strategy, cluster)
        case BuildkitService() if "rootless" not in strategy.daemon_image:
            yield _rootful_image(strategy.daemon_image)
        case Buildkit() | Buildah():
            yield from _privileged_obstacles(strategy, cluster)
        case _:
            pass
    where, level = "its job namespace", plan.pod_security
    if plan.daemon:
        where, level = f"the namespace of {plan.daemon.name}", plan.daemon.pod_security
    if _LEVELS.index(level) < _LEVELS.index(cluster.pod_security_limit):
        yield (
            f"needs the Pod Security level {level} in {where}, and "
            f"cluster.podSecurityLimit is {cluster.pod_security_limit}; {_stricter(plan)}"
        )
    yield from _platform_obstacles(plan, cluster)


def _pod_maker_obstacles(strategy: Buildx, cluster: Cluster) -> Iterator[str]:
    if "rootless" not in strategy.daemon_image:
        yield _rootful_image(strategy.daemon_image)
    if not cluster.nodes.trusted:
        yield (
            "is buildx, with which whoever runs a job may make any pod in its namespace; use "
            "buildkit-service with client: buildx, or set cluster.nodes.trusted: true if all who "
            "can run jobs are trusted with the nodes"
        )


def _engine_obstacles(strategy: Dind, cluster: Cluster) -> Iterator[str]:
    yield from _engine_image_obstacles(strategy)
    if not cluster.nodes.trusted:
        yield (
            "is dind, whose privileged engine lets whoever runs a job reach the node; use "
            "kaniko, or set cluster.nodes.trusted: true if all who can run jobs are "
            "trusted with the nodes"
        )


def _rootful_image(image: str) -> str:
    return (
        f"runs its daemon as uid 1000, which the image {image} is not made for; set daemonImage "
        "to one that ends in -rootless"
    )


def _engine_image_obstacles(strategy: Dind) -> Iterator[str]:
    if ("rootless" in strategy.daemon_image) != (strategy.variant == "rootless"):
        wanted = "ends in" if strategy.variant == "rootless" else "does not end in"
        yield (
            f"is dind with variant {strategy.variant}, which the image {strategy.daemon_image} is "
            f"not made for; set daemonImage to one that {wanted} -dind-rootless"
        )


def _stricter(plan: BuildPlan) -> str:
    if plan.build.seccomp or plan.daemon:
        return "use kaniko, or nodeProfiles if the nodes' owner can install profiles"
    if plan.pod_security == "privileged":
        return "use kaniko, or have the cluster's owner raise the limit for this namespace"
    return "have the cluster's owner raise the limit for this namespace"


def _privileged_obstacles(strategy: Buildkit | Buildah, cluster: Cluster) -> Iterator[str]:
    name = f"is {strategy.kind} with variant {strategy.variant}"
    privileged = strategy.variant == "privileged"
    if privileged and not strategy.accept_privileged:
        yield (
            f"{name}, which makes each job's container privileged and must be said out loud; add "
            f"acceptPrivileged: true, or use the variant {_UNPRIVILEGED[strategy.kind]}"
        )
    if privileged and not cluster.nodes.trusted:
        yield (
            f"{name}, which lets whoever runs a job reach the node; use the variant "
            f"{_UNPRIVILEGED[strategy.kind]}, or set cluster.nodes.trusted: true if all who can "
            "run jobs are trusted with the nodes"
        )
    if strategy.variant in {"privileged", "rootful"} and strategy.node_profiles:
        yield f"{name}, and a privileged container ignores profiles; remove nodeProfiles"
    if strategy.accept_privileged and not privileged:
        yield f"{name}, which is not privileged; remove acceptPrivileged"
    if isinstance(strategy, Buildkit):
        yield from _buildkit_obstacles(strategy, cluster)


def _buildkit_obstacles(strategy: Buildkit, cluster: Cluster) -> Iterator[str]:
    name = f"is buildkit with variant {strategy.variant}"
    rootless_image = "rootless" in strategy.image
    if strategy.variant == "rootless" and not strategy.host_users:
        yield (
            f"{name} and hostUsers: false, but that image maps uids 100000 to 165535 and a pod's "
            "user namespace ends at 65535, so newuidmap fails; use variant: rootful with "
            "hostUsers: false, or remove hostUsers"
        )
    if strategy.variant == "rootful" and strategy.host_users:
        yield (
            f"{name} without hostUsers: false, so it would be root on the node; add hostUsers: "
            "false, or use variant: privileged where that is meant"
        )
    if strategy.variant == "privileged" and not strategy.host_users:
        yield f"{name} and hostUsers: false, which is variant: rootful; use that"
    if not strategy.host_users and not cluster.nodes.user_namespaces:
        yield (
            "asks for hostUsers: false, and the nodes are not said to offer user namespaces, "
            "which older runtimes ignore in silence; use variant: rootless, or set "
            "cluster.nodes.userNamespaces: true (Kubernetes 1.33, Linux 6.3, containerd 2.0 or "
            "CRI-O 1.25)"
        )
    if rootless_image != (strategy.variant == "rootless"):
        wanted = "one that ends in -rootless" if not rootless_image else "one without -rootless"
        yield f"{name}, which the image {strategy.image} is not made for; use {wanted}"


def _platform_obstacles(plan: BuildPlan, cluster: Cluster) -> Iterator[str]:
    """What a platform refuses, by the documentation of AWS, Google, Red Hat and RKE2."""
    unshares = plan.unshares or plan.daemon is not None
    away = "use kaniko" if plan.strategy != "kaniko" else "use another cluster"
    match cluster.platform:
        case "gkeAutopilot" if plan.privileged or plan.host_paths:
            yield (
                "is on GKE Autopilot, which refuses privileged containers and host paths "
                f"(autogke-disallow-privilege); {away}, or a GKE Standard cluster"
            )
        case "gkeAutopilot" if unshares:
            yield (
                "is on GKE Autopilot, whose RuntimeDefault seccomp profile refuses the user "
                f"namespaces that it makes; {away}, or a GKE Standard cluster"
            )
        case "eksFargate" if plan.privileged or plan.host_paths or plan.build.capabilities:
            yield (
                "is on EKS Fargate, which refuses privileged containers, host paths and added "
                f"capabilities; {away}, or jobs on EC2 nodes"
            )
        case "eksFargate" | "eksAuto" if unshares:
            yield (
                "makes user namespaces, of which nodes of EKS Fargate and EKS Auto Mode allow "
                f"none (user.max_user_namespaces=0, fixed); {away}, or a node group of your own"
            )
        case "eksFargate" | "eksAuto" if not plan.host_users:
            yield (
                "asks for hostUsers: false, and nodes of EKS Fargate and EKS Auto Mode allow no "
                f"user namespaces; {away}, or a node group of your own"
            )
        case "openShift" | "rke2" | "eksAuto" if plan.host_paths:
            yield (
                f"needs a Docker engine on the nodes, and {_RUNTIMES[cluster.platform]} has "
                f"none; {away}"
            )
        case _:
            pass


def _socket_obstacles(cluster: Cluster) -> Iterator[str]:
    if cluster.kind == "managed":
        yield (
            "is dood on a managed cluster, whose nodes run containerd without a Docker socket; "
            "use kaniko, or set cluster.kind to onPrem if the nodes are yours"
        )
        return
    if not cluster.nodes.docker_socket:
        yield (
            "is dood, but the nodes are not said to run a Docker engine; use kaniko, or set "
            "cluster.nodes.dockerSocket: true where /var/run/docker.sock exists"
        )
    if not cluster.nodes.trusted:
        yield (
            "is dood, which makes whoever runs a job root on the node; use kaniko, or set "
            "cluster.nodes.trusted: true if all who can run jobs are trusted with the nodes"
        )


def secret_mistakes(secrets: Secrets, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield (key, message) of each secret that the settings need and is not there."""
    for name, runner in settings.runners.items():
        if isinstance(runner.registration, TokenRegistration) and (
            name not in secrets.runner_tokens
        ):
            yield (
                f"{PROJECT}:runnerTokens.{name}",
                f"is missing and runner {name} cannot register without it; run: pulumi config "
                f"set --secret --path 'runnerTokens.{name}' (and paste the glrt- token)",
            )
    for name in sorted(secrets.runner_tokens):
        if name not in settings.runners:
            message = "belongs to no runner of image-builds:settings.runners; remove or rename"
            yield f"{PROJECT}:runnerTokens.{name}", f"{message} it"
        elif not isinstance(settings.runners[name].registration, TokenRegistration):
            message = "is never used, since the stack creates that runner in GitLab; remove it"
            yield f"{PROJECT}:runnerTokens.{name}", f"{message}, or set registration: token"
    for index, registry in enumerate(settings.registries):
        for use in ("pull", "push"):
            name = getattr(registry, use)
            if name and name not in secrets.registry_credentials:
                yield (
                    f"{PROJECT}:registryCredentials.{name}",
                    f"is missing, and settings.registries[{index}].{use} names it; run: pulumi "
                    f"config set --path 'registryCredentials.{name}.username' NAME and pulumi "
                    f"config set --secret --path 'registryCredentials.{name}.password'",
                )
