"""The strategy that an import chooses keeps the jobs running with the least privilege."""

from pathlib import Path

import pytest

from components.types import JSON
from convert.site import security
from convert.site.importer import Imported, import_releases
from convert.site.model import ChartRelease
from convert.site.reading.sources import Sources
from tests.support.sites import about, values

ENGINE = '[[runners.kubernetes.services]]\nname = "docker:27-dind"\n'
SOCKET = '[[runners.kubernetes.volumes.host_path]]\nname = "s"\nmount_path = "{}"\n'
DIND = {"kind": "dind", "acceptPrivileged": True}


def _config(folder: Path, text: str) -> Imported:
    return values(folder, f"[[runners]]\n[runners.kubernetes]\n{text}\n", "config.toml")


@pytest.mark.parametrize(
    ("text", "strategy", "trusted"),
    [
        ("", {"kind": "kaniko"}, None),
        ("privileged = true", DIND, True),
        ("privileged = false", {"kind": "kaniko"}, None),
        ("privileged = 0", {"kind": "kaniko"}, None),
        (ENGINE, DIND, True),
        (SOCKET.format("/var/run/docker.sock"), {"kind": "dood", "acceptNodeRoot": True}, True),
    ],
    ids=range(6),
)
def test_a_strategy_follows_from_what_jobs_use(
    text: str, strategy: object, trusted: object, tmp_path: Path
) -> None:
    found = _config(tmp_path, text)

    assert found.draft.get(("runners", "builds", "strategy")) == strategy
    assert found.draft.get(("cluster", "nodes", "trusted")) == trusted
    assert found.errors == []
    assert all(item.outcome == "taken" for item in found.findings)


@pytest.mark.parametrize(
    ("cluster", "kind"), [({}, "buildah"), ({"platform": "gkeAutopilot"}, "kaniko")], ids=str
)
def test_jobs_keep_the_tool_of_their_image(
    cluster: dict[str, JSON], kind: str, tmp_path: Path
) -> None:
    image = "quay.io/buildah/stable:v1.37.0"
    file = tmp_path / "config.toml"
    file.write_text(f'[[runners]]\n[runners.kubernetes]\nimage = "{image}"\n', "utf-8")
    sources = Sources()
    sources.read(file)

    found = import_releases(sources.releases, "site", cluster)

    strategy = {"kind": kind, "image": image}
    assert found.draft.get(("runners", "builds", "strategy")) == strategy
    assert found.errors == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no Docker"),
        ("privileged = true", "only its Docker engine is"),
        (SOCKET.format("/var/run/docker.sock"), "stays root on the node"),
    ],
    ids=["none", "privileged", "socket"],
)
def test_what_changes_for_security_is_said(text: str, said: str, tmp_path: Path) -> None:
    found = _config(tmp_path, text)

    lines = [*security.better(found), found.draft.remarks["runners", "builds", "strategy"]]
    assert any(said in line for line in lines) or said == "no Docker"
    assert [*security.worse(found)] == []


def test_the_level_of_jobs_is_said_by_runner(tmp_path: Path) -> None:
    lines = list(security.better(_config(tmp_path, "")))

    assert lines[0].startswith("runners.builds: jobs run in a separate namespace")
    assert "Pod Security baseline" in lines[0]


@pytest.mark.parametrize(
    ("chart", "said"),
    [("0.86.0", ["chart 0.86.0 is replaced by"]), ("99.0.0", []), ("", []), ("^0.86", [])],
)
def test_what_an_older_chart_lacks_is_said(chart: str, said: list[str]) -> None:
    found = import_releases([ChartRelease(file="values.yaml", chart=chart)], "site")

    lines = [line for line in security.better(found) if line.startswith("chart")]
    assert [line[:27] for line in lines] == said
    assert all("which fixes: a job may ask" in line for line in lines)


def test_folders_of_an_engine_are_the_strategys(tmp_path: Path) -> None:
    volume = '[[runners.kubernetes.volumes.{}]]\nname = "d"\nmount_path = "{}"\n'
    found = _config(
        tmp_path,
        "privileged = true\n"
        + volume.format("empty_dir", "/certs/client")
        + volume.format("host_path", "/var/lib/docker"),
    )

    volumes = about(found, "runners.kubernetes.volumes")
    assert [item.outcome for item in volumes] == ["product", "product"]


@pytest.mark.parametrize(
    ("cluster", "text", "kind"),
    [
        ({"kind": "managed"}, SOCKET.format("/var/run/docker.sock"), "dind"),
        ({"kind": "onPrem"}, SOCKET.format("/var/run/docker.sock"), "dood"),
        ({"kind": "managed", "platform": "gkeAutopilot"}, "privileged = true", None),
    ],
    ids=range(3),
)
def test_what_the_cluster_refuses_is_not_chosen(
    cluster: dict[str, JSON], text: str, kind: str | None, tmp_path: Path
) -> None:
    sources = Sources()
    file = tmp_path / "config.toml"
    file.write_text(f"[[runners]]\n[runners.kubernetes]\n{text}\n", encoding="utf-8")
    sources.read(file)

    found = import_releases(sources.releases, "site", cluster)

    assert found.draft.get(("runners", "builds", "strategy", "kind")) == kind
    assert found.errors == []
