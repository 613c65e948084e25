"""Values of older charts, and names that charts around the official one use for the same."""

import re
from collections.abc import Mapping

from convert.site.model import Tree, is_set, table, text
from convert.site.rule import KeyCase, Take, done, key, keys, refused
from convert.site.rules.chart import certificates, secret, tags, token
from convert.site.rules.config import clone_url
from convert.site.rules.images import image, privileged, pull_policy, pull_secrets
from convert.site.rules.kubernetes import annotations, labels
from convert.site.rules.mirror import mirror
from convert.site.rules.volumes import host_path
from convert.site.values import as_text, duration, mapping, quantity, words

_VERSION = "the image comes with chart.version"


def _place(case: KeyCase) -> None:
    given = table(case.release.values.get("runners")).get("helper")
    name = text(table(given).get("repository")) or "gitlab-org/gitlab-runner/gitlab-runner-helper"
    tag = text(table(given).get("tag"))
    mirror(case, f"{text(case.value)}/{name}" + (f":{tag}" if tag else ""), "helperImage")


def _job(case: KeyCase) -> None:
    """Take the image of jobs where its parts stand apart."""
    given = table(case.value)
    registry, name, tag = (text(given.get(part)) for part in ("registry", "repository", "tag"))
    if name and tag:
        path = f"{registry}/{name}" if registry else name
        image(case.at("", f"{path}:{tag}"))
    else:
        case.ask(
            "the image of jobs that name none must be complete, with a tag or digest",
            "set it",
            "runners.*.strategy.image",
        )


_OF_DOCKER = "is of containers of Docker, and a pod has no use for it"


def _docker(case: KeyCase) -> None:
    """Take what a runner for Docker set of its containers."""
    if not all(runner.evidence.executor.startswith("docker") for runner in case.runners):
        case.ignore("belongs to another executor")
        return
    for name, value in table(case.value).items():
        part = case.at(f".{name}", value)
        if not is_set(value) or value == "0":
            continue
        try:
            if take := _OF_CONTAINERS.get(name):
                take(part)
            elif name in _REACHES_NODE:
                part.refuse("reaches the node, past the plan of the strategy", _USE_KEYS)
            else:
                part.product(_OF_DOCKER)
        except ValueError as error:
            part.refuse(str(error), "correct it")


_USE_KEYS = "use resources.extended for devices, and the strategies for images"
_REACHES_NODE = {"cap_add", "devices", "device_cgroup_rules", "gpus", "network_mode", "runtime"}


def _docker_volumes(case: KeyCase) -> None:
    for volume in words(case.value):
        source, separator, rest = str(volume).partition(":")
        if separator:
            name = source.rpartition("/")[2]
            mount: Tree = {"name": name, "host_path": source, "mount_path": rest.partition(":")[0]}
            host_path(case.at("", mount))
        else:
            case.product("is a folder of the node for caches; cache keeps them for all nodes")


def _docker_limit(key_of_limit: str) -> Take:
    def take(case: KeyCase) -> None:
        amount = re.sub(r"([kmg])b?$", lambda unit: f"{unit[1].upper()}i", text(case.value).lower())
        case.take(f"runners.*.resources.limits.{key_of_limit}", quantity(amount))

    return take


def _extra_hosts(case: KeyCase) -> None:
    for entry in words(case.value):
        name, _, address = str(entry).partition(":")
        case.take("hostAliases", {address: [name]})


def _dns(key_of_dns: str) -> Take:
    def take(case: KeyCase) -> None:
        case.take("runners.*.dns", {key_of_dns: words(case.value)})

    return take


_OF_CONTAINERS: Mapping[str, Take] = {
    "image": image,
    "privileged": privileged,
    "volumes": _docker_volumes,
    "pull_policy": pull_policy,
    "allowed_pull_policies": lambda case: case.take(
        "runners.*.allowedPullPolicies", words(case.value)
    ),
    "allowed_images": lambda case: case.take("runners.*.allowedImages", words(case.value)),
    "allowed_services": lambda case: case.take("runners.*.allowedServices", words(case.value)),
    "helper_image": lambda case: mirror(case, text(case.value), "helperImage"),
    "memory": _docker_limit("memory"),
    "cpus": _docker_limit("cpu"),
    "extra_hosts": _extra_hosts,
    "dns": _dns("servers"),
    "dns_search": _dns("searches"),
}

RUNNER = (
    keys(
        "runners.docker",
        [
            "runners.*.strategy",
            "runners.*.volumes",
            "runners.*.resources.limits",
            "runners.*.dns",
            "hostAliases",
        ],
        _docker,
        "of a runner for Docker; it has no effect beside another executor",
    ),
)

RULES = (
    keys("runners.image", ["runners.*.strategy.image"], image),
    keys("runners.privileged", ["runners.*.strategy"], privileged),
    keys("runners.imagePullPolicy", ["runners.*.pullPolicy"], pull_policy),
    keys("runners.imagePullSecrets", ["registries[].pullSecret"], pull_secrets),
    key("runners.pollTimeout", "runners.*.podStartTimeout", duration),
    done("runners.pollInterval", "the runner's default of 3 seconds serves"),
    key("runners.nodeSelector", "runners.*.nodeSelector", mapping),
    keys("runners.podLabels", ["runners.*.labels"], labels),
    keys("runners.podAnnotations", ["runners.*.annotations"], annotations),
    keys("runners.cloneUrl", ["gitlab.cloneUrl"], clone_url, "unless it is gitlab.url"),
    done("runners.serviceAccountName", "the product makes the account of jobs"),
    refused("runners.serviceAccountOverwriteAllowed", "lets a job choose its account"),
    refused("runners.namespaceOverwriteAllowed", "lets a job choose its namespace"),
    done("runners.requestConcurrency", "the stack sets it by concurrent"),
    done("runners.buildsDir", "the strategy sets it where it matters"),
    done("runners.securityContext", "the strategy sets what its containers may do"),
    keys("runners.helper.registry", ["chart.images.registry", "chart.helperImage"], _place),
    done("runners.helper.repository", _VERSION),
    done("runners.helper.tag", _VERSION),
    keys("runners.job", ["runners.*.strategy.image"], _job),
    keys("tags", ["runners.*.tags"], tags),
    keys("runner.tags", ["runners.*.tags"], tags),
    keys("secret", ["runners.*.registration"], secret),
    keys("tokenSecret", ["runners.*.registration"], secret),
    key("gitlabDomain", "gitlab.url", lambda value: f"https://{as_text(value)}"),
    keys("caCertificates", ["gitlab.caCertificates"], certificates),
    keys("token", ["runnerTokens.*"], token),
    *(
        done(name, "the runner has it in GitLab, where it stays as it is")
        for name in ("runnerRunUntagged", "runner.runUntagged", "runner.locked", "runner.protected")
    ),
)
