"""Values of the chart about the runner: where it registers, its accounts, its objects."""

import re

from components.types import JSON
from convert.site.model import is_set, items, leaves, table, text
from convert.site.rule import KeyCase, SiteRule, done, key, keys, refused
from convert.site.values import as_text, identity, positive, url, words

_OWN_ROLE = (
    "the manager gets a Role of the verbs that it needs, in the job namespace alone, and jobs get "
    "an account without a token"
)
_WITH_DEPLOY = (
    "for jobs that deploy, add a runner with the strategy deploy and list their permissions"
)
_SIDE_BY_SIDE = (
    "it must be in the managers' namespace, with the token of a new runner while the old one runs"
)
_OBSOLETE = "GitLab 20.0 removes registration tokens"


def token(case: KeyCase) -> None:
    """Ask for the token of a runner, or name the Secret that has it."""
    reference = table(table(table(case.value).get("valueFrom")).get("secretKeyRef"))
    if name := text(reference.get("name")):
        case.take("runners.*.registration", {"kind": "secret", "name": name}, _SIDE_BY_SIDE)
        return
    for runner in case.runners:
        case.draft.store(f"runnerTokens.{runner.name}")
    case.ask(
        "a token must be encrypted",
        "store it by the command below; it stays valid",
        "runnerTokens.*",
    )


def _registration_token(case: KeyCase) -> None:
    if text(case.value).startswith("glrt-"):
        token(case)
    else:
        case.refuse(_OBSOLETE, "create the runner in GitLab, and use its token")


def secret(case: KeyCase) -> None:
    """Register with the Secret that has the token."""
    name = as_text(case.value)
    case.take("runners.*.registration", {"kind": "secret", "name": name}, _SIDE_BY_SIDE)


def certificates(case: KeyCase) -> None:
    """Ask for the CA of GitLab, of which the file has only the place."""
    case.ask(
        "the file names only where the CA certificates are",
        "paste them as a block scalar (|); they are not secret",
        "gitlab.caCertificates",
    )


def tags(case: KeyCase) -> None:
    """Set the tags of the runners."""
    found = words(case.value)
    if any("$" in str(tag) for tag in found):
        message = "has a variable that is filled in when it is deployed; write its value"
        raise ValueError(message)
    case.take("runners.*.tags", found)


def _in_gitlab(name: str) -> SiteRule:
    return done(f"runners.{name}", "the runner has it in GitLab, where it stays as it is")


def _wide_access(case: KeyCase) -> None:
    case.refuse(f"gives the manager rights over the Secrets of the whole cluster; {_OWN_ROLE}")


def _rules(case: KeyCase) -> None:
    if "*" in leaves(case.value):
        case.refuse(f"gives rights over everything of a kind; {_OWN_ROLE}", _WITH_DEPLOY)
    else:
        case.product(f"{_OWN_ROLE}; {_WITH_DEPLOY}")


def _identity(case: KeyCase) -> None:
    found = identity(case.value)
    if found:
        take_identity(case, "manager", found)
    else:
        case.product("the product makes the account; no cloud reads these annotations")


def take_identity(case: KeyCase, whose: str, found: dict[str, JSON]) -> None:
    """Take an identity in a cloud, with the way to Google's metadata server where it needs one."""
    finding = case.take(f"runners.*.identity.{whose}", found)
    if "google" in found and finding.outcome == "taken":
        path = ("network", "egress", "metadata")
        case.draft.put(path, value=True)
        case.draft.remarks[path] = "an identity of Google comes from the metadata server"


def aliases(case: KeyCase) -> None:
    """Take names of hosts by their address."""
    found: dict[str, JSON] = {}
    for item in items(case.value):
        names = words(table(item).get("hostnames") or [])
        found[text(table(item).get("ip"))] = names
    for address, names in table(case.value).items():
        found[address] = words(names or [])
    case.take("hostAliases", found)


def _objects(case: KeyCase) -> None:
    """Take the name of a Secret with the token from an object that makes it."""
    for item in items(case.value):
        kind = text(table(item).get("kind"))
        named = table(table(table(item).get("spec")).get("target")).get("name")
        name = text(named) or text(table(table(item).get("metadata")).get("name"))
        if kind in {"ExternalSecret", "SealedSecret"} and name and "{{" not in name:
            says = f"the {kind} stays an object of yours, outside of the release"
            case.take("runners.*.registration", {"kind": "secret", "name": name}, says)
        elif is_set(item):
            case.refuse(
                "is another object, which does not belong to a runner",
                "apply it beside the stack (kubectl apply)",
            )


