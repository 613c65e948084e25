"""What a build gets of another one that runs at the same time, tried from its ``RUN`` step.

docs/reference/strategies.md has the answers. The attack is that of a dependency's install script:
an ordinary Dockerfile, without any entitlement.
"""

import re
import threading
from collections.abc import Callable

import pytest

from dev.node.images.catalogue import BASE
from dev.node.registry import LOGIN
from tests.support.node.jobs import Pipeline, Result, Runner
from tests.support.node.stack import SHARING
from tests.support.pages import STRATEGIES, table
from tests.support.shared import Shared

OWN, OTHER = "buildkit-service", "buildkit-service-buildx"
TRIES = {
    "on one runner with `buildkit-service`": (OWN, OWN),
    "on two runners with `buildkit-service` that share a daemon (`daemonOf`)": (OWN, SHARING),
    "on two runners with `buildkit-service`, each with its own daemon": (OWN, OTHER),
}
"""The runners of the build and of the one that attacks it, by the row of the page."""
SECRET = "of-the-other-build"
_WAIT = 20
"""Seconds that a build waits to be attacked, and an attack looks for one: pulls take some."""

VICTIM = f"""\
ARG BASE
FROM ${{BASE}}
RUN --mount=type=secret,id=token echo "began $(date +%s)" \\
 && for second in $(seq {2 * _WAIT}); do test -e /changed && break; sleep 1; done \\
 && if test -e /changed; then echo "image changed"; fi \\
 && echo "ended $(date +%s)"
"""
ATTACK = f"""\
ARG BASE
FROM ${{BASE}}
RUN echo "began $(date +%s)" \\
 && for second in $(seq {_WAIT}); do \\
      for root in /proc/[0-9]*/root; do \\
        if test -s "$root/run/secrets/token"; then \\
          echo "found $(cat "$root/run/secrets/token")"; touch "$root/changed"; break 2; \\
        fi; \\
      done; \\
      sleep 1; \\
    done; \\
    echo "ended $(date +%s)"
"""
BUILDCTL = (
    "buildctl $BUILDKIT_FLAGS build --frontend dockerfile.v0 --local context=. "
    f"--local dockerfile=. --opt build-arg:BASE={LOGIN.address}/{BASE} --no-cache --progress plain"
)
BUILDX = f"docker buildx build --build-arg BASE={LOGIN.address}/{BASE} --no-cache --progress plain"


def _build(runner: Runner, name: str, dockerfile: str, options: str = "") -> Result:
    command = BUILDX if name == OTHER else BUILDCTL
    script = [f"{command} {options} {'.' if name == OTHER else ''}"]
    return runner.run(Pipeline(script=script, files={"Dockerfile": dockerfile, "token": SECRET}))


def _time(trace: str, what: str) -> int:
    """Return when a step said it, in seconds; the echo of the command has no number."""
    (found,) = set(re.findall(rf"\b{what} (\d+)$", trace, re.MULTILINE))
    return int(found)


def _answers() -> dict[str, list[str]]:
    mark = "tries of builds: compared by make test-node"
    _, *rows = table(STRATEGIES, mark, "end of tries of builds")
    return {where: answers for where, *answers in rows}


def test_the_table_has_every_attempt() -> None:
    assert list(_answers()) == list(TRIES)


@pytest.mark.parametrize("where", TRIES)
def test_a_build_gets_what_the_page_says_of_another(
    where: str, runner: Callable[..., Runner], shared: Shared
) -> None:
    with shared.undisturbed(OWN, disturbs=False):
        _compare(where, runner)


def _compare(where: str, runner: Callable[..., Runner]) -> None:
    victim, attacker = TRIES[where]
    seen: list[Result] = []
    target = runner(victim)
    beside = threading.Thread(
        target=lambda: seen.append(_build(target, victim, VICTIM, "--secret id=token,src=token"))
    )
    beside.start()
    attack = _build(runner(attacker), attacker, ATTACK)
    beside.join()
    (attacked,) = seen

    assert (attack.status, attacked.status) == ("success", "success"), attack.trace
    # They ran at the same time, or nothing would be shown.
    assert _time(attacked.trace, "began") <= _time(attack.trace, "ended")
    assert _time(attack.trace, "began") <= _time(attacked.trace, "ended")
    found = {
        "secret": re.search(rf"\bfound {SECRET}$", attack.trace, re.MULTILINE),
        "image": re.search(r"\d image changed$", attacked.trace, re.MULTILINE),
    }
    assert ["yes" if found[what] else "no" for what in found] == _answers()[where]
