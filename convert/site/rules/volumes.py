"""Volumes of job pods."""

import re

from components.settings.stack_file import table_of
from components.types import JSON
from convert.site.model import Tree, is_set, items, table, text
from convert.site.rule import KeyCase, SiteRule, extra, keys
from convert.site.values import quantity, truth

_KEY = "runners.*.volumes"
_SOCKET = "docker.sock"
_OF_STRATEGY = (
    "/certs",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/run/docker",
    "/run/docker",
    "/home/rootless",
    "/root/.docker",
)
_PARTS = ("sub_path", "items", "mount_propagation")
_SIZE = "10Gi"


def _put(case: KeyCase, source: dict[str, JSON], said: str = "", do: str = "") -> None:
    """Take a volume, unless another one is at its path, of which Kubernetes takes only one."""
    below = table(case.value)
    found: dict[str, JSON] = {"path": text(below.get("mount_path")).rstrip("/"), **source}
    if is_set(below.get("read_only")) and truth(below["read_only"]) and "claim" in source:
        found["readOnly"] = True
    listed = case.draft.get(("runners", case.runners[0].name, "volumes"))
    others = [table_of(each) for each in listed] if isinstance(listed, list) else []
    if any(each.get("path") == found["path"] and each != found for each in others):
        case.ask("another volume is at this path", "choose one of both, or another path", _KEY)
    else:
        case.take(_KEY, [found], said, do)


def _each(kind: str) -> SiteRule:
    def take(case: KeyCase) -> None:
        for item in items(case.value) or [case.value]:
            try:
                _TAKERS[kind](case.at("", item))
                for name in _PARTS:
                    part = table(item).get(name)
                    # Files by their own names are among those of the whole object.
                    if is_set(part) and any(key != path for key, path in _renamed(part)):
                        case.at(f".{name}", item).refuse(
                            "has no key here, so the whole object is mounted",
                            "put what jobs need into a separate object",
                        )
            except ValueError as error:
                case.refuse(str(error), "correct it")

    return keys(f"runners.kubernetes.volumes.{kind}", [_KEY], take)


def _renamed(part: Tree) -> list[tuple[str, Tree]]:
    return [*table(part).items()] or [("", part)]


def _of_login(case: KeyCase) -> bool:
    """Ask for a login to registries, which is an entry of them, not a volume."""
    path = text(table(case.value).get("mount_path"))
    if not path.endswith(("/.docker", "/.docker/config.json")):
        return False
    case.ask(
        "logins to registries belong to their entries",
        "name the registry there, with this Secret or a stored login",
        "registries[].pushSecret",
    )
    return True


def _of_engine(given: Tree) -> bool:
    path = text(table(given).get("mount_path"))
    return path.startswith(_OF_STRATEGY)


def _claim(case: KeyCase) -> None:
    name = text(table(case.value).get("name"))
    _put(
        case,
        {"claim": name.replace("${CI_CONCURRENT_ID}", "$CI_CONCURRENT_ID")},
        "the claim must be in the job namespace of the runner",
    )


def _secret(case: KeyCase) -> None:
    given = table(case.value)
    if "/etc/docker/certs.d" in text(given.get("mount_path")):
        case.ask(
            "CA certificates of a registry belong to its entry",
            "paste them there as a block scalar (|)",
            "registries[].caCertificates",
        )
        return
    if _of_login(case):
        return
    _put(
        case,
        {"secret": text(given.get("name"))},
        "anyone who can run a job can read it; the Secret must be in the job namespace",
    )


def _config_map(case: KeyCase) -> None:
    given = table(case.value)
    if _of_login(case):
        return
    _put(case, {"configMap": text(given.get("name"))}, "the ConfigMap must be in the job namespace")


def _scratch(case: KeyCase) -> None:
    given = table(case.value)
    if _of_engine(given):
        case.product("the strategy brings the folders of its engine")
        return
    scratch: dict[str, JSON] = {"size": _SIZE}
    if is_set(given.get("size_limit")):
        scratch["size"] = quantity(given["size_limit"])
    if text(given.get("medium")).lower() == "memory":
        scratch["memory"] = True
    _put(case, {"scratch": scratch})


def host_path(case: KeyCase) -> None:
    """Note the socket of Docker, and take a claim in place of another path of the node."""
    given = table(case.value)
    path = text(given.get("host_path")) or text(given.get("mount_path"))
    if path.endswith(_SOCKET):
        for runner in case.runners:
            runner.evidence.socket = True
        finding = case.take("runners.*.strategy", {})
        for runner in case.runners:
            runner.evidence.findings.append(finding)
    elif _of_engine(given):
        case.product("the strategy brings the folders of its engine")
    else:
        name = re.sub(r"[^a-z0-9]+", "-", text(given.get("name")).lower()).strip("-")[:60]
        _put(
            case,
            {"claim": name.strip("-") or "cache"},
            "a path of the node cannot be mounted, since a job could take over the node by it; a "
            "claim keeps the files in its place",
            "make the claim in the job namespace (kubectl apply), or remove the volume",
        )


_TAKERS = {
    "pvc": _claim,
    "secret": _secret,
    "config_map": _config_map,
    "empty_dir": _scratch,
    "host_path": host_path,
}

RULES = (
    *map(_each, _TAKERS),
    extra("runners.kubernetes.volumes.csi"),
    extra("runners.kubernetes.volumes.nfs"),
)
