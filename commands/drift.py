"""Say how the cluster differs from what was deployed, and keep one GitLab issue of it.

A refresh looks at what Pulumi manages; the objects within a Helm release, which it takes as one,
are compared with what Helm deployed. Nothing is changed, neither the cluster nor the state.

Exit codes: 0 nothing differs, 1 the cluster or the state could not be looked at, 2 something
differs, 3 so that the risk rises.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi import automation as auto
from rich.console import Console

from commands.preview import address, opened
from dev import cluster, toolchain
from report.analysis import assemble
from report.analysis import risks as security
from report.analysis import runner_config as config_toml
from report.inputs import live, preview
from report.inputs.events import (
    RELEASE,
    Plan,
    Step,
    is_object,
    told,
)
from report.model import (
    FAILED,
    Counts,
    Report,
    ResourceChange,
)
from report.outputs import (
    gitlab,
    terminal,
)
from report.outputs import (
    html as page,
)
from report.outputs import (
    markdown as note,
)
from report.stack_file import StackFile, StackFileError
from report.values import Scrubber, differences, inside

_CONFIG_TOML = "config.template.toml"
"""The key of the chart's ConfigMap under which config.toml is."""
_SIDES = ("old", "new")


def main(arguments: Sequence[str]) -> int:
    """Look, write the outputs where something differs, bring the issue up to date, and judge."""
    options = _options(arguments)
    try:
        helm = toolchain.ensure("helm").file
        with opened(options.stack, local=options.local) as stack:
            found = look(stack, helm)
    except (StackFileError, cluster.ClusterError, toolchain.ToolchainError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except auto.CommandError as error:
        print(told(str(error), None, Scrubber()), file=sys.stderr)
        return FAILED
    if found.errors or found.counts.total:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "note.md").write_text(note.write(found), encoding="utf-8")
        (options.output / "report.html").write_text(page.write(found), encoding="utf-8")
    terminal.write(found, Console())
    publish(found)
    return found.exit_code


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="commands.drift",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", default="dev")
    parser.add_argument("--output", type=Path, default=Path("build/drift"))
    parser.add_argument("--local", action="store_true", help="on the local control plane")
    return parser.parse_args(arguments)


def look(stack: auto.Stack, helm: Path) -> Report:
    """Return what differs; what could not be looked at is in the report's errors."""
    config = stack.get_all_config()
    seen = preview.refresh(stack, config)
    releases: dict[str, live.Release] = {}
    settings = {key: value.value for key, value in config.items()}
    kubeconfig = stack.workspace.env_vars.get("KUBECONFIG") or os.environ.get("KUBECONFIG", "")
    with live.place(settings, kubeconfig) as where:
        try:
            for step in () if seen.plan.errors else seen.plan.steps:
                if step.type == RELEASE and step.new:
                    name, namespace = str(step.new.get("name")), str(step.new.get("namespace"))
                    found = live.release(helm, where, name, namespace, seen.scrub)
                    releases[step.urn] = found
        except live.LiveError as error:
            plan = dataclasses.replace(seen.plan, errors=(str(error),))
            seen, releases = dataclasses.replace(seen, plan=plan), {}
    return report(stack.name, seen, releases, where.context)


