"""The outputs of a stack: what runs where, and what its file says that ends in no resource.

The next report compares the latter with a changed file: a fact that a check relies on, a login of
another name, or anyone new who decrypts secrets of the stack, changes no object of the cluster.
"""

from components.arguments import summary
from components.settings.load import Stack
from components.settings.stack_file import beside


def outputs(stack: Stack) -> dict[str, object]:
    """Return every output of a stack by its name."""
    settings = stack.settings
    return {
        "namespace": settings.namespace,
        "production": settings.production,
        "runners": summary(stack),
        "declared": {
            "cluster": settings.cluster.model_dump(mode="json", by_alias=True),
            "cacheLogins": {
                name: runner.cache.credentials or ""
                for name, runner in settings.runners.items()
                if runner.cache
            },
            **beside(stack.file),
        },
    }
