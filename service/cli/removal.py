"""`handsoff delete`, and the `delete` of each kind of resource: asks before anything is gone."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.failures import WrongUsage
from service.cli.progress import size
from service.cli.session import Session, session

if TYPE_CHECKING:
    from service.client import Deleted

Cascade = Annotated[bool, typer.Option("--cascade", help="With what was made of it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AnyId = Annotated[
    str, typer.Argument(metavar="RESOURCE", help="The id of any resource, e.g. gnn_…")
]


def delete(
    context: typer.Context,
    resource: AnyId,
    cascade: Cascade = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete a resource of any kind, with all of its files. It is refused while others need it.

    Examples:
    handsoff delete gnn_01… --dry-run

    handsoff delete gen_01… --cascade --yes
    """
    _delete(session(context), resource, cascade, dry_run, yes)


def add_delete(group: typer.Typer, one: str, prefix: str) -> None:
    """Give a group of commands the one that deletes.

    Args:
        group: the commands on a kind of resource.
        one: what one of them is called, as in the group's name.
        prefix: what its ids begin with.
    """
    Id = Annotated[str, typer.Argument(metavar="ID", help=f"Its id, {prefix}_…")]  # noqa: N806
    text = (
        f"Delete a resource of this kind, with all of its files. It is refused while others need "
        f"it.\n\nExample: handsoff {one} delete {prefix}_01… --cascade --dry-run"
    )

    @group.command("delete", help=text)
    def delete_one(
        context: typer.Context,
        resource: Id,
        cascade: Cascade = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        if not resource.startswith(f"{prefix}_"):
            raise WrongUsage(
                f"{resource!r} is no {one}'s id, which begins with {prefix}_; "
                "`handsoff delete` takes any kind"
            )
        _delete(session(context), resource, cascade, dry_run, yes)


def confirm(here: Session, question: Callable[[], str], yes: bool) -> None:
    """Go on only if that was said already, or is said now.

    Raises:
        WrongUsage: nobody is there to be asked.
        typer.Abort: the answer was no.
    """
    if yes:
        return
    if here.as_json or not sys.stdin.isatty():
        raise WrongUsage("nobody is here to be asked, so nothing was deleted; to delete, add --yes")
    typer.confirm(question(), abort=True, err=True)


def _delete(here: Session, resource: str, cascade: bool, dry_run: bool, yes: bool) -> None:
    with here.client() as client:
        collection = client.collection(resource)

        def question() -> str:
            going = collection.delete(resource, cascade=cascade, dry_run=True)
            return f"{_words(going)}. Delete for good?"

        if not dry_run:
            confirm(here, question, yes)
        gone = collection.delete(resource, cascade=cascade, dry_run=dry_run)
    head = "would be deleted: " if dry_run else "deleted: "
    here.emit(
        gone.model_dump(mode="json"),
        lambda console: console.print(head + _words(gone), markup=False, soft_wrap=True),
    )


def _words(gone: "Deleted") -> str:
    return f"{', '.join(gone.deleted)} ({size(gone.bytes)})"
