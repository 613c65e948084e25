"""Say what a change of a stack file does, without an engine, a cluster, a state or a secret.

It is for merge requests of forks, which get none of these. The program of this checkout runs on
the stack file of the base and on this checkout's, with placeholders for secrets; the resources
that it registers are compared like the steps of a preview. The report lists what only a preview
can know.
"""

import dataclasses
import json
import runpy
from pathlib import Path
from typing import Any

import pulumi
import pydantic
from rich.console import Console

from commands.preview import write
from commands.shared.checkout import CHECKOUT, PROGRAM, changed_program, git
from commands.shared.exit_codes import ExitCode, exit_code
from components.gitlab_runner.archive import as_stated
from components.settings.models import Settings
from components.settings.plain_text import SECRET_KEYS, plain_secrets
from components.settings.runners.registration import TokenRegistration
from components.settings.secrets import placeholders_of_caches
from components.types import ACCEPTED_RISKS, PROJECT
from report.analysis import assemble
from report.errors import ReportError
from report.inputs import registrations
from report.inputs.recorder import Recorder, RegisteredResource
from report.model import Report
from report.outputs import terminal
from report.redact import Scrubber
from report.stack_file import SETTINGS, StackFile, declared_in, parse, read_config
from report.tree import inside

_TOKENS = f"{PROJECT}:runnerTokens"
_CREDENTIALS = f"{PROJECT}:registryCredentials"
_CACHES = f"{PROJECT}:cacheCredentials"
_CONTEXT = "kubernetes:context"
_KUBECONFIG = "kubernetes:kubeconfig"
_EMPTY = {
    **dict.fromkeys((*SECRET_KEYS, _CONTEXT), ""),
    **dict.fromkeys((SETTINGS, ACCEPTED_RISKS, _TOKENS, _CREDENTIALS, _CACHES), "null"),
}
"""Every key of the program, since the SDK looks for a missing one in the environment."""
_PLACEHOLDER = "glrt-placeholder"
"""What stands in for each secret; it has the form of a token, which the program checks."""
_PROGRAM_FILE = CHECKOUT / "__main__.py"
_SENTENCE = "Only the stack files are compared: the program ran on both, without a cluster."
_GAPS = (
    "the cluster and the state: the comparison assumes that what the base declares is deployed",
    "the objects that charts render from the values of releases",
    "the stack's secrets: placeholders stand in for them, and for what is made of them",
)
_OTHER_PROGRAM = (
    f"the program of the base: {', '.join(PROGRAM)} differ there, and this change's own ran on "
    "both stack files"
)


def run(stack: str, *, base: str, output: Path) -> ExitCode:
    """Compare the stack files, write the report, and judge."""
    found = build_report(stack, base)
    write(found, output, {})
    terminal.write(found, Console())
    code = exit_code(found)
    if code != ExitCode.NO_CHANGE:
        print(f"Full report: {output / 'report.html'}")
    return code


def build_report(stack: str, revision: str) -> Report:
    """Return what this checkout's stack file changes; git knows the base by ``revision``.

    Raises:
        ReportError: if there is no such commit or stack file, if the program refuses one, or this
            checkout's holds a secret in plain text.
    """
    file = CHECKOUT / f"Pulumi.{stack}.yaml"
    config = read_config(file)
    if plain := [f"{path}: {text}" for path, text in plain_secrets(config, stack, file.name)]:
        raise ReportError("\n".join(plain))
    base = _commit(revision)
    before, after = _text(base, file.name), file.read_text(encoding="utf-8")
    old: list[RegisteredResource] = []
    if before is not None:
        where = f"{file.name} of the base, {base}"
        with as_stated():
            old = _record(before, where, Recorder(stack))
    new = _record(after, file.name, Recorder(stack, preview=True, state=old))
    stack_file, earlier = (StackFile(file.name, text or "") for text in (after, before))
    scrub = Scrubber([_PLACEHOLDER])
    program = changed_program(CHECKOUT, base) or ()
    source = assemble.Source(
        environment=stack,
        stack_file=stack_file,
        settings=stack_file.settings,
        base=base,
        program=program,
    )
    plan = registrations.plan(old, new, scrub)
    plan = dataclasses.replace(
        plan,
        old_outputs=earlier.declare(plan.old_outputs),
        new_outputs=stack_file.declare(plan.new_outputs),
    )
    found = assemble.report(plan, source, None, scrub)
    gaps = _GAPS if before != after else ()
    if program:
        gaps = (_OTHER_PROGRAM, *gaps)
    return dataclasses.replace(found, sentences=(_SENTENCE, *found.sentences), gaps=gaps)


def _commit(revision: str) -> str:
    answer = git(CHECKOUT, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    if answer.returncode:
        message = (
            f"--base: {revision!r} must be a commit of this clone; name one, or fetch it: "
            f"git fetch --unshallow ({answer.stderr.strip()})"
        )
        raise ReportError(message)
    return answer.stdout.strip()


def _text(commit: str, name: str) -> str | None:
    """Return the file in a commit; a stack that is new there has none."""
    answer = git(CHECKOUT, "show", f"{commit}:./{name}")
    return None if answer.returncode else answer.stdout


def _record(text: str, where: str, recorder: Recorder) -> list[RegisteredResource]:
    """Run the program on the config in a stack file's text, and return what it registers.

    The stack file is the first of the resources, since not every key of it ends in another one. Of
    its secrets nothing is read. Messages name it by ``where``.
    """
    content = parse(text, where)
    config = inside(content, "config")
    known = {key: config[key] for key in (SETTINGS, ACCEPTED_RISKS, _CONTEXT) if config.get(key)}
    try:
        # As Pulumi's own reader does, which makes every key a text.
        known = json.loads(json.dumps(known, default=str))
    except (TypeError, ValueError):
        message = (
            f"{where}: a key is a date, or a value holds itself; put the key in quotes, and write "
            "the value out"
        )
        raise ReportError(message) from None
    secrets = placeholders(known.get(SETTINGS))
    if _KUBECONFIG in config:
        secrets[_KUBECONFIG] = _PLACEHOLDER
    values = _EMPTY | {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in {**known, **secrets}.items()
    }

    def program() -> None:
        pulumi.runtime.set_all_config(values, list(SECRET_KEYS))
        runpy.run_path(str(_PROGRAM_FILE))

    try:
        recorder.run(program)
    except pulumi.RunError as error:
        message = f"{where}: {error}"
        raise ReportError(message) from None
    name = f"Pulumi.{recorder.stack}.yaml"
    urn = f"StackFile::{name}"
    inputs = {**known, **declared_in(content)["options"]}
    file = RegisteredResource(type="StackFile", name=name, urn=urn, inputs=inputs)
    return [file, *recorder.registered]


def placeholders(settings: object) -> dict[str, Any]:
    """Return secrets of the names that the settings need; for settings with errors none."""
    try:
        valid = Settings.model_validate(settings)
    except pydantic.ValidationError:
        return {}
    logins = {name for _, name in valid.logins()}
    return {
        _TOKENS: {
            name: f"{_PLACEHOLDER}-{name}"  # no two runners may have the same one
            for name, runner in valid.runners.items()
            if isinstance(runner.registration, TokenRegistration)
        },
        _CREDENTIALS: {
            name: {"username": _PLACEHOLDER, "password": _PLACEHOLDER} for name in sorted(logins)
        },
        _CACHES: placeholders_of_caches(valid),
    }
