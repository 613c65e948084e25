"""Say what a change of a stack file does, without an engine, a cluster, a state or a secret.

It is for merge requests of forks, which may have none of these. The stack files of the base and of
this checkout are laid out by this checkout's own components, and what they lay out is compared:
namespaces, the rights of jobs, the values of releases, and config.toml in them. All else is told
as a gap.

Exit codes: 0 nothing changes, 1 a stack file cannot be laid out, 2 something changes, 3 the risk
rises and the stack file does not accept it.
"""

import argparse
import asyncio
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pulumi
import pydantic
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict
from pydantic.alias_generators import to_camel
from rich.console import Console

from components.arguments import Placement
from components.plan import PodSecurity
from components.resources.runner import RunnerArgs, chart_values
from components.settings import load as stack
from components.settings.models import ACCEPTED_RISKS, Settings, TokenRegistration
from components.types import PROJECT
from dev.paths import CHECKOUT
from report.analysis import assemble
from report.analysis.facts import ENFORCE
from report.analysis.rules import NAMESPACE, ROLE
from report.inputs.charts import Charts
from report.inputs.events import (
    RELEASE,
    RUNNER,
    Plan,
    Step,
)
from report.model import FAILED, NO_CHANGE, Report
from report.outputs import html as page
from report.outputs import markdown as note
from report.outputs import terminal
from report.stack_file import (
    SETTINGS,
    StackFile,
    StackFileError,
    parse_config,
    read_config,
)
from report.values import Scrubber, clean, differences

_CONTEXT = "kubernetes:context"
_KUBECONFIG = "kubernetes:kubeconfig"
_STAND_IN = "glrt-stands-in"
"""What stands for each secret; it has the form of a token, which the program asks for."""
_PROGRAM = ("__main__.py", "components", "requirements.txt")
"""What decides on how a stack file is laid out."""
_GAPS = (
    "the cluster and the state: it is taken that what the base says is deployed",
    "the rights of managers, network policies, logins and daemons, and whether they violate "
    "policies; the preview of a merge request from within the project has them",
    "what the chart renders, and the stack's secrets, of which not even the names were compared",
)
_OTHER_PROGRAM = (
    f"the program of the base: {', '.join(_PROGRAM)} are not the same there, and both stack files "
    "were laid out by this change's own"
)


class Place(NamedTuple):
    """Which resource it is; ``runner`` is the component that it belongs to, if it does."""

    type: str
    name: str
    runner: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """One stack file laid out: the inputs of resources, and what the stack says of its runners."""

    inputs: Mapping[Place, Mapping[str, Any]]
    outputs: Mapping[str, Any]


class OfflineError(Exception):
    """A side of the change cannot be laid out; the message says where, why and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Compare, write the outputs, and judge."""
    options = _options(arguments)
    try:
        found = look(options.stack, options.base)
    except (OfflineError, StackFileError) as error:
        print(error, file=sys.stderr)
        return FAILED
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "note.md").write_text(note.write(found), encoding="utf-8")
    (options.output / "report.html").write_text(page.write(found), encoding="utf-8")
    terminal.write(found, Console())
    if found.exit_code != NO_CHANGE:
        print(f"The whole report, for a browser: {options.output / 'report.html'}")
    return found.exit_code


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="commands.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", default="dev")
    parser.add_argument("--base", required=True, help="the commit to compare with")
    parser.add_argument("--output", type=Path, default=Path("build/offline"))
    return parser.parse_args(arguments)


def look(environment: str, revision: str) -> Report:
    """Return what this checkout's stack file changes.

    Raises:
        OfflineError: if the base is no commit, or a stack file has mistakes.
        StackFileError: if this checkout has no such stack file, or one of them is no YAML.
    """
    file = CHECKOUT / f"Pulumi.{environment}.yaml"
    new = laid_out(read_config(file), file.name, file.name)
    base = _commit(revision)
    before, after = _text(base, file.name), file.read_text(encoding="utf-8")
    old = Side(inputs={}, outputs={})
    if before is not None:
        where = f"{file.name} of the base, {base}"
        old = laid_out(parse_config(before, where), file.name, where)
    stack_file = StackFile(file.name, after)
    found = assemble.report(
        _plan(old, new),
        environment=environment,
        stack_file=stack_file,
        settings=stack_file.settings,
        charts=Charts(None),
        scrub=Scrubber(),
        base=base,
    )
    told = ("Only the stack files are compared here, by what they decide without a cluster.",)
    gaps = _GAPS if before != after else ()
    if _git("diff", "--quiet", base, "--", *_PROGRAM).returncode:
        gaps = (_OTHER_PROGRAM, *gaps)
    return dataclasses.replace(found, sentences=(*told, *found.sentences), gaps=gaps)


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],  # noqa: S607 - the user's own, which made this checkout
        cwd=CHECKOUT,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )


def _commit(revision: str) -> str:
    answer = _git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    if answer.returncode:
        message = (
            f"--base: {revision!r} is no commit of this clone; name one, or fetch it: "
            f"git fetch --unshallow ({answer.stderr.strip()})"
        )
        raise OfflineError(message)
    return answer.stdout.strip()


