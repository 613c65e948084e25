"""Keys of config.toml: global ones, and those of a runner beside its executor's."""

import re

from components.types import JSON
from convert.site.model import text
from convert.site.rule import KeyCase, SiteRule, done, extra, key, keys, refused, to_extra
from convert.site.rules.chart import certificates, tags, token
from convert.site.rules.environment import feature_flags, job_environment
from convert.site.values import as_text, log_level, lower, positive, url

_LEGACY = "the runner's defaults serve"
_HOSTS = re.compile(
    r"(?P<ip>[0-9a-fA-F.:]{3,39})[ \t]+(?P<names>[\w.-]{1,253}(?:[ \t]+[\w.-]{1,253}){0,20})"
    r"[\"']?\s*>>\s*/etc/hosts"
)


def clone_url(case: KeyCase) -> None:
    """Take the address that jobs clone from, where it is another one than the manager's."""
    found = url(case.value)
    if found == case.draft.get(("gitlab", "url")):
        case.product("jobs clone from gitlab.url")
    else:
        case.take("gitlab.cloneUrl", found)


def _limit(case: KeyCase) -> None:
    """Take the limit of one runner among those of a manager as what the runner runs."""
    count = positive(case.value)
    for runner in case.runners:
        path = ("runners", runner.name, "concurrent")
        common = case.draft.get(path)
        if not isinstance(common, int) or common > count:
            case.draft.replace(path, count)
    case.product("a runner has its own manager, whose concurrent is the lesser of both")


def _output_limit(case: KeyCase) -> None:
    case.take("runners.*.logLimit", f"{positive(case.value)}Ki")


def _executor(case: KeyCase) -> None:
    kind = text(case.value)
    for runner in case.runners:
        runner.evidence.executor = kind
    if kind == "kubernetes":
        case.product("kubernetes is the only executor")
    elif kind.startswith("docker") and "windows" not in kind:
        case.product("jobs run in pods, in place of containers of Docker")
    else:
        case.refuse(
            "jobs ran outside of containers, and here they run in pods",
            "remove the runner from the stack file, or give its jobs an image that has their tools",
        )


def _shell(case: KeyCase) -> None:
    if text(case.value) in {"bash", "sh"}:
        case.product("jobs run in the shell of their image")
    else:
        case.refuse("is for Windows, and jobs build for Linux", "keep that runner apart")


def _script(case: KeyCase) -> None:
    """Take lines for /etc/hosts as host aliases; other scripts move to extra."""
    script = as_text(case.value)
    lines = [line for line in script.splitlines() if "/etc/hosts" in line]
    aliases: dict[str, JSON] = {
        found["ip"]: [*found["names"].split()] for line in lines for found in _HOSTS.finditer(line)
    }
    if aliases:
        case.take("hostAliases", aliases)
    rest = [
        line
        for line in script.splitlines()
        if line.strip()
        and not ("/etc/hosts" in line and _HOSTS.search(line))
        and not line.lstrip().startswith(("#", "set "))
    ]
    if rest or not aliases:
        to_extra(case, "", _RENAMED.get(case.path, case.path))


_RENAMED = {
    f"runners.{when}_clone_script": f"runners.{when}_get_sources_script" for when in ("pre", "post")
}
"""Hooks by names that GitLab Runner 17 no longer knows."""


def _hook(name: str) -> SiteRule:
    return keys(
        f"runners.{name}",
        ["hostAliases", "runners.*.extra"],
        _script,
        "lines that append to /etc/hosts become host aliases",
    )


def _other_executors(case: KeyCase) -> None:
    if any(runner.evidence.executor.endswith(("machine", "autoscaler")) for runner in case.runners):
        case.product("makes machines for jobs; the autoscaler of the cluster makes nodes")
    else:
        case.ignore("belongs to another executor")


def _listen(case: KeyCase) -> None:
    case.take("runners.*.manager.metrics", "annotations", "on port 9252")


