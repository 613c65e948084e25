"""The versions of GitLab Runner's chart: the runner of each, and what it knows.

A runner ignores a key of config.toml that it does not know, and a chart such a value, without an
error. So nothing is written for a version that does not know it.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from semver import Version

DEFAULT_VERSION = "0.94.1"
"""The version that is installed unless the stack file names another one."""

OLDEST = "0.86.0"
"""The oldest version that is supported."""

_RUNNERS: Mapping[int, str] = {
    86: "18.9",
    87: "18.10",
    88: "18.11",
    89: "19.0",
    90: "19.1",
    91: "19.2",
    92: "19.3",
    93: "19.4",
    94: "19.5",
}
"""The release of the runner by the chart's minor version; their patch versions are equal.

(gitlab-runner chart: CHANGELOG.md up to 0.90.1, and its release notes after that)
"""

Feature = Literal["liveness_switch", "pod_disruption_budget", "pod_resources", "security_profiles"]
"""What newer charts know: ``livenessProbe.enabled`` of the manager, a budget for each job's pod,
resources of the pod as a whole, and the keys ``seccomp_profile`` and ``app_armor_profile``.
"""

_SINCE: Mapping[Feature, str] = {
    "liveness_switch": "0.94.0",
    # The struct of the runner's release tag has the keys (gitlab-runner:common/config.go, 18.11.0).
    "pod_disruption_budget": "0.88.0",
    "pod_resources": "0.87.0",
    "security_profiles": "0.88.0",
}

# From gitlab-runner:CHANGELOG.md; the first chart of each line that has the fix.
_FIXES = (
    ('a job may ask for the user "00", which is root', ("0.88.1",)),
    ("the log of a canceled job can contain its script", ("0.88.4", "0.89.2")),
)


def since(feature: Feature) -> str:
    """Return the first chart that has a feature."""
    return _SINCE[feature]


def has(chart: str, feature: Feature) -> bool:
    """Whether a version of the chart has a feature."""
    return Version.parse(chart) >= Version.parse(_SINCE[feature])


def is_known(chart: str) -> bool:
    """Whether the runner that a chart deploys is known."""
    return Version.parse(chart).minor in _RUNNERS


def runner_of(chart: str) -> str:
    """Return the version of the runner that a chart deploys.

    Raises:
        KeyError: the chart is newer than this table.
    """
    version = Version.parse(chart)
    return f"{_RUNNERS[version.minor]}.{version.patch}"


def known_runner_of(chart: str) -> str:
    """Return the version of the runner that a chart deploys, or the newest known one."""
    minor = Version.parse(chart).minor
    return runner_of(chart) if minor in _RUNNERS else f"{known_runners()[-1]}.0"


def known_runners() -> list[str]:
    """Return the releases of the runner that charts deploy, as major and minor version."""
    return [*_RUNNERS.values()]


def missing_fixes(chart: str) -> Iterator[str]:
    """Yield what is open in the runner of a chart and fixed in later ones."""
    version = Version.parse(chart)
    for text, fixed in _FIXES:
        lines = [Version.parse(first) for first in fixed]
        own = [first for first in lines if first.minor == version.minor]
        if version < (own or lines)[0]:
            yield text