def _text(commit: str, name: str) -> str | None:
    """Return the file in a commit; a stack that is new there has none."""
    answer = _git("show", f"{commit}:./{name}")
    return None if answer.returncode else answer.stdout


def laid_out(config: Mapping[str, Any], file: str, where: str) -> Side:
    """Lay out the config of a stack file, with stand-ins for its secrets.

    Args:
        config: what is in the stack file; of its secrets nothing is read.
        file: its name.
        where: the same for a message.

    Raises:
        OfflineError: if the config has mistakes, in the words of the program.
    """
    known = {key: config[key] for key in (SETTINGS, ACCEPTED_RISKS, _CONTEXT) if config.get(key)}
    try:
        # As Pulumi's own reader does, which makes every key a text.
        known = json.loads(json.dumps(known, default=str))
    except (TypeError, ValueError):
        message = (
            f"{where}: a key is a date, or a value holds itself; put the key in quotes, and write "
            "the value out"
        )
        raise OfflineError(message) from None
    secrets = _stand_ins(known.get(SETTINGS))
    if _KUBECONFIG in config:
        secrets[_KUBECONFIG] = _STAND_IN
    values = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in {**known, **secrets}.items()
    }
    pulumi.runtime.set_all_config(values, list(secrets))
    try:
        placement = asyncio.run(_placed())
    except pulumi.RunError as error:
        message = f"{where}: {error}"
        raise OfflineError(message) from None
    runners = placement.environment["runners"]
    inputs = {place: item for name in runners for place, item in _resources(name, runners[name])}
    for target, wanted in placement.environment["targets"].items():
        if wanted["create"]:
            inputs[Place(NAMESPACE, f"target-{target}")] = _namespace(target, "baseline")
    inputs[Place("StackFile", file)] = known
    return Side(
        inputs={place: clean(item, Scrubber()) for place, item in inputs.items()},
        outputs={"runners": placement.summary},
    )


async def _placed() -> Placement:
    """Place what the config says; secrets are outputs, which need an event loop, not an engine."""
    return Placement(*stack.load())


def _stand_ins(settings: object) -> dict[str, Any]:
    """Return secrets of the names that the settings need; for settings with mistakes none."""
    try:
        right = Settings.model_validate(settings)
    except pydantic.ValidationError:
        return {}
    logins = {name for item in right.registries for name in (item.pull, item.push) if name}
    return {
        f"{PROJECT}:runnerTokens": {
            name: _STAND_IN
            for name, runner in right.runners.items()
            if isinstance(runner.registration, TokenRegistration)
        },
        f"{PROJECT}:registryCredentials": {
            name: {"username": _STAND_IN, "password": _STAND_IN} for name in sorted(logins)
        },
    }


def _resources(name: str, runner: RunnerArgs) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield those inputs of a runner's resources that no cluster decides on."""
    names = runner["names"]
    home, account = names["job_namespace"], names["job_account"]
    yield Place(NAMESPACE, f"{name}-jobs", name), _namespace(home, runner["pod_security"])
    if runner["job_rules"]:
        yield Place(ROLE, f"{name}-job", name), _role(account, home, runner["job_rules"])
    for target, permissions in runner["permissions"].items():
        yield Place(ROLE, f"{name}.{target}", name), _role(account, target, permissions)
    yield (
        Place(RELEASE, name, name),
        {
            "name": runner["release"],
            "namespace": runner["manager_namespace"],
            **runner["chart"],
            "values": chart_values(runner),
        },
    )


def _namespace(name: str, level: PodSecurity) -> dict[str, Any]:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": {ENFORCE: level}}}


def _role(account: str, namespace: str, rules: Sequence[PolicyRuleArgsDict]) -> dict[str, Any]:
    return {
        "kind": "Role",
        "metadata": {"name": account, "namespace": namespace},
        "rules": [{to_camel(key): value for key, value in rule.items()} for rule in rules],
    }


def _plan(old: Side, new: Side) -> Plan:
    places = sorted({*old.inputs, *new.inputs})
    runners = sorted({place.runner for place in places if place.runner})
    return Plan(
        steps=(
            *(_step(Place(RUNNER, name), "same", None, None) for name in runners),
            *(_compared(place, old.inputs.get(place), new.inputs.get(place)) for place in places),
        ),
        old_outputs=old.outputs,
        new_outputs=new.outputs,
        errors=(),
    )


def _compared(
    place: Place,
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any] | None,
) -> Step:
    if old is None or new is None:
        return _step(place, "create" if old is None else "delete", old, new)
    paths = {change.path for change in differences(old, new)}
    if paths & {"metadata.name", "metadata.namespace", "namespace"}:
        # Kubernetes renames nothing.
        return _step(place, "replace", old, new)
    return _step(place, "update" if paths else "same", old, new)


def _step(
    place: Place,
    operation: str,
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any] | None,
) -> Step:
    return Step(
        operation=operation,
        type=place.type,
        name=place.name,
        urn=f"{place.type}::{place.name}",
        parent=f"{RUNNER}::{place.runner}" if place.runner else "",
        old=old,
        new=new,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
