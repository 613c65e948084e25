"""The engine and the other services that a job brings."""

import re
from collections.abc import Iterator

from components.strategies.docker import DOCKER_ENGINES
from convert.pipeline.rule import Case, Match, PipelineRule, removal


@PipelineRule(
    "engine-service",
    "change",
    "Delete the service: the runner starts an engine beside each job. For an engine with another "
    "name, set `strategy.serviceImages`; for databases and others, `strategy.jobEngines: false`.",
    "dind",
    """
build:
  image: docker:27
  services: [registry.example.com/tools/engine-dind:27]
  script:
    - docker build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def engine_service(case: Case) -> Iterator[Match]:
    """The job names a service that the runner does not allow, so no pod is made for it.

    Services are privileged there, so only engines are allowed.
    """
    for service in case.job.services:
        if case.runner.allows_service(service.name):
            continue
        text = f"the runner rejects the service {service.name}, since services are privileged there"
        if service.name.rpartition("/")[2].startswith("$"):
            do = "see that the variable names Docker's image"
            yield Match(service.place, f"{text}, unless it is Docker's image", do, outcome="note")
            continue
        if service.is_engine:
            do = "delete it: the runner starts an engine itself"
            yield Match(service.place, text, do, removal(service.entry))
        elif _BUILDKIT.search(service.name):
            yield Match(service.place, text, "list its image in strategy.serviceImages")
        elif case.runner.has_engine_over_tls:
            do = "give it the tag of a runner without an engine, or start it by docker run"
            yield Match(service.place, text, do, outcome="cannot")
        else:
            do = "set jobEngines: false of the strategy, or start it by docker run"
            yield Match(service.place, text, do)


_BUILDKIT = re.compile(r"(^|/)buildkit(:|@|$)")


@PipelineRule(
    "builder-service",
    "cannot",
    "Call `buildctl-daemonless.sh` on a runner with `buildkit`, or `docker buildx` on one with "
    "`buildkit-service`; neither needs a service.",
    "kaniko",
    """
build:
  image: {name: "moby/buildkit:rootless", entrypoint: [""]}
  services:
    - {name: "moby/buildkit:rootless", alias: daemon, command: [--addr, "tcp://0.0.0.0:1234"]}
  script:
    - buildctl --addr tcp://daemon:1234 build --frontend dockerfile.v0 --local context=.
""",
)
def builder_service(case: Case) -> Iterator[Match]:
    """The job starts BuildKit as a service, and services of the runner have no privilege."""
    for service in case.job.services:
        if _BUILDKIT.search(service.name) and not case.runner.plan.service.privileged:
            text = f"the service {service.name} needs privilege, which services here do not have"
            do = "call buildctl-daemonless.sh on a runner with buildkit"
            yield Match(service.place, text, do)


@PipelineRule(
    "idle-service",
    "note",
    "You can delete the service; the runner's own engine does the work.",
    "dood",
    """
build:
  services: [docker:dind]
  script:
    - docker build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def idle_service(case: Case) -> Iterator[Match]:
    """The job names an engine that has no privilege on the runner, so it ends at once."""
    engine, runner = case.job.engine, case.runner
    if engine and runner.has_engine and not runner.plan.service.privileged:
        text = f"the service {engine.name} is not privileged and ends; nothing asks it"
        yield Match(engine.place, text, "you can delete it")


@PipelineRule(
    "two-engines",
    "change",
    "Delete the service, or set `variant: socket` for the runner: its engine then leaves ports and "
    "certificates to that of the job.",
    "dind-rootless",
    f"""
build:
  services:
    - {DOCKER_ENGINES[True]}
  script:
    - docker build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def two_engines(case: Case) -> Iterator[Match]:
    """The job starts an engine that takes the port and the certificates of the runner's."""
    engine, runner = case.job.engine, case.runner
    if engine and runner.has_engine_over_tls and runner.allows_service(engine.name):
        text = f"{engine.name} and the runner's engine overwrite each other's certificates"
        do = "delete it: the runner starts an engine itself"
        yield Match(engine.place, text, do, removal(engine.entry))


_PLAIN_HTTP = re.compile(r"--insecure-registry(?:=| )(\S+)")
_TRUSTS = re.compile(r"update-ca-certificates|/etc/docker/certs\.d")


@PipelineRule(
    "engine-flags",
    "change",
    "List the registry in `registries`, with `insecure: true` or `caCertificates`, or let the job "
    "name its own engine by `DOCKER_HOST: tcp://docker:2376` or, without TLS, "
    "`tcp://docker:2375`.",
    "dind",
    """
build:
  services:
    - name: docker:27-dind
      command: [--insecure-registry=plain.example.com:5000]
  script:
    - docker build --tag plain.example.com:5000/app .
    - docker push plain.example.com:5000/app
""",
)
def engine_flags(case: Case) -> Iterator[Match]:
    """The job lets its engine speak plain HTTP or trust a CA, and gets the engine of the runner.

    A job that sets no `DOCKER_HOST` asks the engine of its runner, with the settings of the stack.
    """
    engine, runner = case.job.engine, case.runner
    asks = case.own_engine_serves and case.job.environment.get("DOCKER_HOST")
    if not engine or asks or not runner.has_own_engine:
        return
    (own,) = runner.plan.services
    known = _PLAIN_HTTP.findall(" ".join(own.command))
    for host in _PLAIN_HTTP.findall(" ".join(engine.arguments)):
        if host not in known and "$" not in host:
            text = f"the engine of the runner does not speak plain HTTP to {host}"
            do = "list it in registries with insecure: true, or set DOCKER_HOST"
            yield Match(engine.place, text, do)
    if _TRUSTS.search(" ".join(engine.arguments)) and not runner.plan.files:
        text = "the engine of the runner trusts no CA of the job's own"
        do = "list the registry with caCertificates, or set DOCKER_HOST"
        yield Match(engine.place, text, do)
