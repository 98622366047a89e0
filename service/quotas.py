"""Whether a tenant may use more: unfinished jobs, images of a generation, bytes in the bucket.

Jobs are counted exactly, over all API processes: a script counts the tenant's living jobs and
those that are being made, and admits the new ones in the same step.

Bytes are counted roughly, and cheaply: the sum over a listing of the tenant's folder, kept for
ten minutes, and what was let in since (bodies, announced uploads, estimates of generations). What
workers write shows at the next listing. Nobody is refused on a sum older than ten seconds: it is
counted again before. A job that runs is never stopped for its bytes.
"""

from collections.abc import Sequence

from redis import Redis

from service.errors import FieldError, QuotaExceeded, TooManyJobs
from service.quota import Quota
from workers import redis_names as names
from workers.lease_scripts import NOW
from workers.storage.base import ObjectStore

_MAKING_SECONDS = 30  # Then who makes a job has died, or the job is among the living.
_KEPT_SECONDS = 600
_FRESH_SECONDS = 10

# KEYS: living, jobs that are being made. ARGV: how many the tenant may have, what its members of
# living begin with, how long making takes in ms, ids of the new jobs. Gives how many there are if
# that is too many, else nothing. Asked again, the same jobs are admitted again.
_ADMIT = (
    NOW
    + """
local seen, count = {}, 0
local function add(id) if not seen[id] then seen[id] = true; count = count + 1 end end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
for _, member in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if string.sub(member, 1, #ARGV[2]) == ARGV[2] then add(string.sub(member, #ARGV[2] + 1)) end
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do add(id) end
local before = count
for i = 4, #ARGV do add(ARGV[i]) end
if count > before and count > tonumber(ARGV[1]) then return before end
for i = 4, #ARGV do redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[i]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return false
"""
)

# KEYS: the sum. ARGV: bytes that came in. Gives the sum with them and its age in seconds; nothing
# where there is none to add to.
_ADD = (
    NOW
    + """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local age = math.floor((now - redis.call('HGET', KEYS[1], 'at')) / 1000)
return {redis.call('HINCRBY', KEYS[1], 'bytes', ARGV[1]), age}
"""
)

# KEYS: the sum. ARGV: bytes, how long they count in seconds.
_SET = (
    NOW
    + """
redis.call('HSET', KEYS[1], 'bytes', ARGV[1], 'at', now)
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
)


class Quotas:
    """Admits what tenants want to use.

    Args:
        redis: where the live view is.
        store: the bucket, whose bytes are counted.
    """

    def __init__(self, redis: Redis, store: ObjectStore) -> None:
        self._redis = redis
        self._store = store
        self._admit = redis.register_script(_ADMIT)
        self._add = redis.register_script(_ADD)
        self._set = redis.register_script(_SET)

    def admit_jobs(self, tenant: str, quota: Quota, job_ids: Sequence[str]) -> None:
        """Let a tenant make jobs; `jobs_made` is to be told, or they count twice for a while.

        Raises:
            TooManyJobs: it would have more unfinished ones than it may.
        """
        if not quota.jobs or not job_ids:
            return
        places = [names.LIVING, names.making(tenant)]
        arguments: list[str | int] = [quota.jobs, f"{tenant}/", _MAKING_SECONDS * 1000, *job_ids]
        found = self._admit(keys=places, args=arguments)
        if found is not None:
            raise TooManyJobs(
                f"{int(found)} jobs of tenant {tenant} have not ended, and it may have "
                f"{quota.jobs} such at a time",
                "wait until some have ended, or cancel some",
            )

    def jobs_made(self, tenant: str, quota: Quota, job_ids: Sequence[str]) -> None:
        """Admitted jobs have been made, and are counted among the living; or could not be."""
        if quota.jobs and job_ids:
            self._redis.zrem(names.making(tenant), *job_ids)

    def check_images(self, quota: Quota, count: int) -> None:
        """Refuse a generation of too many images.

        Raises:
            QuotaExceeded: it is.
        """
        if quota.images and count > quota.images:
            detail = f"{count:,} images are more than the {quota.images:,} of one generation"
            remedy = "ask for fewer, in several generations if need be"
            raise QuotaExceeded(f"count: {detail}", remedy, [FieldError("/count", detail)])

    def admit_bytes(self, tenant: str, quota: Quota, size: int) -> None:
        """Let so many bytes in, as far as is known beforehand.

        Raises:
            QuotaExceeded: the tenant has as many as it may.
            QueueUnavailable, StorageUnavailable: they cannot be counted.
        """
        if not quota.bytes:
            return
        size = min(size, quota.bytes + 1)  # However much somebody may have announced.
        used, age = self._with(tenant, size)
        if used > quota.bytes and age >= _FRESH_SECONDS:
            self._count(tenant)
            used, _ = self._with(tenant, size)
        if used > quota.bytes:
            self._add(keys=[names.usage(tenant)], args=[-size])
            raise QuotaExceeded(
                f"{size:,} bytes more would make {used:,} of tenant {tenant}, which may store "
                f"{quota.bytes:,}",
                "delete what is no longer needed, or ask for less",
            )

    def _with(self, tenant: str, size: int) -> tuple[int, int]:
        """The tenant's bytes with some more, and the age of their sum in seconds."""
        while (found := self._add(keys=[names.usage(tenant)], args=[size])) is None:
            self._count(tenant)
        used, age = found
        return int(used), int(age)

    def _count(self, tenant: str) -> None:
        used = sum(info.size for info in self._store.list(f"{tenant}/"))
        self._set(keys=[names.usage(tenant)], args=[used, _KEPT_SECONDS])
