"""What a job asks of its runner: images, resources, privileges, an identity."""

import re
from collections.abc import Iterator

from components.quantity import amount
from convert.pipeline.job import JobImage, at
from convert.pipeline.rule import Case, Match, Outcome, PipelineRule, removal

_RESOURCE = re.compile(
    r"KUBERNETES_((?:SERVICE_|HELPER_)?(?:CPU|MEMORY|EPHEMERAL_STORAGE)_(?:REQUEST|LIMIT))"
)


@PipelineRule(
    "pull-policy",
    "change",
    "Delete `pull_policy`, or list it in `runners.<name>.allowedPullPolicies`.",
    "kaniko",
    """
build:
  image:
    name: "ghcr.io/osscontainertools/kaniko:debug"
    entrypoint: [""]
    pull_policy: never
  script:
    - /kaniko/executor --context "$CI_PROJECT_DIR" --destination "$CI_REGISTRY_IMAGE"
""",
)
def pull_policy(case: Case) -> Iterator[Match]:
    """The job asks for a pull policy that the runner does not allow, so it fails at once."""
    images: list[JobImage] = [*([case.job.image] if case.job.image else []), *case.job.services]
    for image in images:
        allowed = [case.runner.allows_pull_policy(policy.text) for policy in image.pull_policies]
        if allowed and not all(allowed):
            place = image.pull_policies[allowed.index(False)]
            text = f"the runner does not allow pull_policy: {place.text}"
            do = "delete it, or list it in the runner's allowedPullPolicies"
            edit = removal(place) if len(allowed) == 1 and place.key >= 0 else None
            yield Match(place, text, do, edit)


