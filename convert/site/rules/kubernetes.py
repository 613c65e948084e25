"""Keys of the executor in config.toml, beside resources and volumes."""

from components.settings.runners.pods import refusal
from components.types import JSON
from convert.site.model import Tree, items, table, text
from convert.site.rule import CONFIDENTIAL, KeyCase, done, extra, key, keys, refused
from convert.site.rules.chart import aliases, take_identity
from convert.site.rules.images import image, privileged, pull_policy, pull_secrets, services
from convert.site.rules.mirror import mirror
from convert.site.secrets import is_secret_name
from convert.site.values import (
    duration,
    identity,
    mapping,
    node_affinity,
    spread,
    table_of,
    tolerations,
    truth,
    words,
)

_K = "runners.kubernetes"
_LEVEL = "the strategy sets what its containers may do, and the namespace enforces it"
_OTHERS = "where it is not GitLab's own"
_OUTSIDE = "is for a manager outside of the cluster, and the stack runs it inside"
_CHOICE = "lets a job choose what its rights come from"
_EVICT = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
    "karpenter.sh/do-not-evict": "true",
}
_PROFILES = ("container.apparmor.security", "container.seccomp.security", "seccomp.security")


def tolerate(case: KeyCase, becomes: str) -> None:
    """Take tolerations as Kubernetes spells them, but for one that tolerates all taints."""
    found, every = tolerations(case.value)
    if every:
        case.refuse(
            "tolerates every taint, also of nodes that are set aside for others",
            "name the taints in the stack file",
        )
    if found or not every:
        case.take(becomes, found)


def _tolerations(case: KeyCase) -> None:
    listed = case.value
    # The runner wants a table here, but a list says what was meant.
    if isinstance(listed, dict):
        listed = [_toleration(taint, effect) for taint, effect in listed.items()]
    tolerate(case.at("", listed), "runners.*.tolerations")


def _toleration(taint: str, effect: Tree) -> Tree:
    name, _, value = taint.partition("=")
    return {"key": name, "value": value, "effect": effect}


def annotations(case: KeyCase) -> None:
    """Take annotations of job pods, some of which have a separate key."""
    if not isinstance(case.value, dict):
        case.ignore("must be a mapping, which the runner would not start without")
        return
    rest: dict[str, Tree] = {}
    for name, value in case.value.items():
        part = case.at(f".{name}", value)
        if _EVICT.get(name) == text(value).lower():
            part.take("runners.*.podDisruptionBudget", value=True)
        elif is_secret_name(name) and text(value):
            part.refuse(*CONFIDENTIAL)
        elif name.startswith(_PROFILES):
            part.product("the strategy sets the profiles that its tool needs")
        elif cloud := identity({name: value}):
            take_identity(part, "jobs", cloud)
        else:
            rest[name] = value
    _apart(case, "runners.*.annotations", rest)


def labels(case: KeyCase) -> None:
    """Take labels of job pods, of which one gives an identity in Azure."""
    mapping(case.value)
    rest = dict(table(case.value))
    if text(rest.pop(_AZURE, "")):
        case.at(f".{_AZURE}", "true").ask(
            "jobs had the identity that their account names",
            "set its client ID",
            "runners.*.identity.jobs",
        )
    _apart(case, "runners.*.labels", rest)


def _apart(case: KeyCase, becomes: str, given: dict[str, Tree]) -> None:
    """Take labels or annotations, but for those that the program rejects."""
    for name, value in given.items():
        part = case.at(f".{name}", value)
        if reason := refusal(name, text(value)):
            part.refuse(*f"it {reason}".split("; ", 1))
        else:
            part.take(becomes, mapping({name: value}))


_AZURE = "azure.workload.identity/use"
_ARCH = "kubernetes.io/arch"


def _on_nodes(case: KeyCase) -> None:
    """Take node affinity; an architecture stands in nodeSelector, where the runner looks."""
    found = node_affinity(case.value)
    rest: list[JSON] = []
    for item in found.pop("require", []):
        entry = table_of(item)
        values = entry.get("values")
        if entry["key"] == _ARCH and isinstance(values, list) and len(values) == 1:
            case.take("runners.*.nodeSelector", {_ARCH: values[0]})
        else:
            rest.append(item)
    if rest or found:
        case.take("runners.*.nodeAffinity", {**found, **({"require": rest} if rest else {})})


def _affinity(case: KeyCase) -> None:
    for name, below in table(case.value).items():
        part = case.at(f".{name}", below)
        try:
            if name == "node_affinity":
                _on_nodes(part)
            elif name == "pod_anti_affinity":
                part.take("runners.*.spread", spread(below))
            else:
                _POD_AFFINITY.take(part)
        except ValueError as error:
            part.refuse(str(error), "write it in the stack file")


_POD_AFFINITY = extra(f"{_K}.affinity.pod_affinity")


def _dns(case: KeyCase) -> None:
    given = table(case.value)
    names = {"nameservers": "servers", "searches": "searches"}
    found: dict[str, JSON] = {names[key]: words(given[key]) for key in names if given.get(key)}
    options: dict[str, JSON] = {}
    for item in items(given.get("options")):
        spelled = text(table(item).get("value"))
        options[text(table(item).get("name"))] = int(spelled) if spelled.isdecimal() else None
    if options:
        found["options"] = options
    case.take("runners.*.dns", found)


def _dns_search(case: KeyCase) -> None:
    case.take("runners.*.dns", {"searches": words(case.value)})


