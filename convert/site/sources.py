"""Finds what a file holds: values, an object of Flux or Argo CD, a helmfile, a config.toml."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from convert.items import Problem, SourceError
from convert.site.model import ChartRelease, Config, Tree, items, merged, put, table, text
from convert.site.text import file_text, from_object, from_toml, from_yaml

CHART = "gitlab-runner"
"""The name of the chart, and of its values in those of a chart that contains it."""
_NOT_READ = {"Secret": "holds secrets, so it is not read", "SealedSecret": "is encrypted"}
_OURS = {"gitlabUrl", "runners", "runnerToken", "runnerRegistrationToken", "concurrent", "rbac"}
_SURE = {"gitlabUrl", "runners", "runnerToken", "runnerRegistrationToken"}
"""Values by which those of the chart are known below a key of any name."""
_PRINTED = "USER-SUPPLIED VALUES"
"""What ``helm get values`` prints above them."""


class Sources:
    """The releases in some files, and what is wrong with the files."""

    def __init__(self) -> None:
        self.releases: list[ChartRelease] = []
        self.problems: list[Problem] = []

    def read(self, path: Path) -> None:
        """Add what is in a file; what is wrong with it is a problem."""
        name = path.name
        if path.suffix in {".tf", ".hcl"}:
            said = "is Terraform's source; give the values that it renders (helm get values)"
            self.problems.append(Problem(file=name, line=1, text=said, fatal=True))
            return
        try:
            content = file_text(path, name)
            if _is_toml(content, path.suffix):
                tables = from_toml(content, name)
                self._add(ChartRelease(file=name, configs=[Config(file=name, tables=tables)]))
                return
            for document in from_yaml(content, name, self.problems):
                self.add(document, name, path.parent)
        except SourceError as error:
            self._fail(error)

    def add(self, document: Tree, name: str, folder: Path) -> None:
        """Add a document: an object, a helmfile, or values.

        Raises:
            SourceError: a text in it cannot be read.
        """
        found = table(document)
        kind = text(found.get("kind"))
        if kind == "List":
            for item in items(found.get("items")):
                self.add(item, name, folder)
        elif reader := _OBJECTS.get(kind):
            for release in reader(self, found, name):
                self._add(release)
        elif kind and "apiVersion" in found:
            self._note(name, f"a {kind} {_NOT_READ.get(kind, 'has no values of the chart')}")
        elif "releases" in found or "helmCharts" in found:
            self._helmfile(found, name, folder)
        elif isinstance(document, dict):
            self._values(found, name)
        elif document is not None:
            message = "must be a mapping of values; name a file of the chart or of the runner"
            raise SourceError(name, 1, message)

    def live(self, name: str, namespace: str, chart: str, values: object) -> None:
        """Add a release of a cluster, whose values helm has printed."""
        found = _of_chart(table(from_object(values)))
        self._add(ChartRelease(file=f"{namespace}/{name}", name=name, chart=chart, values=found))

    def _values(self, found: dict[str, Tree], name: str) -> None:
        values = _of_chart(found)
        plain = [release for release in self.releases if not release.name and release.values]
        if plain:
            # As with helm install -f: a later file outranks an earlier one.
            plain[0].values = merged(plain[0].values, values)
            self._configs(plain[0])
        else:
            self._add(ChartRelease(file=name, values=values))

    def _helmfile(self, found: dict[str, Tree], name: str, folder: Path) -> None:
        for entry in [*items(found.get("releases")), *items(found.get("helmCharts"))]:
            given = table(entry)
            chart = text(given.get("chart")) or text(given.get("name"))
            if not chart.endswith(CHART):
                continue
            values: dict[str, Tree] = {}
            inline = given.get("valuesInline")
            for item in [*items(given.get("values")), given.get("valuesFile"), inline]:
                if isinstance(item, str):
                    values = merged(values, self._file(folder / item, name))
                else:
                    values = merged(values, _of_chart(table(item)))
            for entry_set in items(given.get("set")):
                pair = table(entry_set)
                put(values, text(pair.get("name")), pair.get("value"))
            release = text(given.get("releaseName")) or text(given.get("name")) or CHART
            self._add(
                ChartRelease(
                    file=name, name=release, chart=text(given.get("version")), values=values
                )
            )

    def _file(self, path: Path, name: str) -> dict[str, Tree]:
        if not path.is_file() or path.suffix == ".gotmpl":
            self._note(name, f"names {path.name}, which is not read; import it as rendered")
            return {}
        (first, *_) = from_yaml(file_text(path, path.name), path.name, self.problems) or [None]
        return _of_chart(table(first))

    def argo(self, found: dict[str, Tree], name: str) -> Iterator[ChartRelease]:
        """Yield the release of each source of an Application or of an ApplicationSet's template."""
        spec = table(found.get("spec"))
        spec = table(table(spec.get("template")).get("spec")) or spec
        for source in [spec.get("source"), *items(spec.get("sources"))]:
            given = table(source)
            helm = table(given.get("helm"))
            if not helm:
                continue
            values: dict[str, Tree] = {}
            for document in from_yaml(text(helm.get("values")), name, self.problems):
                values = _of_chart(table(document))
            values = merged(values, _of_chart(table(helm.get("valuesObject"))))
            for parameter in items(helm.get("parameters")):
                pair = table(parameter)
                put(values, text(pair.get("name")), pair.get("value"))
            for file in items(helm.get("valueFiles")):
                self._note(name, f"names {text(file)}, which is not read; import it too")
            yield ChartRelease(
                file=name,
                name=text(helm.get("releaseName")) or _name(found),
                chart=text(given.get("targetRevision")),
                values=values,
            )

    def flux(self, found: dict[str, Tree], name: str) -> Iterator[ChartRelease]:
        """Yield the release of a HelmRelease."""
        spec = table(found.get("spec"))
        chart = table(table(spec.get("chart")).get("spec"))
        for source in items(spec.get("valuesFrom")):
            given = table(source)
            what = f"{text(given.get('kind'))} {text(given.get('name'))}"
            self._note(name, f"takes values from {what}, which is not read; import them too")
        yield ChartRelease(
            file=name,
            name=text(spec.get("releaseName")) or _name(found),
            chart=text(chart.get("version")),
            values=_of_chart(table(spec.get("values"))),
        )

    def rancher(self, found: dict[str, Tree], name: str) -> Iterator[ChartRelease]:
        """Yield the release of a HelmChart of K3s or RKE2."""
        spec = table(found.get("spec"))
        values: dict[str, Tree] = {}
        for document in from_yaml(text(spec.get("valuesContent")), name, self.problems):
            values = _of_chart(table(document))
        for key, value in table(spec.get("set")).items():
            put(values, key, value)
        yield ChartRelease(
            file=name, name=_name(found), chart=text(spec.get("version")), values=values
        )

    def config_map(self, found: dict[str, Tree], name: str) -> Iterator[ChartRelease]:
        """Yield what a ConfigMap holds: a config.toml, or values."""
        configs: list[Config] = []
        for key, value in table(found.get("data")).items():
            if key.endswith(".toml"):
                where = f"{name}: {key}"
                configs.append(Config(file=where, tables=from_toml(text(value), where)))
            elif key.endswith((".yaml", ".yml")):
                for document in from_yaml(text(value), name, self.problems):
                    self._values(table(document), name)
        if configs:
            yield ChartRelease(file=name, name=_name(found), configs=configs)

    def _add(self, release: ChartRelease) -> None:
        self._configs(release)
        if release.configs and not release.values:
            plain = [other for other in self.releases if other.values and not other.configs]
            if plain:
                plain[0].configs += release.configs
                return
        self.releases.append(release)

    def _configs(self, release: ChartRelease) -> None:
        """Read the config.toml in values, as the chart renders it into a ConfigMap."""
        runners = release.values.get("runners")
        content = text(table(runners).get("config")) or text(release.values.get("config"))
        if not content:
            return
        where = f"{release.file}: runners.config"
        try:
            release.configs = [Config(file=where, tables=from_toml(content, where))]
        except SourceError as error:
            self._fail(error)

    def _fail(self, error: SourceError) -> None:
        fatal = Problem(file=error.file, line=error.line, text=error.text, fatal=True)
        self.problems.append(fatal)

    def _note(self, name: str, said: str) -> None:
        self.problems.append(Problem(file=name, line=1, text=said))


