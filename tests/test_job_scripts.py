"""The components that need no strategy: what they call their tool with, and what they leave."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dev.generate import templates
from tests.support.pipelines import against_shell, resolved
from tests.support.scripts import DIGEST, SHELLS, Answer, run
from tests.support.templates import inputs_of, job_of

SCRIPTS = [name for name in templates.JOBS if name != "test"]
IMAGE = "r.example.com/app"
BY_DIGEST = f"{IMAGE}@{DIGEST}"
OF_GITLAB = {
    "CI_COMMIT_REF_NAME": 'a"b\\c',
    "CI_COMMIT_SHA": "c0ffee",
    "CI_JOB_URL": "https://gitlab.example.com/team/app/-/jobs/1",
    "CI_PIPELINE_CREATED_AT": "2026-01-02T03:04:05Z",
    "CI_PIPELINE_SOURCE": "push",
    "CI_PIPELINE_URL": "https://gitlab.example.com/team/app/-/pipelines/2",
    "CI_PROJECT_URL": "https://gitlab.example.com/team/app",
    "CI_RUNNER_ID": "7",
    "CI_SERVER_URL": "https://gitlab.example.com",
}


OF_BUILDER = {"CNB_USER_ID": str(os.getuid()), "CNB_GROUP_ID": str(os.getgid())}


def _run(folder: Path, name: str, shell: str = SHELLS[0], **inputs: str) -> Answer:
    """Run a component's script with inputs, and with variables, which are in capitals."""
    values = {key: entry["default"] for key, entry in inputs_of(name).items()}
    values |= {"image": BY_DIGEST if name in NEED_A_DIGEST else IMAGE, "tag": "1"}
    values |= {key: value for key, value in inputs.items() if key.islower()}
    job = job_of(name)
    variables: dict[str, str] = {
        key: str(values.get(value.partition("inputs.")[2].partition(" ")[0], value))
        for key, value in job["variables"].items()
    }
    if "TRIVY_CACHE_DIR" in variables:
        variables["TRIVY_CACHE_DIR"] = str(folder / "trivy")
    given = {key: value for key, value in inputs.items() if key.isupper()}
    tool = templates.JOBS[name].tool.replace("builder", "creator")
    (script,) = job["script"]
    return run(folder, script, [tool], shell, **{**variables, **OF_GITLAB, **OF_BUILDER, **given})


NEED_A_DIGEST = ("scan", "sbom", "sign", "attest", "verify")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A project's pipeline with a job of each component."""
    own = {"test": {"script": ["app --version", "app --help"]}}
    included = [
        {"local": f"templates/{name}.yml", "inputs": {"tags": ["any"], **own.get(name, {})}}
        for name in templates.JOBS
    ]
    folder = tmp_path_factory.mktemp("project")
    return resolved(folder, {"include": included}, templates.CHECKOUT / "templates")


@pytest.mark.parametrize("name", templates.JOBS)
def test_a_component_becomes_a_job_of_its_stage(pipeline: dict[str, Any], name: str) -> None:
    job, facts = pipeline[name], templates.JOBS[name]

    assert (job["stage"], job["tags"]) == (facts.stage, ["any"])
    assert job["rules"] == [{"if": facts.condition}]
    image = templates.IMAGES.get(facts.tool, "$IMAGE_REFERENCE")
    assert job["image"] == {"name": image, "entrypoint": [""]}


def test_a_test_runs_the_commands_of_the_project(pipeline: dict[str, Any]) -> None:
    assert pipeline["test"]["script"] == ["app --version", "app --help"]


def test_gitlab_gets_the_reports(pipeline: dict[str, Any]) -> None:
    reports = {name: pipeline[name].get("artifacts", {}).get("reports") for name in templates.JOBS}

    variables = {"dotenv": "image.env"}
    assert {name: report for name, report in reports.items() if report} == {
        "buildpacks": variables,
        "exists": variables,
        "manifest": variables,
        "promote": variables,
        "scan": {"container_scanning": "gl-container-scanning-report.json"},
        "sbom": {"cyclonedx": "gl-sbom-image.cdx.json"},
    }


@pytest.mark.parametrize("name", ["sign", "attest"])
def test_a_job_that_signs_has_a_token_for_sigstore(pipeline: dict[str, Any], name: str) -> None:
    assert pipeline[name]["id_tokens"] == {"SIGSTORE_ID_TOKEN": {"aud": "sigstore"}}


