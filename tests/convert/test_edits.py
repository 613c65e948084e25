"""Changes are written into the file, and nothing else in it changes."""

from pathlib import Path

import pytest

from components.strategies.docker import DOCKER_ENGINES
from convert.pipeline import edits
from convert.pipeline.check import Result
from tests.support.checks import checked, stack
from tests.support.configured import STRATEGIES


def _changes(result: Result) -> list[edits.Change]:
    found = [finding.change for item in result.verdicts for finding in item.findings]
    return [change for change in found if change]


def _written(folder: Path, text: str, form: str) -> tuple[int, str]:
    """Write what the check proposes; return how many changes, and the file."""
    result = checked(folder, text, stack({"build": STRATEGIES[form]}))
    count = edits.write(_changes(result), result.root)
    return count, (folder / ".gitlab-ci.yml").read_bytes().decode("utf-8")


HEAD = "build:\n  tags: [build]\n"
SCRIPT = "  script:\n    - docker build .\n"
HOST = "DOCKER_HOST: tcp://engine:2375"


@pytest.mark.parametrize(
    ("form", "old", "new"),
    [
        # An entry of a mapping, with what is beside it.
        (
            "dind",
            f"{HEAD}  variables:\n    A: b  # keep\n    {HOST}  # go\n    C: d\n{SCRIPT}",
            f"{HEAD}  variables:\n    A: b  # keep\n    C: d\n{SCRIPT}",
        ),
        # The only one: its key goes too.
        ("dind", f"{HEAD}  variables:\n    {HOST}\n{SCRIPT}", f"{HEAD}{SCRIPT}"),
        (
            "dind",
            f"{HEAD}  variables:\n    {HOST}\n\n  # A comment.\n{SCRIPT}",
            f"{HEAD}\n  # A comment.\n{SCRIPT}",
        ),
        ("dind", f"{HEAD}{SCRIPT}  variables:\n    {HOST}", f"{HEAD}{SCRIPT}"),
        # With a description.
        (
            "dind",
            f"variables:\n  A: b\n  DOCKER_HOST:\n    value: tcp://engine:2375\n{HEAD}{SCRIPT}",
            f"variables:\n  A: b\n{HEAD}{SCRIPT}",
        ),
        # Line breaks of another system, and a mark of the byte order.
        (
            "dind",
            f"\ufeff{HEAD}  variables:\n    A: b\n    {HOST}\n{SCRIPT}".replace("\n", "\r\n"),
            f"\ufeff{HEAD}  variables:\n    A: b\n{SCRIPT}".replace("\n", "\r\n"),
        ),
        # An item of a list.
        (
            "dind",
            f"{HEAD}  services:\n    - name: x/engine-dind:1\n      alias: docker\n{SCRIPT}",
            f"{HEAD}{SCRIPT}",
        ),
        (
            "dind",
            f"{HEAD}  services:\n  - x/engine-dind:1\n  - {DOCKER_ENGINES[False]}\n{SCRIPT}",
            f"{HEAD}  services:\n  - {DOCKER_ENGINES[False]}\n{SCRIPT}",
        ),
        # A line of a script.
        (
            "dood",
            f"{HEAD}  script:\n    - until nc -z docker 2375; do sleep 1; done\n    - docker ps\n",
            f"{HEAD}  script:\n    - docker ps\n",
        ),
        (
            "buildkit-service",
            f"{HEAD}  script:\n    - |\n      set -e\n      buildctl build .\n",
            f"{HEAD}  script:\n    - |\n      set -e\n      buildctl $BUILDKIT_FLAGS build .\n",
        ),
        # Tags, where there are others and where there are none.
        ("dood", f"build:\n  tags: ['x']\n{SCRIPT}", f"build:\n  tags: ['build']\n{SCRIPT}"),
        ("dood", f"build:\n{SCRIPT}", f"build:\n  tags: [build]\n{SCRIPT}"),
    ],
    ids=range(12),
)
def test_a_change_is_written_and_the_rest_stays(
    form: str, old: str, new: str, tmp_path: Path
) -> None:
    assert _written(tmp_path, old, form) == (1, new)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("dind", f"{HEAD}  variables: {{DOCKER_HOST: 'tcp://engine:2375'}}\n{SCRIPT}"),
        ("dind", f"{HEAD}  services: [x/engine-dind:1]\n{SCRIPT}"),
        ("dind", f"{HEAD}  script:\n    - export DOCKER_HOST=tcp://engine:2375; docker ps\n"),
        ("dood", "build: {script: [docker build .]}\n"),
        ("dood", f"build:\n  tags: [a, b]\n{SCRIPT}"),
        ("buildkit-service", f"{HEAD}  script: [buildctl build; buildctl build]\n"),
        # Nothing would be left of what the job extends.
        ("dind", f".base:\n  variables:\n    {HOST}\n{HEAD}  extends: .base\n{SCRIPT}"),
    ],
    ids=range(7),
)
def test_what_needs_a_decision_is_left_to_people(form: str, text: str, tmp_path: Path) -> None:
    assert _written(tmp_path, text, form) == (0, text)


def test_a_change_of_two_jobs_is_made_once(tmp_path: Path) -> None:
    text = f"variables:\n  A: b\n  {HOST}\n{HEAD}{SCRIPT}{HEAD.replace('build:', 'other:')}{SCRIPT}"

    assert _written(tmp_path, text, "dind") == (1, text.replace(f"  {HOST}\n", ""))


def test_what_has_changed_meanwhile_is_not_touched(tmp_path: Path) -> None:
    text = f"{HEAD}  variables:\n    A: b\n    {HOST}\n{SCRIPT}"
    result = checked(tmp_path, text, stack({"build": STRATEGIES["dind"]}))
    (tmp_path / ".gitlab-ci.yml").write_text("another: text\n", encoding="utf-8")

    assert edits.write(_changes(result), result.root) == 0
