"""The copy of a stack file that the local run works with, and its made-up secrets."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from components.gitlab_runner.archive import ArchiveError, digest_of, version_of
from components.settings.plain_text import plain_secrets
from components.settings.runners.cache import LOGINS
from components.types import PROJECT
from dev.cluster.kubeconfig import NAME
from dev.errors import DevError
from dev.files import write_private
from dev.paths import CHECKOUT, STAND_IN_CHART
from report.stack_file import SETTINGS, read_config

CHART_VARIABLE = "IMAGE_BUILDS_CHART"
"""A chart archive or folder, which is deployed instead of the stand-in for the official chart."""
USERNAME = "registry-user"
"""The username of every made-up login; no everyday word, since reports hide it as a secret."""
_ENCRYPTED = "encrypted.json"
"""Beside the copy: what it has encrypted."""


def local_config(file: Path, strategy: str) -> dict[str, Any]:
    """Return the config of a stack file with the cluster, chart and strategy of this run."""
    config = read_config(file, strategy)
    config = {key: value for key, value in config.items() if not _encrypted(value)}
    config["kubernetes:context"] = NAME
    settings = config.get(SETTINGS)
    if isinstance(settings, dict):
        chart = cast("dict[str, Any]", settings).setdefault("chart", {})
        if isinstance(chart, dict):
            _take_from_files(cast("dict[str, Any]", chart))
    return config


def _take_from_files(chart: dict[str, Any]) -> None:
    """Name the chart by an absolute path, since this run has another working folder."""
    archive = chart.get("archive")
    if archive is None:
        chart.update(chart_of(Path(os.environ.get(CHART_VARIABLE) or STAND_IN_CHART)))
    elif isinstance(archive, str) and archive:
        chart["archive"] = str(CHECKOUT / archive)


def chart_of(archive: Path) -> dict[str, str]:
    """Return what a stack file says of a chart on this machine.

    Raises:
        DevError: there is no chart.
    """
    try:
        version, digest = version_of(archive), digest_of(archive)
    except ArchiveError as error:
        message = f"{archive}: {error}"
        raise DevError(message) from None
    return {"archive": str(archive.absolute()), "version": version, "digest": digest}


def check_secrets(file: Path) -> None:
    """Check that a stack file has no secret in plain text.

    Raises:
        DevError: with a line for each one, without its value.
    """
    stack = file.name.removeprefix("Pulumi.").removesuffix(".yaml")
    found = plain_secrets(read_config(file), stack, file.name)
    if lines := [f"{file}: {path}: {message}" for path, message in found]:
        raise DevError("\n".join(lines))


def made_up_secrets(config: Mapping[str, Any], file: Path) -> dict[str, str]:
    """Make up what the settings ask for, once, and return it by config key and path.

    ``file`` keeps the secrets of all stacks.
    """
    known = _read(file)
    wanted = dict(_wanted_secrets(config.get(SETTINGS)))
    values = {path: known.get(path) or value for path, value in wanted.items()}
    _write(file, {**known, **values})
    return {f"{PROJECT}:{path}": value for path, value in values.items()}


def write_copy(file: Path, config: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    """Write the copy with the salt and the encrypted secrets that it had.

    Encrypting them again takes the engine a third of a second.

    Returns:
        whether the copy has all of ``values``.
    """
    old: dict[str, Any] = {}
    if file.exists():
        old = yaml.load(file.read_bytes(), yaml.CSafeLoader)
    content = {key: old[key] for key in ("encryptionsalt",) if key in old}
    keys = {path.partition(".")[0] for path in values}
    kept = {key: value for key, value in old.get("config", {}).items() if key in keys}
    encrypted = _read(file.with_name(_ENCRYPTED))
    complete = kept.keys() == keys - config.keys() and encrypted == values
    if not complete:
        kept = {}
        file.with_name(_ENCRYPTED).unlink(missing_ok=True)
    whole = {**content, "config": {**config, **kept}}
    write_private(file, yaml.dump(whole, Dumper=yaml.CSafeDumper))
    return complete


def remember(file: Path, values: Mapping[str, str]) -> None:
    """Note that the engine has encrypted these values in the copy."""
    _write(file.with_name(_ENCRYPTED), values)


def _read(file: Path) -> dict[str, str]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _write(file: Path, values: Mapping[str, str]) -> None:
    write_private(file, json.dumps(values, indent=1))


def _encrypted(value: object) -> bool:
    """Whether a config value holds ciphertext, which only its own stack can read."""
    if isinstance(value, dict):
        items = cast("dict[str, object]", value)
        return "secure" in items or any(map(_encrypted, items.values()))
    return False


def _wanted_secrets(settings: object) -> Iterator[tuple[str, str]]:
    """Yield config paths with made-up values; the program reports what is malformed."""
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        content = cast("dict[str, Any]", settings)
        for name, runner in cast("dict[str, dict[str, Any]]", content["runners"]).items():
            if runner.get("registration", "token") in ("token", {"kind": "token"}):
                yield f"runnerTokens.{name}", f"glrt-{secrets.token_urlsafe(15)}"
            cache = cast("dict[str, str]", runner.get("cache") or {})
            if login := cache.get("credentials"):
                for key in LOGINS[cache["kind"]]:
                    made = json.dumps({"private_key": secrets.token_urlsafe(15)})
                    yield f"cacheCredentials.{login}.{key}", made
        chart = cast("dict[str, dict[str, Any]]", content.get("chart") or {})
        registries = cast("list[dict[str, Any]]", content.get("registries") or [])
        for place in (*registries, chart.get("images") or {}):
            for use in ("pull", "push"):
                if login := cast("str", place.get(use)):
                    yield f"registryCredentials.{login}.username", USERNAME
                    yield f"registryCredentials.{login}.password", secrets.token_urlsafe(15)
