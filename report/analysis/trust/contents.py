"""The risks of what objects hold: ConfigMaps, Secrets and ServiceAccounts."""

from collections.abc import Iterator

from report.analysis.pods.containers import digest
from report.analysis.pods.pod import cloud_risks
from report.analysis.risk_kind import RisksOf
from report.tree import Tree, entries, inside

_CONFIG_TOML = {"config.template.toml", "config.toml"}


def config_map_risks(name: str, item: Tree) -> Iterator[RisksOf]:
    """Yield the risks of a ConfigMap; config.toml in it is judged by its keys."""
    data = {**inside(item, "data"), **inside(item, "binaryData")}
    texts_of = {key: text for key, text in data.items() if key not in _CONFIG_TOML}
    scripts = {key for key, text in texts_of.items() if str(text).startswith("#!")}
    yield ("startScript", name), {f"{key}, digest {digest(data[key])}" for key in scripts}
    others = {key: "" if key in scripts else text for key, text in texts_of.items()}
    yield ("contents", name), {f"digest {digest(others)}"}


def identity_risks(name: str, item: Tree) -> Iterator[RisksOf]:
    """Yield the risks of a ServiceAccount or a Secret."""
    metadata = inside(item, "metadata")
    if item.get("kind") == "ServiceAccount":
        mounted = item.get("automountServiceAccountToken") is not False
        yield ("accountToken", name), {"token"} if mounted else ()
        yield from cloud_risks(name, metadata)
        yield ("pullSecret", name), _named(item, "imagePullSecrets")
        yield ("mountedSecret", name), _named(item, "secrets")
    else:
        account = inside(metadata, "annotations").get("kubernetes.io/service-account.name")
        lasting = item.get("type") == "kubernetes.io/service-account-token"
        yield ("lastingToken", name), {str(account)} if lasting else ()
        yield ("secretType", name), {str(item.get("type") or "Opaque")}


def _named(item: Tree, key: str) -> set[str]:
    return {str(entry.get("name")) for entry in entries(item, key)}
