"""Values of the chart about the pod of the manager, and the same keys of config.toml."""

from convert.site.draft import Draft
from convert.site.model import Tree, is_set, table, text
from convert.site.rule import CONFIDENTIAL, KeyCase, SiteRule, done, key, keys, refused
from convert.site.rules.chart import take_identity
from convert.site.rules.kubernetes import tolerate
from convert.site.rules.mirror import VERSION, mirror, pull_secrets
from convert.site.secrets import is_secret_name
from convert.site.values import (
    bounds,
    identity,
    log_level,
    lower,
    mapping,
    node_affinity,
    number,
    positive,
    spread,
    truth,
)

_MANAGER = "runners.*.manager"
_HARDENED = "managers run at Pod Security restricted, hardened further than the chart does"
_HOUR = "jobs have an hour to end, unless they were given more"
_PROBES = {
    "initialDelaySeconds": "initialDelaySeconds",
    "periodSeconds": "periodSeconds",
    "failureThreshold": "failureThreshold",
}


def _image(case: KeyCase) -> None:
    if isinstance(case.value, str):
        mirror(case, case.value)
        return
    given = table(case.value)
    registry = text(given.get("registry"))
    name = text(given.get("image")) or text(given.get("repository")) or "gitlab-org/gitlab-runner"
    for part in ("tag", "pullPolicy", "pullSecrets", "imagePullSecrets"):
        if is_set(given.get(part)):
            case.at(f".{part}", given[part]).product(VERSION)
    named = [part for part in ("registry", "image", "repository") if is_set(given.get(part))]
    tag = text(given.get("tag"))
    whole = "/".join(filter(None, (registry, name))) + (f":{tag}" if tag else "")
    for part in named:
        mirror(case.at(f".{part}", given[part]), whole)


def _registry(case: KeyCase) -> None:
    mirror(case, f"{text(case.value)}/gitlab-org/gitlab-runner")


def _probe(value: Tree) -> dict[str, int]:
    given = table(value)
    return {name: positive(given[old]) for old, name in _PROBES.items() if given.get(old)}


def _one_probe(kind: str) -> SiteRule:
    def take(case: KeyCase) -> None:
        found = _probe(case.value)
        if found:
            case.take(f"{_MANAGER}.{kind}", dict(found))
        else:
            case.product("the thresholds of the chart serve")

    return keys(kind, [f"{_MANAGER}.{kind}"], take)


def _replicas(case: KeyCase) -> None:
    count = number(case.value)
    if count > 1:
        case.take(f"{_MANAGER}.replicas", count)
    else:
        case.product("one manager is the default")


def _scaled(case: KeyCase) -> None:
    most = table(case.value).get("maxReplicas")
    count = positive(most or "1")
    case.take(
        f"{_MANAGER}.replicas",
        count,
        "a fixed number, the most of the autoscaler: one that is "
        "removed ends its jobs, and an idle manager costs next to nothing",
    )


def _grace(case: KeyCase) -> None:
    seconds = number(case.value)
    if seconds > 3600:
        case.take(f"{_MANAGER}.terminationGracePeriod", seconds)
    else:
        case.product(_HOUR)


def _metrics(case: KeyCase) -> None:
    given = table(case.value)
    monitor = any(is_set(table(given.get(kind)).get("enabled")) for kind in _MONITORS)
    if monitor or is_set(given.get("enabled")):
        kind = "podMonitor" if monitor else "annotations"
        case.take(f"{_MANAGER}.metrics", kind, "on port 9252; a Service is not needed")
    else:
        case.product("metrics are off")


_MONITORS = ("podMonitor", "serviceMonitor")


def _service(case: KeyCase) -> None:
    if is_set(table(case.value).get("enabled")):
        case.product("metrics are read from the pods, so they need no Service")


def _affinity(case: KeyCase) -> None:
    """Take node affinity, and anti-affinity as spread."""
    given = table(case.value)
    for name, below in given.items():
        part = case.at(f".{name}", below)
        try:
            if name == "nodeAffinity":
                part.take(f"{_MANAGER}.nodeAffinity", {**node_affinity(below)})
            elif name == "podAntiAffinity":
                part.take(f"{_MANAGER}.spread", spread(below))
            else:
                part.refuse("places the manager by other pods", "use nodeAffinity")
        except ValueError as error:
            part.refuse(str(error), "write it in the stack file by nodeSelector")


def _spread(case: KeyCase) -> None:
    case.take(f"{_MANAGER}.spread", spread(case.value))


def settle_replicas(draft: Draft, runner: str) -> None:
    """Leave out of a single manager what only several can have."""
    path = ("runners", runner, "manager")
    for name, said in _OF_SEVERAL.items():
        finding = draft.origin(".".join((*path, name)))
        if finding and draft.get((*path, name)) and not draft.get((*path, "replicas")):
            draft.remove(finding)
            finding.outcome, finding.keys = "product", ()
            finding.text = f"{said}; set it with manager.replicas"


_OF_SEVERAL = {
    "spread": "one manager has no other to be apart from",
    "disruptionBudget": "with one manager it would stop every drain of its node",
}


