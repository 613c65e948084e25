"""The tables of ``docs`` that follow from the code.

A table stands between two comments that name it; people write the rest of the page.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from components.plan import BuildPlan, Security
from components.resources import access
from components.site import Cluster, Site
from components.strategies import STRATEGIES, Strategy, forms
from dev.generate import checks, commands, keys, rules, site, templates, variables
from dev.generate.keys import table
from report.analysis.risk_kinds import KINDS
from report.analysis.risks import SEVERITIES
from report.analysis.rules import RULES

# What the level itself demands of every container (Kubernetes: Pod Security Standards).
_RESTRICTED = {"capabilities": "drop ALL", "seccomp": "RuntimeDefault"}


def _strategies() -> str:
    rows = [
        [
            f"[`{kind}`](stack-file.md#strategy-{kind})" if strategy.forms else f"`{kind}`",
            keys.text(str(strategy.__doc__).partition("\n")[0]),
            ", ".join(f"`{called}`" for called in _commands(strategy)),
            ", ".join(
                f"`{field.alias}: true`"
                for field in strategy.model_fields.values()
                if field.is_required()
            ),
        ]
        for kind, strategy in STRATEGIES.items()
    ]
    return table(["strategy", "what it does", "what jobs call", "what you must accept"], rows)


def _commands(strategy: type[Strategy]) -> list[str]:
    called = [strategy.model_validate(options).command for options in strategy.forms.values()]
    return [command for command in dict.fromkeys(called) if command]


def costs() -> dict[str, dict[str, str]]:
    """Return what each variant costs, and the daemon of those that have one, by column."""
    rows: dict[str, dict[str, str]] = {}
    for name, strategy in forms():
        plan = strategy.plan(Site(cluster=Cluster(kind="managed")))
        job = {
            "privileged": _privileged(plan),
            **(_RESTRICTED if plan.restricted else {}),
            "hostUsers": "" if plan.host_users else "false",
            "hostPath": " ".join(path.path for path in plan.host_paths),
            "escalation": "" if plan.allow_privilege_escalation is None else "false",
            "login in": plan.credentials_folder,
            "API permissions": _permissions(plan),
        }
        rows[name] = _row(plan.pod_security, plan.build, job)
        if daemon := plan.daemon:
            rows[f"{name} daemon"] = _row(daemon.pod_security, daemon.security, {})
    return rows


def _row(level: str, security: Security, known: Mapping[str, str]) -> dict[str, str]:
    row = {
        "Pod Security": level,
        "privileged": "daemon" if security.privileged else "",
        "uid": "" if security.user is None else str(security.user),
        "capabilities": " ".join(security.capabilities),
        "seccomp": security.seccomp.get("type", ""),
        "AppArmor": security.app_armor.get("type", ""),
        **dict.fromkeys(("hostUsers", "hostPath", "escalation", "login in"), ""),
        "API permissions": "none",
    }
    return {column: value or "-" for column, value in {**row, **known}.items()}


def _privileged(plan: BuildPlan) -> str:
    if plan.build.privileged:
        return "build"
    user = "" if plan.service.user is None else f", uid {plan.service.user}"
    return f"service{user}" if plan.service.privileged else ""


def _permissions(plan: BuildPlan) -> str:
    own = [f"{', '.join(rule.verbs)} {rule.resource}" for rule in plan.account_rules]
    return "; ".join(own) or ("as listed" if plan.account_token else "none")


def _variants() -> str:
    rows = [{"variant": f"`{name}`", **row} for name, row in costs().items()]
    return table(list(rows[0]), (list(row.values()) for row in rows))


def _role() -> str:
    always = access.rules(pod_disruption_budget=False)
    rows: list[list[str]] = []
    for rule in cast("list[dict[str, list[str]]]", access.rules(pod_disruption_budget=True)):
        needed = "always" if rule in always else "with `podDisruptionBudget: true`"
        rows.append([", ".join(rule["resources"]), ", ".join(rule["verbs"]), needed])
    return table(["resource", "verbs", "needed"], rows)


def _policies() -> str:
    rows = [
        [
            f"`{rule.name}`",
            rule.description.removesuffix("."),
            rule.remediation,
            "mandatory" if rule.mandatory else "advisory",
            rule.severity,
        ]
        for rule in RULES
    ]
    return table(["policy", "what it demands", "what to do", "level", "severity"], rows)


def _risks() -> str:
    rows = [
        [
            f"`{name}`",
            kind.severity,
            keys.text(kind.raised.format(name="…", risk="…")),
            kind.reason,
            "yes" if kind.of_the_job else "",
        ]
        for name, kind in sorted(KINDS.items(), key=lambda item: SEVERITIES[item[1].severity])
    ]
    headings = ["risk", "severity", "what a report says", "why it matters", "by the strategy"]
    return table(headings, rows)


def _inputs() -> str:
    known = templates.inputs(templates.files()["build-image.yml"])
    rows = [_input(name, entry) for name, entry in known.items()]
    return table(["input", "default", "meaning"], rows)


def _jobs() -> str:
    rows = [
        [f"`{name}`", job.does, f"`{job.stage}`", job.tool and f"`{templates.IMAGES[job.tool]}`"]
        for name, job in templates.JOBS.items()
    ]
    return table(["component", "what it does", "stage", "its image"], rows)


def _inputs_of_jobs() -> str:
    texts = templates.files()
    every = {job: templates.inputs(texts[f"{job}.yml"]) for job in templates.JOBS}
    of_all = {name for name in every["test"] if all(name in inputs for inputs in every.values())}
    rows: dict[tuple[str, ...], list[str]] = {}
    for job, inputs in every.items():
        for name, entry in inputs.items():
            if name == "image" or name not in of_all | {"tool_image"}:
                rows.setdefault(tuple(_input(name, entry)), []).append(f"`{job}`")
    found = [[row[0], ", ".join(jobs), *row[1:]] for row, jobs in rows.items()]
    return table(["input", "of", "default", "meaning"], found)


def _input(name: str, entry: Mapping[str, Any]) -> list[str]:
    return [
        f"`{name}`",
        "required" if "default" not in entry else _given(entry["default"]),
        entry["description"],
    ]


def _given(default: object) -> str:
    return f"`{keys.plain(default)}`" if default else ""


BLOCKS: dict[str, Callable[[], str]] = {
    "keys": keys.write,
    "strategies": _strategies,
    "variants": _variants,
    "role": _role,
    "policies": _policies,
    "risks": _risks,
    "inputs": _inputs,
    "jobs": _jobs,
    "inputs of jobs": _inputs_of_jobs,
    "variables": variables.write,
    "commands": commands.write,
    "exit codes": commands.exit_codes,
    "targets": commands.targets,
    "pipeline rules": rules.overview,
    "rules with their jobs": rules.sections,
    "imported values": site.values,
    "imported config": site.config,
    "imported runners": site.operated,
    "checks": checks.sections,
}
"""The tables, by the name that pages give them."""


def update(text: str) -> str:
    """Return a page with its tables as they must be."""
    for name, write in BLOCKS.items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        if start in text:
            block = f"{start}\n\n{write()}\n\n{end}"
            pattern = f"{re.escape(start)}.*?{re.escape(end)}"
            text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
    return text
