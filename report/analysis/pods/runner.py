"""What a runner lets its jobs decide, and what it does beside them, by its entry in config.toml."""

import re
from collections.abc import Iterable, Iterator

from report.analysis.pods.containers import RisksOf, digest
from report.tree import Tree, inside, texts

_SCRIPTS = (
    "pre_clone_script",
    "post_clone_script",
    "pre_get_sources_script",
    "post_get_sources_script",
    "post_build_script",
)
# Where jobs run, and who the manager is there, if not in its own cluster by its own account.
_ELSEWHERE = ("host", "context", "ca_file", "cert_file", "key_file", "namespace_per_job")
# By these every job trusts, shows or runs more than it says itself.
_VARIABLE = re.compile(
    r"(BASH_ENV|CI_DEBUG_(TRACE|SERVICES)|ENV|FF_\w+|GIT_CONFIG_\w+|GIT_SSH_COMMAND|"
    r"GIT_SSL_NO_VERIFY|LD_(PRELOAD|LIBRARY_PATH)|NODE_TLS_REJECT_UNAUTHORIZED|PYTHONHTTPSVERIFY)"
    r"=.*",
    re.DOTALL,
)


def runner_risks(runner: str, entry: Tree) -> Iterator[RisksOf]:
    """Yield what a runner lets its jobs decide, and what it does beside them."""
    jobs = inside(entry, "kubernetes")
    job = f"a job of runner {runner}"
    yield ("override", job), set(_overrides(jobs))
    yield ("anyImage", job), texts(jobs, "allowed_images") or {"any image"}
    policy = jobs.get("pull_policy")
    policies = texts(jobs, "pull_policy") or [str(policy)]
    allowed = [*policies, *texts(jobs, "allowed_pull_policies")]
    yield ("cachedImages", job), () if set(allowed) == {"always"} else {"cached"}
    yield ("script", f"each job of runner {runner}"), set(_scripts(entry))
    yield ("variable", f"each job of runner {runner}"), set(_variables(texts(entry, "environment")))
    yield ("elsewhere", f"runner {runner}"), set(_elsewhere(entry))


def registration_risks(runner: str, inputs: Tree) -> Iterator[RisksOf]:
    """Yield whose jobs a runner takes, by its inputs as a runner that the stack creates in GitLab.

    (pulumi: gitlab.UserRunner)
    """
    scopes = {"instance_type": "of all projects", "group_type": "of a whole group"}
    scope = scopes.get(str(inputs.get("runnerType")))
    taken = {
        "of branches that are not protected": inputs.get("accessLevel") != "ref_protected",
        "without tags": inputs.get("untagged") is True,
        str(scope): scope is not None,
    }
    yield ("openTo", runner), {jobs for jobs, takes in taken.items() if takes}


def _overrides(jobs: Tree) -> Iterator[str]:
    for key, value in jobs.items():
        what, found, _ = key.partition("_overwrite_")
        if found and value:
            yield f"{what} ({value})"
    yield from (f"user {user}" for user in texts(jobs, "allowed_users"))
    yield from (f"group {group}" for group in texts(jobs, "allowed_groups"))


def _scripts(entry: Tree) -> Iterator[str]:
    for key in _SCRIPTS:
        if entry.get(key):
            yield f"{key} (digest {digest(entry[key])})"
    hooks = inside(entry, "kubernetes", "container_lifecycle")
    if hooks:
        yield f"container_lifecycle (digest {digest(hooks)})"


def _variables(environment: Iterable[str]) -> Iterator[str]:
    yield from filter(_VARIABLE.fullmatch, environment)


def _elsewhere(entry: Tree) -> Iterator[str]:
    """Yield what makes jobs run, or take their sources from, where the stack does not say."""
    jobs = inside(entry, "kubernetes")
    if entry.get("executor", "kubernetes") != "kubernetes":
        yield f"executor = {entry['executor']}"
    if entry.get("clone_url"):
        yield f"clone_url = {entry['clone_url']}"
    yield from (f"kubernetes.{key} = {jobs[key]}" for key in _ELSEWHERE if jobs.get(key))
    if jobs.get("bearer_token"):
        yield "kubernetes.bearer_token"
