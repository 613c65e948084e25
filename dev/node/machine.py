"""The namespaces that the node lives in: its own processes, mounts and network.

One process holds them. With it goes everything that runs in them, every mount, every interface
and every firewall rule; only control groups and the state folder outlive it.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from dev.background import plain_environment, spawn
from dev.errors import DevError
from dev.node import cgroups

HOST = "10.123.0.1"
"""This machine's end of the cable to the node."""
NODE = "10.123.0.2"
"""The node's end."""
CABLE = "image-builds0"
"""The network interface of this machine's end."""
PODS = "10.124.0.0/16"
MTU = 1400
"""The bytes of the largest packet that reaches a pod; those of the node may have 1500."""

_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_HOLDER = "image-builds-node-holder"
_GRACE = 20.0


class NodeError(DevError):
    """The node cannot be started or used; the message says why and what to do."""


class Machine:
    """Namespaces of which ``state`` is the only folder on this machine's disk."""

    def __init__(self, state: Path) -> None:
        self.state = state.resolve()

    @property
    def holder(self) -> psutil.Process | None:
        """The process that holds the namespaces, found by what it runs."""
        return _holders().get(self.state)

    def check(self) -> None:
        """Check that the namespaces are there or can be made.

        Raises:
            NodeError: this machine may not make them, or has another node.
        """
        if self.holder:
            return
        for other in _holders():
            message = (
                f"another node runs here, with its state in {other}, and there can be one; "
                f"stop it: IMAGE_BUILDS_STATE={other.parent} make node-down"
            )
            raise NodeError(message)
        try:
            _call(*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt")
        except NodeError as error:
            message = f"namespaces and mounts cannot be made here: {error}; use a virtual machine"
            raise NodeError(message) from None

    def up(self) -> None:
        """Make the namespaces and the cable between the node's network and this machine.

        Raises:
            NodeError: they cannot be made.
        """
        if self.holder:
            return
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Children of programs that ended fall to the holder; ignoring their ends reaps them.
        hold = f"trap '' CHLD; exec -a {_HOLDER} sleep infinity"
        spawn([*_UNSHARE, "bash", "-c", hold], self.state, Path(os.devnull))
        deadline = time.monotonic() + _GRACE
        while not (holder := self.holder):
            if time.monotonic() > deadline:
                message = "the namespaces cannot be made: unshare(1) ended"
                raise NodeError(message)
            time.sleep(0.05)
        _call("ip", "link", "add", CABLE, "type", "veth", "peer", "eth0", "netns", str(holder.pid))
        _call("ip", "address", "add", f"{HOST}/30", "dev", CABLE)
        _call("ip", "link", "set", CABLE, "up")
        # No default route: nothing leaves for another machine.
        self.call("ip", "link", "set", "lo", "up")
        self.call("ip", "address", "add", f"{NODE}/30", "dev", "eth0")
        self.call("ip", "link", "set", "eth0", "up")
        # Pods of one bridge meet no rule of iptables without the second.
        forwarding = ("net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1")
        self.call("sysctl", "--quiet", "--write", *forwarding)
        # Pods and volumes are mounts that programs of the node show each other.
        self.call("mount", "--make-rshared", "/")
        for folder in ("/run", "/var/log", "/etc/docker"):
            if Path(folder).is_dir():
                self.call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
        # Distributions let every user open it, which rootless engines need; not every machine does.
        if Path("/dev/net").is_dir():
            self.call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/dev/net")
            self.call("sh", "-c", "umask 0 && mknod /dev/net/tun c 10 200")
        cgroups.make()

    def down(self) -> None:
        """End everything that runs in the namespaces, and them, and remove the state folder."""
        holder = self.holder
        if holder:
            holder.kill()
            holder.wait(_GRACE)
        cgroups.remove()
        shutil.rmtree(self.state, ignore_errors=True)

    def cover(self, file: str, content: str) -> None:
        """Let the node see its own ``content`` in place of a file of this machine."""
        own = self.state / "files" / file.strip("/").replace("/", "_")
        own.parent.mkdir(exist_ok=True)
        own.write_text(content, encoding="utf-8")
        self.call("mount", "--bind", str(own), file)

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs ``command`` in the namespaces."""
        holder = self.holder
        if holder is None:
            message = "the node does not run; start it with make node-up"
            raise NodeError(message)
        return ["nsenter", f"--target={holder.pid}", "--net", "--mount", "--pid", *command]

    def call(
        self,
        *command: str,
        text: str | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float = 600,
    ) -> str:
        """Run ``command`` in the namespaces to its end and return what it printed.

        Raises:
            NodeError: it failed.
        """
        return _call(*self.inside(command), text=text, environment=environment, timeout=timeout)

    def spawn(self, name: str, command: Sequence[str], **environment: str) -> None:
        """Start a program that goes on in the background, unless it runs."""
        if name in self.running():
            return
        log = self.state / f"{name}.log"
        spawn(self.inside(command), self.state, log, environment)

    def running(self) -> dict[str, psutil.Process]:
        """The processes that were spawned and live, by program."""
        holder = self.holder
        found: dict[str, psutil.Process] = {}
        if holder is None:
            return found
        space = Path(f"/proc/{holder.pid}/ns/pid").readlink()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, IndexError, OSError):
                inside = Path(f"/proc/{process.pid}/ns/pid").readlink() == space
                parent = process.parent()
                # Which is what spawned it, and waits; a program's own children have another.
                if inside and parent and parent.name() == "nsenter":
                    found[Path(process.cmdline()[0]).name] = process
        return found


def _holders() -> dict[Path, psutil.Process]:
    """Return the holder of each node of this machine by its state folder, where it was started."""
    found: dict[Path, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] == [_HOLDER]:
                found[Path(process.cwd())] = process
    return found


def _call(
    *command: str,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> str:
    answer = subprocess.run(
        command,
        check=False,
        input=text,
        env={**plain_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if answer.returncode:
        message = f"{' '.join(command)} failed: {(answer.stderr + answer.stdout).strip()[-2000:]}"
        raise NodeError(message)
    return answer.stdout
