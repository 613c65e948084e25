"""What an import changes for security: better in nearly all, worse where it has to be said."""

from collections.abc import Iterator
from typing import cast

import pydantic
from semver import Version

from components.gitlab_runner import charts
from components.resources import access
from components.settings.models import Settings
from convert.site.draft import Draft
from convert.site.importer import Imported
from convert.site.model import KeyFinding

_ALWAYS = (
    "nobody connects to pods of jobs and managers, and they do not reach the metadata service of "
    "the cloud; builds that log in by the identity of their node need network.egress.metadata",
)
_PERMISSIONS = sum(
    len(rule["resources"]) * len(rule["verbs"])
    for rule in cast("list[dict[str, list[str]]]", access.rules(pod_disruption_budget=False))
)
"""How many verbs on kinds of objects a manager has."""
_ROLE = f"it has {_PERMISSIONS} permissions (a verb on a kind of object) in the job namespace alone"
_BY_KEY = {
    "rbac.clusterWideAccess": (
        f"the manager had rights in the whole cluster, over its Secrets too; now {_ROLE}"
    ),
    "rbac.rules": f"the rules of the manager are replaced: {_ROLE}",
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
    for name, level in _levels(imported.draft):
        yield (
            f"runners.{name}: jobs run in a separate namespace that enforces Pod Security {level}, "
            "managers in one at restricted; both shared one, without a level unless you set it"
        )
    for release in imported.releases:
        yield from _fixes(release.chart)
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


def _levels(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield the Pod Security level of each runner's jobs; a draft with errors has none."""
    try:
        settings = Settings.model_validate(draft.settings)
    except pydantic.ValidationError:
        return
    yield from ((name, plan.pod_security) for name, plan in settings.plans().items())


def _fixes(chart: str) -> Iterator[str]:
    """Yield what an older chart lacks."""
    newest = Version.parse(charts.DEFAULT_VERSION)
    if Version.is_valid(chart) and Version.parse(chart) < newest:
        fixes = "; ".join(charts.missing_fixes(chart))
        yield f"chart {chart} is replaced by {newest}" + (f", which fixes: {fixes}" * bool(fixes))


def strategies(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield each runner's name with the kind of its strategy."""
    runners = draft.settings["runners"]
    for name in runners if isinstance(runners, dict) else ():
        kind = draft.get(("runners", name, "strategy", "kind"))
        yield name, str(kind or "auto")


def _is_about(finding: KeyFinding, key: str) -> bool:
    return finding.path == key or finding.path.startswith((f"{key}[", f"{key}."))
