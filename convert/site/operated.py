"""What becomes of a Runner of GitLab Runner Operator, whose properties say what a chart's do."""

from collections.abc import Mapping

from convert.site.model import Tree, items, table, text
from convert.site.rule import KeyCase, SiteRule, apply, done, key, keys, refused
from convert.site.rules import cache, chart, config, environment, images, manager
from convert.site.rules.mirror import mirror
from convert.site.rules.patches import each_patch, shown
from convert.site.values import log_level, lower, positive, url

_PLAN = ("changes the manager past what the stack makes of it", "use manager of the runner")
_OF_CHART: Mapping[str, SiteRule] = {
    rule.path: rule
    for rule in (*chart.RULES, *manager.RULES, *environment.RULES)
    if "." not in rule.path
}
"""The values of the chart, many of which are named like fields of a pod, and mean these."""
_OF_POD = (
    *("affinity", "hostAliases", "hostname", "imagePullSecrets", "initContainers", "nodeSelector"),
    *("priorityClassName", "runtimeClassName", "schedulerName", "securityContext"),
    *("terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes"),
)
_POD = {name: _OF_CHART[name] for name in _OF_POD}
_CONTAINER = {
    **{
        name: _OF_CHART[name]
        for name in ("livenessProbe", "readinessProbe", "resources", "securityContext")
    },
    "env": _OF_CHART["envVars"],
    "volumeMounts": _OF_CHART["volumeMounts"],
}
_DEPLOYMENT = {name: _OF_CHART[name] for name in ("replicas", "revisionHistoryLimit", "strategy")}


def _token(case: KeyCase) -> None:
    case.take(
        "runners.*.registration",
        {"kind": "secret", "name": text(case.value)},
        "the Secret must be in the managers' namespace, with the token of a new runner as "
        "runner-token while the old one runs, and with runner-registration-token, empty",
    )


def _config(case: KeyCase) -> None:
    if case.release.configs:
        case.product("it is read as config.toml")
    else:
        case.ask("no file has this ConfigMap, whose config.toml is a part", "import it too")


def _environment(case: KeyCase) -> None:
    if isinstance(case.value, dict):
        environment.manager_environment(case)
    else:
        said = "no file has this ConfigMap, which has variables of the manager"
        case.ask(said, "import it too", "runners.*.manager.environment")


def _pod(case: KeyCase) -> None:
    for part, fields in each_patch(case):
        _fields(part, fields)


def _deployment(case: KeyCase) -> None:
    for part, fields in each_patch(case):
        for name, value in fields.items():
            below = part.at(f".{shown(name)}", value)
            if name != "template":
                _field(below, _DEPLOYMENT.get(name))
                continue
            for key_of_pod, inner in table(value).items():
                within = below.at(f".{shown(key_of_pod)}", inner)
                if key_of_pod == "spec":
                    _fields(within, table(inner))
                else:
                    within.refuse(*_PLAN)


def _fields(case: KeyCase, fields: Mapping[str, Tree]) -> None:
    """Take the fields of the manager's pod."""
    for name, value in fields.items():
        part = case.at(f".{shown(name)}", value)
        if name == "containers":
            for container in map(table, items(value)):
                for field, inner in container.items():
                    if field != "name":
                        _field(part.at(f".{shown(field)}", inner), _CONTAINER.get(field))
        else:
            _field(part, _POD.get(name))


def _field(case: KeyCase, rule: SiteRule | None) -> None:
    if rule:
        apply(lambda _: rule, case)
    else:
        case.refuse(*_PLAN)


def _in_gitlab(name: str) -> SiteRule:
    return done(f"spec.{name}", "the runner has it in GitLab, where it stays as it is")


def _image(case: KeyCase, kind: str) -> None:
    mirror(case, text(case.value), kind)


_RULES = (
    key("spec.gitlabUrl", "gitlab.url", url),
    keys("spec.token", ["runners.*.registration"], _token),
    keys("spec.tags", ["runners.*.tags"], chart.tags),
    key("spec.concurrent", "runners.*.concurrent", positive),
    done("spec.interval", "the runner's default of 3 seconds serves"),
    *map(_in_gitlab, ("locked", "protected", "runUntagged")),
    keys("spec.cloneURL", ["gitlab.cloneUrl"], config.clone_url, "unless it is gitlab.url"),
    keys(
        "spec.env",
        ["runners.*.manager.environment", "proxy"],
        _environment,
        "of a ConfigMap among the files",
    ),
    keys(
        "spec.runnerImage",
        ["chart.images.registry", "chart.managerImage"],
        lambda case: _image(case, "managerImage"),
        "where it is not GitLab's own",
    ),
    keys(
        "spec.helperImage",
        ["chart.images.registry", "chart.helperImage"],
        lambda case: _image(case, "helperImage"),
        "where it is not GitLab's own",
    ),
    keys("spec.buildImage", ["runners.*.strategy.image"], images.image),
    done("spec.imagePullPolicy", "images have exact versions, so nodes pull them once"),
    *(
        keys(f"spec.{name}", ["runners.*.cache"], cache.RULES[0].take)
        for name in ("cacheType", "cachePath", "cacheShared", "s3", "gcs", "azure")
    ),
    keys("spec.ca", ["gitlab.caCertificates"], chart.certificates),
    done("spec.serviceaccount", "the product names and makes the account"),
    SiteRule(
        "spec.config", "product", (), "the config.toml of a ConfigMap among the files", _config
    ),
    done("spec.shutdownTimeout", "manager.terminationGracePeriod is the time that jobs have"),
    key("spec.logLevel", "runners.*.manager.logLevel", log_level),
    key("spec.logFormat", "runners.*.manager.logFormat", lower),
    keys(
        "spec.listenAddr",
        ["runners.*.manager.metrics"],
        lambda case: case.take("runners.*.manager.metrics", "annotations", "on port 9252"),
    ),
    refused("spec.sentryDsn", "errors of the manager go to its log, which a collector can send on"),
    done("spec.connectionMaxAge", "the runner's default serves"),
    keys(
        "spec.podSpec",
        ["runners.*.manager.resources", "runners.*.manager.nodeSelector", "hostAliases"],
        _pod,
        "field by field, as the values of the chart",
    ),
    keys(
        "spec.deploymentSpec",
        ["runners.*.manager.replicas"],
        _deployment,
        "field by field, as the values of the chart",
    ),
)

OPERATED = {rule.path.lower(): rule for rule in _RULES}
"""What becomes of the properties of a Runner, by their path in lowercase."""
