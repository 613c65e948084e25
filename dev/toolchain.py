"""Finds, fetches or builds the programs that the local run and the engine tests need.

A program comes from the first source that has it: PATH, the cache, the official archive
(checked against a pinned SHA-256), or a build from pinned Go modules. The version of each is the
one in ``dev/modules/<module>/go.mod`` and is written nowhere else.

Left out on purpose: the Python language host and the GitLab provider plugin, which no package
registry carries; the local run serves the program to the engine itself.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import filelock
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from dev.archives import ARCHIVES, Archive

MODULES = Path(__file__).parent / "modules"
SOURCES = ("path", "archive", "modules")
SOURCE_VARIABLE = "IMAGE_BUILDS_TOOLCHAIN"
KUBERNETES_VARIABLE = "IMAGE_BUILDS_KUBERNETES"
CACHE_VARIABLE = "IMAGE_BUILDS_CACHE"
CONNECT_TIMEOUT = 5.0
"""Seconds until a host that does not answer counts as unreachable."""


class ToolchainError(Exception):
    """A program cannot be had; the message says which, why and what to do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """One executable and how to get it.

    ``accepts`` is the range of versions (PEP 440) in which a program on PATH is taken.
    ``cgo`` is set where C is in it, which gcc compiles.
    ``release`` is set where the module's version is not that of the release it was cut from.
    """

    name: str
    module: str
    source: str
    package: str
    accepts: str
    version_command: tuple[str, ...]
    ldflags: str = ""
    tags: str = ""
    cgo: bool = False
    release: str = ""
    prepare: Callable[[Path], None] | None = None

    @property
    def version(self) -> str:
        """The pinned version without its leading ``v``, read from the program's go.mod."""
        text = (MODULES / self.module / "go.mod").read_text(encoding="utf-8")
        found = re.search(rf"^\s*(?:require )?{re.escape(self.source)} v(\S+)", text, re.MULTILINE)
        if found is None:
            message = f"dev/modules/{self.module}/go.mod: requires no {self.source}"
            raise ToolchainError(message)
        return self.release or found[1]


@dataclasses.dataclass(frozen=True)
class Found:
    """Where a program was found: its source (``path``, ``archive`` or ``modules``) and file."""

    program: Program
    source: str
    version: str
    file: Path


def _embed_provider_schema(work: Path) -> None:
    """Complete the provider's module, which leaves out two generated files that it embeds.

    Go refuses overlays under its module cache, so the module is copied and replaced. Its
    checksum is not in the public database; go.sum pins it and the download checks that.
    """
    provider = PROGRAMS["pulumi-resource-kubernetes"]
    listing = _go(["mod", "download", "-json", provider.source], work)
    copy = work / "provider"
    shutil.copytree(json.loads(listing)["Dir"], copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    main = copy / provider.package.removeprefix(f"{provider.source}/")
    schema = json.loads((main / "schema.json").read_text(encoding="utf-8"))
    schema["version"] = provider.version
    (main / "schema-embed.json").write_text(json.dumps(schema), encoding="utf-8")
    shutil.copyfile(main / "terraform-mapping.json", main / "terraform-mapping-embed.json")
    _go(["mod", "edit", f"-replace={provider.source}=./provider"], work)


def _control_plane(name: str) -> Program:
    """One of the control plane's programs, of the pinned minor or the newest that builds."""
    wanted = os.environ.get(KUBERNETES_VARIABLE, "pinned")
    modules = {"pinned": "kubernetes", "newest": "kubernetes-newest"}
    if wanted not in modules:
        message = f"{KUBERNETES_VARIABLE}={wanted}: unknown; set it to 'pinned' or 'newest'"
        raise ToolchainError(message)
    return _kubernetes(name, modules[wanted])


def _kubernetes(name: str, module: str) -> Program:
    """One of Kubernetes' programs, which says its version."""
    program = Program(
        name=name,
        module=module,
        source="k8s.io/kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        accepts="",
        version_command=("--version",),
    )
    major, minor, _ = program.version.split(".")
    stamp = " ".join(
        f"-X {package}.{variable}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for variable, value in (
            ("gitVersion", f"v{program.version}"),
            ("gitMajor", major),
            ("gitMinor", minor),
        )
    )
    return dataclasses.replace(program, accepts=f"=={major}.{minor}.*", ldflags=stamp)


_PULUMI_VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_PROVIDER_MODULE = "github.com/pulumi/pulumi-kubernetes/provider/v4"

PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        Program(
            name="etcd",
            module="etcd",
            source="go.etcd.io/etcd/server/v3",
            package="go.etcd.io/etcd/server/v3",
            accepts=">=3.5.20,<3.7",
            version_command=("--version",),
        ),
        Program(
            name="kwok",
            module="kwok",
            source="sigs.k8s.io/kwok",
            package="sigs.k8s.io/kwok/cmd/kwok",
            accepts=">=0.7,<0.9",
            version_command=("--version",),
            ldflags="-X sigs.k8s.io/kwok/pkg/consts.Version=v{version}",
        ),
        *(
            _control_plane(name)
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        ),
        Program(
            name="pulumi",
            module="pulumi",
            source="github.com/pulumi/pulumi/pkg/v3",
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            accepts=">=3.250,<4",
            version_command=("version",),
            ldflags=f"-X {_PULUMI_VERSION}=v{{version}}",
            tags="osusergo,grpcnotrace",
        ),
        Program(
            name="pulumi-resource-kubernetes",
            module="pulumi-kubernetes",
            source=_PROVIDER_MODULE,
            package=f"{_PROVIDER_MODULE}/cmd/pulumi-resource-kubernetes",
            accepts=">=4.25,<5",
            # It cannot say its version, so one on PATH is never taken.
            version_command=("-version",),
            ldflags=f"-X {_PROVIDER_MODULE}/pkg/version.Version={{version}}",
            release="4.25.0",
            prepare=_embed_provider_schema,
        ),
    )
}


EXTRA_PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        Program(
            name="helm",
            module="helm",
            source="helm.sh/helm/v3",
            package="helm.sh/helm/v3/cmd/helm",
            accepts=">=3.17,<4",
            version_command=("version",),
            ldflags="-X helm.sh/helm/v3/internal/version.version=v{version}",
        ),
        Program(
            name="kubectl",
            module="kubectl",
            source="k8s.io/kubernetes",
            package="k8s.io/kubernetes/cmd/kubectl",
            accepts=">=1.30,<2",
            version_command=("version", "--client"),
            ldflags="-X k8s.io/component-base/version.gitVersion=v{version}",
        ),
    )
}
"""What only the benchmark and the report of a preview need."""

NODE_PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        *(_kubernetes(name, "kubernetes-node") for name in ("kubelet", "kube-proxy")),
        Program(
            name="coredns",
            module="coredns",
            source="github.com/coredns/coredns",
            package="github.com/coredns/coredns",
            accepts=">=1.11,<2",
            version_command=("-version",),
        ),
        *(
            Program(
                name=name,
                module="buildkit",
                source="github.com/moby/buildkit",
                package=f"github.com/moby/buildkit/cmd/{name}",
                accepts="==0.34.*",
                version_command=("--version",),
                ldflags="-X github.com/moby/buildkit/version.Version=v{version}",
            )
            for name in ("buildkitd", "buildctl")
        ),
        Program(
            name="executor",
            module="kaniko",
            source="github.com/GoogleContainerTools/kaniko",
            package="github.com/GoogleContainerTools/kaniko/cmd/executor",
            accepts="==1.24.*",
            version_command=("version",),
        ),
        Program(
            name="buildah",
            module="buildah",
            source="github.com/containers/buildah",
            package="github.com/containers/buildah/cmd/buildah",
            accepts="==1.43.*",
            version_command=("--version",),
            # Static, since it goes into an image with another libc.
            ldflags="-linkmode=external -extldflags=-static",
            tags="containers_image_openpgp,exclude_graphdriver_btrfs,netgo,osusergo",
            cgo=True,
        ),
        Program(
            name="rootlesskit",
            module="rootlesskit",
            source="github.com/rootless-containers/rootlesskit/v2",
            package="github.com/rootless-containers/rootlesskit/v2/cmd/rootlesskit",
            accepts=">=2.3,<3",
            version_command=("--version",),
        ),
        Program(
            name="docker",
            module="docker-cli",
            source="github.com/docker/cli",
            package="github.com/docker/cli/cmd/docker",
            accepts=">=29.7,<30",
            version_command=("--version",),
            ldflags="-X github.com/docker/cli/cli/version.Version={version}",
            release="29.7.2",
        ),
        Program(
            name="buildx",
            module="buildx",
            source="github.com/docker/buildx",
            package="github.com/docker/buildx/cmd/buildx",
            accepts=">=0.29,<1",
            version_command=("version",),
            ldflags="-X github.com/docker/buildx/version.Version=v{version}",
        ),
        *(
            Program(
                name=name,
                module="moby",
                source="github.com/moby/moby/v2",
                package=f"github.com/moby/moby/v2/cmd/{name}",
                accepts=">=29,<30",
                version_command=("--version",),
                ldflags="-X github.com/moby/moby/v2/dockerversion.Version={version}",
            )
            for name in ("dockerd", "docker-proxy")
        ),
        *(
            Program(
                name=name,
                module="containerd",
                source="github.com/containerd/containerd/v2",
                package=f"github.com/containerd/containerd/v2/cmd/{name}",
                accepts=">=2.2,<3",
                version_command=("--version",),
                ldflags="-X github.com/containerd/containerd/v2/version.Version=v{version}",
            )
            for name in ("containerd", "containerd-shim-runc-v2")
        ),
    )
}
"""What only the real node needs: its own programs, and those that go into its images."""


