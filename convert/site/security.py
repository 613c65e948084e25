"""What an import changes for security: better in nearly all, worse where it has to be said."""

from collections.abc import Iterator

from convert.site.draft import Draft
from convert.site.importer import Imported
from convert.site.model import KeyFinding

_ALWAYS = (
    "jobs run in a namespace of each runner, which enforces its Pod Security level, and managers "
    "in one at restricted; both were one namespace without a level, unless you set one",
    "nobody connects to pods of jobs and managers, and they do not reach the metadata service of "
    "the cloud; builds that log in by the identity of their node need network.egress.metadata",
)
_BY_KEY = {
    "rbac.clusterWideAccess": (
        "the manager had rights in the whole cluster, and has a Role in the job namespace now"
    ),
    "rbac.rules": "the manager's rules are replaced by a Role of the verbs that it needs",
    "runnerRegistrationToken": (
        "a registration token makes runners as anyone who has it likes; an authentication token is "
        "one runner's"
    ),
    "runnerToken": "the token was in plain text in a file; replace it if others could read that",
    "runners.token": "the token was in plain text in a file; replace it if others could read that",
    "runners.kubernetes.service_account_overwrite_allowed": "jobs no longer choose their account",
    "runners.kubernetes.namespace_overwrite_allowed": "jobs no longer choose their namespace",
    "runners.kubernetes.bearer_token_overwrite_allowed": "jobs no longer choose their token",
    "runners.kubernetes.volumes.host_path": "jobs no longer mount paths of their node",
}
_STRATEGIES = {
    "dind": (
        "the build container of a job was privileged, and only its Docker engine is; anyone who "
        "can run a job can still reach the node through that, as today"
    ),
    "dood": "anyone who can run a job stays root on the node, as today",
}


def better(imported: Imported) -> Iterator[str]:
    """Yield what gets better, or stays as weak as it was."""
    yield from _ALWAYS
    for key, said in _BY_KEY.items():
        if any(_is_about(finding, key) for finding in imported.findings):
            yield said
    kinds = dict.fromkeys(kind for _, kind in strategies(imported.draft))
    yield from (_STRATEGIES[kind] for kind in kinds if kind in _STRATEGIES)


def worse(imported: Imported) -> Iterator[str]:
    """Yield what raises a risk, and is as it was."""
    draft = imported.draft
    for runner in imported.runners:
        path = ("runners", runner.name)
        where = f"runners.{runner.name}"
        if draft.get((*path, "cache", "shared")) is True:
            yield (
                f"{where}.cache.shared: what one runner caches, others read; keep protected "
                "branches on a runner with another cache"
            )
        if draft.get((*path, "identity", "jobs")):
            yield f"{where}.identity.jobs: anyone who can run a job has that identity in the cloud"
        volumes = draft.get((*path, "volumes"))
        for volume in volumes if isinstance(volumes, list) else ():
            if isinstance(volume, dict) and "secret" in volume:
                yield f"{where}.volumes: anyone who can run a job can read the Secret"
        if draft.get((*path, "extra")):
            yield f"{where}.extra: the product does not know what these keys weaken; read each"


def strategies(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield each runner's name with the kind of its strategy."""
    runners = draft.settings["runners"]
    for name in runners if isinstance(runners, dict) else ():
        kind = draft.get(("runners", name, "strategy", "kind"))
        yield name, str(kind or "auto")


def _is_about(finding: KeyFinding, key: str) -> bool:
    return finding.path == key or finding.path.startswith((f"{key}[", f"{key}."))
