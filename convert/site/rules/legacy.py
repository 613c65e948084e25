"""Values of older charts, and names that charts around the official one use for the same."""

from convert.site.model import table, text
from convert.site.rule import KeyCase, done, key, keys, refused
from convert.site.rules.chart import certificates, secret, tags, token
from convert.site.rules.config import clone_url
from convert.site.rules.images import image, privileged, pull_policy, pull_secrets
from convert.site.rules.kubernetes import aliases
from convert.site.rules.mirror import mirror
from convert.site.values import as_text, duration, mapping

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


RULES = (
    keys("runners.image", ["runners.*.strategy.image"], image),
    keys("runners.privileged", ["runners.*.strategy"], privileged),
    keys("runners.imagePullPolicy", ["runners.*.pullPolicy"], pull_policy),
    keys("runners.imagePullSecrets", ["registries[].pullSecret"], pull_secrets),
    key("runners.pollTimeout", "runners.*.podStartTimeout", duration),
    done("runners.pollInterval", "the runner's default of 3 seconds serves"),
    key("runners.nodeSelector", "runners.*.nodeSelector", mapping),
    key("runners.podLabels", "runners.*.labels", mapping),
    key("runners.podAnnotations", "runners.*.annotations", mapping),
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
    keys("hostAliases", ["hostAliases"], aliases),
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
