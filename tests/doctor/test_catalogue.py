"""The catalogue, the pages and the code say the same."""

import ast
import re
from collections.abc import Iterator

import pytest

from dev.paths import CHECKOUT
from doctor.canary.run import NAMES
from doctor.catalogue import Check, catalogue
from doctor.diagnosis import fault
from doctor.every import EVERY
from tests.support.pages import DOCS, TROUBLESHOOTING, anchor

CHECKS = [*catalogue().values()]


def _headings(page: str) -> set[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_page_of_a_check_has_its_place(check: Check) -> None:
    page, _, place = check.page.partition("#")

    assert (DOCS / page).is_file()
    assert not place or place in _headings(page)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_texts_of_a_check_are_sentences(check: Check) -> None:
    assert check.message[0] in "{ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert re.search(r"[.}]$", check.message)
    assert check.way_out.endswith(".")


def test_each_check_is_done_once_for_a_runner_or_the_stack() -> None:
    done = [(name, item.per_runner) for item in EVERY for name in item.names]

    assert len(done) == len({*done})
    assert {*NAMES, *(name for name, _ in done)} == {*catalogue()}


def _names() -> Iterator[str]:
    for file in (CHECKOUT / "doctor").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_code_knows_every_check_by_name() -> None:
    # The kinds of failures of web.py complete two of the prefixes.
    kinds = {
        f"{about}-{kind}"
        for about in ("gitlab", "registry")
        for kind in ("name", "certificate", "plain", "unreachable")
    }
    more = {"manager-rights-beyond", "job-rights-beyond", "registry-push", "registry-pull"}

    assert {*catalogue()} - {*_names()} - kinds - more == set()


UNSEEN = {
    "read-the-log-of-a-manager": "it says how to read it, and a check leads to it",
    "a-runner-ignores-a-key": "a preview names keys that the runner does not know",
    "the-chart-is-another-one": "a preview compares the chart with its digest",
    "a-report-cannot-see-what-a-chart-installs": "a report says so itself",
    "managers-restart-while-gitlab-is-down": "a preview names what a chart lacks",
    "the-stack-is-locked": "it is about Pulumi's own state",
    "someone-changed-an-object": "drift lists it",
    "an-object-cannot-be-looked-for": "a preview says so itself",
    "a-namespace-belongs-to-the-cluster": "the stack file is rejected",
    "no-engine-answers-where-the-job-looks-for-it": "it is in the pipeline, see check-a-pipeline",
    "the-runner-has-no-docker-engine": "it is in the pipeline, see check-a-pipeline",
    "the-service-is-not-allowed": "it is in the pipeline, see check-a-pipeline",
    "the-docker-client-is-too-old": "it is in the pipeline's image",
    "the-registry-refuses-attestations": "it depends on what a build pushes",
    "buildah-refuses-a-registriesconf": "it is in a job's image",
    "a-registry-on-localhost-wants-https": "it is in the engine of a job",
    "the-first-build-after-an-update-of-kaniko-is-slow": "nothing is wrong",
    "a-scanner-reports-brotli-in-buildkits-image": "it is not of the cluster",
    "a-variable-for-resources-has-no-effect": "it is in the pipeline",
    "a-job-asks-for-more-than-the-maximum": "it is in the pipeline",
    "a-pull-policy-is-not-allowed": "it is in the pipeline",
    "a-job-is-aborted": "it happens to a job that runs",
    "a-jobs-log-stops-and-its-pod-stays": "it happens to a job that runs",
    "helm-cannot-reuse-a-release": "release-failed says so by the status",
}
"""The rows of the troubleshooting page that no check leads to, and why."""


def test_each_row_of_troubleshooting_has_a_check_or_a_reason() -> None:
    text = TROUBLESHOOTING.read_text(encoding="utf-8")
    text = text.partition("## Deployments")[2].partition("## Interrupted updates")[0]
    rows = {anchor(heading) for heading in re.findall(r"^### (.*)$", text, re.MULTILINE)}
    leading = {check.page.partition("#")[2] for check in CHECKS}

    assert rows - leading - {*UNSEEN} == set()
    assert {*UNSEEN} - rows == set()


def test_a_message_has_the_values_that_were_seen() -> None:
    found = fault("node-os", "builds", node="worker", os="windows")

    assert found.message == "Node worker runs windows, and jobs need Linux."
    assert found.way_out == "Select Linux nodes: nodeSelector: {kubernetes.io/os: linux}."
