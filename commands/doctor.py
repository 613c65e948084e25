"""Looks for what keeps a stack from working on its cluster, before a job meets it."""

from pathlib import Path

from pulumi import automation as auto
from rich.console import Console

from commands.shared import interrupt
from commands.shared.exit_codes import ExitCode
from commands.shared.recorded import wanted_stack
from commands.shared.stacks import located
from components.image_reference import ImageReference
from components.ownership.cluster import Kubeconfig
from doctor.canary.run import BASE, NAMES, Canary, skipped
from doctor.diagnosis import Diagnosis, UnseenError
from doctor.every import EVERY
from doctor.examine import Visit, examine
from doctor.kubernetes_api import KubernetesApi
from doctor.observed import Observed
from doctor.outputs import data, markdown, terminal
from report.errors import ReportError
from report.redact import Scrubber, config_secrets


def run(  # noqa: PLR0913 - the options of the command
    stack: auto.Stack,
    *,
    output: Path,
    repository: str = "",
    what_if: str = "",
    build: bool = False,
    base: str = "",
) -> ExitCode:
    """Look, write what was found, and judge; with ``build``, build from an image ``base``."""
    wanted = (base or BASE) if build else ""
    found = diagnose(stack, repository=repository, what_if=what_if, base=wanted)
    output.mkdir(parents=True, exist_ok=True)
    (output / "doctor.json").write_text(data.write(found), encoding="utf-8")
    (output / "doctor.md").write_text(markdown.write(found), encoding="utf-8")
    terminal.write(found, Console())
    return ExitCode.CHANGES if found.faults else ExitCode.NO_CHANGE


def connect(where: Kubeconfig) -> KubernetesApi:
    """Return what asks a cluster.

    Raises:
        ReportError: the kubeconfig cannot be used.
    """
    try:
        return KubernetesApi(where)
    except UnseenError as error:
        message = f"{error}; check its path and kubernetes:context"
        raise ReportError(message) from None


def diagnose(
    stack: auto.Stack, *, repository: str = "", what_if: str = "", base: str = ""
) -> Diagnosis:
    """Return what is found on the cluster that the stack names, without secrets.

    With ``base``, images are built from it.

    Raises:
        ReportError: the config has errors, or the repository or the kubeconfig cannot be used.
    """
    _check(repository)
    config = stack.get_all_config()
    values = {key: entry.value for key, entry in config.items()}
    secret = [key for key, entry in config.items() if entry.secret]
    wanted = wanted_stack(stack.name, values, secret, what_if)
    with located(stack, config) as where:
        api = connect(where)
        context = where.context or "the current context of kubernetes:kubeconfig"
        visit = Visit(stack=wanted, seen=Observed(api), context=context, repository=repository)
        if base:
            interrupt.end_by_request_too()
        canary = Canary(api, visit, base).run() if base else skipped(visit)
        found = examine(EVERY, visit, NAMES, canary)
    scrub = Scrubber(text for key in secret for text in config_secrets(values[key]))
    return found.scrubbed(scrub)


def _check(repository: str) -> None:
    try:
        reference = ImageReference.parse(repository or "none")
        plain = not (reference.tag or reference.digest)
    except ValueError:
        plain = False
    if not plain:
        message = (
            "--repository must be a repository with its registry and without a tag, such as "
            f"registry.example.com/group/app: {repository!r}"
        )
        raise ReportError(message)
