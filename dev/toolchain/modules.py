"""Builds programs from pinned Go modules, for machines that reach package registries only."""

import collections
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dev.toolchain import programs
from dev.toolchain.programs import Program, ToolchainError
from dev.toolchain.progress import say


def build(program: Program, out: Path) -> None:
    """Build the program into the folder ``out``.

    Raises:
        ToolchainError: Go is missing, or it fails.
    """
    work = out.parent / "module"
    shutil.copytree(programs.MODULES / program.module, work)
    if program.embeds_schema:
        _embed_schema(program, work)
    started = time.monotonic()
    flags = ["-trimpath", "-buildvcs=false"]
    flags += [f"-tags={program.tags}"] if program.tags else []
    flags += [f"-ldflags=-s -w {program.linker_flags.format(version=program.version)}"]
    label = f"{program.name} {program.version}"
    say(f"{label}: building from Go modules")
    listing = _go(["list", "-deps", *flags, program.package], work, cgo=program.cgo)
    _watch(
        ["go", "build", "-v", *flags, "-o", str(out / program.name), program.package],
        work,
        label,
        packages=len(listing.splitlines()),
        cgo=program.cgo,
    )
    say(f"{label}: built in {time.monotonic() - started:.0f} s")


def source_folder(name: str) -> Path:
    """Return the folder of the Go module of the program ``name``; it holds its scripts too.

    Raises:
        ToolchainError: Go is missing, or it fails.
    """
    program = programs.load()[name]
    return _download(program, programs.MODULES / program.module)


def _download(program: Program, folder: Path) -> Path:
    """Have Go download the program's module, as the go.mod in ``folder`` pins it."""
    return Path(json.loads(_go(["mod", "download", "-json", program.source], folder))["Dir"])


def _embed_schema(program: Program, work: Path) -> None:
    """Complete the provider's module, which lacks two generated files that it embeds.

    Go refuses overlays under its module cache, so the module is copied and replaced. The public
    checksum database does not know the module; go.sum pins it and the download checks that.
    """
    copy = work / "provider"
    shutil.copytree(_download(program, work), copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    main = copy / program.package.removeprefix(f"{program.source}/")
    schema = json.loads((main / "schema.json").read_text(encoding="utf-8"))
    schema["version"] = program.version
    (main / "schema-embed.json").write_text(json.dumps(schema), encoding="utf-8")
    shutil.copyfile(main / "terraform-mapping.json", main / "terraform-mapping-embed.json")
    _go(["mod", "edit", f"-replace={program.source}=./provider"], work)


def _go_environment(*, cgo: bool) -> dict[str, str]:
    """Go's environment without what would change the result: a workspace, flags, cgo."""
    own = {"GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": str(int(cgo))}
    return {**os.environ, **own}


def _go(arguments: Sequence[str], work: Path, *, cgo: bool = False) -> str:
    try:
        answer = subprocess.run(
            ["go", *arguments],  # noqa: S607 - Go is found on PATH, as its users expect
            cwd=work,
            env=_go_environment(cgo=cgo),
            check=False,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        message = "modules: Go is not on PATH; install Go 1.26 or later"
        raise ToolchainError(message) from None
    if answer.returncode:
        message = f"modules: go {' '.join(arguments[:2])} failed: {answer.stderr.strip()[-2000:]}"
        raise ToolchainError(message)
    return answer.stdout


def _watch(command: Sequence[str], work: Path, label: str, *, packages: int, cgo: bool) -> None:
    """Run the build and show how far it is: a moving line on a terminal, else one every 30 s."""
    with subprocess.Popen(
        command, cwd=work, env=_go_environment(cgo=cgo), stderr=subprocess.PIPE, text=True
    ) as process:
        tail = collections.deque[str](maxlen=30)
        interval = 0.2 if sys.stderr.isatty() else 30
        due = time.monotonic() + interval
        for done, line in enumerate(process.stderr or (), start=1):
            tail.append(line)
            if time.monotonic() >= due:
                say(f"{label}: {done} packages compiled, at most {packages}", passing=True)
                due = time.monotonic() + interval
    if process.returncode:
        message = f"modules: building {label} failed:\n{''.join(tail)}"
        raise ToolchainError(message)