@pytest.mark.parametrize("name", ["sign", "attest"])
def test_jobs_that_sign_take_turns(pipeline: dict[str, Any], name: str) -> None:
    """Their tool reads a list in the registry, and writes it again."""
    assert pipeline[name]["resource_group"] == "signatures"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_components_script_is_clean_shell(name: str) -> None:
    (script,) = job_of(name)["script"]

    assert against_shell(script) == ""
    assert "$[[" not in script


@pytest.mark.parametrize("name", NEED_A_DIGEST)
def test_an_image_without_a_digest_is_refused(tmp_path: Path, name: str) -> None:
    answer = _run(tmp_path, name, image=f"{IMAGE}:1")

    assert answer.status == 1
    assert (
        f"image: must end in a digest, as $IMAGE_REFERENCE of a build does, but is '{IMAGE}:1'"
        in (answer.errors)
    )
    assert answer.calls == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_failed_tool_fails_the_job(tmp_path: Path, name: str) -> None:
    answer = _run(tmp_path, name, TOOL_STATUS="3", SAID="", sources=BY_DIGEST)

    assert answer.status != 0
    assert answer.variables == {}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_job_trusts_the_registrys_ca_and_logs_in(name: str) -> None:
    (script,) = job_of(name)["script"]

    assert templates.script("parts/login.sh").strip().replace("\n", "") in script.replace("\n", "")
    assert 'export SSL_CERT_FILE="$BUILD_CA_FILE"' in script


@pytest.mark.parametrize("shell", SHELLS)
def test_an_image_that_is_there_is_found(tmp_path: Path, shell: str) -> None:
    answer = _run(tmp_path, "exists", shell, output="APP")

    assert answer.calls == [["regctl", "image", "digest", f"{IMAGE}:1"]]
    assert answer.variables == {
        "APP_TAG": f"{IMAGE}:1",
        "APP_DIGEST": DIGEST,
        "APP_REFERENCE": BY_DIGEST,
        "APP_EXISTS": "true",
    }


def test_an_image_that_is_missing_is_told_from_a_failure(tmp_path: Path) -> None:
    missing = _run(tmp_path, "exists", MISSING=f"{IMAGE}:1", SAID="not found [http 404]")
    assert (missing.status, missing.variables) == (0, {"IMAGE_EXISTS": "false"})

    (tmp_path / "project" / "image.env").unlink()
    failed = _run(tmp_path, "exists", MISSING=f"{IMAGE}:1", SAID="unauthorized [http 401]")
    assert (failed.status, failed.variables) == (1, {})
    assert "unauthorized" in failed.errors


@pytest.mark.parametrize("shell", SHELLS)
def test_a_release_is_the_digest_of_the_snapshot(tmp_path: Path, shell: str) -> None:
    source = f"{IMAGE}/snapshot:c0ffee"

    answer = _run(
        tmp_path, "promote", shell, source=source, more_tags="latest\n1.2", MISSING=f"{IMAGE}:1"
    )

    copy = ["regctl", "image", "copy", "--referrers", "--digest-tags", f"{source}@{DIGEST}"]
    assert [call for call in answer.calls if "copy" in call] == [
        [*copy, f"{IMAGE}:1"],
        [*copy, f"{IMAGE}:latest"],
        [*copy, f"{IMAGE}:1.2"],
    ]
    assert answer.variables["IMAGE_REFERENCE"] == BY_DIGEST


def test_a_release_by_digest_keeps_it(tmp_path: Path) -> None:
    answer = _run(tmp_path, "promote", source=BY_DIGEST)

    assert answer.calls[-1][-2:] == [BY_DIGEST, f"{IMAGE}:1"]


