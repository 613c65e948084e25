"""What a new strategy needs outside its own files is only what tests and docs say of it."""

import re

import pytest

from components.strategies import STRATEGIES, Strategy
from components.strategies.auto import Auto
from components.strategies.shared import FALLBACK
from dev.generate import templates
from dev.paths import CHECKOUT
from tests.support.configured import FORMS, SITE

PRODUCT = ("__main__.py", "commands/", "components/", "dev/", "policy/", "report/")
# Where a kind is named all the same, and why.
NAMED = {
    "components/gitlab_runner/authorities.py": "where an image of a tool has its CAs",
    "components/settings/errors.py": "keys and kinds by their old names, which nobody may reuse",
    "dev/bench/": "the stacks that are measured, and the switch of one strategy to another",
    "dev/generate/templates.py": "a stage of GitLab's that has the name of a strategy",
    "dev/node/images/": "an image with the tool of each strategy, for nodes without a registry",
    "report/analysis/rules.py": "the names of policies, by which stack files accept risks",
}
KINDS = "|".join(sorted(STRATEGIES, key=len, reverse=True))
CLASSES = "|".join(strategy.__name__ for strategy in STRATEGIES.values())
ALONE = re.compile(
    # Two kinds are words of plain English, so only their quoted forms name them.
    rf"\b(?!auto\b|deploy\b)({KINDS})\b|['\"](auto|deploy)['\"]|import ({CLASSES})\b"
    r"|accept_?(NodeRoot|Privileged|node_root|privileged)"
)
BUILD_JOBS = CHECKOUT / "docs" / "how-to" / "write-a-build-job.md"


def _places() -> list[str]:
    """Return each place in the product, outside of strategies, that names one."""
    return [
        f"{path}:{number}: {line.strip()}"
        for file in sorted(CHECKOUT.rglob("*.py"))
        if (path := file.relative_to(CHECKOUT).as_posix()).startswith(PRODUCT)
        and "/." not in path
        and not path.startswith("components/strategies/")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if ALONE.search(line)
    ]


def test_no_product_code_outside_of_strategies_names_one() -> None:
    assert [place for place in _places() if not place.startswith(tuple(NAMED))] == []


@pytest.mark.parametrize("path", NAMED)
def test_what_may_name_a_strategy_does(path: str) -> None:
    assert any(place.startswith(path) for place in _places())


def test_a_strategy_has_one_file_that_is_named_after_it() -> None:
    modules = {
        kind: strategy.__module__.rpartition(".")[2] for kind, strategy in STRATEGIES.items()
    }

    assert modules == {kind: kind.replace("-", "_") for kind in STRATEGIES}


@pytest.mark.parametrize("kind", STRATEGIES)
def test_a_form_is_named_after_its_strategy(kind: str) -> None:
    names = list(STRATEGIES[kind].forms)

    assert names[:1] == ([] if kind == "auto" else [kind])
    assert [name for name in names if not name.startswith(kind)] == []


@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_a_strategy_that_builds_has_a_command_and_no_other(strategy: Strategy) -> None:
    assert bool(strategy.command) is strategy.plan(SITE).builds


@pytest.mark.parametrize("kind", templates.builders())
def test_the_page_on_build_jobs_shows_the_command(kind: str) -> None:
    assert templates.builders()[kind].command in BUILD_JOBS.read_text(encoding="utf-8")


def test_auto_falls_back_on_the_strategy_that_messages_recommend() -> None:
    assert Auto().choose(SITE).kind == FALLBACK


def _named_in(table: str) -> set[str]:
    """Return the kinds that the first column of a table names, or its heading."""
    heading, *rows = table.splitlines()
    named = " ".join([heading, *(row.split("|")[1] for row in rows)])
    return {kind for kind in STRATEGIES if f"`{kind}`" in named}


def _tables(page: str, heading: str) -> list[str]:
    text = (CHECKOUT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    return re.findall(rf"^(\| {heading} .*\n(?:\|.*\n)+)", text, re.MULTILINE)


@pytest.mark.parametrize("kind", templates.builders())
def test_the_pages_on_pipelines_and_registries_cover_it(kind: str) -> None:
    moves = _tables("move-a-pipeline.md", "the runner's strategy")
    registries = _tables("registries.md", "the registry")

    assert (len(moves), len(registries)) == (3, 1)
    assert [table for table in (*moves, *registries) if kind not in _named_in(table)] == []
