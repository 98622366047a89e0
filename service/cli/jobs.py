"""`handsoff jobs …`: what the service is doing."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.failures import ExitCode
from service.cli.progress import Bars, describe
from service.cli.session import Session, session
from service.cli.work import Limit

if TYPE_CHECKING:
    from service.client import Job

app = typer.Typer(no_args_is_help=True, help="What the service is doing.")
Id = Annotated[str, typer.Argument(metavar="JOB", help="Its id, job_…")]
COLUMNS = ("id", "kind", "state", "progress", "created_at", "attempt")


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="E.g. generate.")] = None,
    limit: Limit = 20,
) -> None:
    """List jobs, newest first.

    Example: handsoff jobs list --state running
    """
    here = session(context)
    with here.client() as client:
        jobs = list(client.jobs.list(state, kind, limit))
    if here.as_json:
        here.emit_table([job.model_dump(mode="json") for job in jobs], COLUMNS)
        return
    here.emit_table([{**job.model_dump(), "progress": describe(job)} for job in jobs], COLUMNS)


@app.command()
def show(context: typer.Context, job: Id) -> None:
    """Show a job as it stands.

    Example: handsoff jobs show job_01…
    """
    here = session(context)
    with here.client() as client:
        _emit(here, client.jobs.get(job))


@app.command()
def watch(
    context: typer.Context,
    job: Id,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait at most.")] = None,
) -> None:
    """Follow a job to its end. With --json: one line for each change.

    Example: handsoff jobs watch job_01…
    """
    here = session(context)
    with here.client() as client:
        if here.as_json:
            client.jobs.wait(job, lambda seen: print(_line(seen), flush=True), timeout)
            return
        with Bars(here.remarks) as bars:
            bar = bars.add(job)
            try:
                ended = client.jobs.wait(job, bar.job, timeout)
            except KeyboardInterrupt:
                here.remark(f"Job {job} goes on.")
                raise typer.Exit(ExitCode.INTERRUPTED) from None
            bar.finish(ended.state)


@app.command()
def cancel(context: typer.Context, job: Id) -> None:
    """Ask for a job's end. What runs stops within seconds.

    Example: handsoff jobs cancel job_01…
    """
    here = session(context)
    with here.client() as client:
        _emit(here, client.jobs.cancel(job))


def _emit(here: Session, job: "Job") -> None:
    whole = job.model_dump(mode="json")
    reason = f": {job.error.message}" if job.error else ""
    here.emit(
        whole,
        lambda console: console.print(
            f"{job.id}  {job.kind}  {describe(job)}{reason}", markup=False, soft_wrap=True
        ),
    )


def _line(job: "Job") -> str:
    return json.dumps(job.model_dump(mode="json"), ensure_ascii=False)