def test_a_release_that_is_another_image_stays(tmp_path: Path) -> None:
    answer = _run(tmp_path, "promote", OTHER=f"{IMAGE}:1")

    assert answer.status == 1
    assert f"tag: {IMAGE}:1 is another image, sha256:0b" in answer.errors
    assert not any("copy" in call for call in answer.calls)
    assert _run(tmp_path, "promote", OTHER=f"{IMAGE}:1", overwrite="true").status == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_a_list_has_the_images_of_the_jobs_before(tmp_path: Path, shell: str) -> None:
    left = tmp_path / "project" / "image-builds"
    left.mkdir(parents=True)
    for platform in ("amd64", "arm64"):
        (left / platform).write_text(f"{IMAGE}@sha256:{platform}\n", encoding="utf-8")

    answer = _run(tmp_path, "manifest", shell, more_tags="latest")

    create, *checks, first, second = answer.calls
    assert create == [
        *("regctl", "index", "create", "--by-digest", IMAGE),
        *("--ref", f"{IMAGE}@sha256:amd64", "--ref", f"{IMAGE}@sha256:arm64"),
        *("--platform", "linux/amd64", "--platform", "linux/arm64"),
    ]
    digest = ["regctl", "image", "digest", "--platform"]
    assert checks == [[*digest, "linux/amd64", BY_DIGEST], [*digest, "linux/arm64", BY_DIGEST]]
    assert first == ["regctl", "image", "copy", BY_DIGEST, f"{IMAGE}:1"]
    assert second == ["regctl", "image", "copy", BY_DIGEST, f"{IMAGE}:latest"]
    assert answer.variables["IMAGE_DIGEST"] == DIGEST


def test_a_list_without_a_wanted_platform_gets_no_tag(tmp_path: Path) -> None:
    answer = _run(tmp_path, "manifest", sources=BY_DIGEST, MISSING=BY_DIGEST, SAID="no")

    assert answer.status == 1
    assert "platforms: none of the sources is for linux/amd64" in answer.errors
    assert not any("copy" in call for call in answer.calls)


def test_a_list_without_sources_is_refused(tmp_path: Path) -> None:
    answer = _run(tmp_path, "manifest")

    assert answer.status == 1
    assert "sources: must name the images, or run after their builds" in answer.errors


@pytest.mark.parametrize(("insecure", "hosts"), [("true", {"tls": "disabled"}), ("false", None)])
def test_regctl_reaches_a_registry_without_tls(
    tmp_path: Path, insecure: str, hosts: object
) -> None:
    (script,) = job_of("exists")["script"]
    show = script + '\ncat "$REGCTL_CONFIG"'
    variables = {"BUILD_IMAGE": IMAGE, "BUILD_TAG": "1", "BUILD_OUTPUT": "A", "BUILD_CA_FILE": ""}

    answer = run(tmp_path, show, ["regctl"], BUILD_INSECURE=insecure, **variables)

    config = json.loads(answer.output.splitlines()[-1])
    assert config.get("hosts", {}).get("r.example.com") == hosts


def test_cosign_signs_by_the_token_or_by_a_key(tmp_path: Path) -> None:
    (keyless,) = _run(tmp_path, "sign").calls
    assert keyless == ["cosign", "sign", "--yes", "--recursive", BY_DIGEST]

    (by_key,) = _run(
        tmp_path,
        "sign",
        key="env://COSIGN_PRIVATE_KEY",
        transparency_log="true",
        recursive="false",
        insecure_registry="true",
        flags="-a\nteam=a b",
    ).calls
    assert by_key == [
        *("cosign", "sign", "--yes", "--key", "env://COSIGN_PRIVATE_KEY"),
        *("--allow-http-registry", "-a", "team=a b", BY_DIGEST),
    ]


@pytest.mark.parametrize("name", ["sign", "attest"])
def test_a_key_signs_without_services_but_where_it_is_to(tmp_path: Path, name: str) -> None:
    offline, logged = (
        _run(tmp_path, name, key="cosign.key", transparency_log=log) for log in ("false", "true")
    )

    assert (offline.status, logged.status) == (0, 0), offline.errors
    (call,), (other,) = offline.calls, logged.calls
    own = {"--signing-config", "--trusted-root"}
    assert own <= {*call}
    assert not own & {*other}


def test_a_signature_without_a_key_says_what_it_needs(tmp_path: Path) -> None:
    answer = _run(tmp_path, "sign", TOOL_STATUS="7")

    assert answer.status == 7
    assert "key: is empty, so Sigstore must accept the token of this GitLab" in answer.errors
    by_key = _run(tmp_path, "sign", key="cosign.key", TOOL_STATUS="7")
    assert (by_key.status, by_key.errors) == (7, "")


