"""Makes the report of what others changed in the cluster, from a refresh."""

import dataclasses
from collections.abc import Iterator, Mapping

from report.analysis import assemble
from report.inputs import live
from report.inputs.events import Plan, Step, is_object
from report.inputs.preview import Preview
from report.model import Report, ResourceChange
from report.stack_file import StackFile
from report.tree import Objects, Tree, differences, inside

_CONFIG_TOML = "config.template.toml"
"""The key of config.toml in the chart's ConfigMap."""


def report(
    environment: str, refreshed: Preview, releases: Mapping[str, live.Release], context: str | None
) -> Report:
    """Return the report of a stack; ``releases`` are by URN.

    ``context`` is that of the kubeconfig, None for the current one.
    """
    plan = dataclasses.replace(refreshed.plan, steps=tuple(map(_judge, refreshed.plan.steps)))
    with_config = dataclasses.replace(
        plan, steps=tuple(_put_config(step, releases.get(step.urn)) for step in plan.steps)
    )
    source = assemble.Source(
        environment=environment,
        # Acceptances of the stack file do not cover what others do.
        stack_file=StackFile(f"Pulumi.{environment}.yaml", ""),
        settings={},
        state=refreshed.state,
        drift=True,
    )
    rendered = assemble.Rendered(
        {urn: release.objects for urn, release in releases.items()},
        {urn: release.changes for urn, release in releases.items()},
    )
    found = assemble.build(plan, source, rendered, with_config)
    undo = tuple(_undo(environment, context, refreshed.plan, found.resources, releases))
    return dataclasses.replace(found, undo=undo)


def _judge(step: Step) -> Step:
    """Decide whether an object differs, by the fields that the program sets."""
    if step.old is None or step.new is None or step.is_component:
        return step
    if is_object(step):
        step = dataclasses.replace(step, new=live.keep_requested(step.old, step.new))
    differs = step.changed_paths or differences(step.old, step.new)
    return dataclasses.replace(step, operation="update" if differs else "same")


def _put_config(step: Step, release: live.Release | None) -> Step:
    """Put the live config.toml into the values of a release, where its keys are compared."""
    if release is None:
        return step
    return dataclasses.replace(
        step, old=_config(step.old, release.objects.old), new=_config(step.new, release.objects.new)
    )


def _config(inputs: Tree | None, objects: Objects) -> Tree:
    texts = [
        inside(item, "data").get(_CONFIG_TOML)
        for item in objects.values()
        if item.get("kind") == "ConfigMap"
    ]
    values = inside(inputs, "values")
    runners = {**inside(values, "runners"), "config": next(filter(None, texts), None)}
    return {**inside(inputs), "values": {**values, "runners": runners}}


def _undo(
    environment: str,
    context: str | None,
    refreshed: Plan,
    resources: tuple[ResourceChange, ...],
    releases: Mapping[str, live.Release],
) -> Iterator[str]:
    """Yield the commands that restore what was deployed.

    The provider does not update what it does not compare, but it creates again what is missing.
    It takes over a field that another manager has set only if forced to, by a variable
    (pulumi-kubernetes: provider/pkg/await/await.go).
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
