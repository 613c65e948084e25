"""Starts, stops or shows the real node of the local control plane, or says what it lacks."""

import sys

from dev import cluster, toolchain
from dev.node.machine import NodeError
from dev.node.node import Node, check
from dev.node.programs import missing_packages
from dev.paths import state_folder


def main(arguments: list[str]) -> int:
    """Run ``up``, ``down``, ``status``, ``check`` or ``packages``; return the exit status."""
    if arguments == ["packages"]:
        print(*missing_packages())
        return 0
    node = Node(state_folder())
    try:
        if arguments == ["check"]:
            check(node)
            return 0
        if arguments == ["up"]:
            node.up()
        elif arguments == ["down"]:
            node.down()
    except (NodeError, cluster.ClusterError, toolchain.ToolchainError) as error:
        print(error, file=sys.stderr)
        return 1
    for name, process in node.status():
        print(f"{name:24} {f'running, pid {process}' if process else 'stopped'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
