"""`handsoff up` and `handsoff demo`: HandsOff on this machine, all processes of it."""

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.failures import NotStarted
from service.cli.session import session

if TYPE_CHECKING:
    from service.supervisor.machine import Machine, OnEvent

DataDir = Annotated[Path, typer.Option(help="Where everything is kept: data, results, logs.")]
ComputeWorkers = Annotated[
    int | None, typer.Option(min=1, help="How many; one per GPU, or one, when left out.")
]


def up(
    context: typer.Context,
    data_dir: DataDir = Path(".handsoff"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    compute_workers: ComputeWorkers = None,
) -> None:
    """Start HandsOff on this machine: Redis, service, workers and reaper. Ctrl-C stops all.

    HANDSOFF_REDIS_URL and HANDSOFF_STORE_URL name a Redis or a bucket to use in place of its own.

    Example: handsoff up --port 8080
    """
    from service.supervisor.machine import assemble
    from service.supervisor.place import CannotStart, DataDirectory

    here = session(context)
    data = DataDirectory(data_dir)
    try:
        with data.locked():
            here.remark(f"Starting HandsOff in {data.root} …")
            machine = assemble(data, here.remark, host, port, compute_workers)
            _stop_on_signals(machine)
            machine.supervisor.run(lambda: _announce(machine, here.remark))
    except CannotStart as error:
        raise NotStarted(str(error)) from error
    here.remark("Stopped.")


def demo(
    context: typer.Context,
    data_dir: DataDir = Path(".handsoff"),
    images: Annotated[int, typer.Option(min=1, help="Labelled images to learn from.")] = 16,
    samples: Annotated[int, typer.Option(min=1, help="Labelled images to make.")] = 2000,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    compute_workers: ComputeWorkers = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="4 images, 64 samples: does it run at all?")
    ] = False,
) -> None:
    """From 16 labelled images to 2,000, on a domain that ships with HandsOff.

    Starts everything, then acts as a client over HTTP. Takes minutes on two cores.

    Example: handsoff demo
    """
    from service.cli.demo import run_demo
    from service.cli.demo_scale import scale_of

    # As Ctrl-C: whatever was started is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    here = session(context)
    run_demo(here, data_dir, port, compute_workers, scale_of(images, samples, quick))


def _stop_on_signals(machine: "Machine") -> None:
    """SIGINT and SIGTERM stop the machine; a second one stops it at once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        machine.supervisor.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def _announce(machine: "Machine", tell: "OnEvent") -> None:
    """Tell people, and whoever looks into the folder, that everything runs."""
    machine.describe()
    tell(
        f"HandsOff answers at {machine.url} (its API: {machine.url}/docs)\n"
        f"Logs: {machine.data.logs}. Ctrl-C stops it."
    )
