"""The rules of the pipeline check as Markdown: a table, and a section for each with its job."""

from collections.abc import Iterator

from convert.pipeline.rule import PipelineRule
from convert.pipeline.rules import RULES
from dev.generate.keys import table

_PAGE = "../reference/pipeline-rules.md"
_RULES = sorted(RULES, key=lambda rule: rule.name)
_OUTCOMES = {"note": "runs", "change": "runs with a change", "cannot": "cannot run"}


def overview() -> str:
    """Return what the rules find and what to do, with a link to the section of each."""
    rows = [
        [f"[`{rule.name}`]({_PAGE}#{rule.name})", rule.description, rule.remedy] for rule in _RULES
    ]
    return table(["rule", "what it finds", "what to do"], rows)


def sections() -> str:
    """Return a section for each rule, with the job that shows it."""
    return "\n\n".join(part for rule in _RULES for part in _section(rule))


def _section(rule: PipelineRule) -> Iterator[str]:
    yield f"### {rule.name}"
    yield rule.description
    yield rule.remedy
    yield f"On a runner of the variant `{rule.form}`, such a job {_OUTCOMES[rule.outcome]}:"
    yield f"```yaml{rule.example}```"
