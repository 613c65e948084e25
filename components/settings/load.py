"""Reads the stack's config; each error is one line, with its full path and what to do."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pulumi
import pydantic
import yaml
from pydantic.alias_generators import to_camel

from components.gitlab_runner.archive import chart_errors
from components.settings import errors
from components.settings.chart import Chart
from components.settings.checks import setting_errors
from components.settings.models import AcceptedRisks, Plans, Settings
from components.settings.plain_text import SECRET_KEYS, has_login, plain_secrets
from components.settings.secrets import Secrets, secret_errors
from components.settings.stack_file import table_of
from components.types import ACCEPTED_RISKS, JSON, PROJECT

_AnyModel = TypeVar("_AnyModel", bound=pydantic.BaseModel)
_PROGRAM_FOLDER = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack's config, checked, the plan of each runner, and the stack file as it was written."""

    settings: Settings
    secrets: Secrets
    plans: Plans
    file: Mapping[str, JSON]


def load() -> Stack:
    """Read and check the stack's config.

    Raises:
        pulumi.RunError: with one line for each error, none of which holds a value of a secret.
    """
    lines: list[str] = []
    settings = _read(Settings, f"{PROJECT}:settings", _object("settings", lines), lines)
    file = _stack_file()
    lines += [f"{path}: {message}" for path, message in _plain_secrets(file).items()]
    secrets = _read(Secrets, PROJECT, _secret_objects(lines), lines)
    accepted = _object("acceptedRisks", lines)
    if accepted is not None:
        _read(AcceptedRisks, ACCEPTED_RISKS, accepted, lines)
    plans: Plans = settings.plans() if settings else {}
    if settings is not None:
        lines += [f"{PROJECT}:settings.{p}: {m}" for p, m in setting_errors(settings, plans)]
        lines += [f"{PROJECT}:settings.chart.{p}: {m}" for p, m in _archive_errors(settings.chart)]
    if settings is not None and secrets is not None:
        found = secret_errors(secrets, settings, plans)
        lines += [f"{path}: {message}" for path, message in found]
    kubernetes = pulumi.Config("kubernetes")
    if not (kubernetes.get("context") or kubernetes.get("kubeconfig")):
        lines.append(
            "kubernetes:context: is required, so that the wrong cluster is never changed; run: "
            "pulumi config set kubernetes:context NAME (names: kubectl config get-contexts)"
        )
    if settings is None or secrets is None or lines:
        count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
        # A key can have characters that command a terminal.
        said = map(errors.visible, lines)
        message = "\n".join((f"{count} in the config of this stack; nothing was changed:", *said))
        raise pulumi.RunError(message)
    return Stack(settings=settings, secrets=secrets, plans=plans, file=file)


def _object(key: str, lines: list[str]) -> JSON:
    try:
        return pulumi.Config(PROJECT).get_object(key)
    except pulumi.ConfigTypeError:
        lines.append(f"{PROJECT}:{key}: must be a mapping; write it as 'key: value' lines")
        return None


def _plain_secrets(file: Mapping[str, JSON]) -> dict[str, str]:
    """Return a message for each secret in plain text, by its path.

    The stack file is beside the program. Config from elsewhere, such as that of the Automation
    API, is known by whole keys only.
    """
    stack = pulumi.get_stack()
    elsewhere: dict[str, JSON] = {
        key: pulumi.runtime.get_config(key)
        for key in SECRET_KEYS
        if not pulumi.runtime.is_config_secret(key)
    }
    return {
        **dict(plain_secrets(elsewhere, stack, "the config")),
        **dict(plain_secrets(table_of(file.get("config")), stack, f"Pulumi.{stack}.yaml")),
    }


def _archive_errors(chart: Chart) -> Iterator[tuple[str, str]]:
    if chart.archive and not has_login(chart.archive):
        yield from chart_errors(_PROGRAM_FOLDER / chart.archive, chart.version, chart.digest)


def _stack_file() -> dict[str, JSON]:
    """Return the stack file beside the program, empty if only Pulumi can say what is wrong."""
    content: JSON = None
    file = _PROGRAM_FOLDER / f"Pulumi.{pulumi.get_stack()}.yaml"
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return table_of(content)


def _secret_objects(lines: list[str]) -> dict[str, JSON]:
    """Read the secret keys in plain, to check them."""
    keys = [to_camel(name) for name in Secrets.model_fields]
    values = {key: _object(key, lines) for key in keys}
    return {key: value for key, value in values.items() if value is not None}


def _read(model: type[_AnyModel], prefix: str, value: JSON, lines: list[str]) -> _AnyModel | None:
    """Validate ``value`` and append one line for each error to ``lines``."""
    if value is None:
        if not any(line.startswith(f"{prefix}:") for line in lines):
            lines.append(f"{prefix}: is required; add it, see docs/reference/stack-file.md")
        return None
    for path in _where_text(value, lambda text: "{{" in text):
        message = "must not contain '{{', which the chart would run as a template; remove it"
        lines.append(f"{_where(prefix, path)}: {message}")
    if model is not Secrets:
        for path in _where_text(value, has_login):
            message = (
                "must not contain credentials in a URL, which would be readable in the cluster, in "
                "state and in reports; remove them, and give them to the jobs that need them as a "
                "masked variable in GitLab (Settings, CI/CD)"
            )
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


def _where_text(value: JSON, wrong: Callable[[str], bool], path: str = "") -> Iterator[str]:
    """Yield the path of every string that is ``wrong``, keys included."""
    if isinstance(value, str) and wrong(value):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _where_text(key, wrong, f"{path}.{key}".lstrip("."))
            yield from _where_text(item, wrong, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _where_text(item, wrong, f"{path}[{index}]")
