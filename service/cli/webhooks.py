"""`handsoff webhook …`: have an address told how jobs end."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.removal import Yes, confirm
from service.cli.session import Session, session, table
from service.cli.work import Limit, Name

if TYPE_CHECKING:
    from service.client import Delivery, Webhook

app = typer.Typer(no_args_is_help=True, help="Be told, without asking, how jobs end.")
Id = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id, whk_…")]
COLUMNS = ("id", "name", "url", "events", "created_at")
SENT = ("id", "type", "job_id", "state", "tries", "last", "created_at")


@app.command()
def create(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="https://…, where nothing else is allowed.")],
    event: Annotated[
        list[str] | None,
        typer.Option(
            help="job.succeeded, job.failed or job.cancelled; all if left out. May be repeated."
        ),
    ] = None,
    name: Name = "",
) -> None:
    """Have an address told how jobs end; prints the secret of the signatures, once.

    Example: handsoff webhook create https://hooks.example.org/handsoff --event job.failed
    """
    here = session(context)
    with here.client() as client:
        made = client.webhooks.create(url, event or None, name=name)
    # Alone on stdout, so that SECRET=$(handsoff webhook create …) holds it.
    here.emit(
        made.model_dump(mode="json"),
        lambda console: console.print(made.secret, markup=False, soft_wrap=True),
    )
    here.remark(
        f"Webhook {made.id} signs what it sends with this secret; this is the only time that it is "
        f"shown. Try it: handsoff webhook test {made.id}"
    )


@app.command("list")
def list_(context: typer.Context) -> None:
    """List webhooks, newest first.

    Example: handsoff webhook list
    """
    here = session(context)
    with here.client() as client:
        here.emit_table([_row(here, each) for each in client.webhooks.list()], COLUMNS)


@app.command()
def show(context: typer.Context, webhook: Id) -> None:
    """Show a webhook, without its secret.

    Example: handsoff webhook show whk_01…
    """
    here = session(context)
    with here.client() as client:
        row = _row(here, client.webhooks.get(webhook))
    shown = [{"": name, " ": row.get(name)} for name in COLUMNS]
    here.emit(row, lambda console: console.print(table(shown, ("", " "))))


@app.command()
def test(context: typer.Context, webhook: Id) -> None:
    """Have a made-up event sent.

    Example: handsoff webhook test whk_01…
    """
    here = session(context)
    with here.client() as client:
        sent = client.webhooks.test(webhook)
    here.emit(
        sent.model_dump(mode="json"),
        lambda console: console.print(f"{sent.id}  {sent.state}", markup=False),
    )
    here.remark(f"What became of it: handsoff webhook deliveries {webhook}")


@app.command()
def deliveries(context: typer.Context, webhook: Id, limit: Limit = 20) -> None:
    """List what was sent, newest first, and what came of it.

    Example: handsoff webhook deliveries whk_01… --limit 5
    """
    here = session(context)
    with here.client() as client:
        found = list(client.webhooks.deliveries(webhook, limit))
    here.emit_table([_sent(here, each) for each in found], SENT)


@app.command()
def delete(context: typer.Context, webhook: Id, yes: Yes = False) -> None:
    """Have an address told no more; what was sent to it is forgotten too.

    Example: handsoff webhook delete whk_01… --yes
    """
    here = session(context)
    with here.client() as client:
        confirm(here, lambda: f"{client.webhooks.get(webhook).url}. Delete for good?", yes)
        client.webhooks.delete(webhook)
    here.emit({"deleted": [webhook]}, lambda console: console.print(f"deleted: {webhook}"))


def _row(here: Session, webhook: "Webhook") -> dict[str, Any]:
    """A webhook that was not just made: nobody has its secret any more."""
    row = webhook.model_dump(mode="json", exclude={"secret"})
    return row if here.as_json else {**row, "events": " ".join(webhook.events)}


def _sent(here: Session, delivery: "Delivery") -> dict[str, Any]:
    """A delivery; for people with how often it was tried, and how that went."""
    row = delivery.model_dump(mode="json")
    if here.as_json:
        return row
    last = delivery.attempts[-1] if delivery.attempts else None
    outcome = "" if last is None else last.error or last.status
    return {**row, "tries": len(delivery.attempts), "last": outcome}
