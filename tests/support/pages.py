"""The pages that people read, and what in them tests run or compare."""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dev.paths import CHECKOUT

DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
CHINESE = CHECKOUT / "README.zh-TW.md"
TASKS = (README, DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md")))
"""The pages whose commands a test runs."""
PAGES = (README, CHINESE, *sorted(DOCS.rglob("*.md")))
MOVE_A_PIPELINE = DOCS / "how-to" / "move-a-pipeline.md"
STRATEGIES = DOCS / "reference" / "strategies.md"
TROUBLESHOOTING = DOCS / "how-to" / "troubleshoot.md"
# These would run the tests within the tests; `.ci/run` runs the first two, people the third.
# The node needs root and Debian's packages; its own tests, `make test-node`, start and stop it.
ELSEWHERE = {"make test", "make lint", "make bench"} | {
    "make node-up",
    "make node-status",
    "make node-down",
    "make test-node",
    "make bench-builds",
}
"""What of the pages no test runs."""


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in this language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Return the lines of a page that users type into a shell."""
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


def run_line(line: str, folder: Path, environment: Mapping[str, str], typed: str = "") -> str:
    """Run a line as a shell would, for somebody who types this; return what it prints."""
    answer = subprocess.run(
        shlex.split(line),
        cwd=folder,
        env=environment,
        check=False,
        input=typed,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, f"{line}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


def make_lines(page: Path) -> list[str]:
    """Return those that run a target of the Makefile which tests can run."""
    return [line for line in commands(page) if line.startswith("make ") and line not in ELSEWHERE]


def distinct(pages: Iterable[Path], lines: Callable[[Path], list[str]]) -> list[Path]:
    """Return the pages with such lines, without those of which another page has all."""
    found = {page: set(lines(page)) for page in pages if lines(page)}
    kept: list[Path] = []
    for page in sorted(found, key=lambda page: -len(found[page])):
        if not any(found[page] <= found[other] for other in kept):
            kept.append(page)
    return [page for page in found if page in kept]


def table(page: Path, mark: str, end: str) -> list[list[str]]:
    """Return the cells of the table between two comments, without the line below the headings."""
    text = page.read_text(encoding="utf-8")
    between = text.partition(f"<!-- {mark} -->")[2].partition(f"<!-- {end} -->")[0]
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in between.split("\n")
        if line
    )
    return [head, *rows]


def name(page: Path) -> str:
    """Return what tests call a page."""
    return str(page.relative_to(CHECKOUT).with_suffix(""))


def anchor(heading: str) -> str:
    """Return the anchor that GitLab, GitHub and the site give a heading."""
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
