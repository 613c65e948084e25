"""What a runner lets its jobs decide, and what it does beside them, by its entry in config.toml."""

import re
from collections.abc import Iterator

from report.analysis.pods.amounts import size_risks
from report.analysis.pods.containers import digest
from report.analysis.pods.fields import extra_in_config, unknown_in_config
from report.analysis.pods.variables import daemons, names_of, plain, risky
from report.analysis.risk_kind import RisksOf
from report.tree import Tree, inside, texts

_DEADLINE = "FF_USE_POD_ACTIVE_DEADLINE_SECONDS"
_SCRIPTS = (
    "pre_clone_script",
    "post_clone_script",
    "pre_get_sources_script",
    "post_get_sources_script",
    "post_build_script",
)
# Where jobs run, and who the manager is there, if not in its own cluster by its own account.
_ELSEWHERE = ("host", "context", "ca_file", "cert_file", "key_file", "namespace_per_job")
_USERS = ("group", "user")
# What of extra keys hides secrets in logs, or cleans up after jobs.
_PROTECTS = re.compile(
    r"debug_trace_disabled|clean_git_config|FF_(MASK_ALL_DEFAULT_TOKENS|"
    r"SECRET_RESOLVING_FAILS_IF_MISSING|ENABLE_BASH_EXIT_CODE_CHECK|"
    r"DISABLE_AUTOMATIC_TOKEN_ROTATION)"
)
_LOG = 4096
"""How many KiB of a log are kept by default (gitlab-runner:common/consts.go)."""
_MOST = "_overwrite_max_allowed"
_OF_REGISTRATIONS = {
    "accessLevel",
    "description",
    "groupId",
    "locked",
    "maximumTimeout",
    "projectId",
    "runnerType",
    "tagLists",
    "untagged",
}
"""The inputs of a runner in GitLab that are judged, or only name it."""


def runner_risks(runner: str, entry: Tree) -> Iterator[RisksOf]:
    """Yield what a runner lets its jobs decide, and what it does beside them."""
    jobs = inside(entry, "kubernetes")
    job = f"a job of runner {runner}"
    yield ("override", job), set(_overrides(jobs))
    most = {key.removesuffix(_MOST): jobs[key] for key in jobs if key.endswith(_MOST)}
    yield ("lost", job), {f"its choice of {key}" for key in most}
    for key, amount in most.items():
        yield ("less", f"the largest {key} that {job} may choose"), {str(amount)}
    yield (
        ("anyUser", job),
        {f"any {who} but that of root" for who in _USERS if not jobs.get(f"allowed_{who}s")},
    )
    yield ("anyImage", job), texts(jobs, "allowed_images") or {"any image"}
    services = texts(jobs, "allowed_services") or {"any image"}
    privileged = inside(jobs, "service_container_security_context").get("privileged") is True
    service = "a privileged service" if privileged else "a service"
    yield ("anyImage", f"{service} of a job of runner {runner}"), services
    policy = jobs.get("pull_policy")
    policies = texts(jobs, "pull_policy") or [str(policy)]
    allowed = [*policies, *texts(jobs, "allowed_pull_policies")]
    yield ("cachedImages", job), () if set(allowed) == {"always"} else {"cached"}
    never = f"{job} with the pull policy never"
    also = "never" in allowed and {*allowed} > {"always", "never"}
    yield ("cachedImages", never), {"cached"} if also else ()
    yield ("script", f"each job of runner {runner}"), set(_scripts(entry))
    yield ("prepare", f"runner {runner}"), {digest(entry.get("pre_build_script"))}
    environment = texts(entry, "environment")
    yield ("variable", f"each job of runner {runner}"), risky(environment)
    yield ("daemonAddress", f"each job of runner {runner}"), daemons(environment)
    yield ("plainVariable", f"runner {runner}"), plain(environment)
    yield ("unknown", f"config.toml of runner {runner}"), set(unknown_in_config(entry))
    yield ("extra", f"config.toml of runner {runner}"), set(extra_in_config(entry))
    yield ("elsewhere", f"runner {runner}"), set(_elsewhere(entry))
    tables = {"builds_dir": entry, "logs_base_dir": jobs, "scripts_base_dir": jobs}
    for key, table in tables.items():
        folder = table.get(key)
        yield ("place", f"the {key} of runner {runner}"), {str(folder or "its default")}
    timed = inside(entry, "feature_flags").get(_DEADLINE) is True
    yield ("unlimited", f"the job pod of runner {runner}"), () if timed else {"time"}
    yield ("lost", f"runner {runner}"), set(_protections(entry, environment))
    yield ("less", f"the output_limit of runner {runner}"), {str(entry.get("output_limit", _LOG))}
    if "poll_timeout" in jobs:
        yield ("less", f"the poll_timeout of runner {runner}"), {str(jobs["poll_timeout"])}
    if "limit" in entry:
        yield from size_risks(f"the limit of jobs of runner {runner}", entry["limit"])
    yield from _cache_risks(runner, inside(entry, "cache"))


