import dataclasses
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.paths import CHECKOUT
from dev.toolchain import cache, modules, programs
from dev.toolchain.cache import CACHE_VARIABLE
from dev.toolchain.ensure import PROVIDER_VARIABLE, SOURCE_VARIABLE, ensure, ensure_all, installed
from dev.toolchain.programs import Archive, Program, ToolchainError
from tests.support.web import serve

HELLO = """
[[programs]]
names = ["hello"]
module = "hello"
source = "example.com/hello"
package = "example.com/local"
accepts = ">=1.2,<2"
version_command = ["--version"]
needed_for = "cluster"
ldflags = "-X main.version={version}"
"""
GO_MOD = "module example.com/local\n\ngo 1.24\n\n// require example.com/hello v1.2.3\n"
MAIN = """package main

import "fmt"

var version string

func main() { fmt.Println("hello version v" + version) }
"""


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a catalogue with a module to build, and nothing suitable on PATH."""
    modules = tmp_path / "modules" / "hello"
    modules.mkdir(parents=True)
    (modules / "go.mod").write_text(GO_MOD.replace("// ", ""))
    (modules / "go.sum").touch()
    (modules / "main.go").write_text(MAIN)
    (tmp_path / "programs.toml").write_text(HELLO)
    monkeypatch.setattr(programs, "CATALOGUE", tmp_path / "programs.toml")
    monkeypatch.setattr(programs, "MODULES", tmp_path / "modules")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    for variable in (SOURCE_VARIABLE, PROVIDER_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache"


def _on_path(folder: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = folder / "bin" / "hello"
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\necho hello version v{version}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(file.parent), prepend=":")
    return file


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Archive]:
    """An archive of hello on loopback, as its project would publish it."""
    folder = tmp_path / "releases"
    folder.mkdir()
    content = b"#!/bin/sh\necho archived\n"
    with tarfile.open(folder / "hello-1.2.3.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("hello/hello")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256((folder / "hello-1.2.3.tar.gz").read_bytes()).hexdigest()
    with serve(folder) as address:
        yield Archive(f"{address}/hello-{{version}}.tar.gz", digest, "hello/hello")


def _publish(archive: Archive) -> None:
    table = "\n".join(f'{key} = "{value}"' for key, value in dataclasses.asdict(archive).items())
    with programs.CATALOGUE.open("a") as catalogue:
        for system in ("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"):
            catalogue.write(f"[programs.archives.{system}]\n{table}\n")


def test_a_suitable_program_on_path_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _on_path(tmp_path, "1.9.0", monkeypatch)

    found = ensure("hello")

    assert (found.source, found.version, found.file) == ("path", "1.9.0", file)


def test_a_program_of_another_range_on_path_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _on_path(tmp_path, "2.0.0", monkeypatch)
    monkeypatch.setenv(SOURCE_VARIABLE, "path")

    with pytest.raises(ToolchainError, match=r"PATH: no hello >=1\.2,<2"):
        ensure("hello")


def test_an_archive_with_the_pinned_checksum_is_installed(release: Archive) -> None:
    _publish(release)

    found = ensure("hello")

    assert found.source == "archive"
    assert found.file.read_text().endswith("echo archived\n")
    assert installed("hello") == found


def test_an_archive_with_another_checksum_is_deleted(
    release: Archive, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _publish(Archive(release.url, "0" * 64, release.member))
    monkeypatch.setenv(SOURCE_VARIABLE, "archive")

    with pytest.raises(ToolchainError, match="but 0000"):
        ensure("hello")

    assert [file for file in cache_folder.rglob("*") if file.name == "hello"] == []
    assert list(cache_folder.rglob("*.part")) == []


def test_a_program_without_an_archive_is_built_from_its_module(cache_folder: Path) -> None:
    found = ensure("hello")

    assert found.source == "modules"
    assert cache_folder in found.file.parents
    assert installed("hello") == found


def test_the_chosen_source_is_the_only_one(
    release: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    _publish(release)
    monkeypatch.setenv(SOURCE_VARIABLE, "modules")

    assert ensure("hello").source == "modules"


def _provider(folder: Path, mode: int) -> str:
    programs.CATALOGUE.write_text(
        HELLO.replace('"hello"]', '"hello", "pulumi-resource-kubernetes"]')
    )
    file = folder / "provider-4.32"
    file.touch(mode)
    return str(file)


def test_the_environment_names_another_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _provider(tmp_path, 0o755)
    monkeypatch.setenv(PROVIDER_VARIABLE, os.path.relpath(given))

    found = ensure("pulumi-resource-kubernetes")

    assert (str(found.file), found.source, found.version) == (given, "variable", "unknown")
    assert installed("pulumi-resource-kubernetes") == found
    assert ensure("hello").source == "modules"


@pytest.mark.parametrize("mode", [0o644, None], ids=["no program", "missing"])
def test_a_provider_that_cannot_run_is_refused(
    mode: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _provider(tmp_path, mode or 0o644)
    if mode is None:
        Path(given).unlink()
    monkeypatch.setenv(PROVIDER_VARIABLE, given)

    with pytest.raises(ToolchainError, match=r"IMAGE_BUILDS_PROVIDER=.*must be .* executable"):
        ensure("pulumi-resource-kubernetes")


def test_an_unknown_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SOURCE_VARIABLE, "magic")

    with pytest.raises(ToolchainError, match="set it to one of path, archive, modules"):
        ensure("hello")


def test_what_an_interrupted_build_left_is_removed(cache_folder: Path) -> None:
    built = ensure("hello").file.parent
    stale = built.with_name(f"{built.name}.left.part")
    stale.mkdir()
    (built / "hello").unlink()
    built.rmdir()

    ensure("hello")

    assert not stale.exists()
    assert list(cache_folder.rglob("*.part")) == []


def test_two_that_start_at_once_build_once() -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(ensure("hello").file)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 2
    assert found[0] == found[1]


def test_two_programs_are_fetched_at_once(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the other, so one after the other would not end."""
    programs.CATALOGUE.write_text(HELLO + HELLO.replace('"hello"', '"bye"'), encoding="utf-8")
    shutil.copytree(programs.MODULES / "hello", programs.MODULES / "bye")
    both = threading.Barrier(2, timeout=30)
    real = modules.build

    def build(program: Program, out: Path) -> None:
        both.wait()
        real(program, out)

    monkeypatch.setattr("dev.toolchain.ensure.build", build)

    ensure_all(programs.select("cluster"))

    assert sorted(
        file.name for file in cache_folder.rglob("*") if file.is_file() and not file.suffix
    ) == ["bye", "hello"]


