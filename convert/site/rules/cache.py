"""The distributed cache."""

from collections.abc import Mapping

from components.types import JSON
from convert.site.model import KeyFinding, Tree, is_set, table, text
from convert.site.rule import KeyCase, SiteRule, extra, keys
from convert.site.values import number, truth

_KEY = "runners.*.cache"
_KINDS = {"s3": "s3", "s3v2": "s3", "gcs": "gcs", "azure": "azure"}
_AWS = "s3.amazonaws.com"
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "bucketname": "bucket",
        "bucketlocation": "region",
        "serversideencryption": "encryption",
        "serversideencryptionkeyid": "encryptionKey",
    },
    "gcs": {"bucketname": "bucket"},
    "azure": {"accountname": "account", "containername": "container", "storagedomain": "domain"},
}
_REQUIRED = {"s3": ("bucket",), "gcs": ("bucket",), "azure": ("account", "container")}
_LOGINS = {"s3": ("accessKey", "secretKey"), "gcs": ("keyFile",), "azure": ("accountKey",)}
"""What the login of each kind has in ``cacheCredentials``."""
_OLD = {
    "cacheType": "type",
    "cachePath": "path",
    "cacheShared": "shared",
    "s3ServerAddress": "s3.serveraddress",
    "s3BucketName": "s3.bucketname",
    "s3BucketLocation": "s3.bucketlocation",
    "s3CacheInsecure": "s3.insecure",
    "s3CachePath": "path",
    "gcsBucketName": "gcs.bucketname",
    "azureAccountName": "azure.accountname",
    "azureContainerName": "azure.containername",
    "azureStorageDomain": "azure.storagedomain",
}
_SECRETS = {
    "accessid",
    "accesskey",
    "secretkey",
    "sessiontoken",
    "privatekey",
    "accountkey",
    "credentialsfile",
    "secretname",
}
_PLAIN = {"serveraddress", "insecure", "pathstyle", "authenticationtype"}
_COMMON = {"type", "path", "shared", "maxuploadedarchivesize", *_SECRETS}
_NOT_KNOWN = "no such type of cache exists, so each job had an empty one"


def _flat(value: Tree) -> dict[str, Tree]:
    """Return the keys of a cache in lowercase, those of its kind after a dot."""
    found: dict[str, Tree] = {}
    for name, below in table(value).items():
        spelled = _OLD.get(name, name.lower())
        if isinstance(below, dict):
            found |= {f"{spelled}.{inner.lower()}": item for inner, item in below.items()}
        else:
            found[spelled] = below
    return {name: below for name, below in found.items() if is_set(below)}


def _beside(case: KeyCase) -> dict[str, Tree]:
    """Return what the values of the chart say of a cache, to which config.toml says the rest."""
    values = table(case.release.values.get("runners")).get("cache")
    return {} if values is case.value else _flat(values)


def _cache(case: KeyCase) -> None:
    """Take the cache as a whole, since its keys mean nothing alone."""
    given = {**_beside(case), **_flat(case.value)}
    rendered = sorted(name for name, below in given.items() if "{{" in text(below))
    if rendered:
        given = {name: below for name, below in given.items() if name not in rendered}
        case = case.at("", {**given})
    said = text(given.get("type")).lower()
    known = case.draft.get(("runners", case.runners[0].name, "cache", "kind"))
    kind = _KINDS.get(said) or next(
        (kind for kind in _FIELDS if any(name.startswith(f"{kind}.") for name in given)),
        str(known or ""),
    )
    login = any(name.rpartition(".")[2] in _SECRETS for name in given)
    if said and said not in _KINDS:
        case.refuse(_NOT_KNOWN, "choose s3, gcs or azure")
    elif not kind and not login:
        case.ignore("says no type, so there was no cache")
    else:
        finding = _take(case, kind or "s3", given, login=login)
        if rendered and finding.outcome in {"taken", "asks"}:
            finding.outcome = "asks"
            finding.text = "a part of it is a template"
            finding.do = f"set what the chart renders for {', '.join(rendered)}; {finding.do}"
            finding.do = finding.do.removesuffix("; ")


def _take(case: KeyCase, kind: str, given: Mapping[str, Tree], *, login: bool) -> KeyFinding:
    """Take what is known of a cache, and return the finding for it."""
    found = _fields(kind, given)
    names = [runner.name for runner in case.runners]
    known = case.draft.get(("runners", names[0], "cache"))
    have = {*found, *(known if isinstance(known, dict) else ())}
    if missing := [name for name in _REQUIRED[kind] if name not in have]:
        needed = " and ".join(missing)
        return case.ask(f"no file says its {needed}", f"set cache with kind {kind}", _KEY)
    if login:
        for part in _LOGINS[kind]:
            case.draft.store(f"cacheCredentials.{names[0]}.{part}")
        found["credentials"] = names[0]
    finding = case.take(_KEY, found, "", "store the login by the commands below" if login else "")
    for name, below in table(case.value).items():
        for inner, value in table(below).items():
            known = {*_FIELDS[kind], *_SECRETS, *_PLAIN}
            if name.lower() == kind and inner.lower() not in known and is_set(value):
                part = case.at(f".{name}.{inner}", value)
                extra(part.path).take(part)
    for name, value in _flat(case.value).items():
        prefix, _, inner = name.rpartition(".")
        if prefix not in {"", kind} or not (prefix or inner in _COMMON):
            case.at(f".{name}", value).ignore("is not a key of a cache of this type")
    return finding


def _fields(kind: str, given: Mapping[str, Tree]) -> dict[str, JSON]:
    found: dict[str, JSON] = {"kind": kind}
    for name, target in _FIELDS[kind].items():
        if value := text(given.get(f"{kind}.{name}")):
            found[target] = value
    address = text(given.get("s3.serveraddress")).rstrip("/")
    if kind == "s3" and address and not address.endswith(_AWS):
        scheme = "http" if is_set(given.get("s3.insecure")) else "https"
        found["endpoint"] = address if "://" in address else f"{scheme}://{address}"
    if "s3.pathstyle" in given:
        found["pathStyle"] = truth(given["s3.pathstyle"])
    if path := text(given.get("path")).strip("/"):
        found["path"] = path
    if "shared" in given:
        found["shared"] = truth(given["shared"])
    if "maxuploadedarchivesize" in given:
        found["maxArchiveSize"] = str(number(given["maxuploadedarchivesize"]))
    return found


RULES: tuple[SiteRule, ...] = (keys("runners.cache", [_KEY], _cache), keys("cache", [_KEY], _cache))
