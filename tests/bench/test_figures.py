import dataclasses
from pathlib import Path

from matplotlib import image

from tests.bench import figures
from tests.bench.figures import Build, Case, Spread

BUILD = Build(
    strategy="kaniko",
    project="small",
    state="cold",
    jobs=1,
    run=0,
    seconds=4.0,
    total=7.0,
    memory=100 * 2**20,
    pulled=1.5e6,
    pushed=2e6,
    disk=3e6,
    load=0.5,
)


def some(**changes: object) -> list[Build]:
    """Return three builds, with 1 second less than ``changes``, as many, and 4 more."""
    build = dataclasses.replace(BUILD, **changes)  # type: ignore[arg-type] - any field
    return [
        dataclasses.replace(build, run=run, seconds=build.seconds + more)
        for run, more in enumerate((-1, 0, 4))
    ]


BUILDS = [
    *some(),
    *some(strategy="dood", seconds=3.0, memory=50 * 2**20),
    *some(jobs=4, seconds=12.0, memory=400 * 2**20),
    *some(jobs=4, strategy="dood", seconds=6.0, memory=60 * 2**20),
    *some(state="control", seconds=5.0),
]


def test_medians_compare_a_strategy_with_kaniko() -> None:
    text = figures.tables(BUILDS)

    assert (
        "| seconds (ratio to Kaniko) | small, cold |\n"
        "| --- | --- |\n"
        "| `kaniko` | 4.0 (1.00) |\n"
        "| `dood` | 3.0 (0.75) |\n"
    ) in text


def test_a_case_without_a_measurement_has_no_figure() -> None:
    text = figures.tables([*BUILDS, *some(project="big", seconds=8.0)])

    assert "| `kaniko` | 4.0 (1.00) | 8.0 (1.00) |\n| `dood` | 3.0 (0.75) | - |\n" in text


def test_jobs_at_once_compare_with_one_of_the_same_strategy() -> None:
    text = figures.tables(BUILDS)

    assert (
        "| small, cold: seconds until all are done (ratio to one job) | 1 at once | 4 at once "
        "| memory of 1 | memory of 4 |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `kaniko` | 4.0 | 12.0 (3.00) | 100 MiB | 400 MiB |\n"
        "| `dood` | 3.0 | 6.0 (2.00) | 50 MiB | 60 MiB |\n"
    ) in text


def test_a_case_has_every_figure_and_the_range_of_its_seconds() -> None:
    text = figures.tables(BUILDS)

    assert (
        "## small, cold\n\n"
        "| strategy | script | of all runs | with the pod's start | memory "
        "| pulled | pushed | disk |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| `kaniko` | 4.0 s | 3.0 to 8.0 s | 7.0 s | 100 MiB | 1.5 MB | 2.0 MB | 3.0 MB |\n"
    ) in text


def test_the_control_shows_spread_and_drift() -> None:
    builds = [dataclasses.replace(BUILD, seconds=seconds) for seconds in (4, 5, 4, 4, 4, 8)]

    spread = figures.spread(builds)

    assert spread == Spread(6, 4, 4, 8, 0.1875, 4 / 3)
    assert figures.describe(spread) == (
        "The control, the same build 6 times in between, took 4.0 s, from 4.0 s to 8.0 s; "
        "the middle half of them spans 19% of the median, "
        "and the last third took 1.33 of what the first took."
    )
    assert figures.describe(figures.spread(some(state="control", seconds=5.0))) in figures.tables(
        BUILDS
    )


def test_a_case_has_one_scale_and_the_control_no_bars() -> None:
    text = figures.text_plot(BUILDS)

    assert text.splitlines() == [
        "small, cold:",
        "  kaniko ████████████████████████████████████████ 4.0 s",
        "  dood   ██████████████████████████████ 3.0 s",
        "",
        "small, cold, 4 at once:",
        "  kaniko ████████████████████████████████████████ 12.0 s",
        "  dood   ████████████████████ 6.0 s",
    ]


def test_the_plot_is_a_png_with_content(tmp_path: Path) -> None:
    file = tmp_path / "plot.png"

    figures.plot(BUILDS, "a machine", file)

    pixels = image.imread(file)
    assert pixels.shape == (800, 1600, 4)
    assert pixels.std() > 0.1


def test_cases_are_in_order_of_measurement() -> None:
    builds = [*some(project="big"), *some(project="able")]

    assert list(figures.by_case(builds)) == [Case("big", "cold", 1), Case("able", "cold", 1)]


def test_strategies_have_one_order_in_every_case() -> None:
    found = figures.by_case([*some(strategy="dood"), *some()])

    assert list(found[Case("small", "cold", 1)]) == ["kaniko", "dood"]
