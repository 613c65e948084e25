"""Makes the report of what others changed in the cluster, from a refresh."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from report.analysis import assemble
from report.analysis.risk_kinds import KINDS
from report.analysis.risks import by_severity
from report.analysis.runner_config import parse
from report.inputs import live
from report.inputs.additions import Known
from report.inputs.charts import redact_object
from report.inputs.events import RELEASE, Plan, Step, is_object
from report.inputs.preview import Preview
from report.model import Report, ResourceChange, RiskChange
from report.stack_file import StackFile
from report.tree import Objects, Tree, differences, entries, identity, inside, texts

_SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 - a type
_CONTENTS = re.compile(r"(string)?[dD]ata\b")
_CONFIG_TOML = "config.template.toml"
"""The key of config.toml in the chart's ConfigMap."""


def known(plan: Plan, releases: Mapping[str, live.Release]) -> Known:
    """Return what a stack has, by its refresh and its releases by URN."""
    there = [(step, step.old) for step in plan.steps if step.old is not None]
    objects = [
        *((inputs, "") for step, inputs in there if is_object(step)),
        *(
            (item, str(inputs.get("namespace")))
            for step, inputs in there
            if step.urn in releases
            for item in releases[step.urn].objects.old.values()
        ),
    ]
    return Known(
        namespaces=frozenset(
            _name(inputs)
            for step, inputs in there
            # What runs in target namespaces is for others to decide.
            if inputs.get("kind") == "Namespace" and not step.name.startswith("target-")
        ),
        job_namespaces=frozenset(
            str(inside(parse(inside(inputs, "values")), "kubernetes").get("namespace"))
            for step, inputs in there
            if step.type == RELEASE
        ),
        workshops=frozenset(
            str(inside(item, "metadata").get("namespace"))
            for item, _ in objects
            if any(map(_creates_deployments, entries(item, "rules")))
        ),
        objects=frozenset(
            (str(item.get("kind")), str(metadata.get("namespace") or home), _name(item))
            for item, home in objects
            for metadata in [inside(item, "metadata")]
        ),
        releases=frozenset(
            (str(inputs.get("namespace")), str(inputs.get("name")))
            for step, inputs in there
            if step.type == RELEASE
        ),
        gone=frozenset(
            (str(inputs.get("namespace")), str(inputs.get("name")))
            for step, inputs in there
            if step.type == RELEASE and step.urn not in releases
        ),
    )


def _name(item: Tree) -> str:
    return str(inside(item, "metadata").get("name"))


def _creates_deployments(rule: Tree) -> bool:
    """Whether a rule lets jobs create the pods that they build with."""
    return "deployments" in texts(rule, "resources") and "create" in texts(rule, "verbs")


def report(
    environment: str,
    refreshed: Preview,
    releases: Mapping[str, live.Release],
    added: Sequence[Tree],
    context: str | None,
) -> Report:
    """Return the report of a stack; ``releases`` are by URN, and ``added`` is what others made.

    ``context`` is that of the kubeconfig, None for the current one.
    """
    steps = tuple(map(_judge, refreshed.plan.steps))
    safe = [redact_object(item, refreshed.scrub) for item in added]
    plan = dataclasses.replace(refreshed.plan, steps=(*steps, *map(_addition, map(_shown, safe))))
    with_config = dataclasses.replace(
        plan,
        steps=(
            *(_put_config(step, releases.get(step.urn)) for step in steps),
            *map(_addition, safe),
        ),
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
    changed = [change for change in found.resources if change.operation != "create"]
    undo = (
        *(_delete(item, context) for item in safe),
        *_undo(environment, context, refreshed.plan, changed, releases),
    )
    swapped = tuple(map(_swapped, filter(_is_swapped, steps)))
    return dataclasses.replace(
        found, undo=undo, risk_changes=by_severity((*found.risk_changes, *swapped))
    )


def _is_swapped(step: Step) -> bool:
    """Whether somebody gave a Secret of the stack other contents."""
    paths = (*step.changed_paths, *(change.path for change in differences(step.old, step.new)))
    return step.type == _SECRET and step.changes and any(map(_CONTENTS.match, paths))


def _swapped(step: Step) -> RiskChange:
    kind, name = KINDS["swapped"], identity(inside(step.old))
    return RiskChange(
        identity=f"swapped/{name}/contents".replace(" ", "-"),
        direction="raised",
        severity=kind.severity,
        what=kind.raised.format(name=name, risk="somebody changed it"),
        reason=kind.reason,
        key="",
        line=None,
        accepted="",
    )


def _addition(item: Tree) -> Step:
    """Return an object that others made as a step that creates it."""
    version = str(item["apiVersion"])
    group = version if "/" in version else f"core/{version}"
    return Step(
        operation="create",
        type=f"kubernetes:{group}:{item['kind']}",
        name=identity(item).partition(" ")[2],
        urn=identity(item),
        parent="",
        old=None,
        new=item,
    )


def _shown(item: Tree) -> Tree:
    """Return what a report shows: permissions and policies as a whole, of all else the name."""
    metadata = inside(item, "metadata")
    names = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    shown = ("apiVersion", "kind", "roleRef", "rules", "subjects", "type")
    public = item["kind"] in {"Ingress", "NetworkPolicy", "Service"}
    policy = {"spec": item["spec"]} if public and "spec" in item else {}
    return {**{key: item[key] for key in shown if key in item}, **policy, "metadata": names}


def _delete(item: Tree, context: str | None) -> str:
    metadata = inside(item, "metadata")
    namespace = metadata.get("namespace")
    where = f" --namespace {namespace}" if namespace else ""
    option = f" --context {context}" if context else ""
    return f"kubectl delete {item.get('kind')} {metadata.get('name')}{where}{option}"


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
    found = [
        inside(item, "data").get(_CONFIG_TOML)
        for item in objects.values()
        if item.get("kind") == "ConfigMap"
    ]
    values = inside(inputs, "values")
    runners = inside(values, "runners")
    runners = {**runners, "config": next(filter(None, found), runners.get("config"))}
    return {**inside(inputs), "values": {**values, "runners": runners}}


def _undo(
    environment: str,
    context: str | None,
    refreshed: Plan,
    resources: Sequence[ResourceChange],
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
            yield _delete(steps[change.urn].inputs_before, context)
    if resources or any(release.changes for release in releases.values()):
        yield f"PULUMI_K8S_ENABLE_PATCH_FORCE=true pulumi up --stack {environment} --refresh"
