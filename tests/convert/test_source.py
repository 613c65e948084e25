"""A file that GitLab rejects gives one line with its place, and never a traceback."""

from pathlib import Path

import pytest
import yaml

from convert.pipeline.check import check
from convert.pipeline.runner import candidates, runners
from convert.pipeline.source import parse, write
from tests.support.checks import checked, stack

DEEP = "\n".join([f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)])
JOB = "build:\n  tags: [dood]\n  script: [docker build .]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("build:\n\tscript: x\n", ".gitlab-ci.yml:2: must be YAML, and found character '\\t'"),
        ("build: [\n", ".gitlab-ci.yml:2: must be YAML"),
        ("a: 'x\n", ".gitlab-ci.yml:2: must be YAML"),
        ("a: *unknown\n", ".gitlab-ci.yml:1: must be YAML, and found undefined alias"),
        ("a: \x01\n", "must be YAML, and has a character that is not allowed"),
        ("- a\n- b\n", ".gitlab-ci.yml:1: must be a mapping of jobs"),
        ("just text", ".gitlab-ci.yml:1: must be a mapping of jobs"),
        ("a: &a\n  b: *a\n", ".gitlab-ci.yml:1: an anchor holds an alias of itself"),
        ("a0: &a0 [x]\n" + DEEP, "aliases make it too large"),
        ("a: " + "[" * 1000, "more than 100 levels deep"),
        ("a: 1\n---\nb: 2\n", ".gitlab-ci.yml:3: must be one YAML document"),
        ("#" * (2 * 1024 * 1024 + 1), "has more bytes than the 2097152 that GitLab reads"),
    ],
    ids=lambda value: value[:30],
)
def test_a_file_that_gitlab_rejects_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    result = checked(tmp_path, text)

    (problem,) = result.problems
    assert said in str(problem)
    assert "\n" not in str(problem)
    assert result.failed


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe\x00binary", "must be text in UTF-8"), (None, "no such file or directory")],
    ids=["binary", "missing"],
)
def test_what_is_no_text_is_one_line(content: bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yml"
    if content:
        file.write_bytes(content)

    result = check([file], runners(stack()), candidates(stack()))

    assert [said in problem.text for problem in result.problems] == [True]


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}\n"], ids=repr)
def test_an_empty_file_has_no_jobs(text: str, tmp_path: Path) -> None:
    result = checked(tmp_path, text)

    assert (result.verdicts, result.problems, result.failed) == ((), (), False)


def test_a_key_that_stands_twice_is_named_and_the_last_counts(tmp_path: Path) -> None:
    result = checked(tmp_path, JOB + "build:\n  script: [echo hello]\n")

    assert [str(problem) for problem in result.problems] == [
        ".gitlab-ci.yml:4: the key build stands twice here, and the last one counts; remove one"
    ]
    assert (result.verdicts, result.others) == ((), 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("build: text\n", ":1: build: must be a mapping of a job"),
        ("build: {script: {a: b}}\n", ":1: build: script must be"),
        ("build: {script: [x], variables: [a]}\n", ":1: build: variables must be"),
        ("build: {script: [x], services: text}\n", ":1: build: services must be"),
        ("build: {script: [x], services: [[]]}\n", ":1: build: image must be"),
        ("build: {script: [x], tags: text}\n", ":1: build: tags must be"),
        ("build: {script: [x], image: [a]}\n", ":1: build: image must be"),
        ("build: {script: [x], extends: .a}\n", ":1: build: extends .a, which no file has"),
        ("build: {script: [x], extends: build}\n", "extends build in a circle"),
        (".a: {extends: .b}\n.b: {extends: .a}\nx: {extends: .a, script: [x]}\n", "in a circle"),
        ("build: {script: !reference [.a, b]}\n", "!reference [.a, b], which no file"),
        (".a: {x: !reference [.a, x]}\nb: {script: !reference [.a, x]}\n", "in a circle"),
        ("include: [[]]\n", ":1: an include must name a local file"),
        ("include: {local: ''}\n", ":1: an include must name a local file"),
        ("include: missing.yml\n", "include missing.yml: missing.yml:1: cannot be read"),
        ("include: ../outside.yml\n", "include ../outside.yml: must be in this checkout"),
        ("include: no-*.yml\n", "include no-*.yml: no file has such a path"),
        ("include: a**.yml\n", "include a**.yml: no file has such a path"),
        ("include: .gitlab-ci.yml\n", "include .gitlab-ci.yml: the file includes itself"),
        ("include: [" + "x.yml, " * 152 + "]\n", "more than 150 includes"),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_wrong_in_a_job_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("{}", encoding="utf-8")

    result = checked(tmp_path, text)

    lines = [str(problem) for problem in result.problems]
    assert [line for line in lines if said in line]
    assert not [line for line in lines if "\n" in line]
    assert not result.failed


@pytest.mark.parametrize(
    "text",
    [
        "a: {script: [" + ", ".join(["x"] * 12_000) + "]}\n",
        "a: {script: '" + "docker push x; " * 4_000 + "', image: x}\n",
        "a: {image: '$A', script: [x], variables: {A: '" + "$A" * 900 + "'}}\n",
        "a: {image: '" + "$A" * 9_000 + "', script: [x], variables: {A: '" + "b" * 9_000 + "'}}\n",
        "a: {script: [x], parallel: {matrix: [{A: [1, 2], B: [" + "1, " * 5_000 + "]}]}}\n",
        "a: {script: ['$(" * 1 + "$(" * 3_000 + "']}\n",
        "a: {script: ['" + "`" * 3_001 + "']}\n",
    ],
    ids=range(7),
)
def test_large_values_end_in_seconds(text: str, tmp_path: Path) -> None:
    assert not checked(tmp_path, text).failed


def test_references_cannot_make_a_pipeline_too_large(tmp_path: Path) -> None:
    lines = [".r0: {script: [a, b, c, d, e, f, g, h, i]}"]
    for n in range(1, 9):
        again = ", ".join([f"!reference [.r{n - 1}, script]"] * 9)
        lines.append(f".r{n}: {{script: [{again}]}}")
    lines.append("build: {script: !reference [.r8, script]}")

    result = checked(tmp_path, "\n".join(lines))

    assert ["references make it too large" in problem.text for problem in result.problems] == [True]


def test_what_gitlab_is_asked_has_the_types_of_the_file() -> None:
    text = (
        "a: {b: [1, '1', true, 'true', ~, 2.5, !reference [.x, y]], c: 'tcp://x'}\n'on': |\n  z\n"
    )

    _, content = parse(text, "a.yml", [])

    assert "!reference\n" in write(content)
    plain = write(content).replace("!reference", "")
    assert yaml.safe_load(plain) == yaml.safe_load(text.replace("!reference ", ""))
