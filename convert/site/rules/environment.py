"""Variables of jobs and of the manager, some of which have a separate key."""

import json
import re
from collections.abc import Mapping

from components.settings.plain_text import has_login
from components.settings.stack_file import table_of
from components.workloads import DAEMON_VARIABLES
from convert.site.draft import Draft
from convert.site.model import Tree, items, table, text
from convert.site.rule import CONFIDENTIAL, KeyCase, SiteRule, keys
from convert.site.secrets import is_secret, is_secret_name
from convert.site.values import log_level

_OF_STRATEGY = {
    *DAEMON_VARIABLES,
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_DRIVER",
    "DOCKER_TLS_CERTDIR",
    "DOCKER_TLS_VERIFY",
}
_OF_STACK = {
    "FF_DISABLE_AUTOMATIC_TOKEN_ROTATION",
    "FF_USE_ADVANCED_POD_SPEC_CONFIGURATION",
    "FF_USE_POD_ACTIVE_DEADLINE_SECONDS",
}
"""Flags that are set where the product needs them."""
_LOG = {"LOG_LEVEL": "logLevel", "LOG_FORMAT": "logFormat"}
_PROXIES = {"HTTP_PROXY": "http", "HTTPS_PROXY": "https", "NO_PROXY": "except"}
_OPTIONS = ("KUBERNETES_", "CACHE_")
_OF_RUNNER = {
    "CI_SERVER_URL": "url",
    "CLONE_URL": "clone_url",
    "RUNNER_ENV": "environment",
    "RUNNER_TAG_LIST": "tag_list",
    **{
        f"RUNNER_{name.upper()}": name
        for name in (
            *("limit", "output_limit", "request_concurrency", "unhealthy_requests_limit"),
            *("pre_get_sources_script", "post_get_sources_script", "pre_build_script"),
            *("post_build_script", "prepare_timeout", "get_sources_timeout"),
        )
    },
}
"""Options of the registration that are keys of config.toml (gitlab-runner: common/config.go)."""
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
        elif name in _OF_STACK:
            part.product("the stack sets it where it needs it")
        elif name == "DOCKER_AUTH_CONFIG":
            _logins(part)
        elif not _common(part, name):
            part.take("runners.*.environment", {name: text(value)})


def _logins(case: KeyCase) -> None:
    """Take the registries of a config.json of Docker, whose logins are stored by commands."""
    try:
        auths = json.loads(text(case.value))["auths"]
        hosts = [str(host).partition("://")[2] or str(host) for host in auths]
    except (ValueError, KeyError, TypeError):
        case.refuse(*CONFIDENTIAL)
        return
    entries = case.draft.get(("registries",))
    known = [table_of(entry).get("host") for entry in entries] if isinstance(entries, list) else []
    for host in hosts:
        if host.partition("/")[0] in known:
            case.product("its entry in registries has a login already")
            continue
        name = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")
        case.draft.store_login(name)
        case.at("", "login").take(
            "registries",
            [{"host": host.partition("/")[0], "pull": name}],
            "a login must be encrypted; nodes pull with it, and push: the same name lets jobs push",
            "store it by the commands below",
        )


def manager_environment(case: KeyCase) -> None:
    """Take variables of the manager, one by one, but for those that are options of the runner."""
    for name, value in pairs(case.value).items():
        part = case.at(f"[{name}]", value)
        if name in _OF_RUNNER:
            continue
        if _REGISTER.fullmatch(name):
            part.product("registers the runner, which the product does")
        elif name in _LOG:
            part.take(f"runners.*.manager.{_LOG[name]}", log_level(value))
        elif not name.startswith(_OPTIONS) and not _common(part, name):
            part.take("runners.*.manager.environment", {name: text(value)})


def options(values: Mapping[str, Tree]) -> dict[str, Tree]:
    """Return what variables of the manager say of a runner, as tables of config.toml.

    The chart registers the runner, and each option of that is a variable too
    (gitlab-runner: commands/register.go).
    """
    kubernetes: dict[str, Tree] = {}
    cache: dict[str, Tree] = {}
    sources = (values.get(name) for name in ("envVars", "extraEnv", "spec.env"))
    given = {name: value for source in sources for name, value in pairs(source).items()}
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
    own = {_OF_RUNNER[name]: value for name, value in given.items() if name in _OF_RUNNER}
    found: dict[str, Tree] = {**own, "kubernetes": kubernetes, "cache": cache}
    return {name: below for name, below in found.items() if below}


def feature_flags(case: KeyCase) -> None:
    """Take flags of the runner as variables, which it reads too."""
    for name, value in table(case.value).items():
        part = case.at(f".{name}", value)
        if name in _OF_STACK:
            part.product("the stack sets it where it needs it")
        else:
            part.take("runners.*.environment", {name: text(value)})


def _common(case: KeyCase, name: str) -> bool:
    """Take what is the same for managers and jobs: proxies, and what looks like a secret."""
    value = text(case.value)
    if proxy := _PROXIES.get(name.upper()):
        except_ = [part.strip() for part in value.split(",") if part.strip()]
        if has_login(value):
            case.refuse(
                "has a login, which would be readable wherever the proxy is set",
                "use a proxy that knows the cluster by its addresses",
            )
        else:
            case.take("proxy", {proxy: list(except_) if proxy == "except" else value})
    elif isinstance(case.value, dict):
        case.refuse("comes from an object of the cluster, which no key names", "see cache or proxy")
    elif (is_secret_name(name) and value) or is_secret(value):
        case.refuse(*CONFIDENTIAL)
    else:
        return False
    return True


def settle_proxy(draft: Draft) -> None:
    """Leave out the exceptions of a proxy that is not taken, as one with a login."""
    finding = draft.origin("proxy.except")
    if finding and not (draft.get(("proxy", "http")) or draft.get(("proxy", "https"))):
        draft.remove(finding)
        finding.outcome, finding.keys = "product", ()
        finding.text = "without a proxy everything is reached directly"


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
