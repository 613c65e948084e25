from collections import Counter

from tests.bench.__main__ import CASES, CONTROL, RUNS, schedule
from tests.bench.figures import STRATEGIES


def test_each_strategy_builds_each_case_equally_often() -> None:
    builds = [(case, strategy) for case, strategy, _ in schedule() if case != CONTROL]

    assert Counter(builds) == {(case, strategy): RUNS for case in CASES for strategy in STRATEGIES}


def test_a_control_comes_before_each_round_of_the_strategies() -> None:
    entries = list(schedule())

    assert {case for case, _, _ in entries[:: len(STRATEGIES) + 1]} == {CONTROL}
    assert sum(case == CONTROL for case, _, _ in entries) == len(entries) // (len(STRATEGIES) + 1)


def test_no_build_is_scheduled_twice_so_a_run_can_continue() -> None:
    entries = list(schedule())

    assert len(set(entries)) == len(entries)
