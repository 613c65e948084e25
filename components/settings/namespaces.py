"""Which namespaces a stack may have: one for each purpose, and none of the cluster itself."""

from collections.abc import Iterator, Mapping

from components.platforms import keeper
from components.settings.models import Plans, Settings


def own_namespaces(settings: Settings, plans: Plans) -> Mapping[str, str]:
    """What the stack's namespaces are for, but for those of jobs, by name."""
    return {
        settings.namespace: "the managers' namespace",
        **{
            settings.daemon_namespace(name, plan.daemon.name): (
                f"the namespace of the {plan.daemon.name} of runners.{name}"
            )
            for name, plan in plans.items()
            if plan.daemon and not plan.daemon_of
        },
    }


def namespace_errors(settings: Settings, own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of each namespace that the stack must not use as it is asked to.

    ``own`` is that of ``own_namespaces``.
    """
    yield from _system_namespaces(settings, own)
    owners = dict(own)
    for namespace, purpose in own.items():
        if len(namespace) > 63:
            message = "is longer than 63 characters; shorten the names"
            yield "namespace", f"{purpose}, {namespace}, {message}"
    for name, target in settings.target_namespaces.items():
        if name in owners:
            yield f"targetNamespaces.{name}", f"is {owners[name]}; use another one"
        if target.delete_with_stack and not target.create:
            yield (
                f"targetNamespaces.{name}.deleteWithStack",
                "is for a namespace that the stack creates, since others keep this one; remove it, "
                "or set create: true",
            )
        owners[name] = f"targetNamespaces.{name}"
    for runner in settings.runners:
        namespace = settings.job_namespace(runner)
        path = f"runners.{runner}.jobNamespace"
        if len(namespace) > 63:
            message = "is longer than 63 characters; shorten the names or set jobNamespace"
            yield path, f"the namespace {namespace} {message}"
        if namespace in owners:
            message = "so one's jobs could read the other's secrets; give each its own"
            yield path, f"is {namespace}, as {owners[namespace]} is, {message}"
        owners[namespace] = f"runners.{runner}.jobNamespace"
        if len(f"gitlab-runner-{runner}") > 53:
            message = "is longer than 39 characters, more than a Helm release name can hold"
            yield f"runners.{runner}", f"{message}; shorten it"


def _system_namespaces(settings: Settings, own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield an error for each namespace of the cluster itself that the stack would create."""
    created = [
        *(("namespace", name) for name in own),
        *(
            (f"runners.{name}.jobNamespace", settings.job_namespace(name))
            for name in settings.runners
        ),
        *(
            (f"targetNamespaces.{name}.create", name)
            for name, target in settings.target_namespaces.items()
            if target.create
        ),
    ]
    for path, name in created:
        whose = "every cluster" if name == "default" else keeper(name)
        if whose:
            message = "which the stack must neither change nor delete; use one of your own"
            yield (
                path,
                f"makes {name} a namespace of the stack, and it is one of {whose}, {message}",
            )
