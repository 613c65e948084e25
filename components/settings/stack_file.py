"""What a stack file says before its settings are checked, and beside them."""

import hashlib
from collections.abc import Mapping

from components.types import ACCEPTED_RISKS, JSON, PROJECT

# What is judged by itself, or a secret that is replaced from time to time.
_NOT_AN_OPTION = {"config", "gitlab:token", "kubernetes:context"}
_SHOWN = "secretsprovider"


def beside(file: Mapping[str, JSON]) -> dict[str, object]:
    """Return what a stack file says beside the settings: risks, users, and options of Pulumi.

    Of a value that can be long, or secret, there is a digest.
    """
    config = table_of(file.get("config"))
    options = {
        str(key): str(value) if key == _SHOWN else f"digest {_digest(value)}"
        for key, value in {**file, **config}.items()
        if key not in _NOT_AN_OPTION and not str(key).startswith(f"{PROJECT}:")
    }
    logins = table_of(config.get(f"{PROJECT}:registryCredentials"))
    users = {str(name): table_of(login).get("username") for name, login in logins.items()}
    return {
        "accepted": sorted(map(str, table_of(config.get(ACCEPTED_RISKS)))),
        # Encrypted again, the same name is another text.
        "users": {
            name: f"digest {_digest(it)}" for name, it in users.items() if isinstance(it, str)
        },
        "options": options,
    }


def table_of(value: JSON) -> dict[str, JSON]:
    """Return a mapping of YAML, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _digest(value: JSON) -> str:
    # A value of YAML may hold itself.
    return hashlib.sha256(repr(value).encode()).hexdigest()[:12]
