"""What a build uses on the node: memory, traffic with the registry, and disk.

The meters count all that works for the job: the pods of its namespace, those of the daemon's
namespace if it has one, and the node's Docker engine if it uses that.
"""

import contextlib
import itertools
import re
import subprocess
import threading
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any, cast

import psutil

from dev.node.cgroups import CGROUP
from dev.node.machine import Machine
from dev.node.node import Node
from dev.node.registry import Kind
from dev.node.settings import SOCKET
from tests.support.kubernetes import core_v1

_INTERVAL = 0.25
_TURNS = 8
"""The intervals between two readings of the disk, which take longer."""
_CGROUPS = Path("/sys/fs/cgroup")


def volumes(machine: Machine, pod: str) -> Path:
    """Return the folder of the emptyDirs of the pod with this uid."""
    return machine.state / "kubelet" / "pods" / pod / "volumes" / "kubernetes.io~empty-dir"


class Workers:
    """The pods of some namespaces, and the node's Docker engine if ``engine`` is set."""

    def __init__(self, node: Node, namespaces: Collection[str], *, engine: bool) -> None:
        """Remember the node and the namespaces."""
        self._node = node
        self._namespaces = namespaces
        running = node.machine.running()
        # The engine keeps its layers in the containerd that the kubelet uses too.
        self._engine = [running[name] for name in ("dockerd", "containerd")] if engine else []

    def pods(self) -> list[Any]:
        """Return the pods as the API has them now."""
        with self._node.cluster.api() as api:
            core = core_v1(api)
            return [
                pod
                for namespace in self._namespaces
                for pod in core.list_namespaced_pod(namespace).items
            ]

    def memory(self) -> int:
        """Return the bytes of memory that only their processes use.

        Files in the page cache do not count: the kernel takes that memory back when it needs it,
        so a limit need not include it.
        """
        children: dict[int, list[psutil.Process]] = {}
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter(["ppid"]):
            found[process.pid] = process
            children.setdefault(cast("Any", process).info["ppid"], []).append(process)
        # Containers in a container may have control groups elsewhere (moby/moby#45378).
        waiting = [found[number] for number in self._processes() if number in found]
        waiting += self._engine
        counted: dict[int, int] = {}
        while waiting:
            process = waiting.pop()
            if process.pid not in counted:
                with contextlib.suppress(psutil.Error):
                    status: Any = process.memory_info()
                    counted[process.pid] = status.rss - status.shared
                    waiting += children.get(process.pid, [])
        return sum(counted.values())

    def disk(self) -> int:
        """Return the bytes on disk of the pods' volumes and root file systems and of the engine."""
        machine = self._node.machine
        folders = [volumes(machine, pod.metadata.uid) for pod in self.pods()]
        folders += {folder for number in self._processes() if (folder := _upper(number))}
        if not self._engine:
            return _size(folders)
        own = ("ctr", f"--address={SOCKET}", "--namespace=moby")
        usage = machine.call(*own, "snapshots", "usage", "-b").splitlines()[1:]
        blobs = machine.state / "containerd/io.containerd.content.v1.content/blobs"
        names = machine.call(*own, "content", "ls", "--quiet").split()
        folders += [blobs / name.replace(":", "/") for name in names]
        # Names of layers that are being unpacked have a space in them.
        layers = sum(int(line.split()[-2]) for line in usage)
        return layers + _size([*folders, machine.state / "docker"])

    def _processes(self) -> Iterator[int]:
        """Yield the ids of the processes in the control groups of the pods."""
        hierarchy = _CGROUPS / "memory"
        root = (hierarchy if hierarchy.is_dir() else _CGROUPS) / CGROUP
        for pod in self.pods():
            # Pods that ask for as much as they may use have no folder of a class above them.
            for level in ("", "*/"):
                for file in root.glob(f"kubepods/{level}pod{pod.metadata.uid}/*/cgroup.procs"):
                    with contextlib.suppress(OSError):
                        yield from map(int, file.read_text(encoding="ascii").split())


class Peak:
    """The peak of memory, read every quarter of a second, and of the disk, read every two."""

    def __init__(self, workers: Workers) -> None:
        """Prepare to read these."""
        self._workers = workers
        self._ended = threading.Event()
        self.memory = 0
        self.disk = 0

    @contextlib.contextmanager
    def watched(self) -> Generator[None]:
        """Read them until the block ends."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def read_disk(self) -> None:
        """Read the disk now, since a job's files go with its pod."""
        self.disk = max(self.disk, self._workers.disk())

    def _watch(self) -> None:
        for turn in itertools.count(1):
            if self._ended.wait(_INTERVAL):
                return
            self.memory = max(self.memory, self._workers.memory())
            if turn % _TURNS == 0:
                self.read_disk()


class Traffic:
    """Bytes between a registry and its clients, headers of TCP and IP included."""

    def __init__(self, machine: Machine, kind: Kind) -> None:
        """Count at the node's address, to which builds come from pods and from the engine."""
        self._machine = machine
        self._rules = {
            "INPUT": ("--protocol", "tcp", "--dport", str(kind.port)),
            "OUTPUT": ("--protocol", "tcp", "--sport", str(kind.port)),
        }

    @contextlib.contextmanager
    def counted(self) -> Generator[None]:
        """Count until the block ends."""
        for chain, rule in self._rules.items():
            self._machine.call("iptables", "--insert", chain, *rule)
        try:
            yield
        finally:
            for chain, rule in self._rules.items():
                self._machine.call("iptables", "--delete", chain, *rule)

    def pushed(self) -> int:
        """Return the bytes that came to the registry."""
        return self._bytes("INPUT")

    def pulled(self) -> int:
        """Return the bytes that the registry sent."""
        return self._bytes("OUTPUT")

    def _bytes(self, chain: str) -> int:
        port = " ".join(self._rules[chain][-2:])
        listing = self._machine.call("iptables", "--list-rules", chain, "--verbose")
        rule = next(line for line in listing.splitlines() if port in line)
        return int(rule.split()[-1])


def _upper(process: int) -> Path | None:
    """Return the folder of a container's files outside of its volumes, by one of its processes."""
    try:
        mounts = Path(f"/proc/{process}/mountinfo").read_text(encoding="utf-8")
    except OSError:  # it has ended
        return None
    found = re.search(r"^\S+ \S+ \S+ / / .*[ ,]upperdir=([^, ]+)", mounts, re.MULTILINE)
    return Path(found[1]) if found else None


def _size(paths: Collection[Path]) -> int:
    answer = subprocess.run(
        ["du", "--summarize", "--total", "--block-size=1", *paths],
        check=False,  # a file may go meanwhile
        capture_output=True,
        text=True,
    )
    return int(answer.stdout.splitlines()[-1].split()[0]) if paths else 0