GLOBAL = (
    key("concurrent", "runners.*.concurrent", positive),
    done("check_interval", _LEGACY),
    key("log_level", "runners.*.manager.logLevel", log_level),
    key("log_format", "runners.*.manager.logFormat", lower),
    keys("listen_address", ["runners.*.manager.metrics"], _listen),
    done("metrics", "metrics are served by manager.metrics"),
    refused("sentry_dsn", "errors of the manager go to its log, which a collector can send on"),
    done("connection_max_age", _LEGACY),
    done("session_server", "network policies let nobody connect to managers"),
    done("shutdown_timeout", "manager.terminationGracePeriod is the time that jobs have to end"),
    refused("experimental", "is experimental in GitLab Runner"),
    refused("labels", "are on metrics of every runner", "set labels in extra of each runner"),
    done("user", "the manager runs as a user that is not root"),
    refused("machine", "belongs to another executor"),
)

RUNNER = (
    done("runners.name", "the runner is named in the stack file"),
    key("runners.url", "gitlab.url", url),
    done("runners.id", "the runner learns it by its token"),
    keys("runners.token", ["runnerTokens.*"], token),
    done("runners.token_obtained_at", "the runner learns it by its token"),
    done("runners.token_expires_at", "the stack keeps runners from replacing their tokens"),
    keys("runners.tls-ca-file", ["gitlab.caCertificates"], certificates),
    refused("runners.tls-cert-file", "is a client certificate for GitLab, which no key gives"),
    refused("runners.tls-key-file", "is a client certificate for GitLab, which no key gives"),
    keys("runners.limit", ["runners.*.concurrent"], _limit),
    keys("runners.output_limit", ["runners.*.logLimit"], _output_limit),
    done("runners.request_concurrency", "the stack sets it by concurrent"),
    extra("runners.strict_check_interval"),
    extra("runners.unhealthy_requests_limit"),
    extra("runners.unhealthy_interval"),
    extra("runners.job_status_final_update_retry_limit"),
    SiteRule("runners.executor", "product", (), "kubernetes is the only executor", _executor),
    keys("runners.tags", ["runners.*.tags"], tags, "GitLab Runner itself does not read it"),
    keys("runners.tag_list", ["runners.*.tags"], tags, "GitLab Runner itself does not read it"),
    done("runners.run_untagged", "the runner has it in GitLab, where it stays as it is"),
    done("runners.builds_dir", "the strategy sets it where it matters"),
    done("runners.cache_dir", "is a folder in the job; cache keeps files between jobs"),
    keys("runners.clone_url", ["gitlab.cloneUrl"], clone_url, "unless it is gitlab.url"),
    keys("runners.environment", ["runners.*.environment", "proxy"], job_environment),
    keys("runners.feature_flags", ["runners.*.environment"], feature_flags),
    extra("runners.proxy_exec"),
    _hook("pre_get_sources_script"),
    _hook("pre_clone_script"),
    _hook("pre_build_script"),
    _hook("post_get_sources_script"),
    _hook("post_clone_script"),
    extra("runners.post_build_script"),
    extra("runners.prepare_timeout"),
    extra("runners.get_sources_timeout"),
    extra("runners.debug_trace_disabled"),
    extra("runners.safe_directory_checkout"),
    extra("runners.clean_git_config"),
    SiteRule("runners.shell", "product", (), "that of the job's image; pwsh is refused", _shell),
    done("runners.custom_build_dir", "GIT_CLONE_PATH works in the folder of the runner's builds"),
    refused("runners.referees", "was removed from GitLab Runner for Kubernetes"),
    extra("runners.artifact"),
    extra("runners.monitoring"),
    extra("runners.labels"),
    extra("runners.step_runner_image"),
    *(
        SiteRule(f"runners.{name}", "unknown", (), "belongs to another executor", _other_executors)
        for name in (
            "ssh",
            "parallels",
            "virtualbox",
            "machine",
            "custom",
            "autoscaler",
            "instance",
            "use_slot_cgroups",
            "slot_cgroup_template",
        )
    ),
)