def test_a_failed_build_shows_what_go_printed(tmp_path: Path) -> None:
    (tmp_path / "modules" / "hello" / "main.go").write_text("package main\n\nfunc main() { x }\n")

    with pytest.raises(ToolchainError, match="undefined: x"):
        ensure("hello")


def test_without_go_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolchainError, match="install Go"):
        ensure("hello")


def test_an_unknown_program_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ToolchainError, match=r"hallo: dev/programs\.toml has no .* it has hello"):
        ensure("hallo")


@pytest.mark.parametrize("wanted", ["hello", "cluster"])
def test_programs_are_chosen_by_name_or_use(wanted: str) -> None:
    assert programs.select(wanted) == ["hello"]


def test_a_use_that_nothing_has_is_refused() -> None:
    with pytest.raises(ToolchainError, match=r"^clusters: .* it has cluster, hello$"):
        programs.select("hello", "clusters")


def test_a_go_mod_without_the_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modules" / "hello" / "go.mod").write_text("module example.com/local\n")

    with pytest.raises(ToolchainError, match=r"hello/go\.mod: must require example\.com/hello"):
        ensure("hello")


def test_the_name_of_a_cache_entry_stays(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another name every program would be built again, which takes half an hour."""
    monkeypatch.setattr(cache, "platform_name", lambda: "linux-amd64")
    _publish(Archive("https://example.com/{version}.tar.gz", "ab" * 32, "hello/hello"))

    hello = programs.load()["hello"]

    folder = cache_folder / "toolchain"
    assert cache.entry(hello, "modules") == folder / "hello-1.2.3-linux-amd64-modules-38405179b134"
    assert cache.entry(hello, "archive") == folder / "hello-1.2.3-linux-amd64-archive-1853fbe6cd1f"


def test_a_stamp_sets_the_version_in_each_of_its_packages() -> None:
    stamped = HELLO.replace("ldflags = ", "stamp = ['example.com/a', 'example.com/b'] #")
    programs.CATALOGUE.write_text(stamped.replace(">=1.2,<2", "=={major}.{minor}.*"))

    hello = programs.load()["hello"]

    variables = "{0}.gitVersion=v1.2.3 -X {0}.gitMajor=1 -X {0}.gitMinor=2"
    assert hello.linker_flags == (
        f"-X {variables.format('example.com/a')} -X {variables.format('example.com/b')}"
    )
    assert hello.accepted == "==1.2.*"


@pytest.mark.parametrize(("wanted", "module"), [("pinned", "hello"), ("newest", "hello-newest")])
def test_the_environment_chooses_the_newest_kubernetes(
    monkeypatch: pytest.MonkeyPatch, wanted: str, module: str
) -> None:
    programs.CATALOGUE.write_text(f'{HELLO}newest = "hello-newest"\n')
    monkeypatch.setenv(programs.KUBERNETES_VARIABLE, wanted)

    assert programs.load()["hello"].module == module


def test_an_unknown_kubernetes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(programs.KUBERNETES_VARIABLE, "oldest")

    with pytest.raises(ToolchainError, match="set it to 'pinned' or 'newest'"):
        programs.load()


def test_every_program_of_the_catalogue_has_a_pinned_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = CHECKOUT / "dev"
    monkeypatch.setattr(programs, "CATALOGUE", folder / "programs.toml")
    monkeypatch.setattr(programs, "MODULES", folder / "modules")

    catalogue = programs.load().values()

    assert {program.needed_for for program in catalogue} == {"cluster", "report", "bench", "node"}
    assert [item.name for item in catalogue if not re.match(r"\d+\.\d+\.\d+", item.version)] == []
    assert {item.module for item in catalogue} | {"kubernetes-newest"} == {
        path.name for path in (folder / "modules").iterdir()
    }


def test_importing_the_toolchain_reads_nothing() -> None:
    """A wrong value in the environment is a message of the command, not a traceback."""
    answer = subprocess.run(
        [sys.executable, "-c", "import dev.toolchain.gitlab_runner"],
        cwd=CHECKOUT,
        env={**os.environ, programs.KUBERNETES_VARIABLE: "oldest"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (answer.returncode, answer.stderr) == (0, "")