@PipelineRule(
    "resources-by-job",
    "change",
    "Set `runners.<name>.resources.maximum`, up to which jobs may ask for more, or delete the "
    "variables.",
    "buildah",
    """
build:
  variables: {KUBERNETES_MEMORY_REQUEST: 16Gi}
  script:
    - buildah build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def resources_by_job(case: Case) -> Iterator[Match]:
    """The job asks for resources by a variable that the runner does not take, or not so high."""
    for name, value in case.job.environment.items():
        asked = _RESOURCE.fullmatch(name)
        if not asked or not value:
            continue
        key = f"{asked[1].lower()}_overwrite_max_allowed"
        most = str(case.runner.kubernetes.get(key, ""))
        if most and _within(value, most):
            continue
        text = (
            f"{name} is {value}, and the runner allows {most}"
            if most
            else f"the runner does not take {name}"
        )
        place = case.job.find(name)
        do = "set resources.maximum of the runner, or delete it"
        yield Match(place, text, do, removal(place))


def _within(value: str, most: str) -> bool:
    try:
        return amount(value) <= amount(most)
    except ValueError:
        return "$" in value


_CHOICES = re.compile(
    r"KUBERNETES_(NODE_SELECTOR|NODE_TOLERATIONS|POD_LABELS|POD_ANNOTATIONS|NAMESPACE)_"
)


@PipelineRule(
    "pod-by-job",
    "change",
    "Delete the variable, and give the job the tag of a runner whose `nodeSelector` and "
    "`tolerations` lead to the nodes that it wants.",
    "kaniko",
    """
build:
  variables: {KUBERNETES_NODE_SELECTOR_ARCH: "kubernetes.io/arch=arm64"}
  script:
    - /kaniko/executor --context "$CI_PROJECT_DIR" --destination "$CI_REGISTRY_IMAGE"
""",
)
def pod_by_job(case: Case) -> Iterator[Match]:
    """The job chooses where or as what its pod runs, which the runner leaves to the stack file."""
    for name in case.job.environment:
        asked = _CHOICES.match(name)
        if asked and f"{asked[1].lower()}_overwrite_allowed" not in case.runner.kubernetes:
            place = case.job.find(name)
            text = f"the runner does not take {name}"
            yield Match(place, text, "choose the runner by a tag, and delete it", removal(place))


_ENGINES = frozenset({"dockerd", "dockerd-entrypoint.sh", "start-docker.sh", "containerd"})
_STARTS = re.compile(
    r"(service|rc-service) docker (start|restart)|systemctl (re)?start docker|"
    r"/etc/init\.d/docker start"
)
_PRIVILEGED = frozenset(
    {"ntpd", "modprobe", "insmod", "umount", "losetup", "iptables", "swapon", "update-binfmts"}
)


@PipelineRule(
    "privileged-job",
    "change",
    "Delete the command: with `dind` and `dood` an engine is there before the script starts. What "
    "else needs privilege belongs into `docker run --privileged`, on a runner with `dind`.",
    "dind",
    """
build:
  image: docker:27-dind
  script:
    - dockerd-entrypoint.sh &
    - docker build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def privileged_job(case: Case) -> Iterator[Match]:
    """The job does in its own container what only a privileged one may, such as start an engine."""
    if case.runner.plan.build.privileged:
        return
    for line in case.job.lines:
        command = line.command
        starts = command.name in _ENGINES or _STARTS.match(command.text)
        mounts = command.name == "mount" and len(command.words) > 2
        sets = command.name == "sysctl" and ("-w" in command.words or "=" in command.text)
        if not (starts or mounts or sets or command.name in _PRIVILEGED):
            continue
        text = f"'{command.text}' needs a privileged container, and that of a job is not"
        if starts and case.runner.has_engine:
            do = "delete it: the runner has an engine ready"
            yield Match(at(line), text, do, removal(line.place))
        elif starts:
            do = "give it the tag of a runner with dind, and delete it"
            yield Match(at(line), text, do, outcome="cannot")
        else:
            yield Match(at(line), text, "delete it, or run it by docker run --privileged")


@PipelineRule(
    "windows-image",
    "cannot",
    "Keep a runner on Windows for the job: the nodes and the tools of runners here are of Linux.",
    "dind",
    """
build:
  image: mcr.microsoft.com/windows/servercore:ltsc2022
  script:
    - docker build --tag app .
""",
)
def windows_image(case: Case) -> Iterator[Match]:
    """The job runs in an image of Windows, and nodes of Linux cannot run it."""
    image = case.job.image
    if image and _WINDOWS.search(image.name):
        text = f"{image.name} is an image of Windows, and the nodes are of Linux"
        yield Match(image.place, text, "keep a runner on Windows for it")


_WINDOWS = re.compile(r"/windows/|windowsservercore|nanoserver|ltsc20\d\d", re.IGNORECASE)

_VISIBLE = re.compile(
    r"AWS_(ACCESS_KEY_ID|ROLE_ARN)|AZURE_CLIENT_SECRET|GOOGLE_APPLICATION_CREDENTIALS|"
    r"activate-service-account|assume-role-with-web-identity|vault "
)
"""Signs of a login that needs no identity of the pod."""
_IDENTITY = re.compile(
    r"169\.254\.(169\.254|170\.2)|metadata\.google\.internal|az login .*--identity|"
    r"eks\.amazonaws\.com/serviceaccount"
)
_CLOUD = re.compile(r"aws .*ecr get-login|ecr-login|gcloud auth configure-docker|az acr login")
_ACCOUNTS = (
    "KUBERNETES_SERVICE_ACCOUNT_OVERWRITE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


@PipelineRule(
    "pod-identity",
    "cannot",
    "Log in by GitLab's `id_tokens` or by keys in CI/CD variables: a job's pod has no identity at "
    "a cloud.",
    "buildkit-service-buildx",
    """
build:
  variables: {KUBERNETES_SERVICE_ACCOUNT_OVERWRITE: image-pusher}
  script:
    - aws ecr get-login-password | docker login --username AWS --password-stdin "$ECR"
    - docker buildx build --push --tag "$ECR/app" .
""",
)
def pod_identity(case: Case) -> Iterator[Match]:
    """The job logs in by the identity of its pod or its node, which jobs do not have."""
    job = case.job
    signs = (*job.environment, *(place.text for place in job.script))
    if job.has_identity or any(map(_VISIBLE.search, signs)):
        return
    do = "log in by id_tokens, or by keys in CI/CD variables"
    for name in _ACCOUNTS:
        if job.environment.get(name):
            yield Match(job.find(name), f"{name} is for an identity that jobs do not have", do)
            return
    asked: tuple[tuple[re.Pattern[str], Outcome], ...] = ((_IDENTITY, "cannot"), (_CLOUD, "note"))
    for pattern, outcome in asked:
        for line in job.lines:
            if pattern.search(line.command.text):
                text = "a job's account has no identity at a cloud"
                yield Match(at(line), text, do, outcome=outcome)
                return
