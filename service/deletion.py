"""Deletes what users ask to be deleted, unless something depends on it or still changes."""

from collections.abc import Sequence

from service.errors import FieldError, HasDependants, StillRunning
from workers.removal import Removal, Removed, Thing, all_dependants, dependants

_NAMED = 20  # Of many dependants these are told.


class Deletion:
    """Judges, and then removes.

    Args:
        removal: does it.
    """

    def __init__(self, removal: Removal) -> None:
        self._removal = removal

    def delete(
        self, tenant: str, collection: str, thing_id: str, cascade: bool, dry: bool = False
    ) -> Removed:
        """Delete something, on request with all that was made of it.

        Args:
            tenant: whose it is.
            collection: what it is.
            thing_id: which one.
            cascade: whether what depends on it goes too.
            dry: only say what would go.

        Raises:
            NotFound: there is no such thing.
            HasDependants: something is made of it that is ready or under way.
            StillRunning: a job of what would go has not ended.
        """
        thing = self._removal.thing(tenant, collection, thing_id)
        things = self._removal.things(tenant)
        made = all_dependants(thing, things) if cascade else []
        blocking = [each for each in dependants(thing, things) if each.counts]
        _refuse_running([*made, thing])
        if blocking and (not cascade or collection == "uploads"):
            raise _has_dependants(thing, blocking)
        going = [*made, thing]
        return self._removal.measured(going) if dry else self._removal.remove(going)


def _refuse_running(things: Sequence[Thing]) -> None:
    running = [thing for thing in things if thing.is_busy]
    if running:
        jobs = [f"/v1/jobs/{thing.job_id}" for thing in running[:_NAMED]]
        raise StillRunning(
            f"{_list(running)}: not ready yet, and not given up",
            f"wait, or cancel first: POST {jobs[0]}/cancel",
            [FieldError(job, "has not ended", "path") for job in jobs],
        )


def _has_dependants(thing: Thing, blocking: Sequence[Thing]) -> HasDependants:
    return HasDependants(
        f"{thing.id} is what {_list(blocking)} is made of",
        "delete these first, or all at once with ?cascade=true",
        [FieldError(f"/v1/{each.place}", f"depends on {thing.id}", "path") for each in blocking],
    )


def _list(things: Sequence[Thing]) -> str:
    named = ", ".join(thing.id for thing in things[:_NAMED])
    return named if len(things) <= _NAMED else f"{named} and {len(things) - _NAMED} more"
