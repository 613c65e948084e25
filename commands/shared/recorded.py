"""What a stack is to be on its cluster, from the registrations of its program."""

import datetime as dt
import json
import tomllib
from collections.abc import Mapping
from typing import Any

import pulumi
import yaml

from components.arguments import environment_args
from components.gitlab_runner.charts import is_known, runner_of
from components.resources.environment import Environment
from components.resources.runner import RunnerSpec
from components.settings.load import Stack, load
from components.settings.runners.volumes import SLOT
from doctor.wanted import WantedRunner, WantedStack
from report.analysis.rule import is_production
from report.errors import ReportError
from report.inputs.recorder import Recorder, plain
from report.stack_file import SETTINGS


def wanted_stack(
    name: str, values: Mapping[str, str], secret: list[str], what_if: str = ""
) -> WantedStack:
    """Run the program's parts on a config, and return what they register.

    ``what_if``, in YAML, takes the place of every runner's strategy.

    Raises:
        ReportError: the config has errors, or ``what_if`` is not YAML.
    """
    given = {**values, SETTINGS: _with_strategy(values[SETTINGS], what_if)} if what_if else values
    loaded: list[Stack] = []
    specs: dict[str, RunnerSpec] = {}

    def program() -> None:
        pulumi.runtime.set_all_config(dict(given), secret)
        stack = load()
        loaded.append(stack)
        arguments = environment_args(stack, dt.datetime.now(dt.UTC).year)
        specs.update(arguments["runners"])
        Environment(name, arguments)

    recorder = Recorder(name)
    try:
        recorder.run(program)
    except pulumi.RunError as error:
        raise ReportError(str(error)) from None
    (stack,) = loaded
    return WantedStack(
        name=name,
        settings=stack.settings,
        runners={runner: _runner(runner, stack, spec) for runner, spec in specs.items()},
        manifests=[plain(item.inputs) for item in recorder.registered if "kind" in item.inputs],
        pull=_logins(stack, "pull"),
        push=_logins(stack, "push"),
        production=is_production(name, stack.settings.production),
        what_if=bool(what_if),
    )


def _with_strategy(settings: str, what_if: str) -> str:
    try:
        strategy = yaml.safe_load(what_if)
        content: dict[str, Any] = json.loads(settings)
        for runner in content["runners"].values():
            runner["strategy"] = strategy
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError):
        message = f"--what-if must be a strategy in YAML, by name or with its kind: {what_if!r}"
        raise ReportError(message) from None
    return json.dumps(content)


def _runner(name: str, stack: Stack, spec: RunnerSpec) -> WantedRunner:
    token = stack.secrets.runner_tokens.get(name)
    # GitLab Runner writes the number of a job in its place, and the first has 0.
    config = spec["values"]["runners"]["config"].replace(SLOT, "0")
    cache = stack.settings.runners[name].cache
    login = stack.secrets.cache_credentials.get((cache and cache.credentials) or "")
    chart = stack.settings.chart.version
    return WantedRunner(
        name=name,
        settings=stack.settings.runners[name],
        plan=spec["plan"],
        names=spec["names"],
        toml=tomllib.loads(config)["runners"][0],
        values=spec["values"],
        version=runner_of(chart) if is_known(chart) else "",
        token=token.get_secret_value() if token else None,
        cache_login=login.fields() if login else {},
    )


def _logins(stack: Stack, use: str) -> dict[str, tuple[str, str]]:
    known = stack.secrets.registry_credentials
    names = {registry.host: getattr(registry, use) for registry in stack.settings.registries}
    return {
        host: (known[name].username, known[name].password.get_secret_value())
        for host, name in names.items()
        if name in known
    }
