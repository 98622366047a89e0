"""`handsoff keys …`: who may ask a service, and how much.

Reads and writes the bucket itself, for whoever may do that owns the service anyway: run it where
the service's settings are (HANDSOFF_STORE_URL, HANDSOFF_S3_…), or beside its data directory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from service.api_keys import TENANT, ApiKey, Scope
from service.cli.failures import WrongUsage
from service.cli.place import HERE, DataDir, opened, settings_of
from service.cli.session import Session, session, table
from service.quota import UNLIMITED, Quota, amount, span

if TYPE_CHECKING:
    from service.access import AccessDocuments

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="API keys of a service, and quotas of its tenants.")
COLUMNS = ("id", "tenant", "scope", "name", "state", "created_at", "expires_at")
NEVER = "never"
_EFFECT = "It takes effect within ten seconds, in every process of the service."

Id = Annotated[str, typer.Argument(metavar="ID", help="The public part: ho_ID_…")]
Amount = Annotated[str | None, typer.Option(metavar="N", help="0 is no limit; or `default`.")]


@app.command()
def create(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help="For whom: lower-case letters, digits, dashes.")],
    scope: Annotated[Scope, typer.Option(help="read < write < admin.")],
    expires: Annotated[str, typer.Option(help="After 24h, 90d, 2w … or never.")] = NEVER,
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    data_dir: DataDir = HERE,
) -> None:
    """Make a key and print it, once: only its digest is kept.

    With the first key of a service, all of its requests need one.

    Example: handsoff keys create --tenant vision --scope write --expires 90d
    """
    if not TENANT.fullmatch(tenant):
        raise WrongUsage(f"--tenant {tenant!r}: use 1 to 63 lower-case letters, digits and dashes")
    lifetime = None if expires == NEVER else _meant(span, "--expires", expires)
    with _documents(context, data_dir) as documents:
        _show_once(session(context), *documents.create(tenant, scope, name, lifetime))


@app.command("list")
def list_(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    data_dir: DataDir = HERE,
) -> None:
    """List keys, without their secrets.

    Example: handsoff keys list --tenant vision
    """
    with _documents(context, data_dir) as documents:
        keys = documents.load().keys.values()
    found = [key for key in keys if tenant in (None, key.tenant)]
    found.sort(key=lambda key: (key.tenant, key.created_at))
    session(context).emit_table([_row(key) for key in found], COLUMNS)


@app.command()
def revoke(context: typer.Context, key: Id, data_dir: DataDir = HERE) -> None:
    """Make a key useless, for good.

    Example: handsoff keys revoke k3v7w2q5n6ab
    """
    here = session(context)
    with _documents(context, data_dir) as documents:
        revoked = documents.revoke(_id(key))
    here.emit(_row(revoked), lambda console: console.print(f"revoked {revoked.id}"))
    here.remark(_EFFECT)


@app.command()
def rotate(
    context: typer.Context,
    key: Id,
    grace: Annotated[str, typer.Option(help="How long the old secret still counts.")] = "24h",
    data_dir: DataDir = HERE,
) -> None:
    """Give a key a new secret and print it, once.

    Example: handsoff keys rotate k3v7w2q5n6ab --grace 24h
    """
    time = _meant(span, "--grace", grace)
    with _documents(context, data_dir) as documents:
        _show_once(session(context), *documents.rotate(_id(key), time))
    session(context).remark(f"The old secret counts for {grace} longer.")


@app.command()
def quota(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Whose.")],
    jobs: Amount = None,
    images: Amount = None,
    bytes_: Annotated[str | None, typer.Option("--bytes", metavar="N", help="E.g. 100GB.")] = None,
    rpm: Amount = None,
    data_dir: DataDir = HERE,
) -> None:
    """Show or change what a tenant may use.

    Unfinished jobs, images of one generation, bytes in the bucket, requests a minute.

    Example: handsoff keys quota vision --jobs 4 --images 50000 --bytes 100GB --rpm 600
    """
    if not TENANT.fullmatch(tenant):
        raise WrongUsage(f"{tenant!r} is no name of a tenant")
    said = {"jobs": jobs, "images": images, "bytes": bytes_, "rpm": rpm}
    changes = {name: _limit(name, text) for name, text in said.items() if text is not None}
    with _documents(context, data_dir) as documents:
        if changes:
            found = documents.change_quota(tenant, lambda old: old.model_copy(update=changes))
        else:
            found = documents.load().quotas.get(tenant, Quota())
    _show_quota(session(context), found)


@contextmanager
def _documents(context: typer.Context, data_dir: Path) -> Iterator["AccessDocuments"]:
    """The keys and quotas of the bucket that is meant; Redis is not asked."""
    from service.access import AccessDocuments
    from workers.settings import ConnectionSettings

    try:
        settings = settings_of(ConnectionSettings, data_dir)
    except ValidationError as error:
        raise WrongUsage(str(error)) from error
    session(context).remark(f"In {settings.store_url}:")
    with opened(settings) as parts:
        yield AccessDocuments(parts.store)


def _id(text: str) -> str:
    """The public part of what somebody may have copied with more around it."""
    return text.removeprefix("ho_").partition("_")[0]


def _show_once(here: Session, key: ApiKey, token: str) -> None:
    """Print a token: alone on stdout, so that `KEY=$(handsoff keys create …)` holds it."""
    here.emit({**_row(key), "key": token}, lambda console: console.print(token, soft_wrap=True))
    here.remark(
        f"This is the only time it is shown. It is good for {key.scope} as tenant {key.tenant}; "
        f"clients take it from HANDSOFF_API_KEY. {_EFFECT}"
    )


def _show_quota(here: Session, found: Quota) -> None:
    values = found.model_dump(exclude={"schema_version"})
    rows = [{"what": name, "limit": _in_words(value)} for name, value in values.items()]
    here.emit(values, lambda console: console.print(table(rows, ("what", "limit"))))


def _in_words(limit: int | None) -> str:
    if limit is None:
        return "default"
    return "no limit" if limit == UNLIMITED else f"{limit:,}"


def _row(key: ApiKey) -> dict[str, Any]:
    from workers.clock import utc_now

    shown = key.model_dump(mode="json", exclude={"schema_version", "secrets"})
    return {**shown, "state": key.state(utc_now())}


def _limit(name: str, text: str) -> int | None:
    return None if text == "default" else _meant(amount, f"--{name}", text)


def _meant(read: Callable[[str], T], option: str, text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise WrongUsage(f"{option}: {error}") from error
