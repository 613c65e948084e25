"""Variables of jobs and of the manager, some of which have a separate key."""

import re

from components.workloads import DAEMON_VARIABLES
from convert.site.model import Tree, is_set, items, table, text
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
_REGISTER = re.compile(r"(RUNNER|REGISTER|CI_SERVER|REGISTRATION)_\w+|(TEMPLATE_)?CONFIG_FILE")


def pairs(value: Tree) -> dict[str, Tree]:
    """Return variables by name, from a list of NAME=value, of mappings, or from a mapping."""
    if isinstance(value, dict):
        return value
    found: dict[str, Tree] = {}
    for item in items(value):
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
    """Take variables of the manager, one by one."""
    for name, value in pairs(case.value).items():
        part = case.at(f"[{name}]", value)
        if _REGISTER.fullmatch(name):
            part.product("registers the runner, which the product does")
        elif name.startswith(("KUBERNETES_", "CACHE_")):
            part.refuse(
                "is an option of the runner, written as a variable",
                "import it as a key of config.toml",
            )
        elif not _common(part, name):
            part.take("runners.*.manager.environment", {name: text(value)})


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
        part = case.at(f".{name}", value)
        if name.startswith("CACHE_"):
            part.ask(
                "a login of the cache must be encrypted",
                "store it by the command below",
                "cacheCredentials",
            )
        else:
            part.refuse("comes from an object of the cluster, which no key names")


def _references(case: KeyCase) -> None:
    if is_set(case.value):
        case.refuse(
            "takes variables of the manager from an object, which no key names",
            "write those that it needs in manager.environment, or give it an identity",
        )


RULES = (
    keys("envVars", ["runners.*.manager.environment", "proxy"], manager_environment),
    keys("extraEnv", ["runners.*.manager.environment", "proxy"], manager_environment),
    keys("runners.env", ["runners.*.environment", "proxy"], job_environment),
    keys("extraEnvFrom", ["cacheCredentials"], _from_objects),
    SiteRule("extraEnvFromRefs", "refused", (), "no key names such objects", _references),
)