def test_verify_demands_the_public_log_where_it_is_to(tmp_path: Path) -> None:
    (call,) = _run(tmp_path, "verify", key="cosign.pub", transparency_log="true").calls

    assert call == ["cosign", "verify", "--key", "cosign.pub", BY_DIGEST]


def test_an_image_with_attestations_alone_is_not_signed(tmp_path: Path) -> None:
    answer = _run(tmp_path, "verify", key="cosign.pub", FOUND="https://slsa.dev/provenance/v1")

    assert answer.status == 1
    assert f"image: {BY_DIGEST} has signed attestations, but is not signed" in answer.errors
    of_cosign_2 = _run(tmp_path, "verify", key="a.pub", FOUND="cosign container image signature")
    assert of_cosign_2.status == 0


def test_verify_asks_who_signed(tmp_path: Path) -> None:
    identity = "^https://gitlab.example.com/team/app//"
    signer = ["--certificate-identity-regexp", identity, "--certificate-oidc-issuer", "https://g"]

    answer = _run(
        tmp_path,
        "verify",
        identity=identity,
        issuer="https://g",
        attestations="slsaprovenance1\ncyclonedx",
    )

    attestation = ["cosign", "verify-attestation", "--type"]
    assert answer.calls == [
        ["cosign", "verify", *signer, BY_DIGEST],
        [*attestation, "slsaprovenance1", *signer, BY_DIGEST],
        [*attestation, "cyclonedx", *signer, BY_DIGEST],
    ]
    assert f"{BY_DIGEST} has a signed attestation cyclonedx" in answer.output


def test_verify_by_key_asks_for_no_identity(tmp_path: Path) -> None:
    (call,) = _run(tmp_path, "verify", key="cosign.pub").calls

    key = ["--key", "cosign.pub"]
    assert call == ["cosign", "verify", *key, "--insecure-ignore-tlog", BY_DIGEST]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_provenance_names_the_commit_and_the_pipeline(tmp_path: Path, shell: str) -> None:
    kept = tmp_path / "kept"
    (script,) = job_of("attest")["script"]
    keep = script.replace("sign attest", f'cp "$predicate" {kept}\nsign attest')
    variables = {"BUILD_IMAGE": BY_DIGEST, "BUILD_TYPE": "slsaprovenance1", "BUILD_INSECURE": ""}
    empty = dict.fromkeys(("BUILD_KEY", "BUILD_FLAGS", "BUILD_PREDICATE", "BUILD_CA_FILE"), "")

    answer = run(tmp_path, keep, ["cosign"], shell, **variables, **empty, **OF_GITLAB)

    assert answer.status == 0, answer.errors
    predicate = json.loads(kept.read_text(encoding="utf-8"))
    definition, details = predicate["buildDefinition"], predicate["runDetails"]
    (source,) = definition["resolvedDependencies"]
    assert source["digest"] == {"gitCommit": "c0ffee"}
    assert definition["externalParameters"]["ref"] == 'a"b\\c'
    assert details["builder"]["id"] == "https://gitlab.example.com/-/runners/7"
    assert details["metadata"]["invocationId"] == OF_GITLAB["CI_PIPELINE_URL"]
    (call,) = answer.calls
    assert call[:5] == ["cosign", "attest", "--yes", "--type", "slsaprovenance1"]
    assert call[-1] == BY_DIGEST


def test_a_predicate_of_the_project_is_attested(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "sbom.json").write_text("{}", encoding="utf-8")

    (call,) = _run(tmp_path, "attest", type="cyclonedx", predicate="sbom.json").calls

    assert call[3:7] == ["--type", "cyclonedx", "--predicate", "sbom.json"]


@pytest.mark.parametrize("predicate", ["", "missing.json"])
def test_a_predicate_that_is_not_there_is_refused(tmp_path: Path, predicate: str) -> None:
    answer = _run(tmp_path, "attest", type="cyclonedx", predicate=predicate)

    assert answer.status == 1
    assert "predicate: must be a file for the type cyclonedx" in answer.errors
    assert answer.calls == []