def _volumes(case: KeyCase) -> None:
    """Ask for CA certificates among the volumes of the manager; others reach no job."""
    for item in items(case.value):
        found = " ".join(leaves(item)).lower()
        if re.search(r"\bcerts?\b|certificate|\bca\b|\.crt|\.pem", found):
            certificates(case)
        elif "serviceaccounttoken" in found or "aws" in found:
            case.product("identity.manager brings the token by which a cloud knows the manager")
        else:
            case.product("the manager has what it needs, and its volumes reach no job")


def _session_server(case: KeyCase) -> None:
    # Charts before 0.43 have no switch.
    if is_set(table(case.value).get("enabled", "true")):
        case.refuse(
            "the network policies of the stack let nobody connect to managers and jobs, so there "
            "are no interactive web terminals"
        )


RULES = (
    key("gitlabUrl", "gitlab.url", url),
    keys("runnerToken", ["runnerTokens.*"], token),
    SiteRule("runnerRegistrationToken", "refused", (), _OBSOLETE, _registration_token),
    keys("runners.secret", ["runners.*.registration"], secret),
    keys("certsSecretName", ["gitlab.caCertificates"], certificates),
    key("concurrent", "runners.*.concurrent", positive),
    done("unregisterRunners", "a runner with a glrt- token stays in GitLab until you delete it"),
    done("checkInterval", "the runner's default of 3 seconds serves"),
    done("shutdown_timeout", "manager.terminationGracePeriod is the time that jobs have to end"),
    done("connectionMaxAge", "the runner's default serves"),
    refused("sentryDsn", "errors of the manager go to its log, which a collector can send on"),
    refused("preEntrypointScript", "runs a script in the manager before it starts"),
    SiteRule(
        "sessionServer",
        "refused",
        (),
        "network policies let nobody connect to managers and jobs",
        _session_server,
    ),
    done("rbac.create", _OWN_ROLE),
    done("rbac.generatedServiceAccountName", "the product names and makes the account"),
    done("rbac.serviceAccountName", "the product names and makes the account"),
    SiteRule("rbac.rules", "product", (), f"{_OWN_ROLE}; rules with * are refused", _rules),
    done("rbac.resources", _OWN_ROLE),
    done("rbac.verbs", _OWN_ROLE),
    SiteRule(
        "rbac.clusterWideAccess", "refused", (), "rights over all of the cluster", _wide_access
    ),
    keys("rbac.serviceAccountAnnotations", ["runners.*.identity.manager"], _identity),
    refused("rbac.podSecurityPolicy.enabled", "Kubernetes 1.25 removed PodSecurityPolicy"),
    done("rbac.podSecurityPolicy.resourceNames", "Kubernetes 1.25 removed PodSecurityPolicy"),
    done("serviceAccount.create", "the product makes the account"),
    done("serviceAccount.name", "the product names the account"),
    keys("serviceAccount.annotations", ["runners.*.identity.manager"], _identity),
    done("automountServiceAccountToken", "managers get a token, jobs get none"),
    done("runners.configPath", "the product writes config.toml"),
    done("runners.config", "it is read as config.toml"),
    done("runners.configOverride", "it is read as config.toml"),
    done("config", "it is read as config.toml"),
    done("runners.executor", "kubernetes is the only executor"),
    done("runners.name", "the runner is named in the stack file"),
    keys("runners.tags", ["runners.*.tags"], tags),
    _in_gitlab("locked"),
    _in_gitlab("protected"),
    _in_gitlab("runUntagged"),
    _in_gitlab("maximumTimeout"),
    done("namespace", "the stack makes a namespace for managers, and one for each runner's jobs"),
    done("runners.jobNamespace", "each runner gets a separate job namespace"),
    done("runners.namespace", "each runner gets a separate job namespace"),
    done("nameOverride", "the product names its objects"),
    done("fullnameOverride", "the product names its objects"),
    keys("hostAliases", ["hostAliases"], aliases),
    keys("extraObjects", ["runners.*.registration"], _objects),
    keys("volumes", ["gitlab.caCertificates"], _volumes, "others reach no job"),
    keys("volumeMounts", ["gitlab.caCertificates"], _volumes, "others reach no job"),
    refused("secrets", "are files in the manager", "use the key of the stack file for them"),
    done("configMaps", "the product writes the files of the manager"),
    refused("extraContainers", "run beside the manager", "deploy them beside the stack"),
    refused(
        "initContainers",
        "run before the manager",
        "put what they prepare into chart.managerImage, or into a Secret that a key names",
    ),
    *(done(name, "the stack deploys what its file has") for name in ("enabled", "install")),
)
