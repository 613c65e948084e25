"""Jobs with the features of public ones, on a stack with a runner for each strategy."""

from collections.abc import Mapping

import pytest

from convert.pipeline.check import Result
from tests.support.checks import checked, rules, verdict
from tests.support.corpus import ENTRIES, Entry, pipeline

LEFT = {"d103", "d104", "d107", "d108", "d110", "d113", "d136", "d137", "d138"}
"""What needs a change: TLS of a daemon, another namespace, an old client of the node's engine, an
engine as a store, tools of a host, an identity of pods, and engines in the job's own container."""


def _tagged(entry: Entry) -> dict[str, object]:
    """Return its pipeline; jobs of buildx get the runner of which it is the client."""
    found = pipeline(entry)
    if (entry.method, entry.written_for) == ("buildx", "buildkit-service"):
        for job in found.values():
            job["tags"] = ["buildkit-service-buildx"]
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    """What becomes of each entry."""
    folder = tmp_path_factory.mktemp("corpus")
    return {entry.id: checked(folder, _tagged(entry)) for entry in ENTRIES}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_public_job_is_judged_as_well_as_its_facts_or_better(
    entry: Entry, results: Mapping[str, Result]
) -> None:
    result = results[entry.id]

    assert result.problems == ()
    assert verdict(result) == "unchanged" or set(rules(result)) & set(entry.causes)
    if entry.verdict == "U":
        assert verdict(result) == "unchanged"


def test_85_of_100_public_jobs_run_unchanged(results: Mapping[str, Result]) -> None:
    unchanged = [name for name, result in results.items() if verdict(result) == "unchanged"]

    assert len(unchanged) >= 0.85 * len(ENTRIES)
    assert {entry.id for entry in ENTRIES} - {*unchanged} == LEFT


@pytest.mark.parametrize("name", sorted(LEFT))
def test_what_would_fail_is_named_with_what_to_do(name: str, results: Mapping[str, Result]) -> None:
    (entry,) = (entry for entry in ENTRIES if entry.id == name)
    findings = [finding for item in results[name].verdicts for finding in item.findings]

    assert set(rules(results[name])) & set(entry.causes)
    assert all(finding.do for finding in findings)