def report(
    environment: str,
    seen: preview.Preview,
    releases: Mapping[str, live.Release],
    context: str | None,
) -> Report:
    """Make the report.

    Args:
        environment: the stack's name.
        seen: its refresh.
        releases: what was found of each, by its URN.
        context: that of the kubeconfig, None where it is the kubeconfig's own.
    """
    plan = dataclasses.replace(seen.plan, steps=tuple(map(_judged, seen.plan.steps)))
    resources = assemble.resources(plan)
    objects = tuple(change for release in releases.values() for change in release.changes)
    gone = sum(change.operation == "delete" for change in (*resources, *objects))
    # What the strategy or the stack file accepts was not accepted for what others do.
    stack_file = StackFile(f"Pulumi.{environment}.yaml", "")
    with_config = dataclasses.replace(
        plan,
        steps=tuple(_with_config(step, releases.get(step.urn)) for step in plan.steps),
    )
    sides = [{urn: getattr(found, side) for urn, found in releases.items()} for side in _SIDES]
    return Report(
        environment=environment,
        stack_file=stack_file.name,
        base="",
        state=seen.state,
        digest=assemble.digest(plan),
        counts=Counts(
            create=0,
            update=len(resources) + len(objects) - gone,
            delete=gone,
            replace=0,
        ),
        sentences=(),
        deltas=security.deltas(with_config, (sides[0], sides[1]), stack_file, {}),
        effects=(),
        resources=resources,
        keys=tuple(config_toml.changes(with_config)),
        objects=objects,
        gaps=(),
        errors=plan.errors,
        drift=True,
        undo=tuple(_undo(environment, context, seen.plan, resources, releases)),
    )


def _judged(step: Step) -> Step:
    """Say whether an object really differs, by all of it that was asked for."""
    if step.old is None or step.new is None or step.is_component:
        return step
    if is_object(step):
        step = dataclasses.replace(step, new=live.as_asked(step.old, step.new))
    differs = step.moved or differences(step.old, step.new)
    return dataclasses.replace(step, operation="update" if differs else "same")


def _with_config(step: Step, release: live.Release | None) -> Step:
    """Put config.toml as it is in the cluster where it is in the values, to be looked at."""
    if release is None:
        return step
    sides = {side: _config(getattr(step, side), getattr(release, side)) for side in _SIDES}
    return dataclasses.replace(step, **sides)


def _config(inputs: Mapping[str, Any], objects: Mapping[str, Any]) -> Mapping[str, Any]:
    texts = [
        inside(item, "data").get(_CONFIG_TOML)
        for item in objects.values()
        if item.get("kind") == "ConfigMap"
    ]
    values = inside(inputs, "values")
    runners = {**inside(values, "runners"), "config": next(filter(None, texts), None)}
    return {**inputs, "values": {**values, "runners": runners}}


def _undo(
    environment: str,
    context: str | None,
    refreshed: Plan,
    resources: tuple[ResourceChange, ...],
    releases: Mapping[str, live.Release],
) -> Iterator[str]:
    """Yield the commands that bring back what was deployed.

    What the provider does not see it would not update, but it makes again what is gone. The API
    server lets nobody take over a field that another has set unless it is forced to, by a
    variable that the provider reads (pulumi-kubernetes: provider/pkg/await/await.go).
    """
    steps = {step.urn: step for step in refreshed.steps}
    for urn, release in releases.items():
        if release.changes:
            inputs = steps[urn].inputs_before
            option = f" --kube-context {context}" if context else ""
            where = f"--namespace {inputs.get('namespace')}{option}"
            yield f"helm uninstall {inputs.get('name')} {where}"
    for change in resources:
        if steps[change.urn].operation == "same":
            inputs = steps[change.urn].inputs_before
            metadata = inside(inputs, "metadata")
            option = f" --context {context}" if context else ""
            where = f"--namespace {metadata.get('namespace')}{option}"
            yield f"kubectl delete {inputs.get('kind')} {metadata.get('name')} {where}"
    if resources or any(release.changes for release in releases.values()):
        yield f"PULUMI_K8S_ENABLE_PATCH_FORCE=true pulumi up --stack {environment} --refresh"


def publish(report: Report) -> None:
    """Open, edit or close the environment's issue, if there is a token and it is known what is."""
    if report.errors or "CI_PROJECT_ID" not in os.environ or not (to := address()):
        return
    text = note.write(report) if report.counts.total else None
    try:
        gitlab.tell_issue(to, report.environment, note.heading(report), text)
    except gitlab.PublishError as error:
        print(f"The issue of the drift is not up to date: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