def test_a_scan_writes_gitlabs_report_and_then_judges(tmp_path: Path) -> None:
    image, report, table, judged = _run(
        tmp_path, "scan", severity="HIGH,CRITICAL", flags="--ignore-unfixed"
    ).calls

    assert image[:3] == ["trivy", "image", "--ignore-unfixed"]
    assert image[-1] == BY_DIGEST
    assert report[2:-1] == [
        *("--format", "template", "--template", "@/contrib/gitlab.tpl"),
        *("--output", "gl-container-scanning-report.json"),
    ]
    assert table[1:4] == ["convert", "--format", "table"]
    assert judged[4:8] == ["--severity", "HIGH,CRITICAL", "--exit-code", "3"]


def test_a_scan_says_why_it_fails(tmp_path: Path) -> None:
    found = _run(tmp_path, "scan", FOUND="yes")
    assert found.status == 3
    assert "severity: the table above has a finding that is CRITICAL" in found.errors

    unknown = _run(tmp_path, "scan", severity="critical")
    assert unknown.status == 1
    assert 'invalid argument "critical"' in unknown.errors
    assert "finding" not in unknown.errors


def test_a_scan_without_a_database_says_where_it_is_from(tmp_path: Path) -> None:
    answer = _run(tmp_path, "scan", NO_DATABASE="yes")

    assert answer.status == 1
    assert "in the variable TRIVY_DB_REPOSITORY" in answer.errors
    later = _run(tmp_path, "scan", TOOL_STATUS="5")
    assert later.status == 5


def test_a_scan_can_report_without_failing(tmp_path: Path) -> None:
    calls = _run(tmp_path, "scan", severity="").calls

    assert len(calls) == 3
    assert not any("--exit-code" in call for call in calls)


def test_an_sbom_is_cyclonedx_that_gitlab_reads(tmp_path: Path) -> None:
    (call,) = _run(tmp_path, "sbom").calls

    assert call == [
        *("trivy", "image", "--format", "cyclonedx", "--output", "gl-sbom-image.cdx.json"),
        BY_DIGEST,
    ]
    written = (tmp_path / "project" / "gl-sbom-image.cdx.json").read_text(encoding="utf-8")
    assert json.loads(written) == {"specVersion": "1.6"}


def test_buildpacks_get_the_project_and_its_variables(tmp_path: Path) -> None:
    project, app = tmp_path / "project", tmp_path / "app"
    (project / ".git").mkdir(parents=True)
    (project / "main.go").touch()
    app.mkdir()

    answer = _run(
        tmp_path,
        "buildpacks",
        environment="BP_GO_VERSION=1.26\nOTHER=a=b c",
        more_tags="latest",
        flags="-process-type=web",
        insecure_registry="true",
        BUILD_CONTEXT=str(project),
        CNB_APP_DIR=str(app),
    )

    (call,) = answer.calls
    platform = Path(call.pop(call.index("-platform") + 1))
    call.pop(call.index("-report") + 1)
    assert call == [
        *("creator", "-process-type=web", "-cache-image", f"{IMAGE}:cache"),
        *("-insecure-registry", "r.example.com", "-tag", f"{IMAGE}:latest"),
        *("-app", str(app), "-platform", "-report", f"{IMAGE}:1"),
    ]
    given = {file.name: file.read_text(encoding="utf-8") for file in (platform / "env").iterdir()}
    assert given == {"BP_GO_VERSION": "1.26", "OTHER": "a=b c"}
    assert [file.name for file in app.iterdir()] == ["main.go"]
    assert answer.variables["IMAGE_DIGEST"] == DIGEST


def test_buildpacks_keep_layers_where_the_project_says(tmp_path: Path) -> None:
    folders = {"BUILD_CONTEXT": str(tmp_path / "project"), "CNB_APP_DIR": str(tmp_path / "app")}
    (tmp_path / "app").mkdir()

    (call,) = _run(tmp_path, "buildpacks", cache_reference="r/layers:1", **folders).calls
    assert call[1:3] == ["-cache-image", "r/layers:1"]
    (call,) = _run(tmp_path, "buildpacks", cache="false", **folders).calls
    assert "-cache-image" not in call


def test_buildpacks_skip_what_exists(tmp_path: Path) -> None:
    found = {"IMAGE_EXISTS": "true", "IMAGE_DIGEST": DIGEST}

    answer = _run(tmp_path, "buildpacks", skip_existing="true", **found)

    assert (answer.status, answer.calls) == (0, [])