def _is_toml(content: str, suffix: str) -> bool:
    return suffix == ".toml" or (suffix == "" and "[[runners]]" in content)


def _name(found: dict[str, Tree]) -> str:
    return text(table(found.get("metadata")).get("name"))


def _of_chart(found: dict[str, Tree]) -> dict[str, Tree]:
    """Return the chart's values, also where they are those of a chart that contains it."""
    found = {key: value for key, value in found.items() if key != _PRINTED}
    if found.keys() & _OURS:
        below = table(found.get(CHART)) or table(found.get("gitlabRunner"))
        return merged(found, below) if below.keys() & _OURS else found
    return table(found.get(CHART)) or _within(found, levels=3) or found


def _within(found: dict[str, Tree], levels: int) -> dict[str, Tree]:
    """Return the chart's values below a key, whose name can be an alias; none where none are."""
    if found.keys() & _SURE:
        return found
    inner = (_within(table(value), levels - 1) for value in found.values() if levels)
    empty: dict[str, Tree] = {}
    return next(filter(None, inner), empty)


_OBJECTS: Mapping[str, Callable[[Sources, dict[str, Tree], str], Iterator[ChartRelease]]] = {
    "Application": Sources.argo,
    "ApplicationSet": Sources.argo,
    "ConfigMap": Sources.config_map,
    "HelmChart": Sources.rancher,
    "HelmChartConfig": Sources.rancher,
    "HelmRelease": Sources.flux,
}
