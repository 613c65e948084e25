"""Reads the stack's config; each error is one line, with its full path and what to do."""

import dataclasses
from collections.abc import Iterator
from typing import TypeVar

import pulumi
import pydantic
from pydantic.alias_generators import to_camel

from components.settings import errors
from components.settings.checks import secret_errors, setting_errors
from components.settings.models import AcceptedRisks, Plans, Settings
from components.settings.secrets import Secrets
from components.types import ACCEPTED_RISKS, JSON, PROJECT

_AnyModel = TypeVar("_AnyModel", bound=pydantic.BaseModel)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack's config, checked, and the plan of each runner."""

    settings: Settings
    secrets: Secrets
    plans: Plans


def load() -> Stack:
    """Read and check the stack's config.

    Raises:
        pulumi.RunError: with one line for each error, none of which holds a value of a secret.
    """
    lines: list[str] = []
    settings = _read(Settings, f"{PROJECT}:settings", _object("settings", lines), lines)
    secrets = _read(Secrets, PROJECT, _secret_objects(lines), lines)
    accepted = _object("acceptedRisks", lines)
    if accepted is not None:
        _read(AcceptedRisks, ACCEPTED_RISKS, accepted, lines)
    plans: Plans = settings.plans() if settings else {}
    if settings is not None:
        lines += [f"{PROJECT}:settings.{p}: {m}" for p, m in setting_errors(settings, plans)]
    if settings is not None and secrets is not None:
        lines += [f"{path}: {message}" for path, message in secret_errors(secrets, settings)]
    kubernetes = pulumi.Config("kubernetes")
    if not (kubernetes.get("context") or kubernetes.get("kubeconfig")):
        lines.append(
            "kubernetes:context: is required, so that the wrong cluster is never changed; run: "
            "pulumi config set kubernetes:context NAME (names: kubectl config get-contexts)"
        )
    if settings is None or secrets is None or lines:
        count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
        message = "\n".join((f"{count} in the config of this stack; nothing was changed:", *lines))
        raise pulumi.RunError(message)
    return Stack(settings=settings, secrets=secrets, plans=plans)


def _object(key: str, lines: list[str]) -> JSON:
    try:
        return pulumi.Config(PROJECT).get_object(key)
    except pulumi.ConfigTypeError:
        lines.append(f"{PROJECT}:{key}: must be a mapping; write it as 'key: value' lines")
        return None


def _secret_objects(lines: list[str]) -> dict[str, JSON]:
    """Read the secret keys in plain, to check them; one that is not encrypted is rejected."""
    found: dict[str, JSON] = {}
    for key in (to_camel(name) for name in Secrets.model_fields):
        value = _object(key, lines)
        if value is None:
            continue
        if pulumi.runtime.is_config_secret(f"{PROJECT}:{key}"):
            found[key] = value
        else:
            lines.append(
                f"{PROJECT}:{key}: must be encrypted, and is stored in plain text; remove it from "
                "the stack file, create new credentials, and store them with pulumi config set "
                "--secret --path"
            )
            found[key] = {}
    return found


def _read(model: type[_AnyModel], prefix: str, value: JSON, lines: list[str]) -> _AnyModel | None:
    """Validate ``value`` and append one line for each error to ``lines``."""
    if value is None:
        if not any(line.startswith(f"{prefix}:") for line in lines):
            lines.append(f"{prefix}: is required; add it, see docs/reference/stack-file.md")
        return None
    for path in _templates(value):
        message = "must not contain '{{', which the chart would run as a template; remove it"
        lines.append(f"{_where(prefix, path)}: {message}")
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as failure:
        for error in failure.errors(include_url=False, include_input=False):
            if error["type"] == "default_factory_not_called":
                # It follows from another error in the same mapping, which has a line.
                continue
            where = _where(prefix, errors.path(error["loc"], value))
            lines.append(f"{where}: {errors.explain(error, model)}")
        return None


def _where(prefix: str, path: str) -> str:
    """Spell a path as ``pulumi config`` does: keys of the project follow a colon."""
    return f"{prefix}{':' if prefix == PROJECT else '.'}{path}" if path else prefix


def _templates(value: JSON, path: str = "") -> Iterator[str]:
    """Yield the path of every string that contains ``{{``."""
    if isinstance(value, str) and "{{" in value:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _templates(key, f"{path}.{key}".lstrip("."))
            yield from _templates(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _templates(item, f"{path}[{index}]")
