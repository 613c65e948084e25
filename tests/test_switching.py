"""What a switch from each variant to each other changes, by what the program registers.

``tests/engine/test_variants.py`` sees on a real engine that it does just that, for a ring of them.
"""

import functools
import json
import re
from collections.abc import Iterator
from itertools import permutations
from typing import Any, cast

import pytest

from components.arguments import environment_args
from components.resources.environment import Environment
from components.settings.load import load
from tests.support.configured import (
    CERTIFICATE,
    LEVELS,
    SECRETS,
    SETTINGS,
    STRATEGIES,
    configure,
    replace_values,
)
from tests.support.harness import YEAR, deploy

REGISTRY = {"host": "ca.example.com:5000", "pull": "in", "push": "out"}
REGISTRIES: dict[str, list[dict[str, Any]]] = {
    "plain": [REGISTRY],
    "private CA": [{**REGISTRY, "caCertificates": CERTIFICATE}],
}
LEVEL = "metadata.labels.pod-security.kubernetes.io/enforce"
# What Kubernetes, and so the provider, changes in place; all else would be a replacement or is
# nothing that a strategy decides.
CHANGES = {
    "Namespace main-jobs": {LEVEL},
    "Release main": {"values.runners.config"},
    "ConfigMap main-files": {"data"},
}
# A tool's files, rights of the jobs' account, and the daemon of the runner, with what is its own.
COMES_AND_GOES = re.compile(
    "(ConfigMap|RegistryFiles) main-files"
    "|(Role|RoleBinding) main-job"
    "|Secret main-daemon"
    "|Daemon main|[A-Za-z]+ main-buildkitd(-ca|-[0-9]{4}|-ingress|-egress)?"
)
# Mocks keep nothing, so each program makes them anew; tests/engine/test_daemon.py sees them kept.
CERTIFICATES = re.compile("Secret (main-daemon|main-buildkitd-.*)")


@functools.cache
def _registered(variant: str, registries: str) -> dict[str, frozenset[tuple[str, str]]]:
    """Return the inputs of every resource of a variant by kind and name, as paths with values."""
    changes = {"runners.main.strategy": STRATEGIES[variant], "registries": REGISTRIES[registries]}
    configure(replace_values(SETTINGS, changes), SECRETS)
    stack = load()
    registered = deploy(lambda: Environment("test", environment_args(stack, YEAR)))
    return {
        f"{item.type.rpartition(':')[2]} {item.name}": frozenset(_leaves(item.inputs))
        for item in registered
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict) and value and path != "data":
        for key, item in cast("dict[str, object]", value).items():
            yield from _leaves(item, f"{path}.{key}".lstrip("."))
    else:
        yield path, json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("registries", REGISTRIES)
@pytest.mark.parametrize(("before", "after"), list(permutations(STRATEGIES, 2)))
def test_a_switch_replaces_nothing(before: str, after: str, registries: str) -> None:
    """Only a strategy's own resources come and go."""
    old, new = _registered(before, registries), _registered(after, registries)
    changed = {
        name: paths
        for name in old.keys() & new.keys()
        if (paths := {path for path, _ in old[name] ^ new[name]})
        and not CERTIFICATES.fullmatch(name)
    }

    assert {name for name in old.keys() ^ new.keys() if not COMES_AND_GOES.fullmatch(name)} == set()
    assert {name: CHANGES.get(name) for name in changed} == changed
    assert ("Namespace main-jobs" in changed) is (LEVELS[before] != LEVELS[after])
    assert "Release main" in changed
