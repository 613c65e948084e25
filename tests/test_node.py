import json
import struct
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.node import programs
from dev.node.images.image import Entry, Image
from dev.node.images.store import Store, reference
from dev.node.machine import NODE, Machine
from dev.node.registry import KINDS, LOGIN, MIRROR, OPEN, PRIVATE, Kind, Registries
from dev.node.settings import PAUSE, SOCKET, configuration

DIGEST = f"sha256:{64 * '0'}"
IMAGE = Image(
    ("example.com/tool:1",),
    (
        Entry("/etc", folder=True, mode=0o750, user=7),
        Entry("/etc/greeting", content="hello", mode=0o640, user=7),
        Entry("/bin/tool", link="/bin/other"),
        Entry("/bin/mapper", content="program", capability=7),
    ),
    environment={"HOME": "/home/tool"},
    entrypoint=("/bin/tool",),
    user="1000:1000",
    folder="/work",
)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGE_BUILDS_CACHE", str(tmp_path / "cache"))
    return Store(Machine(tmp_path / "state")).archive(IMAGE)


def _read(archive: Path, name: str) -> Any:  # noqa: ANN401 - JSON
    with tarfile.open(archive) as tar:
        member = tar.extractfile(name)
        assert member
        return json.load(member)


def _layer(archive: Path) -> dict[str, tarfile.TarInfo]:
    (manifest,) = _read(archive, "manifest.json")
    (layer,) = manifest["Layers"]
    with tarfile.open(archive) as outer, tarfile.open(fileobj=outer.extractfile(layer)) as tar:
        return {member.name: member for member in tar}


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("docker:29.7.2", "docker.io/library/docker:29.7.2"),
        ("moby/buildkit:v1", "docker.io/moby/buildkit:v1"),
        ("quay.io/containers/buildah:v1", "quay.io/containers/buildah:v1"),
        ("login.test:5001/base:1", "login.test:5001/base:1"),
        (f"docker:29-cli@{DIGEST}", f"docker.io/library/docker@{DIGEST}"),
        (f"a.test:5000/tool@{DIGEST}", f"a.test:5000/tool@{DIGEST}"),
    ],
)
def test_an_images_name_is_spelled_as_containerd_looks_it_up(name: str, spelled: str) -> None:
    assert reference(name) == spelled


def test_an_archive_names_layer_and_config_by_their_content(archive: Path) -> None:
    (manifest,) = _read(archive, "manifest.json")
    config = _read(archive, manifest["Config"])

    assert config["rootfs"]["diff_ids"] == [
        f"sha256:{name.removesuffix('.tar')}" for name in manifest["Layers"]
    ]
    assert manifest["RepoTags"] == [f"image-builds/made:{archive.stem}"]
    assert config["config"]["Entrypoint"] == ["/bin/tool"]
    assert config["config"]["Cmd"] is None
    assert config["config"]["User"] == "1000:1000"
    assert config["config"]["WorkingDir"] == "/work"
    assert "HOME=/home/tool" in config["config"]["Env"]
    assert any(line.startswith("PATH=") for line in config["config"]["Env"])


def test_files_links_and_folders_keep_their_modes_and_owners(archive: Path) -> None:
    layer = _layer(archive)

    assert list(layer) == ["etc", "etc/greeting", "bin/tool", "bin/mapper"]
    assert layer["etc"].isdir()
    assert (layer["etc/greeting"].mode, layer["etc/greeting"].uid) == (0o640, 7)
    assert layer["etc/greeting"].size == len("hello")
    assert (layer["bin/tool"].issym(), layer["bin/tool"].linkname) == (True, "/bin/other")


def test_a_file_capability_has_the_kernels_second_form(archive: Path) -> None:
    header = _layer(archive)["bin/mapper"].pax_headers["SCHILY.xattr.security.capability"]

    version, permitted, *rest = struct.unpack("<5I", header.encode("utf-8", "surrogateescape"))
    assert version == 0x02000001  # VFS_CAP_REVISION_2 with the effective bit
    assert permitted == 1 << 7  # CAP_SETUID
    assert rest == [0, 0, 0]


def test_each_layer_says_when_it_was_made(archive: Path) -> None:
    """Buildah finds no step in a cache on a base that does not (imagebuildah/stage_executor.go)."""
    (manifest,) = _read(archive, "manifest.json")
    config = _read(archive, manifest["Config"])

    assert len(config["history"]) == len(manifest["Layers"])
    assert {entry["created"] for entry in config["history"]} == {config["created"]}