def _budget(case: KeyCase) -> None:
    """Take the budget of charts from 0.91 on; a switch alone is one of other charts, for jobs."""
    if isinstance(case.value, dict):
        if is_set(case.value.get("enabled", "true")):
            case.take(f"{_MANAGER}.disruptionBudget", value=True)
        else:
            case.product("managers have no budget unless it is set")
    else:
        case.take("runners.*.podDisruptionBudget", truth(case.value))


def _tolerations(case: KeyCase) -> None:
    tolerate(case, f"{_MANAGER}.tolerations")


def _labels(case: KeyCase) -> None:
    """Take labels of the manager's pod; that of Azure comes with the identity."""
    given = dict(table(case.value))
    if given.pop(_AZURE, None):
        case.at(f".{_AZURE}", "true").product("identity.manager sets it")
    if given or not isinstance(case.value, dict):
        case.take(f"{_MANAGER}.labels", mapping(given))


_AZURE = "azure.workload.identity/use"


def _annotations(case: KeyCase) -> None:
    """Take annotations of the manager's pod, some of which have a separate key."""
    if found := identity(case.value):
        take_identity(case, "manager", found)
    rest: dict[str, Tree] = {}
    for name, value in table(case.value).items():
        part = case.at(f".{name}", value)
        if name.startswith("prometheus.io/"):
            if is_set(table(case.release.values.get("metrics")).get("enabled")):
                part.product("manager.metrics serves them")
            elif name.endswith("/scrape"):
                part.take(f"{_MANAGER}.metrics", "annotations")
        elif is_secret_name(name):
            part.refuse(*CONFIDENTIAL)
        elif part.unknown:
            part.take(f"{_MANAGER}.annotations", text(value))
        elif not identity({name: value}):
            rest[name] = value
    if rest:
        case.at("", rest).take(f"{_MANAGER}.annotations", mapping(rest))


_OTHERS = "where it is not GitLab's own"

RULES = (
    keys("image", ["chart.images.registry", "chart.managerImage"], _image, _OTHERS),
    keys("registry", ["chart.images.registry"], _registry, _OTHERS),
    done("repository", VERSION),
    done("tag", VERSION),
    done("imagePullPolicy", "images have exact versions, so nodes pull them once"),
    keys("imagePullSecrets", ["chart.images.pull"], pull_secrets),
    keys("serviceAccount.imagePullSecrets", ["chart.images.pull"], pull_secrets),
    keys("rbac.imagePullSecrets", ["chart.images.pull"], pull_secrets),
    done("useTini", "the image of the runner brings its init"),
    key("probeTimeoutSeconds", f"{_MANAGER}.probeTimeoutSeconds", positive),
    _one_probe("livenessProbe"),
    _one_probe("readinessProbe"),
    keys("replicas", [f"{_MANAGER}.replicas"], _replicas),
    keys("hpa", [f"{_MANAGER}.replicas"], _scaled, "the most of the autoscaler"),
    done("revisionHistoryLimit", "the stack keeps the history"),
    keys("terminationGracePeriodSeconds", [f"{_MANAGER}.terminationGracePeriod"], _grace, _HOUR),
    key("logLevel", f"{_MANAGER}.logLevel", log_level),
    key("logFormat", f"{_MANAGER}.logFormat", lower),
    keys("metrics", [f"{_MANAGER}.metrics"], _metrics),
    SiteRule("service", "product", (), "metrics need no Service", _service),
    refused("schedulerName", "chooses another scheduler for the manager"),
    done("securityContext", _HARDENED),
    done("podSecurityContext", _HARDENED),
    done("containerSecurityContext", _HARDENED),
    done("capabilities", _HARDENED),
    done("strategy", "a manager is replaced one by one"),
    key("resources", f"{_MANAGER}.resources", bounds),
    keys("affinity", [f"{_MANAGER}.nodeAffinity", f"{_MANAGER}.spread"], _affinity),
    keys("topologySpreadConstraints", [f"{_MANAGER}.spread"], _spread),
    refused("runtimeClassName", "the manager runs no code of jobs, so it needs no sandbox"),
    key("nodeSelector", f"{_MANAGER}.nodeSelector", mapping),
    keys("tolerations", [f"{_MANAGER}.tolerations"], _tolerations),
    key("deploymentAnnotations", f"{_MANAGER}.annotations", mapping),
    key("deploymentLabels", f"{_MANAGER}.labels", mapping),
    refused("deploymentLifecycle", "the product ends managers so that jobs can finish"),
    done("hostname", "the name of a manager's pod says which runner it is"),
    keys("podAnnotations", [f"{_MANAGER}.annotations", f"{_MANAGER}.metrics"], _annotations),
    keys("podLabels", [f"{_MANAGER}.labels"], _labels),
    keys(
        "podDisruptionBudget",
        [f"{_MANAGER}.disruptionBudget", "runners.*.podDisruptionBudget"],
        _budget,
    ),
    done("startupProbe", "a manager has the time to start that readinessProbe gives it"),
    key("priorityClassName", f"{_MANAGER}.priorityClassName", text),
)