def _seccomp(case: KeyCase) -> None:
    kind = text(table(table(case.value).get("seccomp_profile")).get("type"))
    if kind == "RuntimeDefault":
        case.take("runners.*.seccompProfile", kind)
    else:
        case.product(_LEVEL)


RULES = (
    *(
        refused(f"{_K}.{name}", _OUTSIDE)
        for name in ("host", "context", "cert_file", "key_file", "ca_file", "bearer_token")
    ),
    *(
        refused(f"{_K}.{name}", _CHOICE, "make a runner for each account or namespace")
        for name in (
            "bearer_token_overwrite_allowed",
            "namespace_overwrite_allowed",
            "service_account_overwrite_allowed",
            "pod_annotations_overwrite_allowed",
        )
    ),
    refused(f"{_K}.namespace_per_job", "needs rights over the namespaces of the whole cluster"),
    keys(f"{_K}.image", ["runners.*.strategy.image"], image),
    done(f"{_K}.namespace", "each runner gets a separate job namespace"),
    keys(f"{_K}.privileged", ["runners.*.strategy"], privileged),
    key(f"{_K}.runtime_class_name", "runners.*.runtimeClassName", text),
    done(f"{_K}.allow_privilege_escalation", _LEVEL),
    key(f"{_K}.allowed_images", "runners.*.allowedImages", words),
    key(f"{_K}.allowed_services", "runners.*.allowedServices", words),
    extra(f"{_K}.allowed_users"),
    extra(f"{_K}.allowed_groups"),
    keys(f"{_K}.pull_policy", ["runners.*.pullPolicy"], pull_policy),
    key(f"{_K}.allowed_pull_policies", "runners.*.allowedPullPolicies", words),
    key(f"{_K}.node_selector", "runners.*.nodeSelector", mapping),
    extra(f"{_K}.node_selector_overwrite_allowed", "jobs may choose nodes by it"),
    keys(f"{_K}.node_tolerations", ["runners.*.tolerations"], _tolerations),
    extra(f"{_K}.node_tolerations_overwrite_allowed", "jobs may choose nodes by it"),
    extra(f"{_K}.pod_labels_overwrite_allowed", "jobs may set labels by it"),
    keys(f"{_K}.affinity", ["runners.*.nodeAffinity", "runners.*.spread"], _affinity),
    keys(f"{_K}.image_pull_secrets", ["registries[].pullSecret"], pull_secrets),
    done(f"{_K}.use_service_account_image_pull_secrets", "logins are in registries"),
    keys(
        f"{_K}.helper_image",
        ["chart.images.registry", "chart.helperImage"],
        lambda case: mirror(case, text(case.value), "helperImage"),
        _OTHERS,
    ),
    extra(f"{_K}.helper_image_flavor"),
    done(f"{_K}.helper_image_autoset_arch_and_os", "the runner chooses the helper of the node"),
    extra(f"{_K}.pod_termination_grace_period_seconds"),
    extra(f"{_K}.cleanup_grace_period_seconds"),
    extra(f"{_K}.cleanup_resources_timeout"),
    done(f"{_K}.poll_interval", "the runner's default of 3 seconds serves"),
    key(f"{_K}.poll_timeout", "runners.*.podStartTimeout", duration),
    extra(f"{_K}.resource_availability_check_max_attempts"),
    extra(f"{_K}.retry_limit"),
    extra(f"{_K}.retry_limits"),
    extra(f"{_K}.retry_backoff_max"),
    keys(f"{_K}.pod_labels", ["runners.*.labels", "runners.*.identity.jobs"], labels),
    keys(f"{_K}.pod_annotations", ["runners.*.annotations"], annotations),
    extra(f"{_K}.scheduler_name"),
    done(f"{_K}.service_account", "the product makes the account of jobs, without a token"),
    done(f"{_K}.automount_service_account_token", "jobs get no token, but those that deploy"),
    keys(f"{_K}.pod_security_context", ["runners.*.seccompProfile"], _seccomp, _LEVEL),
    *(
        done(f"{_K}.{name}_security_context", _LEVEL)
        for name in (
            "build_container",
            "helper_container",
            "service_container",
            "init_permissions_container",
        )
    ),
    keys(f"{_K}.host_aliases", ["hostAliases"], aliases),
    keys(f"{_K}.services", ["runners.*.strategy"], services, "others than engines move to extra"),
    done(f"{_K}.cap_add", _LEVEL),
    done(f"{_K}.cap_drop", _LEVEL),
    done(f"{_K}.dns_policy", "the product sets the policy that runners.*.dns needs"),
    keys(f"{_K}.dns_config", ["runners.*.dns"], _dns),
    keys(f"{_K}.dns_search", ["runners.*.dns"], _dns_search),
    extra(f"{_K}.container_lifecycle"),
    key(f"{_K}.priority_class_name", "runners.*.priorityClassName", text),
    done(f"{_K}.logs_base_dir", "the strategy sets it where it matters"),
    done(f"{_K}.scripts_base_dir", "the strategy sets it where it matters"),
    extra(f"{_K}.print_pod_warning_events"),
    key(f"{_K}.pod_disruption_budget", "runners.*.podDisruptionBudget", truth),
    refused(f"{_K}.autoscaler", "needs rights over Deployments", "use a cluster autoscaler"),
    refused(f"{_K}.suspend_pvc_size", "suspends environments, which needs rights over claims"),
    refused(f"{_K}.suspend_pvc_storage_class", "suspends environments"),
)