def test_an_archive_is_made_once_for_each_image(archive: Path, tmp_path: Path) -> None:
    store = Store(Machine(tmp_path / "state"))
    written = archive.stat().st_mtime_ns

    assert store.archive(IMAGE) == archive
    assert archive.stat().st_mtime_ns == written
    assert store.archive(Image(IMAGE.names, ())) != archive


def _registry(kind: Kind, images: Path, users: Path, issued: tuple[Path, Path] | None) -> Any:  # noqa: ANN401 - YAML
    text = configuration("registry.yml", kind=kind, images=images, users=users, issued=issued)
    return yaml.safe_load(text)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.host for kind in KINDS])
def test_a_registry_listens_on_the_node_alone(kind: Kind, tmp_path: Path) -> None:
    """It keeps its images in its folder, or in memory."""
    written = _registry(kind, tmp_path / kind.host, tmp_path / "users", None)

    assert written["http"] == {"addr": f"{NODE}:{kind.port}"}
    folder = {"rootdirectory": str(tmp_path / kind.host)}
    assert written["storage"] == ({"filesystem": folder} if kind.on_disk else {"inmemory": {}})
    assert ("auth" in written) == kind.login


def test_a_registry_with_tls_has_its_certificate(tmp_path: Path) -> None:
    issued = (tmp_path / "cert.pem", tmp_path / "key.pem")
    written = _registry(PRIVATE, tmp_path, tmp_path / "users", issued)

    assert written["http"]["tls"] == {"certificate": str(issued[0]), "key": str(issued[1])}
    assert written["auth"] == {"htpasswd": {"realm": "private.test", "path": f"{tmp_path}/users"}}


def test_there_is_a_registry_of_each_way_to_reach_one() -> None:
    assert [(kind.login, kind.tls) for kind in (OPEN, LOGIN, PRIVATE, MIRROR)] == [
        (False, False),
        (True, False),
        (True, True),
        (False, True),
    ]
    assert len({kind.address for kind in KINDS}) == len(KINDS)


def test_the_password_of_the_registries_is_made_once(tmp_path: Path) -> None:
    """The file is for its owner alone."""
    registries = Registries(Machine(tmp_path))

    password = registries.password
    assert len(password) >= 20
    assert Registries(Machine(tmp_path)).password == password
    (file,) = tmp_path.rglob("password")
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_nodes_dns_knows_services_and_hosts_and_asks_no_one(tmp_path: Path) -> None:
    text = configuration("Corefile", state=tmp_path)

    assert [line for line in text.splitlines() if line.endswith("{") and line[0] != " "] == [
        "cluster.local {",
        "test {",
        ". {",
    ]
    assert f"file {tmp_path}/test.zone" in text
    assert "forward" not in text
    assert f"open.test. 60 IN A {NODE}\n" in configuration("test.zone", hosts={"open.test": NODE})


def test_pods_have_an_address_of_the_nodes_own_network() -> None:
    (plugin,) = json.loads(configuration("10-pods.conflist"))["plugins"]

    assert plugin["ipam"]["ranges"] == [[{"subnet": "10.124.0.0/16"}]]
    assert plugin["ipam"]["dataDir"].startswith("/run/")


def test_the_kubelet_asks_for_certificates(tmp_path: Path) -> None:
    """It listens on the node alone."""
    files = {name: tmp_path / name for name in ("authority", "certificate", "key")}
    written = yaml.safe_load(configuration("kubelet.yaml", state=tmp_path, **files))

    assert written["address"] == NODE
    assert written["authentication"] == {
        "anonymous": {"enabled": False},
        "x509": {"clientCAFile": f"{tmp_path}/authority"},
    }
    assert written["cgroupRoot"] == "/image-builds-node"
    assert written["containerRuntimeEndpoint"] == f"unix://{SOCKET}"


def test_all_that_the_programs_keep_is_in_the_state_folder(tmp_path: Path) -> None:
    containerd = tomllib.loads(configuration("containerd.toml", state=tmp_path))
    proxy = yaml.safe_load(configuration("kube-proxy.yaml", state=tmp_path))
    images = containerd["plugins"]["io.containerd.cri.v1.images"]

    assert containerd["root"] == f"{tmp_path}/containerd"
    assert images["pinned_images"] == {"sandbox": PAUSE}
    assert images["registry"] == {"config_path": f"{tmp_path}/registries"}
    assert proxy["clientConnection"]["kubeconfig"].startswith(str(tmp_path))


def test_what_is_missing_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    missing = programs.missing_packages()

    assert {"pkg-config", "docker-registry", "skopeo", "mmdebstrap"} <= set(missing)
    assert missing == sorted(set(missing))
