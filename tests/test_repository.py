"""The files around the code: changelog, code owners, templates of issues, pages and the release."""

import itertools
import re
import subprocess
import sys
from fnmatch import fnmatch
from typing import Any

import json5
import pytest
import yaml

from dev.paths import CHECKOUT
from tests.support import renovate
from tests.support.pipelines import resolved

CHANGELOG = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
VERSIONS = re.findall(
    r"^## \[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2})$", CHANGELOG, re.MULTILINE
)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
TRACKED = [path for path, _ in renovate.files()]
PAGES = {path: text for path, text in renovate.files() if path.endswith(".md")}


def test_the_changelog_has_its_versions_newest_first() -> None:
    headings = re.findall(r"^## .*", CHANGELOG, re.MULTILINE)
    numbers = [tuple(map(int, version[:3])) for version in VERSIONS]
    dates = [version[3] for version in VERSIONS]

    assert headings[0] == "## [Unreleased]"
    assert len(headings) == len(VERSIONS) + 1
    assert numbers == sorted(numbers, reverse=True)
    assert dates == sorted(dates, reverse=True)


def test_a_change_is_of_one_of_the_six_kinds() -> None:
    assert set(re.findall(r"^### (.*)", CHANGELOG, re.MULTILINE)) <= KINDS


def _section(version: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", CHECKOUT / ".ci" / "changelog", version]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("version", [".".join(version[:3]) for version in VERSIONS])
def test_a_release_is_described_by_its_section(version: str) -> None:
    answer = _section(version)

    assert answer.returncode == 0
    assert answer.stdout.strip() in CHANGELOG
    assert "## [" not in answer.stdout
    assert "### " in answer.stdout


@pytest.mark.parametrize("version", ["0.1", "9.9.9", "Unreleased"])
def test_a_version_without_a_section_is_not_released(version: str) -> None:
    answer = _section(version)

    assert (answer.returncode, answer.stdout) == (1, "")
    assert f'no section "## [{version}] - <date>"' in answer.stderr


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The jobs of the project's pipeline, with what they extend in place."""
    text = (CHECKOUT / ".gitlab-ci.yml").read_text(encoding="utf-8")
    pipeline = resolved(tmp_path_factory.mktemp("project"), yaml.safe_load(text))
    return {name: job for name, job in pipeline.items() if "script" in job}


def test_a_tag_releases_itself_with_its_section(jobs: dict[str, dict[str, Any]]) -> None:
    job = jobs["release"]

    assert job["release"]["tag_name"] == "$CI_COMMIT_TAG"
    (script,) = job["script"]
    assert script == f'.ci/changelog "$CI_COMMIT_TAG" >{job["release"]["description"]}'
    assert [need["job"] for need in job["needs"]] == ["lint", "test"]


def test_only_a_tag_that_is_a_version_is_released(jobs: dict[str, dict[str, Any]]) -> None:
    (rule,) = jobs["release"]["rules"]
    (pattern,) = re.findall(r"^\$CI_COMMIT_TAG =~ /(.*)/$", rule["if"])
    tags = ["0.1.0", "12.0.3", "v0.1.0", "0.1", "0.1.0-rc.1", "0.1.0.1"]

    assert [tag for tag in tags if re.search(pattern, tag)] == ["0.1.0", "12.0.3"]


def test_a_tag_deploys_nothing(jobs: dict[str, dict[str, Any]]) -> None:
    # In a pipeline of a tag there is neither a branch nor a merge request.
    bound = re.compile(r"\$CI_COMMIT_BRANCH ==|merge_request_event")
    free = {
        name
        for name, job in jobs.items()
        for rule in job.get("rules", [{}])
        if not bound.search(rule.get("if", ""))
    }

    assert free == {"lint", "test", "release"}


def test_no_page_includes_a_template_of_a_branch() -> None:
    included = re.compile(r"component: \S+@(\S+)")
    found = {(path, version) for path, text in PAGES.items() for version in included.findall(text)}
    released = {".".join(version[:3]) for version in VERSIONS}

    assert found
    assert [(path, version) for path, version in found if version not in released] == []
    assert [path for path, text in PAGES.items() if "@main" in text] == []


def _owned() -> list[tuple[str, str]]:
    lines = (CHECKOUT / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    rules = [line.split() for line in lines if line and not line.startswith(("#", "["))]
    return [(pattern, owner) for pattern, *owners in rules for owner in owners]


def _covers(pattern: str, path: str) -> bool:
    return fnmatch(f"/{path}", f"{pattern}*" if pattern.endswith("/") else pattern)


def test_every_path_with_an_owner_exists() -> None:
    patterns = [pattern for pattern, _ in _owned()]

    assert len(patterns) > 10
    unused = [pattern for pattern in patterns if not any(_covers(pattern, it) for it in TRACKED)]
    assert unused == []


@pytest.mark.parametrize(
    "path",
    [*(path for path in TRACKED if fnmatch(path, "Pulumi.*.yaml")), "report/analysis/rules.py"],
)
def test_nobody_accepts_a_risk_of_their_own(path: str) -> None:
    owners = {owner for pattern, owner in _owned() if _covers(pattern, path)}

    assert "@platform/security" in owners


def test_no_comment_of_the_code_owners_names_one() -> None:
    # GitLab takes an owner in a comment for one (docs/user/project/codeowners/reference).
    text = (CHECKOUT / "CODEOWNERS").read_text(encoding="utf-8")

    assert re.findall(r"^#.*@", text, re.MULTILINE) == []


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("github-issue-forms", "bug.yml"),
        ("github-issue-forms", "feature.yml"),
        ("github-issue-config", "config.yml"),
    ],
)
def test_githubs_schema_takes_the_forms_of_issues(schema: str, file: str) -> None:
    form = CHECKOUT / ".github" / "ISSUE_TEMPLATE" / file
    arguments = ["--builtin-schema", f"vendor.{schema}", str(form)]
    command = [sys.executable, "-m", "check_jsonschema", *arguments]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_vulnerability_is_confidential_in_gitlab() -> None:
    file = CHECKOUT / ".gitlab" / "issue_templates" / "Vulnerability.md"

    assert "/confidential" in file.read_text(encoding="utf-8").splitlines()


