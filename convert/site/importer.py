"""Makes a stack file of the releases of a site: every key, the strategies, and the checks."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from components.settings.stack_file import table_of
from components.types import JSON
from convert.site.checks import prune
from convert.site.draft import Draft
from convert.site.model import ChartRelease, Config, KeyFinding, Tree, items, table, text
from convert.site.operated import OPERATED
from convert.site.rule import DraftRunner, Find, KeyCase, SiteRule, apply
from convert.site.rules import GLOBAL, RUNNER, of_values
from convert.site.rules.environment import options, settle_proxy
from convert.site.rules.manager import settle_replicas
from convert.site.rules.mirror import settle_pull
from convert.site.secrets import is_secret
from convert.site.strategy import choose

_FIRST = ("gitlabUrl", "gitlabDomain", "concurrent", "spec.gitlabUrl", "spec.concurrent")
"""Values that others are compared with."""
_FIRST_OF_RUNNER = ("url", "executor", "kubernetes")
_ORDER = ("tags", "strategy", "registration", "concurrent", "resources")
_DEFAULT_URL = "https://gitlab.com"
"""Where a runner registers that names no GitLab (gitlab-runner: commands/register.go)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import makes: the draft, a finding for each key, and errors that are left."""

    draft: Draft
    releases: Sequence[ChartRelease]
    runners: Sequence[DraftRunner]
    findings: Sequence[KeyFinding]
    errors: Sequence[str]


def import_releases(
    releases: Sequence[ChartRelease], stack: str, cluster: Mapping[str, JSON] | None = None
) -> Imported:
    """Make a stack file of some releases; ``cluster`` is what is known of the target cluster."""
    draft = Draft(stack)
    findings: list[KeyFinding] = []
    known = dict(cluster or {})
    draft.settings = {
        "gitlab": {},
        "cluster": {"kind": "managed", **known},
        "namespace": f"image-builds-{_label(stack)}",
        "runners": {},
    }
    runners: list[DraftRunner] = []
    for release in releases:
        runners += _release(release, draft, findings, [runner.name for runner in runners])
    if not known:
        draft.remarks["cluster", "kind"] = "managed or onPrem: set who runs the nodes"
    managed = known.get("kind") == "managed" if known else None
    for runner in runners:
        choose(draft, runner, managed=managed)
        settle_replicas(draft, runner.name)
    settle_pull(draft)
    prune(draft)
    settle_proxy(draft)
    # What the program rejects may have been what it must have.
    _complete(draft, runners)
    errors = prune(draft)
    return Imported(
        draft=draft, releases=releases, runners=runners, findings=findings, errors=errors
    )


def _release(
    release: ChartRelease, draft: Draft, findings: list[KeyFinding], taken: Sequence[str]
) -> list[DraftRunner]:
    """Take the keys of a release, and return its runners."""
    tables = [(config, entry) for config in release.configs for entry in _runners(config)]
    named = [text(entry.get("name")) for _, entry in tables] or [""]
    runners: list[DraftRunner] = []
    for name in named:
        given = name or release.name
        wanted = _label("" if is_secret(given) or "{{" in given else given)
        used = {*taken, *(runner.name for runner in runners)}
        runners.append(DraftRunner(name=_unused(wanted, used)))

    def case(file: str, of: Sequence[DraftRunner]) -> KeyCase:
        return KeyCase(
            draft=draft,
            release=release,
            runners=of,
            file=file,
            path="",
            value=None,
            findings=findings,
        )

    def walk(find: Find, found: KeyCase, values: Mapping[str, Tree]) -> None:
        for name, value in values.items():
            path = f"{found.path}.{name}".lstrip(".")
            apply(find, dataclasses.replace(found, path=path, value=value))

    first = {name: value for name, value in release.values.items() if name in _FIRST}
    walk(_of_values, case(release.file, runners), first)
    for config in release.configs:
        rest = {name: value for name, value in config.tables.items() if name != "runners"}
        walk(_global, case(config.file, runners), rest)
    for (config, entry), runner in zip(tables, runners, strict=False):
        found = dataclasses.replace(case(config.file, [runner]), path="runners")
        walk(_of_runner, found, _in_order(entry))
    said = dataclasses.replace(case(f"{release.file}: variables", runners), path="runners")
    walk(_of_runner, said, options(release.values))
    rest = {name: value for name, value in release.values.items() if name not in _FIRST}
    walk(_of_values, case(release.file, runners), rest)
    return runners


def _of_values(path: str) -> SiteRule | None:
    return OPERATED.get(path.lower()) or of_values(path)


def _global(path: str) -> SiteRule | None:
    return GLOBAL.get(path.lower())


def _of_runner(path: str) -> SiteRule | None:
    return RUNNER.get(path.lower())


def _runners(config: Config) -> Iterator[dict[str, Tree]]:
    found = config.tables.get("runners")
    yield from map(table, items(found) or ([found] if isinstance(found, dict) else []))


def _in_order(entry: Mapping[str, Tree]) -> dict[str, Tree]:
    """Put first what others are compared with: the address, and the image of jobs."""
    kubernetes = table(entry.get("kubernetes"))
    first = {name: entry[name] for name in _FIRST_OF_RUNNER if name in entry}
    if kubernetes:
        image = {"image": kubernetes["image"]} if "image" in kubernetes else {}
        first["kubernetes"] = {**image, **kubernetes}
    return {**first, **{name: value for name, value in entry.items() if name not in first}}


def _complete(draft: Draft, runners: Sequence[DraftRunner]) -> None:
    """Set what a stack must have, say how tokens are stored, and put the main keys first."""
    if not draft.get(("gitlab", "url")):
        draft.settings = {"gitlab": {}, **draft.settings}
        draft.put(("gitlab", "url"), _DEFAULT_URL)
        draft.remarks["gitlab", "url"] = "no file says which GitLab; set it"
    for runner in runners:
        path = ("runners", runner.name)
        if not draft.get((*path, "tags")):
            draft.put((*path, "tags"), [runner.name])
            draft.remarks[(*path, "tags")] = "no file says them: copy the tags from GitLab"
        if not draft.get((*path, "registration")):
            draft.store(f"runnerTokens.{runner.name}")
        found = table_of(draft.get(path))
        draft.replace(path, {name: found[name] for name in sorted(found, key=_place)})


def _place(name: str) -> int:
    """Return where a key of a runner stands: the main ones first."""
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _label(name: str) -> str:
    """Return a DNS label that is like a name."""
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:36].strip("-")
    return found or "builds"


def _unused(wanted: str, used: set[str]) -> str:
    names = (wanted, *(f"{wanted}-{number}" for number in range(2, len(used) + 3)))
    return next(name for name in names if name not in used)
