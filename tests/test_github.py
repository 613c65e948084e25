"""The workflow for teams on GitHub, by the schema that check-jsonschema carries, and shellcheck."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from dev.paths import CHECKOUT
from report.analysis.rule import is_production
from report.outputs.phrases import marker
from tests.support.pipelines import against_shell

FILE = CHECKOUT / ".github" / "workflows" / "pipeline.yml"
TEXT = FILE.read_text(encoding="utf-8")
JOBS: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]
STEPS: list[dict[str, Any]] = [step for job in JOBS.values() for step in job["steps"]]


def test_githubs_schema_takes_the_workflow() -> None:
    schema = ["--builtin-schema", "vendor.github-workflows"]
    command = [sys.executable, "-m", "check_jsonschema", *schema, str(FILE)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)

    assert answer.returncode == 0, answer.stdout + answer.stderr


def _against_zizmor(file: Path) -> str:
    command = [Path(sys.prefix) / "bin" / "zizmor", "--offline", "--no-progress", "--quiet", file]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


def test_zizmor_finds_no_weakness_in_the_workflow() -> None:
    assert _against_zizmor(FILE) == ""


def test_zizmor_finds_an_action_that_is_not_pinned(tmp_path: Path) -> None:
    file = tmp_path / ".github" / "workflows" / "bad.yml"
    file.parent.mkdir(parents=True)
    file.write_text(re.sub(r"@[0-9a-f]{40} # v", "@v", TEXT), encoding="utf-8")

    assert "unpinned-uses" in _against_zizmor(file)


def test_every_script_is_a_sound_one() -> None:
    scripts = [step["run"] for step in STEPS if "run" in step]

    assert len(scripts) > 4
    assert [said for script in scripts if (said := against_shell(script))] == []


def test_every_action_is_pinned_by_its_commit_with_its_version() -> None:
    used = re.findall(r"uses: (.*)", TEXT)

    assert len(used) == 3
    assert [
        use for use in used if not re.fullmatch(r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)
    ] == []


def test_no_script_holds_an_expression_that_others_fill_in() -> None:
    assert [step for step in STEPS if "${{" in step.get("run", "")] == []


def test_the_comment_is_found_by_the_marker_of_the_note() -> None:
    (script,) = [step["run"] for step in JOBS["preview"]["steps"] if step.get("name") == "Comment"]

    assert marker("$STACK") in script


def test_no_stack_of_production_is_deployed_before_another() -> None:
    """Its environment asks for an approval, which the others need not wait for."""
    strategy = JOBS["deploy"]["strategy"]
    production = [is_production(stack, None) for stack in strategy["matrix"]["stack"]]

    assert strategy["max-parallel"] == 1
    assert production == [False, True]


def test_a_fork_gets_the_comparison_and_no_preview() -> None:
    """The comparison needs no secret."""
    fork = JOBS["preview-fork"]

    condition = "head.repo.full_name {} github.repository"
    assert condition.format("==") in JOBS["preview"]["if"]
    assert condition.format("!=") in fork["if"]
    assert "environment" not in fork
    assert "secrets." not in str(fork)