def test_both_forges_ask_the_same_of_a_change() -> None:
    gitlab = CHECKOUT / ".gitlab" / "merge_request_templates" / "Default.md"
    github = CHECKOUT / ".github" / "PULL_REQUEST_TEMPLATE.md"

    assert gitlab.read_text(encoding="utf-8") == github.read_text(encoding="utf-8")


def test_the_devcontainer_has_the_go_of_the_modules() -> None:
    text = (CHECKOUT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    module = (CHECKOUT / "dev" / "modules" / "pulumi" / "go.mod").read_text(encoding="utf-8")

    (version,) = re.findall(r"^go (\S+)$", module, re.MULTILINE)
    assert json5.loads(text)["image"].startswith(f"golang:{version}-bookworm@sha256:")


def _commands(path: str) -> list[str]:
    return re.findall(r"`?make ([a-z-]+(?: [a-z-]+)*)", PAGES[path])


@pytest.mark.parametrize("path", ["CONTRIBUTING.md", ".gitlab/merge_request_templates/Default.md"])
def test_every_target_that_a_page_names_exists(path: str) -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(itertools.chain.from_iterable(words.split() for words in _commands(path)))

    assert sorted(named - targets) == []


def test_the_decisions_are_in_their_index() -> None:
    folder = CHECKOUT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages = sorted(file.name for file in folder.glob("0*.md"))

    assert re.findall(r"\]\((0\S+\.md)\)", index) == pages
    for page in pages:
        headings = re.findall(r"^## (.*)", (folder / page).read_text("utf-8"), re.MULTILINE)
        assert headings == ["Status", "Context", "Decision", "Consequences"]
