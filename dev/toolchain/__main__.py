"""Makes programs available (``install``, by name or all), or shows which are used (``show``)."""

import sys
from collections.abc import Sequence

from dev.toolchain import ToolchainError, ensure, installed, programs


def main(arguments: Sequence[str]) -> int:
    """Run a command and return the exit status; without names, on the local cluster's programs."""
    command, *names = arguments
    try:
        cluster = [item.name for item in programs.load().values() if item.needed_for == "cluster"]
        for name in names or cluster:
            if command == "install":
                ensure(name)
                continue
            found = installed(name)
            where = (
                f"{found.version:10} {found.source:8} {found.file}" if found else "not there yet"
            )
            print(f"{name:28} {where}")
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
