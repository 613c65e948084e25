"""The site that `make docs` builds, in Chromium."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import browser
from dev.paths import CHECKOUT
from tests.support.chromium import Page, chromium
from tests.support.pages import TROUBLESHOOTING, anchor
from tests.support.web import serve


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built apart from the one that `make docs` builds meanwhile."""
    project = tmp_path_factory.mktemp("project")
    shutil.copyfile(CHECKOUT / "mkdocs.yml", project / "mkdocs.yml")
    shutil.copytree(CHECKOUT / "docs", project / "docs")
    build = [str(Path(sys.executable).parent / "zensical"), "build", "--strict"]
    subprocess.run(build, cwd=project, check=True, capture_output=True)
    return project / "build" / "docs"


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    """The address of the site, on loopback."""
    with serve(folder) as address:
        yield address


@pytest.fixture(scope="module")
def page(site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if browser.find() is None:
        pytest.skip(f"THE SITE WAS NOT OPENED IN A BROWSER: {browser.MISSING}")
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        opened.open(f"{site}/index.html")
        yield opened


def test_pages_name_nothing_of_another_host_to_load(folder: Path) -> None:
    pages = [file.read_text(encoding="utf-8") for file in folder.rglob("*.html")]
    loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*", str(pages))

    assert pages
    assert loaded == []


def test_links_of_the_site_lead_somewhere(folder: Path) -> None:
    """The site and GitLab name headings alike; of the page 404 links are from the host's root."""
    broken: list[str] = []
    for file in folder.rglob("*.html"):
        links = re.findall(r'href="([^":#]*)(?:#([^"]*))?"', file.read_text(encoding="utf-8"))
        for path, fragment in links if file.name != "404.html" else []:
            target = file.parent / path if path else file
            known = target.is_file() and (
                not fragment or f'id="{fragment}"' in target.read_text(encoding="utf-8")
            )
            broken += [] if known else [f"{file.name}: {path}#{fragment}"]

    assert broken == []


def _entries() -> dict[str, set[str]]:
    """Return the anchors of the entries that explain each error text, or one that contains it."""
    text = TROUBLESHOOTING.read_text(encoding="utf-8")
    found = [
        (message, anchor(heading))
        for heading, line in re.findall(r"^### (.*)\n\n(`.*)$", text, re.MULTILINE)
        for message in re.findall(r"`([^`]*)`", line)
    ]
    return {text: {entry for message, entry in found if text in message} for text, _ in found}


FIELD = "document.activeElement.shadowRoot.activeElement"
LINKS = "[...document.activeElement.shadowRoot.querySelectorAll('a')].map(link => link.href)"


def _open_search(page: Page, site: str) -> None:
    page.open(f"{site}/index.html")
    page.wait("document.querySelector('.md-search__button')")
    page.evaluate("document.querySelector('.md-search__button').click()")
    page.wait("document.activeElement.shadowRoot?.activeElement?.tagName == 'INPUT'")


def _results(page: Page, text: str) -> list[str]:
    """Search a text, and return the query and fragment of each result, empty for other pages."""
    page.evaluate(f"{FIELD}.value = ''; {FIELD}.dispatchEvent(new Event('input'))")
    page.wait(f"{LINKS}.length == 0")
    page.type(text)
    page.wait(f"{LINKS}.length > 0")
    return [link.partition("/how-to/troubleshoot.html")[2] for link in page.evaluate(LINKS)]


def test_a_search_for_an_error_text_finds_its_entry(site: str, page: Page) -> None:
    _open_search(page, site)
    for message, entries in _entries().items():
        # What differs from case to case does not count.
        links = filter(None, _results(page, message.replace("…", " ")))
        assert next(links, "").rpartition("#")[2] in entries, message


def test_a_result_leads_to_its_entry_from_this_host_alone(site: str, page: Page) -> None:
    _open_search(page, site)
    assert _results(page, "x509: certificate signed by unknown authority")
    loaded = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [address for address in loaded if not address.startswith(site)] == []

    page.press("Enter", 13)

    page.wait("location.pathname == '/how-to/troubleshoot.html'")
    assert page.evaluate("location.hash") == "#gitlabs-certificate-is-not-trusted"
    top = "document.querySelector(location.hash)?.getBoundingClientRect().top"
    page.wait(f"{top} < 200")
    assert page.evaluate(top) >= 0
