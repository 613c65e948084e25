"""The releases that GitLab Runner Operator makes: one for each object of the kind Runner."""

from collections.abc import Mapping

from convert.site.model import ChartRelease, Tree, table, text

API = "apps.gitlab.com/"
"""The group of its objects."""
_CACHE = ("cacheType", "s3", "gcs", "azure", "cachePath", "cacheShared")
"""Properties that say one thing together."""
_NAMES: Mapping[str, str] = {
    "server": "serveraddress",
    "bucket": "bucketname",
    "location": "bucketlocation",
    "container": "containername",
    "credentials": "secretname",
}
"""What config.toml calls the properties of a cache."""


def operated(found: dict[str, Tree], file: str) -> ChartRelease:
    """Return the release of a Runner, whose values are its properties by their path.

    They are those of gitlab-runner:docs/configuration/configuring_runner_operator.md.
    """
    spec = table(found.get("spec"))
    values = {f"spec.{key}": value for key, value in spec.items() if key not in _CACHE}
    cache = {key: _renamed(spec[key]) for key in _CACHE if key in spec}
    if cache:
        values[f"spec.{next(iter(cache))}"] = cache
    named = (text(spec.get(key)) for key in ("config", "env"))
    return ChartRelease(
        file=file,
        name=text(table(found.get("metadata")).get("name")),
        values=values,
        maps=tuple(filter(None, named)),
    )


def _renamed(value: Tree) -> Tree:
    if not isinstance(value, dict):
        return value
    return {_NAMES.get(name, name): below for name, below in value.items()}
