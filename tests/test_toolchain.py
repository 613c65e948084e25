import functools
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import toolchain
from dev.archives import Archive
from dev.toolchain import Program, ToolchainError

HELLO = Program(
    name="hello",
    module="hello",
    source="example.com/hello",
    package="example.com/local",
    accepts=">=1.2,<2",
    version_command=("--version",),
    ldflags="-X main.version={version}",
)
GO_MOD = "module example.com/local\n\ngo 1.24\n\n// require example.com/hello v1.2.3\n"
MAIN = """package main

import "fmt"

var version string

func main() { fmt.Println("hello version v" + version) }
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, a module to build, and nothing suitable on PATH."""
    modules = tmp_path / "modules" / "hello"
    modules.mkdir(parents=True)
    (modules / "go.mod").write_text(GO_MOD.replace("// ", ""))
    (modules / "go.sum").touch()
    (modules / "main.go").write_text(MAIN)
    monkeypatch.setattr(toolchain, "MODULES", tmp_path / "modules")
    monkeypatch.setitem(toolchain.PROGRAMS, "hello", HELLO)
    monkeypatch.setenv(toolchain.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(toolchain.SOURCE_VARIABLE, raising=False)
    return tmp_path / "cache"


def _on_path(folder: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = folder / "bin" / "hello"
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\necho hello version v{version}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(file.parent), prepend=":")
    return file


def _serve(folder: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


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
    for address in _serve(folder):
        yield Archive(f"{address}/hello-{{version}}.tar.gz", digest, "hello/hello")


def _publish(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    for system in ("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"):
        monkeypatch.setitem(toolchain.ARCHIVES, ("hello", system), archive)


def test_a_suitable_program_on_path_comes_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = _on_path(tmp_path, "1.9.0", monkeypatch)

    found = toolchain.find("hello")

    assert (found.source, found.version, found.file) == ("path", "1.9.0", file)


def test_a_program_of_another_range_on_path_is_not_taken(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _on_path(tmp_path, "2.0.0", monkeypatch)
    monkeypatch.setenv(toolchain.SOURCE_VARIABLE, "path")

    with pytest.raises(ToolchainError, match=r"PATH: no hello >=1\.2,<2"):
        toolchain.find("hello")


def test_an_archive_with_the_pinned_checksum_is_installed(
    release: Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _publish(release, monkeypatch)

    found = toolchain.find("hello")

    assert found.source == "archive"
    assert found.file.read_text().endswith("echo archived\n")
    assert toolchain.look("hello") == found


def test_an_archive_with_another_checksum_is_thrown_away(
    release: Archive,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _publish(Archive(release.url, "0" * 64, release.member), monkeypatch)
    monkeypatch.setenv(toolchain.SOURCE_VARIABLE, "archive")

    with pytest.raises(ToolchainError, match="pinned is 0000"):
        toolchain.find("hello")

    assert [file for file in cache.rglob("*") if file.name == "hello"] == []
    assert list(cache.rglob("*.part")) == []


def test_a_program_without_an_archive_is_built_from_its_module(cache: Path) -> None:
    found = toolchain.find("hello")

    assert found.source == "modules"
    assert cache in found.file.parents
    assert toolchain.look("hello") == found


def test_the_chosen_source_is_the_only_one(
    release: Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _publish(release, monkeypatch)
    monkeypatch.setenv(toolchain.SOURCE_VARIABLE, "modules")

    assert toolchain.find("hello").source == "modules"


def test_an_unknown_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(toolchain.SOURCE_VARIABLE, "magic")

    with pytest.raises(ToolchainError, match="set it to one of path, archive, modules"):
        toolchain.find("hello")


def test_what_an_interrupted_build_left_is_removed(cache: Path) -> None:
    built = toolchain.find("hello").file.parent
    stale = built.with_name(f"{built.name}.left.part")
    stale.mkdir()
    (built / "hello").unlink()
    built.rmdir()

    toolchain.find("hello")

    assert not stale.exists()
    assert list(cache.rglob("*.part")) == []


def test_two_at_once_build_once() -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(toolchain.find("hello").file))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 2
    assert found[0] == found[1]


def test_a_build_that_fails_says_what_go_said(tmp_path: Path) -> None:
    (tmp_path / "modules" / "hello" / "main.go").write_text("package main\n\nfunc main() { x }\n")

    with pytest.raises(ToolchainError, match="undefined: x"):
        toolchain.find("hello")


def test_without_go_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolchainError, match="install Go"):
        toolchain.find("hello")
