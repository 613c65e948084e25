"""Reports with one thing of each kind, for tests of outputs to replace parts of."""

import dataclasses

from report.model import (
    Counts,
    JobEffect,
    KeyChange,
    ObjectChange,
    PropertyChange,
    Report,
    ResourceChange,
    RiskChange,
)

TOML = PropertyChange(path="values.runners.config", old="a = 1\nb = 2\n", new="a = 1\nb = 3\n")
LONG = PropertyChange(path="spec.note", old="x" * 300, new=None)
RAISED = RiskChange(
    identity="privileged/job/yes",
    direction="raised",
    severity="critical",
    what="job is privileged",
    reason="it is root",
    key="runners.main.strategy",
    line=7,
    accepted="",
)
REPORT = Report(
    environment="dev",
    stack_file="Pulumi.dev.yaml",
    base="0123abc",
    state="",
    digest="0123456789abcdef",
    counts=Counts(create=1, update=1, delete=0, replace=1),
    sentences=("Runner a_b <b> @all #1 changes.",),
    risk_changes=(
        RAISED,
        dataclasses.replace(RAISED, accepted="a reason", line=None, what="accepted thing"),
        dataclasses.replace(RAISED, severity="minor", what="small thing"),
        dataclasses.replace(RAISED, direction="lowered", what="lowered thing"),
    ),
    effects=(JobEffect(loud=True, text="Jobs are lost."), JobEffect(loud=False, text="Quiet.")),
    resources=(
        ResourceChange(
            operation="replace",
            type="kubernetes:core/v1:Namespace",
            name="jobs",
            urn="urn",
            properties=(LONG, *(dataclasses.replace(LONG, path=f"p{i}|`") for i in range(4))),
        ),
        ResourceChange(
            operation="create",
            type="kubernetes:core/v1:Secret",
            name="new",
            urn="urn2",
            properties=(PropertyChange(path="data", old=None, new="[secret]"),),
        ),
    ),
    keys=(KeyChange(runner="main", change=TOML, meaning="what jobs get"),),
    objects=(ObjectChange(operation="update", identity="ConfigMap a/b", properties=(TOML,)),),
    gaps=("helm is not there",),
    errors=(),
)
EMPTY = dataclasses.replace(
    REPORT,
    counts=Counts(create=0, update=0, delete=0, replace=0),
    risk_changes=(),
    resources=(),
    keys=(),
    objects=(),
    gaps=(),
)
SETTING_ERROR = (
    "1 error in the config of this stack; nothing was changed:\n"
    "image-builds:settings.runners.main.strategy.kind: is `wrong`"
)
BROKEN = dataclasses.replace(EMPTY, errors=(SETTING_ERROR,))
