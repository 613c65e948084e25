"""Variables of jobs and of the manager, some of which have a separate key."""

import re
from collections.abc import Mapping

from components.workloads import DAEMON_VARIABLES
from convert.site.model import Tree, items, table, text
from convert.site.rule import CONFIDENTIAL, KeyCase, SiteRule, keys
from convert.site.secrets import is_secret, is_secret_name

_OF_STRATEGY = {
    *DAEMON_VARIABLES,
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_DRIVER",
    "DOCKER_TLS_CERTDIR",
    "DOCKER_TLS_VERIFY",
}
_PROXIES = {"HTTP_PROXY": "http", "HTTPS_PROXY": "https", "NO_PROXY": "except"}
_OPTIONS = ("KUBERNETES_", "CACHE_")
_REGISTER = re.compile(r"(RUNNER|REGISTER|CI_SERVER|REGISTRATION)_\w+|(TEMPLATE_)?CONFIG_FILE")


def pairs(value: Tree) -> dict[str, Tree]:
    """Return variables by name, from a list of NAME=value, of mappings, or from a mapping."""
    if isinstance(value, dict):
        return value
    found: dict[str, Tree] = {}
    for item in items(value) or [value]:
        if isinstance(item, str):
            name, _, content = item.partition("=")
            found[name] = content
        elif name := text(table(item).get("name")):
            below = table(item)
            found[name] = below.get("value", below.get("valueFrom"))
    return found


def job_environment(case: KeyCase) -> None:
    """Take variables of jobs, one by one."""
    for name, value in pairs(case.value).items():
        part = case.at(f"[{name}]", value)
        if name in _OF_STRATEGY:
            part.product("the strategy sets it, or chooses the engine for the job")
        elif not _common(part, name):
            part.take("runners.*.environment", {name: text(value)})


def manager_environment(case: KeyCase) -> None:
    """Take variables of the manager, one by one, but for those that are options of the runner."""
    for name, value in pairs(case.value).items():
        part = case.at(f"[{name}]", value)
        if _REGISTER.fullmatch(name):
            part.product("registers the runner, which the product does")
        elif not name.startswith(_OPTIONS) and not _common(part, name):
            part.take("runners.*.manager.environment", {name: text(value)})


def options(values: Mapping[str, Tree]) -> dict[str, Tree]:
    """Return what variables of the manager say of a runner, as tables of config.toml.

    The chart registers the runner, and each option of that is a variable too
    (gitlab-runner: commands/register.go).
    """
    kubernetes: dict[str, Tree] = {}
    cache: dict[str, Tree] = {}
    given = {**pairs(values.get("envVars")), **pairs(values.get("extraEnv"))}
    secret = pairs(values.get("extraEnvFrom"))
    for name, value in (*given.items(), *secret.items()):
        prefix, _, rest = name.partition("_")
        if prefix == "KUBERNETES":
            kubernetes[rest.lower()] = value
        elif prefix == "CACHE":
            kind, _, inner = rest.lower().partition("_")
            whole = f"{kind}.{inner}" if kind in {"s3", "gcs", "azure"} else rest.lower()
            # The name of an object says as much as what is in it: that there is a login.
            cache[whole.replace("_", "")] = value if isinstance(value, str) else "secret"
    found: dict[str, Tree] = {"kubernetes": kubernetes, "cache": cache}
    return {name: below for name, below in found.items() if below}


def feature_flags(case: KeyCase) -> None:
    """Take flags of the runner as variables, which it reads too."""
    for name, value in table(case.value).items():
        case.at(f".{name}", value).take("runners.*.environment", {name: text(value)})


def _common(case: KeyCase, name: str) -> bool:
    """Take what is the same for managers and jobs: proxies, and what looks like a secret."""
    value = text(case.value)
    if proxy := _PROXIES.get(name.upper()):
        except_ = [part.strip() for part in value.split(",") if part.strip()]
        case.take("proxy", {proxy: list(except_) if proxy == "except" else value})
    elif isinstance(case.value, dict):
        case.refuse("comes from an object of the cluster, which no key names", "see cache or proxy")
    elif (is_secret_name(name) and value) or is_secret(value):
        case.refuse(*CONFIDENTIAL)
    else:
        return False
    return True


def _from_objects(case: KeyCase) -> None:
    for name, value in table(case.value).items():
        if not name.startswith(_OPTIONS):
            case.at(f".{name}", value).refuse("comes from an object, which no key names")


def _references(case: KeyCase) -> None:
    case.refuse(
        "takes variables of the manager from an object, which no key names",
        "write those that it needs in manager.environment, or give it an identity",
    )


RULES = (
    keys("envVars", ["runners.*.manager.environment", "proxy"], manager_environment),
    keys("extraEnv", ["runners.*.manager.environment", "proxy"], manager_environment),
    keys("runners.env", ["runners.*.environment", "proxy"], job_environment),
    keys(
        "extraEnvFrom",
        ["runners.*.cache"],
        _from_objects,
        "a login of the cache; others are refused",
    ),
    SiteRule("extraEnvFromRefs", "refused", (), "no key names such objects", _references),
)
