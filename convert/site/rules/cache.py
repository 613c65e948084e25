"""The distributed cache."""

from components.types import JSON
from convert.site.model import Tree, is_set, table, text
from convert.site.rule import KeyCase, SiteRule, keys
from convert.site.values import number, truth

_KEY = "runners.*.cache"
_KINDS = {"s3": "s3", "s3v2": "s3", "gcs": "gcs", "azure": "azure"}
_FIELDS = {
    "s3": {
        "serveraddress": "endpoint",
        "bucketname": "bucket",
        "bucketlocation": "region",
        "insecure": "insecure",
        "pathstyle": "pathStyle",
        "serversideencryption": "encryption",
        "serversideencryptionkeyid": "encryptionKey",
        "rolearn": "roleArn",
        "uploadrolearn": "roleArn",
        "dualstack": "dualStack",
        "accelerate": "accelerate",
    },
    "gcs": {"bucketname": "bucket"},
    "azure": {"accountname": "account", "containername": "container", "storagedomain": "domain"},
}
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
    "secretName": "secretname",
}
_SECRETS = {
    "accesskey",
    "secretkey",
    "sessiontoken",
    "privatekey",
    "accountkey",
    "credentialsfile",
    "secretname",
}
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
    return found


def _cache(case: KeyCase) -> None:
    """Take the cache as a whole, since its keys mean nothing alone."""
    given = _flat(case.value)
    said = text(given.get("type")).lower()
    kind = _KINDS.get(said) or next(
        (kind for kind in _FIELDS if any(name.startswith(f"{kind}.") for name in given)), ""
    )
    if said and said not in _KINDS:
        case.refuse(_NOT_KNOWN, "choose s3, gcs or azure")
        return
    if not kind and given.keys() & {"secretname"}:
        kind = "s3"
    if not kind:
        case.ignore("says no type, so there was no cache")
        return
    try:
        found = _fields(kind, given)
    except ValueError as error:
        case.refuse(str(error), "correct it")
        return
    login = bool(given.keys() & _SECRETS or {name.rpartition(".")[2] for name in given} & _SECRETS)
    if login:
        for runner in case.runners:
            case.draft.command(
                f"pulumi config set --secret --path 'cacheCredentials.{runner.name}'"
            )
        found["credentials"] = case.runners[0].name
    case.take(_KEY, found, "", "store the login by the command below" if login else "")


def _fields(kind: str, given: dict[str, Tree]) -> dict[str, JSON]:
    found: dict[str, JSON] = {"kind": kind}
    for name, target in _FIELDS[kind].items():
        value = given.get(f"{kind}.{name}")
        if is_set(value):
            flag = target in {"insecure", "pathStyle", "dualStack", "accelerate"}
            found[target] = truth(value) if flag else text(value)
    if is_set(given.get("path")):
        found["path"] = text(given["path"])
    if is_set(given.get("shared")):
        found["shared"] = truth(given["shared"])
    if is_set(given.get("maxuploadedarchivesize")):
        found["maxArchiveSize"] = str(number(given["maxuploadedarchivesize"]))
    return found


RULES: tuple[SiteRule, ...] = (keys("runners.cache", [_KEY], _cache), keys("cache", [_KEY], _cache))
