"""How many requests a tenant may send in a minute: one bucket of tokens a tenant, in Redis.

It holds as many as the tenant may send in a minute and fills evenly, so that after a pause a
burst is served and in the long run the rate holds, over all API processes together.

If Redis does not answer, requests are let through. The limit keeps one tenant from crowding out
others, it is no lock: to refuse everybody would be the very outage that it is there to prevent,
and whatever needs Redis says so by itself.
"""

import time
from collections.abc import Callable

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.errors import TooManyRequests
from workers import redis_names as names
from workers.lease_scripts import NOW

_TIMEOUT_SECONDS = 0.25
_PAUSE_SECONDS = 1.0
_log = structlog.get_logger(__name__)

# KEYS: the bucket. ARGV: tokens a minute. Gives the seconds until there is a token; 0: one was
# taken. A clock that was set back, as after a failover, takes nothing away.
_TAKE = (
    NOW
    + """
local full = tonumber(ARGV[1])
local a_second = full / 60
local bucket, tokens = redis.call('HMGET', KEYS[1], 'tokens', 'at'), full
if bucket[1] then
    tokens = math.min(full, bucket[1] + math.max(0, now - bucket[2]) * a_second / 1000)
end
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) / a_second) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], 120000)
return wait
"""
)


class RateLimiter:
    """Counts requests. Belongs to one event loop.

    Args:
        redis_url: where the buckets are.
        seconds: a clock that only goes forward.
    """

    def __init__(self, redis_url: str, seconds: Callable[[], float] = time.monotonic) -> None:
        # Not the client of the others, which sits out a Redis that is away: here nobody waits.
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._take = self._redis.register_script(_TAKE)
        self._seconds = seconds
        self._away_until = 0.0

    async def take(self, tenant: str, a_minute: int) -> None:
        """Count a request of a tenant.

        Args:
            tenant: whose.
            a_minute: how many it may send; 0 for as many as it likes.

        Raises:
            TooManyRequests: it has sent as many; with the seconds until the next may come.
        """
        if not a_minute or self._seconds() < self._away_until:
            return
        try:
            wait = int(await self._take(keys=[names.rate(tenant)], args=[a_minute]))
        except (RedisError, OSError) as error:
            self._away_until = self._seconds() + _PAUSE_SECONDS
            _log.warning("requests are not counted", error=str(error))
            return
        if wait:
            raise TooManyRequests(
                f"tenant {tenant} may send {a_minute} requests a minute",
                "wait for as long as Retry-After says; `?wait=` on jobs takes fewer requests",
                headers={"Retry-After": str(wait)},
            )

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()
