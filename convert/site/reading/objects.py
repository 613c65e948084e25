"""The releases in objects of a cluster: of Flux, Argo CD, and the Helm controller of K3s."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from convert.items import Problem
from convert.site.model import ChartRelease, Tree, items, merged, put, table, text
from convert.site.reading.text import from_yaml

Tables: TypeAlias = dict[str, Tree]
Releases: TypeAlias = Iterator[tuple[ChartRelease, str]]
"""Releases, each with the name of its chart."""

CHART = "gitlab-runner"
"""The name of the chart, and of its values in those of a chart that contains it."""
_OURS = {"gitlabUrl", "runners", "runnerToken", "runnerRegistrationToken", "concurrent", "rbac"}
_SURE = {"gitlabUrl", "runners", "runnerToken", "runnerRegistrationToken"}
"""Values by which those of the chart are known below a key of any name."""
_PRINTED = "USER-SUPPLIED VALUES"
"""What ``helm get values`` prints above them."""


def name_of(found: Tables) -> str:
    """Return the name of an object."""
    return text(table(found.get("metadata")).get("name"))


def is_runner(chart: str, values: Tables) -> bool:
    """Whether a release is one of the runner: by the name of its chart, or by what is set."""
    return chart.endswith(CHART) or bool(values.keys() & _SURE)


def of_chart(found: Tables) -> Tables:
    """Return the chart's values, also where they are those of a chart that contains it."""
    found = {key: value for key, value in found.items() if key != _PRINTED}
    if found.keys() & _OURS:
        below = table(found.get(CHART)) or table(found.get("gitlabRunner"))
        return merged(found, below) if below.keys() & _OURS else found
    _, below = next(_within(found), ("", found))
    return table(found.get(CHART)) or below


def apart(release: ChartRelease) -> Iterator[ChartRelease]:
    """Yield a release for each alias under which a chart contains the runner's."""
    values = release.values
    found = [] if values.keys() & _OURS else [*_within(values)]
    if len(found) > 1:
        for alias, below in found:
            yield dataclasses.replace(release, name=alias, values=below)
    else:
        yield dataclasses.replace(release, values=of_chart(values))


def _within(found: Tables, levels: int = 3, alias: str = "") -> Iterator[tuple[str, Tables]]:
    """Yield each alias of the chart with the values below it."""
    if found.keys() & _SURE:
        yield alias, found
    elif levels:
        for name, value in found.items():
            yield from _within(table(value), levels - 1, name)


def _argo(found: Tables, name: str, problems: list[Problem]) -> Releases:
    """Yield the release of each source of an Application or of an ApplicationSet's template."""
    spec = table(found.get("spec"))
    spec = table(table(spec.get("template")).get("spec")) or spec
    for source in [spec.get("source"), *items(spec.get("sources"))]:
        given = table(source)
        helm = table(given.get("helm"))
        if not helm:
            if text(given.get("chart")).endswith(CHART):
                _note(problems, name, "has a runner without values here")
            continue
        values: Tables = {}
        for document in from_yaml(text(helm.get("values")), name, problems):
            values = table(document)
        values = merged(values, table(helm.get("valuesObject")))
        for parameter in items(helm.get("parameters")):
            pair = table(parameter)
            put(values, text(pair.get("name")), pair.get("value"))
        files = [text(file) for file in items(helm.get("valueFiles"))]
        files += [text(table(file).get("path")) for file in items(helm.get("fileParameters"))]
        release = ChartRelease(
            file=name,
            name=text(helm.get("releaseName")) or name_of(found),
            chart=text(given.get("targetRevision")),
            values=values,
            files=tuple(files),
        )
        yield release, text(given.get("chart")) or text(given.get("path"))


def _flux(found: Tables, name: str, problems: list[Problem]) -> Releases:
    """Yield the release of a HelmRelease."""
    spec = table(found.get("spec"))
    chart = table(table(spec.get("chart")).get("spec"))
    sources = [table(source) for source in items(spec.get("valuesFrom"))]
    maps = [text(each.get("name")) for each in sources if each.get("kind") == "ConfigMap"]
    for source in sources:
        if source.get("kind") != "ConfigMap":
            what = f"{text(source.get('kind'))} {text(source.get('name'))}"
            _note(problems, name, f"takes values from {what}, which is not read; import them too")
    release = ChartRelease(
        file=name,
        name=text(spec.get("releaseName")) or name_of(found),
        chart=text(chart.get("version")),
        values=table(spec.get("values")),
        maps=tuple(maps),
    )
    yield release, text(chart.get("chart")) or text(table(spec.get("chartRef")).get("name"))


def _rancher(found: Tables, name: str, problems: list[Problem]) -> Releases:
    """Yield the release of a HelmChart of K3s or RKE2."""
    spec = table(found.get("spec"))
    values: Tables = {}
    for document in from_yaml(text(spec.get("valuesContent")), name, problems):
        values = table(document)
    for key, value in table(spec.get("set")).items():
        put(values, key, value)
    version, chart = text(spec.get("version")), text(spec.get("chart"))
    yield (ChartRelease(file=name, name=name_of(found), chart=version, values=values), chart)


def _note(problems: list[Problem], name: str, said: str) -> None:
    problems.append(Problem(file=name, line=1, text=said))


READERS: Mapping[str, Callable[[Tables, str, list[Problem]], Releases]] = {
    "Application": _argo,
    "ApplicationSet": _argo,
    "HelmChart": _rancher,
    "HelmChartConfig": _rancher,
    "HelmRelease": _flux,
}
"""How the releases in an object of each kind are found."""
