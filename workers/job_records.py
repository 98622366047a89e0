"""Job records as Redis holds them: entered once, swapped by version, found by age. No bucket here.

A command whose answer is lost is sent again, so that every script can be run twice.
"""

import json
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from enum import IntEnum

from redis import Redis

from workers import redis_names as names
from workers.flows import FLOWS
from workers.jobs import JobError, JobRecord, JobState
from workers.redis_client import unavailable

_MEMBER = re.compile(r"\d{16}:[a-z]+_[0-9a-z]{1,64}")
_PAGE = 200

# KEYS: job, index, living, what waits for each parent.
# ARGV: record, version, member of the index, member of living or "", cancel or "", attempts, id.
_ENTER = """
if redis.call('HEXISTS', KEYS[1], 'record') == 1 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'version', ARGV[2], 'base', ARGV[6], 'leased', 0)
redis.call('ZADD', KEYS[2], 0, ARGV[3])
if ARGV[4] == '' then redis.call('HSET', KEYS[1], 'ended', 1)
else redis.call('SADD', KEYS[3], ARGV[4]) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'cancel', 1) end
for i = 4, #KEYS do redis.call('SADD', KEYS[i], ARGV[7]) end
return 1
"""

# KEYS: job, living, ended. ARGV: version before, record, version, nonce, cancel or "", member of
# living if the job ends or "", channel.
_SWAP = """
if redis.call('HGET', KEYS[1], 'nonce') == ARGV[4] then return 1 end
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
local wish = ARGV[5] ~= '' and ARGV[6] == '' and redis.call('HEXISTS', KEYS[1], 'cancel') == 0
if wish and redis.call('HEXISTS', KEYS[1], 'verdict') == 1 then return 2 end
redis.call('HSET', KEYS[1], 'record', ARGV[2], 'version', ARGV[3], 'nonce', ARGV[4])
if wish then redis.call('HSET', KEYS[1], 'cancel', 1) end
if ARGV[6] ~= '' then
    redis.call('HSET', KEYS[1], 'ended', 1)
    redis.call('SREM', KEYS[2], ARGV[6])
    redis.call('RPUSH', KEYS[3], ARGV[6])
end
redis.call('PUBLISH', ARGV[7], ARGV[3])
return 1
"""

# KEYS: job. ARGV: verdict, verdict if there is a wish to cancel. The first verdict counts.
_DECIDE = """
local verdict = redis.call('HGET', KEYS[1], 'verdict')
if verdict then return verdict end
verdict = ARGV[1]
if redis.call('HEXISTS', KEYS[1], 'cancel') == 1 then verdict = ARGV[2] end
redis.call('HSET', KEYS[1], 'verdict', verdict)
return verdict
"""


class Swap(IntEnum):
    """What became of an attempt to replace a record."""

    CONFLICT = 0
    DONE = 1
    TOO_LATE = 2  # To cancel: how the job ends has been decided.


