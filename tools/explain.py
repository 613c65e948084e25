"""Print which strategy each runner of a stack has, why, and why not another."""

import os
import sys

import pydantic
import rich.box
import yaml
from rich.console import Console
from rich.table import Table

from components.config import PROJECT, Settings
from components.explanation import explain
from tools.local import CHECKOUT


def main() -> None:
    """Explain the stack that ``$STACK`` names, with ``$STRATEGY`` for every runner if it is set."""
    file = CHECKOUT / f"Pulumi.{os.environ['STACK']}.yaml"
    if not file.is_file():
        sys.exit(f"{file.name}: is no stack file here; set STACK to one that exists")
    content = yaml.safe_load(file.read_text(encoding="utf-8"))["config"][f"{PROJECT}:settings"]
    if strategy := os.environ.get("STRATEGY"):
        for runner in content["runners"].values():
            runner["strategy"] = yaml.safe_load(strategy)
    try:
        settings = Settings.model_validate(content)
    except pydantic.ValidationError:
        sys.exit(f"{file.name}: has mistakes, which make preview tells one by one")
    for name, verdicts in explain(settings).items():
        table = Table(title=f"runners.{name}", box=rich.box.SIMPLE, title_justify="left")
        for column in ("strategy", "Pod Security", "privilege of a job", "why"):
            table.add_column(column, overflow="fold")
        for verdict in verdicts:
            table.add_row(
                verdict.strategy,
                verdict.pod_security,
                verdict.privilege,
                verdict.reason,
                style="bold" if verdict.chosen else None,
            )
        Console().print(table)


if __name__ == "__main__":
    main()
