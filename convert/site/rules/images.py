"""The images of jobs and services: which they are, how they are pulled, and what they may do."""

from components.image_reference import ImageReference
from components.settings.stack_file import table_of
from components.types import JSON
from convert.site.model import Tree, items, leaves, table, text
from convert.site.rule import KeyCase, extra
from convert.site.values import truth, words

_POLICIES = {"always": "always", "ifnotpresent": "if-not-present", "never": "never"}


def image(case: KeyCase) -> None:
    """Take the image of jobs that name none, which must be pinned."""
    if not isinstance(case.value, str):
        case.ignore("is not the name of an image")
        return
    given = case.value
    reference = ImageReference.parse(given)
    if not reference.digest and reference.tag in {"", "latest"}:
        case.ask(
            "the image of jobs that name none must be pinned; until then it is the strategy's",
            "set it with a tag or digest",
            "runners.*.strategy.image",
        )
        return
    finding = case.take("runners.*.strategy", {})
    finding.keys = tuple(f"runners.{runner.name}.strategy.image" for runner in case.runners)
    for runner in case.runners:
        if not runner.evidence.image:
            runner.evidence.image, runner.evidence.image_finding = given, finding


def privileged(case: KeyCase) -> None:
    """Note that jobs are privileged, which says how they build."""
    if not truth(case.value):
        return
    finding = case.take("runners.*.strategy", {})
    for runner in case.runners:
        runner.evidence.privileged = True
        runner.evidence.findings.append(finding)


_SERVICE = extra("runners.kubernetes.services", "jobs that need it can name it themselves")


def services(case: KeyCase) -> None:
    """Note an engine that the runner starts beside each job."""
    for item in items(case.value) or [case.value]:
        name = text(table(item).get("name"))
        if "docker" in name or "dind" in name:
            finding = case.take("runners.*.strategy", {}, "the runner starts the engine")
            for runner in case.runners:
                runner.evidence.services.append(name)
                runner.evidence.findings.append(finding)
        else:
            _SERVICE.take(case.at("", [item]))


def _policies(value: Tree) -> list[JSON]:
    names = [str(name).lower().replace("-", "") for name in words(value)]
    known: list[JSON] = [_POLICIES[name] for name in names if name in _POLICIES]
    if not known:
        message = "must be always, if-not-present or never"
        raise ValueError(message)
    return known


def pull_policy(case: KeyCase) -> None:
    """Take pull policies in their order; with several, the runner tries the next one."""
    found = _policies(case.value)
    if "never" in found:
        case.take("runners.*.allowedPullPolicies", ["always", "if-not-present", "never"])
        found.remove("never")
    if found == ["if-not-present"]:
        case.product("if-not-present is the default for images with a tag")
    elif found:
        case.take("runners.*.pullPolicy", found[0] if len(found) == 1 else found)


def pull_secrets(case: KeyCase) -> None:
    """Take the Secrets that pull the images of jobs; no file says for which registry each is."""
    names = [name for name in leaves(case.value) if name != "name"]
    for name in names:
        host = _host(case)
        if _has_another(case, host, name):
            said = f"{host} has one already, and no file says for which registry another Secret is"
            case.ask(said, "name its registry in a separate entry", "registries[].pullSecret")
            continue
        finding = case.take(
            "registries",
            [{"host": host, "pullSecret": name}],
            "",
            "check the host: no file says for which registry the Secret is; it must be in the job "
            "namespace",
        )
        if finding.outcome == "asks":
            finding.keys = ("registries[].pullSecret",)


def _has_another(case: KeyCase, host: str, name: str) -> bool:
    """Whether a registry has an entry with another login."""
    listed = case.draft.get(("registries",))
    entries = map(table_of, listed) if isinstance(listed, list) else ()
    return any(each.get("host") == host and each.get("pullSecret") != name for each in entries)


def _host(case: KeyCase) -> str:
    """Guess the registry of a pull Secret: that of the jobs' image, or GitLab's."""
    for runner in case.runners:
        first = runner.evidence.image.partition("/")[0]
        if "/" in runner.evidence.image and ("." in first or ":" in first):
            return first
    url = str(case.draft.get(("gitlab", "url")) or "https://gitlab.com")
    return f"registry.{url.partition('://')[2].partition('/')[0].partition(':')[0]}"
