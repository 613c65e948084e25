import io
import json
from collections.abc import Callable

import pytest
from rich.console import Console

from doctor.checks.servers.gitlab import TOKEN as USERS_TOKEN
from doctor.diagnosis import Diagnosis
from doctor.outputs import data, markdown, terminal
from report.redact import Scrubber
from tests.support.clinic import world
from tests.support.configured import PULL, PUSH, TOKEN
from tests.support.stacks import encodings


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    """What is found where a policy repeats secrets, and a selector leaves no node."""
    with world({"runners.main.nodeSelector": {"disk": "fast"}}) as at:
        where = "/api/v1/namespaces/builds-main/pods"
        at.api.refusals[where] = f"admission webhook w denied: <img> | @all {TOKEN} {PULL} {PUSH}"
        at.api.denied["/daemonsets"] = 403
        return at.examined().scrubbed(Scrubber([PULL, PUSH]))


def _printed(found: Diagnosis) -> str:
    text = io.StringIO()
    terminal.write(found, Console(file=text, width=100))
    return text.getvalue()


def test_the_terminal_has_verdicts_faults_and_what_did_not_run(found: Diagnosis) -> None:
    text = _printed(found)

    assert "test on a-cluster" in text
    assert "runners.main" in text
    assert "2 faults; " in text
    assert "error node-selector (runners.main): No node has the labels" in text
    assert "What to do: Label nodes" in text
    assert "did not run (the whole stack): network-unenforced: the account" in text


def test_json_has_the_same_with_the_pages(found: Diagnosis) -> None:
    content = json.loads(data.write(found))

    assert {item["check"] for item in content["faults"]} == {"node-selector", "webhook-denies"}
    assert content["faults"][0].keys() == {
        "check",
        "severity",
        "runner",
        "message",
        "wayOut",
        "page",
    }
    missing = {item["check"] for item in content["notRun"]}
    assert "network-unenforced" in missing
    assert not missing & {*content["ran"][""]}


def test_markdown_takes_nothing_of_a_server_for_markup(found: Diagnosis) -> None:
    text = markdown.write(found)

    assert "| error | `webhook-denies` | runners.main |" in text
    assert r"\<img\> \| \@all" in text
    assert "<details>" in text


def test_without_a_fault_there_is_no_table_of_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    with world() as at:
        monkeypatch.setenv(USERS_TOKEN, at.gitlab.users_token)
        text = markdown.write(at.examined())

    assert "| severity |" not in text
    assert "did not run" not in text
    assert "no fault found" in text


@pytest.mark.parametrize(
    "write", [_printed, data.write, markdown.write], ids=["terminal", "json", "markdown"]
)
def test_no_output_has_a_secret(found: Diagnosis, write: Callable[[Diagnosis], str]) -> None:
    text = write(found)

    assert [secret for secret in encodings([TOKEN, PULL, PUSH]) if secret in text] == []


def test_a_stack_shows_no_secret_of_its_own() -> None:
    with world() as at:
        text = repr(at.wanted.runners) + repr(at.wanted.pull and at.wanted)

    assert [secret for secret in (TOKEN, PULL, PUSH) if secret in text] == []