def _protections(entry: Tree, environment: list[str]) -> Iterator[str]:
    """Yield what keeps something from happening, as long as it is there."""
    yield from (f"the variable {name}" for name in names_of(environment))
    jobs = inside(entry, "kubernetes")
    if jobs.get("pod_disruption_budget") is True:
        yield "the disruption budgets of its jobs"
    for table in (entry, jobs, inside(entry, "feature_flags")):
        yield from (f"the key {key}" for key in table if _PROTECTS.fullmatch(key) and table[key])


def _cache_risks(runner: str, cache: Tree) -> Iterator[RisksOf]:
    """Yield where caches are, who has them, and how large they may be."""
    keys = inside(cache, "s3")
    encryption = (keys.get("ServerSideEncryption"), keys.get("ServerSideEncryptionKeyID"))
    used = " ".join(str(item) for item in encryption if item)
    yield ("encrypted", f"runner {runner}"), {used} if used else ()
    yield ("cacheStore", f"runner {runner}"), set(_stores(cache))
    if cache.get("Type"):
        ways = [keys.get(key) for key in ("AuthenticationType", "PathStyle")]
        yield ("settings", f"the caches of runner {runner}"), {f"digest {digest(ways)}"}
    shared = cache.get("Shared") is True
    yield ("sharedCache", f"runner {runner}"), {"others of the same bucket"} if shared else ()
    size = cache.get("MaxUploadedArchiveSize")
    if cache:
        yield ("unlimited", f"each cache of runner {runner}"), () if size else {"size"}
    if size:
        yield from size_risks(f"the size of each cache of runner {runner}", size)


def registration_risks(runner: str, inputs: Tree) -> Iterator[RisksOf]:
    """Yield whose jobs a runner takes, by its inputs as a runner that the stack creates in GitLab.

    (pulumi: gitlab.UserRunner)
    """
    scopes = {"instance_type": "of all projects", "group_type": "of a whole group"}
    scope = scopes.get(str(inputs.get("runnerType")))
    taken = {
        "of branches that are not protected": inputs.get("accessLevel") != "ref_protected",
        "without tags": inputs.get("untagged") is True,
        "of projects that enable it": inputs.get("locked") is False,
        "of projects that enable it, unless GitLab locks it": (
            inputs.get("runnerType") == "project_type" and inputs.get("locked") is None
        ),
        str(scope): scope is not None,
        f"of project {inputs.get('projectId')}": bool(inputs.get("projectId")),
        f"of group {inputs.get('groupId')}": bool(inputs.get("groupId")),
        **{f"with the tag {tag}": True for tag in texts(inputs, "tagLists")},
    }
    yield ("openTo", runner), {jobs for jobs, takes in taken.items() if takes}
    timed = bool(inputs.get("maximumTimeout"))
    yield ("unlimited", f"a job of runner {runner}"), () if timed else {"time"}
    if timed:
        longest = f"the longest time of a job of runner {runner}, in seconds,"
        yield from size_risks(longest, inputs["maximumTimeout"])
    rest = {key: inputs[key] for key in inputs if key not in _OF_REGISTRATIONS}
    yield ("settings", f"runner {runner} in GitLab"), {f"digest {digest(rest)}"}


def _stores(cache: Tree) -> Iterator[str]:
    """Yield the storage of caches, by the keys of each kind (gitlab-runner:cache/cacheconfig)."""
    s3, azure = inside(cache, "s3"), inside(cache, "azure")
    match cache.get("Type"):
        case None | "":
            return
        case "s3":
            where = f"{s3.get('ServerAddress') or 's3.amazonaws.com'}/{s3.get('BucketName')}"
            where += f" in {s3['BucketLocation']}" if s3.get("BucketLocation") else ""
        case "gcs":
            where = f"gs://{inside(cache, 'gcs').get('BucketName')}"
        case "azure":
            domain = azure.get("StorageDomain") or "Azure"
            where = f"{azure.get('AccountName')}/{azure.get('ContainerName')} in {domain}"
        case other:
            where = str(other)
    yield f"{where}/{cache['Path']}" if cache.get("Path") else where


def _overrides(jobs: Tree) -> Iterator[str]:
    for key, value in jobs.items():
        # Amounts are bounded; ``job`` has those of memory.
        what, found, bound = key.partition("_overwrite_")
        if found and value and bound != "max_allowed":
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
