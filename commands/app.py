"""The command line: ``python -m commands``.

A command imports what it needs when it runs, so the help and completion answer at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from commands.shared import options
from commands.shared.exit_codes import ExitCode
from commands.shared.options import Output, Reviewed, Stack
from report.errors import ReportError

_CODES = "\n\n".join(f"{code:d}  {code.meaning}" for code in ExitCode)

app = typer.Typer(
    help="Preview, deploy, compare and check the runners of a stack.",
    epilog=f"Exit codes:\n\n{_CODES}",
    pretty_exceptions_enable=False,
)


def main(arguments: Sequence[str], program: str = "python -m commands") -> int:
    """Run a command and return its exit code; a usage error or no command is a failure.

    The help calls it ``program``.
    """
    try:
        code = app(arguments or ["--help"], prog_name=program, standalone_mode=False)
    except typer.TyperException as error:
        message = error.format_message().strip().rstrip(".")
        print(f"{message}; see {program} --help", file=sys.stderr)
        return ExitCode.FAILED
    except ReportError as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILED
    return code if arguments else ExitCode.FAILED


@app.command()
def preview(
    *,
    stack: Stack = "dev",
    output: Output = Path("build/preview"),
    note_limit: Annotated[
        int | None,
        typer.Option(help="The most characters of note.md; by default the limit of GitLab."),
    ] = None,
    reviewed: Reviewed = False,
    settings_from: Annotated[
        Path | None,
        typer.Option(help="A stack file whose settings are previewed with this program."),
    ] = None,
) -> int:
    """Show what a change does to a stack: resources, security, jobs and policies."""
    from commands import preview
    from commands.shared.stacks import on_stack

    return on_stack(
        stack,
        lambda opened: preview.run(
            opened,
            output=output,
            note_limit=note_limit,
            reviewed=reviewed,
            settings_from=settings_from,
        ),
    )


@app.command()
def deploy(
    *, stack: Stack = "dev", output: Output = Path("build/deploy"), reviewed: Reviewed = False
) -> int:
    """Preview a stack, update it unless the preview stops it, and check what the update did.

    It fails if the update did anything that its preview had not shown.
    """
    from commands import deploy
    from commands.shared.stacks import on_stack

    return on_stack(stack, lambda opened: deploy.run(opened, output=output, reviewed=reviewed))


@app.command()
def drift(*, stack: Stack = "dev", output: Output = Path("build/drift")) -> int:
    """Compare the cluster with what was deployed, and keep a GitLab issue while it differs.

    Neither the cluster nor the state changes. The objects of Helm releases are compared with their
    manifests, which needs helm 3.17 or later on PATH.
    """
    from commands import drift
    from commands.shared.stacks import on_stack

    return on_stack(stack, lambda opened: drift.run(opened, output=output))


@app.command()
def compare(
    *,
    base: Annotated[str, typer.Option(help="The commit to compare with.")],
    stack: Stack = "dev",
    output: Output = Path("build/compare"),
) -> int:
    """Compare a stack file with that of a commit, without an engine, a cluster or a secret.

    It is for merge requests from forks, which have none of these.
    """
    from commands import compare

    return compare.run(stack, base=base, output=output)


@app.command()
def explain(
    *,
    stack: Stack = "dev",
    strategy: Annotated[
        str, typer.Option(help="In YAML: a strategy that replaces that of every runner.")
    ] = "",
    cluster: Annotated[
        bool,
        typer.Option("--cluster", help="Say what the file declares of the cluster and is not so."),
    ] = False,
) -> int:
    """Show which strategy each runner of a stack file has, why, and what rules out the others."""
    from commands import explain

    code = explain.run(stack, strategy)
    if cluster:
        from commands import declared

        return declared.run(stack, strategy)
    return code


@app.command()
def doctor(  # noqa: PLR0913 - a command has its options
    *,
    stack: Stack = "dev",
    output: Output = Path("build/doctor"),
    repository: Annotated[
        str,
        typer.Option(help="A repository that builds push to, with its registry, to try that out."),
    ] = "",
    what_if: Annotated[
        str, typer.Option(help="In YAML: a strategy to look for in place of that of every runner.")
    ] = "",
    build: Annotated[
        bool, typer.Option("--build", help="Build, push, pull and run an image, by each runner.")
    ] = False,
    base: Annotated[
        str, typer.Option(help="The image that --build builds from; it must have a shell.")
    ] = "",
) -> int:
    """Look for what keeps a stack from working on its cluster, before a job meets it.

    Without --build it only reads: what it tries out at the API server is a dry run, and what it
    begins at a registry it gives up. GITLAB_TOKEN lets it see the runners in GitLab.
    """
    from commands import doctor
    from commands.shared.stacks import on_stack

    return on_stack(
        stack,
        lambda opened: doctor.run(
            opened, output=output, repository=repository, what_if=what_if, build=build, base=base
        ),
    )


@app.command()
def pipeline(  # noqa: PLR0913 - one for each option
    files: Annotated[list[Path], typer.Argument(help="The files of pipelines.")],
    *,
    stack: Stack = "dev",
    output: Annotated[
        Path | None, typer.Option(help="A folder for pipeline.json and quality.json.")
    ] = None,
    project: Annotated[
        str,
        typer.Option(help="A project in GitLab, by its path or ID, that resolves other includes."),
    ] = "",
    merged: Annotated[
        bool, typer.Option("--merged", help="The files are as GitLab shows them, merged.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Make the changes that need no decision.")
    ] = False,
) -> int:
    """Say which jobs of a pipeline run on the runners of a stack, and what others must change.

    Local includes are read, and all others listed. With --project GitLab resolves those, for which
    GITLAB_TOKEN must have a token; --merged takes what GitLab shows as the full configuration.
    """
    from commands import pipeline

    return pipeline.run(files, stack, output=output, write=write, merged=merged, project=project)


@app.command(name="import")
def import_site(  # noqa: PLR0913 - one for each option
    files: options.ImportedFiles = None,
    *,
    stack: options.NewStack,
    cluster: options.Context = "",
    namespace: options.Namespace = "",
    gitlab_ci: options.Pipelines = None,
    overwrite: options.Overwrite = False,
) -> int:
    """Write a stack file for runners that exist, and say what becomes of each of their keys.

    It reads values.yaml, HelmRelease, Application, helmfile, ConfigMap and config.toml. A secret in
    them stays out of the stack file and of the report.
    """
    from commands import import_site

    return import_site.run(
        files or [],
        stack,
        gitlab_ci=gitlab_ci or [],
        context=cluster,
        namespace=namespace,
        overwrite=overwrite,
    )


@app.command()
def policies(
    *,
    stack: Stack = "dev",
    state: Annotated[
        Path | None,
        typer.Option(help="A file of pulumi stack export, in place of the state in the backend."),
    ] = None,
) -> int:
    """Check the state of a stack against the policies, without a cluster."""
    from commands import policies
    from commands.shared.stacks import on_stack

    if state:
        return policies.check_file(state)
    return on_stack(stack, policies.run)
