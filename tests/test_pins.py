"""Every pin has a manager in ``renovate.json5``; the pins are found here without its patterns."""

import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch

import pytest

from dev.generate import templates
from dev.toolchain import programs
from tests.support import renovate
from tests.support.configured import FORMS
from tests.support.renovate import CONFIG

PRODUCT = ("components/**", "report/**", "convert/**", "commands/**", "dev/**")
CI = (".gitlab-ci.yml", ".github/**", ".devcontainer/**")
PAGES = ("README*.md", "docs/**.md")
# By kind: the files in which it is a pin, and a pattern whose group a manager has to find.
PINS = {
    "image": (
        (*PRODUCT, *CI, *PAGES, "templates/**", "schema/**"),
        r"(?<![\w./@:-])[a-z][\w.-]*(?:/[\w.-]+)*:(v?\d+\.\d+[\w.-]*)",
    ),
    "digest": (("**",), r"@(sha256:[0-9a-f]{64})"),
    "action": ((".github/workflows/*",), r"uses: \S+@(\S+)"),
    "hook": ((".pre-commit-config.yaml",), r"rev: (\S+)"),
    "Python package": (("**.txt", "**.lock"), r"(?m)^[\w.-]+(?:\[\S+\])?(==[^\s;\\]+)"),
    "npm package": (("**package.json",), r'": "[~^]?(\d[\w.-]*)"'),
    "version": (
        (*PRODUCT, *CI, "tests/**/Chart.yaml"),
        r'(?i)\b\w*(?:version|release|kubernetes)(?:"?: |: \w+ = | = |=)"?v?(\d+\.\d+\.\d+)',
    ),
    "Go": (("**/go.mod",), r"(?m)^go (\S+)$"),
}
# Another file holds the pin.
ELSEWHERE = ("**/go.sum", "**/package-lock.json", "**/__snapshots__/**")
NO_PINS = {
    "version 4.25.0": "the release that the provider's module, which has no tag, was cut from",
    "version 19.5.1": "the runner of the stand-in's chart, whose pin is the chart's",
    "version 1.0.0": "the format of a CNI configuration",
}

NO_DIGEST = {
    "docker:29.10.0-cli": "no digest of the release of 2026-11-16 is published where we can read",
    "docker:29.10.0-dind": "as above",
    "docker:29.10.0-dind-rootless": "as above",
    "moby/buildkit:v0.35.1": "no digest of the release of 2026-11-19 is published either",
    "moby/buildkit:v0.35.1-rootless": "as above",
    "ghcr.io/regclient/regctl:v0.11.7-alpine": "only images without a shell have known digests",
    "paketobuildpacks/builder-jammy-base:0.4.629": "its digest is known from one record alone",
    "quay.io/containers/buildah:v1.46.1": "the tag is known from components/opentofu!608 alone",
}
"""The images of jobs that have no digest yet, and why. Renovate adds it with the next update."""


def _pins() -> Iterator[tuple[str, str, re.Match[str]]]:
    for path, text in renovate.files():
        if any(fnmatch(path, pattern) for pattern in ELSEWHERE):
            continue
        for kind, (places, pattern) in PINS.items():
            if any(fnmatch(path, place) for place in places):
                yield from ((path, kind, match) for match in re.finditer(pattern, text))


@pytest.fixture(scope="module")
def dependencies() -> dict[str, list[renovate.Dependency]]:
    """What Renovate finds, by file."""
    return {path: list(renovate.dependencies(path, text)) for path, text in renovate.files()}


def test_every_pin_is_found_by_a_manager(
    dependencies: dict[str, list[renovate.Dependency]],
) -> None:
    missed = [
        f"{path}: {kind} {match[1]}"
        for path, kind, match in _pins()
        if f"{kind} {match[1]}" not in NO_PINS
        and not any(item.holds(*match.span(1)) for item in dependencies[path])
    ]

    assert missed == []


@pytest.mark.parametrize("kind", PINS)
def test_each_kind_of_pin_is_in_this_repository(kind: str) -> None:
    assert kind in {found for _, found, _ in _pins()}


@pytest.mark.parametrize("program", programs.load().values(), ids=lambda program: program.name)
def test_the_module_of_each_program_is_proposed(
    program: programs.Program, dependencies: dict[str, list[renovate.Dependency]]
) -> None:
    names = [item.name for item in dependencies[f"dev/modules/{program.module}/go.mod"]]

    assert program.source in names


def test_every_default_image_has_a_digest_or_a_reason() -> None:
    defaults = {
        getattr(strategy, key)
        for strategy in FORMS.values()
        for key in ("image", "daemon_image")
        if hasattr(strategy, key)
    } | set(templates.IMAGES.values())

    assert {image for image in defaults if "@sha256:" not in image} == NO_DIGEST.keys()


def test_every_manager_finds_something(dependencies: dict[str, list[renovate.Dependency]]) -> None:
    used = {item.manager for items in dependencies.values() for item in items}

    assert used == set(CONFIG["enabledManagers"])


def test_every_pattern_of_a_custom_manager_finds_something() -> None:
    patterns = [text for item in CONFIG["customManagers"] for text in item["matchStrings"]]
    texts = [text for _, text in renovate.files()]

    unused = [
        pattern
        for pattern in patterns
        if not any(re.search(renovate.translated(pattern), text) for text in texts)
    ]

    assert unused == []


def test_every_package_of_a_rule_is_a_dependency(
    dependencies: dict[str, list[renovate.Dependency]],
) -> None:
    names = {item.name for items in dependencies.values() for item in items}
    ruled = {
        name
        for rule in CONFIG["packageRules"]
        for key in ("matchDepNames", "matchPackageNames")
        for name in rule.get(key, ())
    }

    assert [name for name in ruled if not any(fnmatch(it, name) for it in names)] == []


def test_every_rule_gives_its_reason() -> None:
    assert [rule for rule in CONFIG["packageRules"] if "description" not in rule] == []


def test_the_patterns_are_those_that_re2_takes() -> None:
    patterns = [text for item in CONFIG["customManagers"] for text in item["matchStrings"]]

    # It has neither lookaround nor references to groups.
    assert [text for text in patterns if re.search(r"\(\?<?[=!]|\\[1-9]", text)] == []


def test_renovates_schema_takes_the_configuration() -> None:
    schema = ["--builtin-schema", "vendor.renovate"]
    command = [sys.executable, "-m", "check_jsonschema", *schema, str(renovate.FILE)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(("option", "found"), [("--output-file=a", 1), ("--output-file a", 0)])
def test_a_lock_is_read_if_its_options_have_equals_signs(option: str, found: int) -> None:
    text = f"# made by uv:\n#    uv pip compile --universal {option} b.in\nsix==1.17.0 \\\n"

    assert len(list(renovate.dependencies("tests/requirements.lock", text))) == found


def test_an_image_without_a_manager_is_missed() -> None:
    assert list(renovate.dependencies("other/file.py", 'IMAGE = "docker:29.7.2"')) == []


def test_a_digest_on_the_next_line_belongs_to_its_image() -> None:
    digest = f"sha256:{'0' * 64}"
    text = f'IMAGE = (\n    "ghcr.io/a/b:v1.2-debug"\n    "@{digest}"\n)'

    (image,) = renovate.dependencies("components/strategies/a.py", text)

    assert image.name == "ghcr.io/a/b"
    assert [text[start:end] for start, end in image.spans] == ["v1.2-debug", digest]
