"""Finds what a file holds: values, an object of Flux or Argo CD, a helmfile, a config.toml."""

from pathlib import Path

from convert.items import Problem, SourceError
from convert.site.model import ChartRelease, Config, Tree, items, merged, put, table, text
from convert.site.reading.objects import CHART, READERS, apart, is_runner, name_of, of_chart
from convert.site.reading.operated import API, operated
from convert.site.reading.text import file_text, from_object, from_toml, from_yaml

_NOT_READ = {"Secret": "holds secrets, so it is not read", "SealedSecret": "is encrypted"}
_HELMFILE = {"bases", "commonLabels", "environments", "helmDefaults", "helmfiles", "repositories"}
"""What a document of a helmfile may have beside releases."""


class Sources:
    """The releases in some files, and what is wrong with the files."""

    def __init__(self) -> None:
        self.releases: list[ChartRelease] = []
        self.problems: list[Problem] = []
        self._maps: list[tuple[str, str, dict[str, Tree]]] = []
        self._read: set[str] = set()

    def read(self, path: Path) -> None:
        """Add what is in a file; what is wrong with it is a problem."""
        name = path.name
        self._read.add(name)
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
        if document is not None and not isinstance(document, dict):
            message = "must be a mapping of values; name a file of the chart or of the runner"
            raise SourceError(name, 1, message)
        found = table(document)
        if text(table(found.pop("sops", None)).get("mac")):
            self._note(name, "is encrypted with SOPS; import what sops --decrypt prints")
        if "releases" in found or "helmCharts" in found:
            self._helmfile(found, name, folder)
        elif (kind := text(found.get("kind"))) and "apiVersion" in found:
            self._object(kind, found, name, folder)
        elif document == {} or found.keys() - _HELMFILE:
            self._values(found, name)

    def _object(self, kind: str, found: dict[str, Tree], name: str, folder: Path) -> None:
        if kind == "List":
            for item in items(found.get("items")):
                self.add(item, name, folder)
        elif kind == "ConfigMap":
            self._maps.append((name, name_of(found), table(found.get("data"))))
        elif kind == "Runner" and text(found.get("apiVersion")).startswith(API):
            self._add(operated(found, name))
        elif reader := READERS.get(kind):
            for whole, chart in reader(found, name, self.problems):
                for release in apart(whole):
                    if is_runner(chart, release.values):
                        self._add(release)
                    else:
                        self._note(name, f"a {kind} of another chart, without a runner")
        else:
            self._note(name, f"a {kind} {_NOT_READ.get(kind, 'has no values of the chart')}")

    def live(self, name: str, namespace: str, chart: str, values: object) -> None:
        """Add a release of a cluster, whose values helm has printed."""
        found = of_chart(table(from_object(values)))
        self._add(ChartRelease(file=f"{namespace}/{name}", name=name, chart=chart, values=found))

    def _values(self, found: dict[str, Tree], name: str) -> None:
        first, *more = apart(ChartRelease(file=name, values=found))
        if more:
            for release in (first, *more):
                self._add(release)
            return
        values = first.values
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
            files = [given.get("valuesFile"), *items(given.get("additionalValuesFiles"))]
            for item in [*items(given.get("values")), *files, given.get("valuesInline")]:
                if isinstance(item, str):
                    values = merged(values, self._file(folder / item, name))
                else:
                    values = merged(values, table(item))
            for item in items(given.get("secrets")):
                self._note(name, f"names {text(item)}, which holds secrets, so it is not read")
            for entry_set in items(given.get("set")):
                pair = table(entry_set)
                put(values, text(pair.get("name")), pair.get("value"))
            release = text(given.get("releaseName")) or text(given.get("name")) or CHART
            self._add(
                ChartRelease(
                    file=name,
                    name=release,
                    chart=text(given.get("version")),
                    values=of_chart(values),
                )
            )

    def _file(self, path: Path, name: str) -> dict[str, Tree]:
        if not path.is_file() or path.suffix == ".gotmpl":
            self._note(name, f"names {path.name}, which is not read; import it as rendered")
            return {}
        (first, *_) = from_yaml(file_text(path, path.name), path.name, self.problems) or [None]
        return table(first)

    def finish(self) -> None:
        """When all is read, give each ConfigMap to what takes from it, or take it by itself."""
        for file, name, data in self._maps:
            try:
                self._config_map(file, name, data)
            except SourceError as error:
                self._fail(error)
        known = {name for _, name, _ in self._maps}
        for release in [*self.releases]:
            self._join(release)
            for name in sorted({*release.maps} - known):
                said = f"takes values from ConfigMap {name}, which is not read; import it too"
                self._note(release.file, said)
            for file in release.files:
                if Path(file).name not in self._read:
                    self._note(release.file, f"names {file}, which is not read; import it too")

    def _join(self, release: ChartRelease) -> None:
        """Give a release the values of the files that it names."""
        named = {Path(file).name for file in release.files}
        for other in [other for other in self.releases if not other.name and other.file in named]:
            if not release.values:
                release.file = other.file
            release.values = merged(other.values, release.values)
            self._configs(release)
            self.releases.remove(other)

    def _config_map(self, file: str, name: str, data: dict[str, Tree]) -> None:
        """Add what a ConfigMap holds: a config.toml, values, or variables of a manager."""
        configs, found = self._held(file, data)
        owners = [release for release in self.releases if name in release.maps]
        for owner in owners:
            if owner.values.get("spec.env") == name:
                owner.values["spec.env"] = data
                continue
            for values in found:
                owner.values = merged(of_chart(values), owner.values)
                self._configs(owner)
            owner.configs += configs
        if owners:
            return
        for values in found:
            self._values(values, file)
        if configs:
            self._add(ChartRelease(file=file, name=name, configs=configs))
        elif not found:
            self._note(file, "a ConfigMap has no config.toml and no values of the chart")

    def _held(self, file: str, data: dict[str, Tree]) -> tuple[list[Config], list[dict[str, Tree]]]:
        """Return each config.toml and all values in a ConfigMap."""
        configs: list[Config] = []
        found: list[dict[str, Tree]] = []
        for key, value in data.items():
            if key.endswith((".yaml", ".yml")):
                found += map(table, from_yaml(text(value), file, self.problems))
            elif key.endswith(".toml") or "[[runners]]" in text(value):
                where = f"{file}: {key}"
                configs.append(Config(file=where, tables=from_toml(text(value), where)))
        # Manifests without a chart give the options of the registration as variables.
        if "CI_SERVER_URL" in data or any(key.startswith("KUBERNETES_") for key in data):
            found.append({"extraEnv": data})
        return configs, found

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
        content = (
            text(table(runners).get("configOverride"))
            or text(table(runners).get("config"))
            or text(release.values.get("config"))
        )
        if not content:
            return
        where = f"{release.file}: runners.config"
        try:
            tables = from_toml(content, where, release.values)
            release.configs = [Config(file=where, tables=tables)]
        except SourceError as error:
            self._fail(error)

    def _fail(self, error: SourceError) -> None:
        fatal = Problem(file=error.file, line=error.line, text=error.text, fatal=True)
        self.problems.append(fatal)

    def _note(self, name: str, said: str) -> None:
        self.problems.append(Problem(file=name, line=1, text=said))


def _is_toml(content: str, suffix: str) -> bool:
    return suffix == ".toml" or (suffix == "" and "[[runners]]" in content)