class JobRecords:
    """Redis's view of all jobs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._enter_script = redis.register_script(_ENTER)
        self._swap_script = redis.register_script(_SWAP)
        self._decide_script = redis.register_script(_DECIDE)

    def read(self, tenant: str, job_id: str) -> JobRecord | None:
        """A record, in one round trip."""
        text = self._redis.hget(names.job(tenant, job_id), "record")
        return JobRecord.model_validate_json(text) if text else None

    def enter(self, record: JobRecord, attempts: int = 0) -> bool:
        """Put a record in unless one is there; its steps' attempts are counted from `attempts`."""
        tenant, job_id = record.tenant, record.id
        has_ended = record.state.is_terminal
        places = [names.job(tenant, job_id), names.index(tenant), names.LIVING]
        parents = [] if has_ended else [names.after(tenant, parent) for parent in record.after]
        arguments: list[str | int] = [
            record.model_dump_json(),
            record.version,
            names.by_age(record.id, record.created_at),
            "" if has_ended else f"{tenant}/{job_id}",
            "1" if record.cancel_requested_at else "",
            attempts,
            job_id,
        ]
        return bool(self._enter_script(keys=places + parents, args=arguments))

    def swap(self, record: JobRecord, changed: JobRecord) -> Swap:
        """Replace a record, if it is still the one that is there, and tell who listens."""
        arguments: list[str | int] = [
            record.version,
            changed.model_dump_json(),
            changed.version,
            secrets.token_hex(8),
            "1" if changed.cancel_requested_at else "",
            f"{record.tenant}/{record.id}" if changed.state.is_terminal else "",
            names.changes(record.tenant, record.id),
        ]
        places = [names.job(record.tenant, record.id), names.LIVING, names.ENDED]
        return Swap(self._swap_script(keys=places, args=arguments))

    def decide(self, ended: JobRecord) -> tuple[JobState, JobError | None]:
        """How a job ends for good: as the first one said, unless it was to be cancelled."""
        wanted = ended.model_dump(mode="json", include={"state", "error"})
        cancelled = {"state": JobState.CANCELLED, "error": None}
        place = names.job(ended.tenant, ended.id)
        verdicts = [json.dumps(wanted), json.dumps(cancelled)]
        decided = json.loads(self._decide_script(keys=[place], args=verdicts))
        error = decided["error"] and JobError.model_validate(decided["error"])
        return JobState(decided["state"]), error

    def is_decided(self, record: JobRecord) -> bool:
        """Whether it has been decided how the job ends, though it has not ended yet."""
        return bool(self._redis.hexists(names.job(record.tenant, record.id), "verdict"))

    def by_age(self, tenant: str, after: str | None, page: int) -> Iterator[tuple[str, JobRecord]]:
        """A tenant's jobs, newest first, each with the cursor that continues behind it.

        Args:
            tenant: whose.
            after: such a cursor; None for the newest.
            page: how many will probably be asked for.

        Raises:
            ValueError: `after` is no cursor of ours.
        """
        position, page = _position(after), max(page, _PAGE)
        while True:
            found = self._redis.zrevrangebylex(names.index(tenant), position, "-", 0, page)
            members = [str(member) for member in found]
            for member, text in zip(members, self._texts(tenant, members), strict=True):
                if text:
                    yield _cursor(member), JobRecord.model_validate_json(text)
            if len(members) < page:
                return
            position = f"({members[-1]}"

    def living(self) -> list[tuple[str, str]]:
        """Tenant and id of every job that has not ended."""
        members = sorted(str(member) for member in self._redis.smembers(names.LIVING))
        return [(tenant, job_id) for tenant, job_id in (m.split("/") for m in members)]

    def dependents(self, tenant: str, job_id: str) -> list[str]:
        """Ids of the jobs that wait for this one."""
        return sorted(str(m) for m in self._redis.smembers(names.after(tenant, job_id)))

    def waits_no_more(self, record: JobRecord) -> None:
        """Take a job that has ended off those that wait for others."""
        for parent in record.after:
            self._redis.srem(names.after(record.tenant, parent), record.id)

    def remove(self, record: JobRecord) -> None:
        """Forget a job that has ended."""
        tenant, job_id = record.tenant, record.id
        stages = range(len(FLOWS[record.kind]) + 1)
        with unavailable(), self._redis.pipeline() as pipeline:
            pipeline.zrem(names.index(tenant), names.by_age(job_id, record.created_at))
            pipeline.srem(names.LIVING, f"{tenant}/{job_id}")
            pipeline.delete(names.job(tenant, job_id), names.after(tenant, job_id))
            pipeline.delete(*(names.steps(tenant, job_id, stage) for stage in stages))
            pipeline.execute()

    def _texts(self, tenant: str, members: list[str]) -> list[str | None]:
        with unavailable(), self._redis.pipeline(transaction=False) as pipeline:
            for member in members:
                pipeline.hget(names.job(tenant, member.partition(":")[2]), "record")
            return list(pipeline.execute())


def _cursor(member: str) -> str:
    return urlsafe_b64encode(member.encode()).decode()


def _position(after: str | None) -> str:
    """Where a listing begins, as Redis wants it."""
    if after is None:
        return "+"
    try:
        member = urlsafe_b64decode(after.encode()).decode()
    except ValueError:
        member = ""
    if not _MEMBER.fullmatch(member):
        raise ValueError(f"{after[:80]!r} is no cursor of this list")
    return f"({member}"