def cache_folder() -> Path:
    """The folder outside the checkout in which programs are kept."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-builds"


def find(name: str) -> Found:
    """Return the program called ``name``, fetching or building it when it must be.

    Raises:
        ToolchainError: no source has it, or the source that was asked for has not.
    """
    program = (PROGRAMS | EXTRA_PROGRAMS | NODE_PROGRAMS)[name]
    sources = _sources()
    if "path" in sources and (found := _on_path(program)):
        return found
    for source in sources:
        if source != "path" and (found := _cached(program, source)):
            return found
    reasons: list[str] = []
    for source in sources:
        try:
            if source == "archive":
                return _install(program, source, _fetch)
            if source == "modules":
                return _install(program, source, _build)
            reasons.append(f"PATH: no {name} {program.accepts}")
        except ToolchainError as error:
            reasons.append(str(error))
    message = f"{name} {program.version} cannot be had: {'; '.join(reasons)}"
    raise ToolchainError(message)


def look(name: str) -> Found | None:
    """Return the program if it is there already, without fetching or building it."""
    program = (PROGRAMS | EXTRA_PROGRAMS)[name]
    for source in _sources():
        found = _on_path(program) if source == "path" else _cached(program, source)
        if found:
            return found
    return None


def _sources() -> tuple[str, ...]:
    wanted = os.environ.get(SOURCE_VARIABLE, "")
    if not wanted:
        return SOURCES
    if wanted not in SOURCES:
        message = f"{SOURCE_VARIABLE}={wanted}: unknown; set it to one of {', '.join(SOURCES)}"
        raise ToolchainError(message)
    return (wanted,)


def _on_path(program: Program) -> Found | None:
    file = shutil.which(program.name)
    if file is None:
        return None
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, InvalidVersion):
        answer = subprocess.run(
            [file, *program.version_command],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )
        stated = re.search(r"v?(\d+\.\d+\.\d+)", answer.stdout + answer.stderr)
        if stated and Version(stated[1]) in SpecifierSet(program.accepts):
            return Found(program, "path", stated[1], Path(file))
    return None


def _folder(program: Program, source: str) -> Path:
    """The cache entry: its name changes with everything that decides what is in it."""
    digest = hashlib.sha256()
    if source == "modules":
        for file in ("go.mod", "go.sum"):
            digest.update((MODULES / program.module / file).read_bytes())
        digest.update(f"{program.package} {program.ldflags} {program.tags}".encode())
    else:
        digest.update(repr(ARCHIVES.get((program.name, _platform()))).encode())
    key = digest.hexdigest()[:12]
    name = f"{program.name}-{program.version}-{_platform()}-{source}-{key}"
    return cache_folder() / "toolchain" / name


def _platform() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}-{machine}"


def _cached(program: Program, source: str) -> Found | None:
    file = _folder(program, source) / program.name
    return Found(program, source, program.version, file) if file.is_file() else None


def _install(program: Program, source: str, get: Callable[[Program, Path], None]) -> Found:
    """Fill a cache entry so that others see it whole or not at all."""
    folder = _folder(program, source)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if found := _cached(program, source):
            return found
        for stale in folder.parent.glob(f"{folder.name}.*.part"):
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
        try:
            out = work / "out"
            out.mkdir()
            get(program, out)
            (out / program.name).chmod(0o755)
            out.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Found(program, source, program.version, folder / program.name)


def _fetch(program: Program, out: Path) -> None:
    archive = ARCHIVES.get((program.name, _platform()))
    if archive is None or program.module.endswith("-newest"):
        message = f"archive: no checksum is pinned for {program.name} on {_platform()}"
        raise ToolchainError(message)
    file = _download(program, archive)
    if not archive.member:
        shutil.copyfile(file, out / program.name)
        return
    member = archive.member.format(version=program.version)
    with tarfile.open(file) as tar:
        source = tar.extractfile(member)
        if source is None:
            message = f"archive: {archive.url} has no file {member}"
            raise ToolchainError(message)
        with source, (out / program.name).open("wb") as target:
            shutil.copyfileobj(source, target)


def _download(program: Program, archive: Archive) -> Path:
    """Fetch an archive into the cache, where the programs that share one find it."""
    url = archive.url.format(version=program.version)
    file = cache_folder() / "archives" / archive.digest
    file.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{file}.lock"):
        if file.exists():
            return file
        _say(f"{program.name} {program.version}: fetching the official archive")
        part = file.with_suffix(".part")
        digest = hashlib.new(archive.algorithm)
        try:
            with (
                urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT) as answer,  # noqa: S310 - the URLs are the literals of dev/archives.py
                part.open("wb") as target,
            ):
                while block := answer.read(1 << 20):
                    digest.update(block)
                    target.write(block)
        except (urllib.error.URLError, OSError) as error:
            message = f"archive: {url} cannot be fetched ({error})"
            raise ToolchainError(message) from error
        if digest.hexdigest() != archive.digest:
            part.unlink()
            message = (
                f"archive: {url} has {archive.algorithm} {digest.hexdigest()}, pinned is "
                f"{archive.digest}; it is not the file that was released and was thrown away"
            )
            raise ToolchainError(message)
        part.replace(file)
    return file


def _build(program: Program, out: Path) -> None:
    work = out.parent / "module"
    shutil.copytree(MODULES / program.module, work)
    if program.prepare:
        program.prepare(work)
    started = time.monotonic()
    flags = ["-trimpath", "-buildvcs=false"]
    flags += [f"-tags={program.tags}"] if program.tags else []
    flags += [f"-ldflags=-s -w {program.ldflags.format(version=program.version)}"]
    label = f"{program.name} {program.version}"
    _say(f"{label}: building from Go modules")
    listing = _go(["list", "-deps", *flags, program.package], work, cgo=program.cgo)
    _watch(
        ["go", "build", "-v", *flags, "-o", str(out / program.name), program.package],
        work,
        label,
        packages=len(listing.splitlines()),
        cgo=program.cgo,
    )
    _say(f"{label}: built in {time.monotonic() - started:.0f} s")


def _go_environment(*, cgo: bool) -> dict[str, str]:
    """Go's environment without what would change the result: a workspace, flags, cgo."""
    own = {"GOFLAGS": "-mod=mod", "GOWORK": "off", "CGO_ENABLED": str(int(cgo))}
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
    """Run the build and say how far it is: a moving line on a terminal, else one every 30 s."""
    with subprocess.Popen(
        command,
        cwd=work,
        env=_go_environment(cgo=cgo),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        tail: list[str] = []
        for done, due in _ticks(process.stderr or (), tail):
            if due:
                _say(f"{label}: {done} packages compiled, at most {packages}", passing=True)
    if process.returncode:
        message = f"modules: building {label} failed:\n{''.join(tail)}"
        raise ToolchainError(message)


def _ticks(lines: Iterator[str] | Sequence[str], tail: list[str]) -> Iterator[tuple[int, bool]]:
    """Count lines as they come, keep the last 30 in ``tail``, and tell when to report."""
    interval = 0.2 if sys.stderr.isatty() else 30
    last = time.monotonic()
    for done, line in enumerate(lines, start=1):
        tail[:] = [*tail[-29:], line]
        due = time.monotonic() - last >= interval
        if due:
            last = time.monotonic()
        yield done, due


def _say(text: str, *, passing: bool = False) -> None:
    """Write a line of progress; a passing one is overwritten by the next on a terminal."""
    if not sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
        return
    print(f"\r\033[K{text}", end="" if passing else "\n", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Make programs ready (``install``, by name or all), or say which are used (``show``)."""
    command, *names = arguments
    try:
        for name in names or PROGRAMS:
            found = find(name) if command == "install" else look(name)
            if command == "install":
                continue
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
