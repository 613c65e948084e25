import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from components.settings.models import AcceptedRisks, Settings
from components.strategies import STRATEGIES
from components.strategies.kaniko import Kaniko
from dev.generate import docs
from dev.generate.files import texts
from dev.paths import CHECKOUT
from tests.support.configured import SETTINGS
from tests.support.pages import CHINESE, DOCS, PAGES, README, anchor, blocks, name


def test_generated_files_are_up_to_date() -> None:
    expected = texts()

    assert {path: (CHECKOUT / path).read_text(encoding="utf-8") for path in expected} == expected


def test_every_generated_table_has_its_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)

    marks = [f"<!-- generated: {block} -->" for block in docs.BLOCKS]
    assert [mark for mark in marks if pages.count(mark) != 1] == []


def test_a_stale_table_is_replaced_and_nothing_else() -> None:
    text = (DOCS / "reference" / "permissions.md").read_text(encoding="utf-8")
    stale = text.replace("| pods/log |", "| old |")

    assert stale != text
    assert docs.update(f"before{stale}after") == f"before{text}after"


def test_every_key_of_the_stack_file_has_a_description() -> None:
    text = (DOCS / "reference" / "stack-file.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `.*\|$", text, re.MULTILINE)

    assert len(rows) > 96
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_readme_has_at_most_150_lines() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def _links(page: Path) -> list[str]:
    return re.findall(r"]\(([^)]*)\)", page.read_text(encoding="utf-8"))


def test_the_chinese_readme_has_the_commands_of_the_english() -> None:
    for language in ("sh", "yaml"):
        assert blocks(CHINESE, language) == blocks(README, language)


def test_the_chinese_readme_has_the_links_of_the_english() -> None:
    assert set(_links(CHINESE)) - {README.name} == set(_links(README)) - {CHINESE.name}


@pytest.mark.parametrize("page", [README, CHINESE], ids=name)
def test_the_readme_has_a_row_for_each_strategy(page: Path) -> None:
    rows = re.findall(r"^\| `([\w-]+)`", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert rows == [kind for kind in STRATEGIES if kind != "auto"]


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitLab and GitHub give the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {anchor(heading) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8"))
    broken = [
        f"{path}#{anchor}"
        for path, anchor in links
        if "://" not in path
        and (
            not (target := page.parent / path if path else page).is_file()
            or (anchor and anchor not in _anchors(target))
        )
    ]

    assert broken == []


FOLDERS = r"\.ci|commands|components|convert|dev|doctor|policy|report|schema|templates|tests"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_that_pages_name_exist(page: Path) -> None:
    paths = re.findall(rf"`((?:{FOLDERS})/[^`\s]*)`", page.read_text(encoding="utf-8"))
    # GitLab calls an environment dev/preview.
    named = {re.sub(r"<\w+>", "*", path).rstrip("/") for path in paths} - {"dev/preview"}

    assert [path for path in named if not list(CHECKOUT.glob(path))] == []


EXPECTED = {
    path
    for page in PAGES
    if page.is_relative_to(DOCS)
    # The decisions have their own index.
    and not (path := str(page.relative_to(DOCS))).startswith("adr/0")
}


def test_the_index_links_to_every_page() -> None:
    links = _links(DOCS / "index.md")

    assert {"index.md", *links} >= EXPECTED


def test_the_navigation_of_the_site_has_every_page() -> None:
    text = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")

    assert set(re.findall(r": (\S+\.md)$", text, re.MULTILINE)) == EXPECTED


def _fragments() -> Iterator[Any]:
    """Yield what pages show of stack files."""
    keys = {"config", "strategy", "runners", "registries", "targetNamespaces"}
    for page in PAGES:
        for number, block in enumerate(blocks(page, "yaml")):
            parsed: object = yaml.safe_load(block)
            if isinstance(parsed, dict) and keys & set(cast("dict[str, object]", parsed)):
                yield pytest.param(cast("Any", parsed), id=f"{name(page)}-{number}")


@pytest.mark.parametrize("fragment", list(_fragments()))
def test_parts_of_stack_files_are_valid(fragment: dict[str, Any]) -> None:
    config: dict[str, Any] = fragment.get("config", {})
    AcceptedRisks.model_validate(config.get("image-builds:acceptedRisks", {}))
    settings = config.get("image-builds:settings", {**SETTINGS, **fragment})
    if "strategy" in fragment:
        settings = {**SETTINGS, "runners": {"builds": {"tags": ["x"], **fragment}}}
    settings.pop("config", None)
    settings.pop("strategy", None)

    assert Settings.model_validate(settings).runners


def test_the_page_names_the_default_image_of_kaniko() -> None:
    page = DOCS / "how-to" / "write-a-build-job.md"

    assert f"name: {Kaniko().image}\n" in page.read_text(encoding="utf-8")
