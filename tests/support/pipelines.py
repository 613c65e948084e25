"""Pipelines as GitLab sees them: its schema, gitlab-ci-local's resolution, and shellcheck."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

_ENVIRONMENT = Path(sys.prefix)
_GITLAB_CI_LOCAL = "npm/node_modules/gitlab-ci-local/dist/index.js"


def resolved(folder: Path, pipeline: object, templates: Path | None = None) -> dict[str, Any]:
    """Return a pipeline with its includes in place, as gitlab-ci-local reads it without a network.

    Args:
        folder: an empty one, which becomes the project.
        pipeline: what its ``.gitlab-ci.yml`` holds.
        templates: its folder of templates, if it has one.

    Raises:
        AssertionError: with what gitlab-ci-local has against it.
    """
    (folder / ".gitlab-ci.yml").write_text(yaml.safe_dump(pipeline), encoding="utf-8")
    if templates:
        shutil.copytree(templates, folder / "templates")
    for command in (["init", "--quiet"], ["add", "."]):  # it includes tracked files only
        subprocess.run(["git", *command], cwd=folder, check=True)
    # It ends before a busy reader has all of a pipe, so the end was missing at times.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        answer = subprocess.run(
            [_ENVIRONMENT / "bin" / "node", _ENVIRONMENT / _GITLAB_CI_LOCAL, "--preview"],
            cwd=folder,
            # Its own settings, and the user's variables, are in the home.
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
            check=False,
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
        )
        printed.seek(0)
        text = printed.read()
    assert answer.returncode == 0, text + answer.stderr
    return yaml.load(text, yaml.CSafeLoader)


def against_schema(*files: Path) -> str:
    """Return what GitLab's schema, which check-jsonschema carries, has against the files."""
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"),
            *("--data-transform", "gitlab-ci", *map(str, files)),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


def against_shell(script: str | Path) -> str:
    """Return what shellcheck has against a script or a file, whose shell may be any POSIX one."""
    path = script if isinstance(script, Path) else None
    answer = subprocess.run(
        [
            *(_ENVIRONMENT / "bin" / "shellcheck", "--shell", "sh", "--norc"),
            *("--external-sources", path.name if path else "-"),
        ],
        input=None if path else str(script),
        cwd=path.parent if path else None,
        check=False,
        capture_output=True,
        text=True,
    )
    return answer.stdout + answer.stderr
