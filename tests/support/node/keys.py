"""Gives a runner of the node's stack what further keys of the stack file add to config.toml."""

import tomllib

from components.gitlab_runner.config_toml import render
from components.plan import RunnerNames
from components.settings.runners.runner import RunnerSettings
from tests.support.configured import FORMS, SITE
from tests.support.node.jobs import Runner
from tests.support.runners import NAMES, RUNNER, SETTINGS

_WITHOUT_STACK: RunnerNames = {
    **NAMES,
    "pull_secret": None,
    "push_secret": None,
    "daemon_secret": None,
    "files": None,
}


def keyed(found: Runner, given: RunnerSettings) -> Runner:
    """Add what ``given`` sets, beside a name of a host, to the runner's config.toml."""
    changes = {name: getattr(given, name) for name in given.model_fields_set if name != "tags"}
    aliases = {"192.0.2.7": ["gitlab.site.test"]}
    plan, none = FORMS["kaniko"].plan(SITE), RunnerSettings(tags=["x"])
    before, after = (
        tomllib.loads(render(plan, runner, _WITHOUT_STACK, {}, settings))["runners"][0]
        for runner, settings in (
            (none, SETTINGS),
            (
                RUNNER.model_copy(update={"resources": none.resources, **changes}),
                SETTINGS.model_copy(update={"host_aliases": aliases}),
            ),
        )
    )
    own, added = found.table["kubernetes"], after["kubernetes"]
    volumes = own.get("volumes", {})
    for kind, entries in added.get("volumes", {}).items():
        volumes[kind] = [*volumes.get(kind, []), *entries]
    own |= {key: added[key] for key in added if added[key] != before["kubernetes"].get(key)}
    own["volumes"] = volumes
    found.table["feature_flags"] |= after["feature_flags"]
    found.table |= {
        key: after[key] for key in after.keys() - before.keys() | {"cache"} & after.keys()
    }
    return found
