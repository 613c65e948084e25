"""The pack as the real engine runs it, and the check without a cluster on the same state."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import automation as auto

from commands import policies as policy
from dev.cluster.control_plane import ControlPlane
from dev.local.stack import LocalStack
from dev.paths import CHECKOUT
from dev.toolchain.ensure import ensure
from report.analysis.rules import RULES
from tests.support.configured import STRATEGIES
from tests.support.stacks import Site, fresh_site

LIMITS = {"resources": {"limits": {"memory": "1Gi"}}}
IDENTITY = "no-dood-in-prod/the-job-pod-of-runner-builds//var/run/docker.sock"
WHAT = "the job pod of runner builds mounts /var/run/docker.sock from the node"


@pytest.fixture(scope="module")
def prod(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose stack is called prod, and a PATH with what runs packs; the last test deploys."""
    with (
        pytest.MonkeyPatch.context() as patch,
        fresh_site(control_plane, tmp_path_factory.mktemp("policy")) as site,
    ):
        programs = str(Path(__file__).parent)
        patch.setenv("PATH", os.pathsep.join((programs, os.environ["PATH"])))
        site.stack = LocalStack(
            "prod", site.stack.state, site.stack.kubeconfig, stack_file=site.stack.stack_file
        )
        yield site


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack as it is published: the link's files in its place, and nothing beside it."""
    folder = tmp_path_factory.mktemp("policies") / "pack"
    shutil.copytree(
        CHECKOUT / "policy", folder, ignore=shutil.ignore_patterns(".venv", "__pycache__")
    )
    (folder / ".venv").symlink_to(CHECKOUT / "policy" / ".venv")
    return folder


def _write(site: Site, strategy: Any, **accepted: str) -> None:  # noqa: ANN401 - YAML
    site.write(strategy, runner=LIMITS)
    file = site.stack.stack_file
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["config"]["image-builds:acceptedRisks"] = accepted
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def _preview(site: Site, pack: Path) -> tuple[bool, str]:
    """Whether a preview with the pack succeeds, and all that it prints on one line."""
    lines: list[str] = []
    with site.stack.open() as stack:
        try:
            stack.preview(policy_packs=[str(pack)], on_output=lines.append)
        except auto.CommandError as error:
            return False, _join(*lines, str(error))
    return True, _join(*lines)


def _join(*lines: str) -> str:
    return " ".join(" ".join(lines).split())


def test_dood_is_refused_in_prod_by_the_pack_and_kaniko_is_not(prod: Site, pack: Path) -> None:
    _write(prod, STRATEGIES["dood"])
    refused, output = _preview(prod, pack)
    _write(prod, "kaniko")
    passed, quiet = _preview(prod, pack)

    assert not refused
    assert "[mandatory] [severity: critical] no-dood-in-prod" in output
    assert f"{WHAT}; use a strategy that needs no root on the node" in output
    assert f'or accept it as "{IDENTITY}"' in output
    assert passed
    assert "image-builds@v" in quiet
    assert [rule.name for rule in RULES if rule.name in quiet] == []
    assert "can't run policy" not in quiet


def test_the_pack_takes_production_from_the_stack_file(prod: Site, pack: Path) -> None:
    prod.write(STRATEGIES["dood"], runner=LIMITS, production=False)

    passed, output = _preview(prod, pack)

    assert passed
    assert "no-dood-in-prod" not in output


def test_the_pack_names_an_accepted_risk_and_lets_it_pass(prod: Site, pack: Path) -> None:
    _write(prod, STRATEGIES["dood"], **{IDENTITY: "a separate site"})

    passed, output = _preview(prod, pack)

    assert passed
    assert f"no-dood-in-prod: {WHAT}; accepted: a separate site" in output


def test_a_secret_in_values_is_refused_without_a_word_of_it(prod: Site, pack: Path) -> None:
    prod.write("kaniko", runner={**LIMITS, "environment": {"NPM_TOKEN": "planted-secret"}})

    passed, output = _preview(prod, pack)

    assert not passed
    assert "values.runners.config of release builds contains a secret" in output
    assert "planted-secret" not in output


def test_the_pack_and_the_offline_check_find_the_same(
    prod: Site, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both judge the state of a real deployment, of which one runner violates nothing."""
    runners = {
        name: {"tags": [name], "strategy": STRATEGIES[name], **LIMITS}
        for name in ("kaniko", "dood", "dind")
    }
    prod.write(None, runners=runners)
    assert "failed" not in prod.up().operations
    with prod.stack.open() as stack:
        exported = stack.export_stack()
        environment = {**os.environ, **stack.workspace.env_vars}
    file = prod.folder / "state.json"
    state = {"version": exported.version, "deployment": exported.deployment}
    file.write_text(json.dumps(state), encoding="utf-8")

    code = policy.check_file(file)
    checked = capsys.readouterr().out
    program = str(ensure("pulumi").file)
    analyzed = subprocess.run(
        [program, "policy", "analyze", "--policy-pack", str(pack), "--file", str(file)],
        cwd=prod.folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )

    violated = {"no-dood-in-prod", "no-dind-in-prod", "job-memory-limits"}
    assert (code, bool(analyzed.returncode)) == (3, True)
    assert set(re.findall(r"^([a-z-]+), \w+:", checked, re.MULTILINE)) == violated
    assert set(re.findall(r"\]  ([a-z-]+)  \(", analyzed.stdout)) == violated
    assert "runner kaniko" not in _join(checked, analyzed.stdout)
