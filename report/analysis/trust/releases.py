"""What a release says of the manager that it deploys, by its inputs and its values."""

import re
from collections.abc import Iterator

from components.gitlab_runner.config_toml import REQUESTS
from components.workloads import CHART_DIGEST
from report.analysis.pods.amounts import bound_risks, probe_risks
from report.analysis.pods.containers import digest
from report.analysis.risk_kind import RisksOf
from report.analysis.runner_config import parse
from report.tree import Tree, flat, inside

# Of a release, what is judged elsewhere or decides only how long the deployment waits
# (pulumi-kubernetes: sdk/python/pulumi_kubernetes/helm/v3/Release.py).
_OF_RELEASES = {
    "atomic",
    "chart",
    "checksum",
    "cleanupOnFail",
    "compat",
    "description",
    "lint",
    "maxHistory",
    "name",
    "namespace",
    "repositoryOpts",
    "resourceNames",
    "skipAwait",
    "timeout",
    "values",
    "version",
    "waitForJobs",
}
_PLAIN = ("atomic", "cleanupOnFail", "maxHistory", "skipAwait", "timeout", "waitForJobs")
# Of the values for the chart, what is judged by itself, or decides nothing.
_OF_VALUES = re.compile(
    "|".join(
        re.escape(known) + r"(?![\w-])"
        for known in (
            "values.concurrent",
            f'values.deploymentAnnotations["{CHART_DIGEST}"]',
            'values.deploymentAnnotations["secret.reloader.stakater.com/reload"]',
            "values.gitlabUrl",
            "values.livenessProbe",
            "values.logFormat",
            "values.logLevel",
            "values.metrics.enabled",
            "values.metrics.podMonitor.enabled",
            'values.podAnnotations["image-builds/token-digest"]',
            "values.probeTimeoutSeconds",
            "values.readinessProbe",
            "values.replicas",
            "values.resources",
            "values.runners.config",
            "values.terminationGracePeriodSeconds",
        )
    )
)
# What the chart has of itself (gitlab-runner chart: values.yaml).
_GRACE, _TIMEOUT, _TIMES = 3600, 4, {"initialDelaySeconds": 60, "periodSeconds": 60}


def release_risks(runner: str, inputs: Tree) -> Iterator[RisksOf]:
    """Yield what the release of a runner says beside config.toml."""
    name, release = f"runner {runner}", f"the release of runner {runner}"
    values = inside(inputs, "values")
    concurrent, replicas = values.get("concurrent"), values.get("replicas")
    if isinstance(concurrent, int):
        jobs = concurrent * (replicas if isinstance(replicas, int) else 1)
        yield ("concurrent", name), {str(jobs)}
        yield ("settings", f"the polling of {name}"), set(_asked(parse(values), concurrent))
    other = {
        path: value for path, value in flat(values, "values").items() if not _OF_VALUES.match(path)
    }
    yield ("values", release), {f"digest {digest(other)}"} if values else ()
    options = {key: inputs[key] for key in inputs.keys() - _OF_RELEASES if inputs[key]}
    repository = inside(inputs, "repositoryOpts")
    also = {key for key in repository.keys() - {"repo"} if repository[key]}
    unknown = {
        *(f"{key} (digest {digest(value)})" for key, value in options.items()),
        *(f"repositoryOpts.{key}" for key in also),
    }
    yield ("unknown", release), unknown
    plain = {key: inputs.get(key) or None for key in _PLAIN}
    yield ("settings", release), {f"digest {digest(plain)}"}
    yield from _manager_risks(f"the manager of {name}", values)


def _asked(entry: Tree, concurrent: int) -> Iterator[str]:
    """Yield for how many jobs a manager asks at once, if the stack would set another number."""
    # It is one by default (gitlab-runner:common/config.go, GetRequestConcurrency).
    asked = entry.get("request_concurrency", 1)
    if entry and asked != min(concurrent, REQUESTS):
        yield f"it asks for {asked} jobs at once"


def chart_risks(runner: str, inputs: Tree) -> Iterator[RisksOf]:
    """Yield which chart a release has, by its version and its contents."""
    chart, version = f"the chart of runner {runner}", str(inputs.get("version") or "")
    yield ("olderChart", chart), {version} if version else ()
    held = str(inside(inputs, "values", "deploymentAnnotations").get(CHART_DIGEST) or "")
    # A later version has other contents by itself.
    called = f"version {version} of {chart}"
    yield ("chartDigest", called), () if held else {"held"}
    if held:
        yield ("contents", called), {f"digest {held[:12]}"}


def _manager_risks(name: str, values: Tree) -> Iterator[RisksOf]:
    """Yield what a manager has, how long it may take for what, and what it shows."""
    runners = inside(values, "runners")
    cache = inside(runners, "cache")
    used = (runners.get("secret"), cache.get("secretName"), values.get("certsSecretName"))
    yield ("mountedSecret", name), {str(secret) for secret in used if secret}
    level = str(values.get("logLevel") or "info")
    yield ("logLevel", name), {level} - {"info"}
    form = values.get("logFormat")
    yield ("lost", name), {f"its log as {form}"} if form else ()
    enabled = inside(values, "metrics").get("enabled") is True
    monitored = inside(values, "metrics", "podMonitor").get("enabled") is True
    served = {"metrics": enabled, "metrics to a PodMonitor": enabled and monitored}
    yield ("metrics", name), {what for what, serves in served.items() if serves}
    yield from bound_risks(name, inside(values, "resources"))
    yield ("less", f"the number of pods of {name}"), {str(values.get("replicas") or 1)}
    grace = values.get("terminationGracePeriodSeconds") or _GRACE
    yield ("less", f"the grace period of {name}"), {str(grace)}
    timeout = values.get("probeTimeoutSeconds") or _TIMEOUT
    probes = {
        probe: {**_TIMES, "timeoutSeconds": timeout, **inside(values, probe)}
        for probe in ("livenessProbe", "readinessProbe")
        if inside(values, probe).get("enabled") is not False
    }
    yield from probe_risks(name, probes)
