"""Which combinations in a stack file cannot or must not be deployed, why, and the way out.

Pure: from checked models to (path, message) pairs, all of them, so that they are reported together.
"""

from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from components.config import (
    PROJECT,
    Cluster,
    Dind,
    Dood,
    Secrets,
    Settings,
    Strategy,
    TokenRegistration,
    version_tuple,
)

# What to say where an acceptance is missing or is not `true`.
ACCEPTANCES = {
    "acceptNodeRoot": (
        "must be said out loud, since whoever runs a job becomes root on the node; write "
        "'strategy: {kind: dood, acceptNodeRoot: true}', or use kaniko"
    ),
    "acceptPrivileged": (
        "must be said out loud, since a privileged engine runs beside each job; write "
        "'strategy: {kind: dind, acceptPrivileged: true}', or use kaniko"
    ),
}

# Which chart first carries the runner that knows the key: facts from the structs of the
# runner's release tags (gitlab-runner:common/config.go), by the key's path within a runner.
_SINCE_CHART = {"seccomp_profile": "0.88.0", "pod_disruption_budget": "0.88.0"}


def setting_mistakes(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of each combination that cannot or must not be deployed."""
    for name, runner in settings.runners.items():
        path = f"runners.{name}"
        yield from _strategy_mistakes(f"{path}.strategy", runner.strategy, settings.cluster)
        for key, version in _SINCE_CHART.items():
            chosen = getattr(runner, key) != type(runner).model_fields[key].default
            if chosen and version_tuple(settings.chart.version) < version_tuple(version):
                yield (
                    f"{path}.{to_camel(key)}",
                    f"is read from chart {version} on, and chart.version {settings.chart.version} "
                    f"would ignore it; remove it or raise chart.version",
                )
    if settings.gitlab.certificates and "[" in settings.gitlab.url:
        # The manager looks for <host>.crt, and a Secret's key allows no colon.
        yield (
            "gitlab.certificates",
            "cannot be given for an IPv6 address, since the runner looks for the CA under a "
            "name that no Secret can hold; use a DNS name in gitlab.url",
        )
    yield from _namespace_mistakes(settings)
    yield from _registry_mistakes(settings)


def _namespace_mistakes(settings: Settings) -> Iterator[tuple[str, str]]:
    owners = {settings.namespace: "namespace"}
    for name in settings.target_namespaces:
        if name in owners:
            yield f"target_namespaces.{name}", "is the managers' namespace; use another one"
        owners[name] = f"targetNamespaces.{name}"
    for runner in settings.runners:
        namespace = settings.job_namespace(runner)
        path = f"runners.{runner}.job_namespace"
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
            yield f"registries.{index}.host", f"names {registry.host} a second time, {message}"
        seen.add(registry.host)


def _strategy_mistakes(
    path: str,
    strategy: Strategy,
    cluster: Cluster,
) -> Iterator[tuple[str, str]]:
    if isinstance(strategy, Dood):
        yield from _socket_mistakes(path, cluster)
    elif isinstance(strategy, Dind) and not cluster.nodes.trusted:
        yield (
            path,
            "is dind, whose privileged engine lets whoever runs a job reach the node; use kaniko, "
            "or set cluster.nodes.trusted: true if all who can run jobs are trusted with the nodes",
        )


def _socket_mistakes(path: str, cluster: Cluster) -> Iterator[tuple[str, str]]:
    if cluster.kind == "managed":
        yield (
            path,
            "is dood on a managed cluster, whose nodes run containerd without a Docker socket; "
            "use kaniko, or set cluster.kind to onPrem if the nodes are yours",
        )
        return
    if not cluster.nodes.docker_socket:
        yield (
            path,
            "is dood, but the nodes are not said to run a Docker engine; use kaniko, or set "
            "cluster.nodes.dockerSocket: true where /var/run/docker.sock exists",
        )
    if not cluster.nodes.trusted:
        yield (
            path,
            "is dood, which makes whoever runs a job root on the node; use kaniko, or set "
            "cluster.nodes.trusted: true if all who can run jobs are trusted with the nodes",
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
