"""What the reaper's process does beside its rounds, so that these never wait for it."""

from collections.abc import Sequence
from functools import partial

import structlog

from workers.chores import Chore
from workers.deliveries import Deliverer
from workers.parts import Parts
from workers.presence import REAPER, new_name, present
from workers.receivers import Receivers
from workers.retention import Retention
from workers.retention_rules import parse_rules
from workers.settings import WorkerSettings
from workers.storage.base import ObjectStore
from workers.webhooks import WebhookDocuments

_SWEEP_SECONDS = 3600.0
_LOOK_SECONDS = 60.0  # How often it is asked whether retention is due.
_log = structlog.get_logger(__name__)


def chores(parts: Parts, settings: WorkerSettings) -> Sequence[Chore]:
    """Telling webhooks, removing what no rule keeps, and saying that a reaper is there.

    Args:
        parts: what to work with.
        settings: how patient to be, and the rules.
    """
    receivers = Receivers(settings.webhook_allow)
    deliverer = Deliverer(parts.jobs, WebhookDocuments(parts.store), receivers)
    retention = Retention(parts.store, parts.jobs, parse_rules(settings.retention))
    return [
        Chore("deliveries", deliverer.round, settings.reap_seconds),
        Chore("retention", retention.hourly, _LOOK_SECONDS),
        Chore("left over", partial(_remove_left_over, parts.store), _SWEEP_SECONDS),
        present(parts.redis, REAPER, new_name()),
    ]


def _remove_left_over(store: ObjectStore) -> None:
    """Remove what killed writers left in the bucket, such as the parts of half an upload."""
    if removed := store.remove_left_over():
        _log.info("left-over writes removed", count=removed)
