"""`handsoff admin …`: what an operator does to Redis and the bucket themselves.

Reads and writes both, for whoever may do that owns the service anyway.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.failures import WrongUsage
from service.cli.place import HERE, DataDir, here
from service.cli.session import session, table

if TYPE_CHECKING:
    from workers.parts import Parts
    from workers.retention import Retention

app = typer.Typer(no_args_is_help=True, help="For whoever keeps a deployment running.")
retention = typer.Typer(no_args_is_help=True, help="What is kept for how long.")
app.add_typer(retention, name="retention")

Tenant = Annotated[str | None, typer.Option(help="Whose; `default` when left out.")]
DOOMED = ("place", "rule", "since", "bytes")


@app.command()
def rebuild(context: typer.Context, data_dir: DataDir = HERE) -> None:
    """Bring Redis back to what the bucket knows, and say what was missing.

    A reaper does this by itself when Redis was emptied or restarted. Doing it once more is
    harmless, also while everything runs.

    Example: handsoff admin rebuild
    """
    with here(data_dir) as (parts, _):
        rows = _rebuilt(parts)
    shared = session(context)
    shared.emit_table(rows, ("tenant", "jobs", "unknown", "unfinished"))
    if any(row["unfinished"] for row in rows):
        shared.remark("Unfinished jobs go on as soon as a reaper and workers run.")


@retention.command("set")
def set_(
    context: typer.Context,
    rules: Annotated[
        list[str], typer.Argument(metavar="WHAT=AGE", help="E.g. generations=30d, jobs=forever.")
    ],
    tenant: Tenant = None,
    data_dir: DataDir = HERE,
) -> None:
    """Give a tenant rules, beside those it has. The reaper applies them once an hour.

    Example: handsoff admin retention set generations=30d uploads=1d jobs=90d
    """
    from workers.retention_rules import parse_rules

    try:
        wanted = parse_rules(" ".join(rules))
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    with here(data_dir) as (parts, settings):
        keeper = _retention(parts, settings)
        keeper.set_rules(_meant(tenant), wanted)
        _show_rules(context, keeper, _meant(tenant))


@retention.command()
def show(context: typer.Context, tenant: Tenant = None, data_dir: DataDir = HERE) -> None:
    """Show a tenant's rules, and which of them are the deployment's.

    Example: handsoff admin retention show
    """
    with here(data_dir) as (parts, settings):
        _show_rules(context, _retention(parts, settings), _meant(tenant))


@retention.command()
def run(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    data_dir: DataDir = HERE,
) -> None:
    """Apply all rules now.

    Example: handsoff admin retention run --dry-run
    """
    with here(data_dir) as (parts, settings):
        keeper = _retention(parts, settings)
        tenants = [tenant] if tenant else keeper.tenants()
        doomed = [each for one in tenants for each in keeper.apply(one, dry_run)]
    rows = [
        {
            "tenant": each.tenant,
            "rule": each.rule,
            "place": each.place,
            "bytes": each.bytes,
            "since": each.since.isoformat(timespec="seconds"),
        }
        for each in doomed
    ]
    shared = session(context)
    shared.emit_table(rows, DOOMED)
    went = "would go" if dry_run else "went"
    freed = sum(each.bytes for each in doomed)
    shared.remark(f"{len(rows)} {went}, {freed:,} bytes.")


def _rebuilt(parts: "Parts") -> list[dict[str, Any]]:
    """Compare and enter; by tenant how many jobs there are, were unknown, and are unfinished."""
    from workers import redis_names as names
    from workers.rebuild import rebuild as enter_all

    rows = []
    for tenant in parts.jobs.documents.tenants():
        found = list(parts.jobs.documents.jobs(tenant))
        read = parts.jobs.records.read
        unknown = sum(read(tenant, job_id) is None for job_id, _ in found)
        unfinished = sum(not has_ended for _, has_ended in found)
        if found:
            counts = {"jobs": len(found), "unknown": unknown, "unfinished": unfinished}
            rows.append({"tenant": tenant, **counts})
    enter_all(parts.orchestrator)
    # The deliveries of webhooks are compared too, by the next reaper that looks.
    parts.redis.delete(names.RECONCILED)
    return rows


def _meant(tenant: str | None) -> str:
    from service.door import DEFAULT_TENANT

    return tenant or DEFAULT_TENANT


def _retention(parts: "Parts", settings: Any) -> "Retention":
    from workers.retention import Retention
    from workers.retention_rules import parse_rules

    return Retention(parts.store, parts.jobs, parse_rules(settings.retention))


def _show_rules(context: typer.Context, keeper: "Retention", tenant: str) -> None:
    from workers.retention_rules import KEPT, spelled

    all_, own = spelled(keeper.rules(tenant)), keeper.own_rules(tenant)
    rows = [
        {"what": what, "kept": all_.get(what, "forever"), "from": _origin(what, all_, own)}
        for what in KEPT
    ]
    shared = session(context)
    shared.emit(rows, lambda console: console.print(table(rows, ("what", "kept", "from"))))


def _origin(what: str, all_: Any, own: Any) -> str:
    if what in own:
        return "tenant"
    return "HANDSOFF_RETENTION" if what in all_ else "nothing said"
