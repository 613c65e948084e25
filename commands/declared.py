"""Compares what a stack file declares of its cluster with the cluster, without any secret."""

import json
import os

from rich.console import Console

from commands.compare import placeholders
from commands.doctor import connect
from commands.shared.checkout import stack_file
from commands.shared.exit_codes import ExitCode
from commands.shared.recorded import wanted_stack
from components.ownership.cluster import Kubeconfig
from doctor.every import DECLARED
from doctor.examine import Visit, examine
from doctor.observed import Observed
from doctor.outputs import terminal
from report.errors import ReportError
from report.stack_file import SETTINGS, read_config

_CONTEXT = "kubernetes:context"


def run(stack: str, strategy: str = "") -> ExitCode:
    """Print what is not so; ``strategy``, in YAML, takes the place of every runner's own.

    Raises:
        ReportError: the stack file has errors, or names no cluster that the kubeconfig has.
    """
    config = read_config(stack_file(stack), strategy)
    context = config.get(_CONTEXT)
    if not context:
        message = f"{_CONTEXT}: is required in Pulumi.{stack}.yaml, which names the cluster by it"
        raise ReportError(message)
    secrets = placeholders(config[SETTINGS])
    given = {SETTINGS: config[SETTINGS], _CONTEXT: context, **secrets}
    values = {
        key: item if isinstance(item, str) else json.dumps(item) for key, item in given.items()
    }
    wanted = wanted_stack(stack, values, [*secrets])
    api = connect(Kubeconfig(os.environ.get("KUBECONFIG", ""), context))
    found = examine(DECLARED, Visit(stack=wanted, seen=Observed(api), context=context))
    terminal.write(found, Console())
    return ExitCode.CHANGES if found.faults else ExitCode.NO_CHANGE
