"""Whose turn it is: the tenants that wait in a lane, each once, served one after another.

A tenant with a hundred steps in the lane and one with a single step have one place each, so the
single step waits for one of the hundred at most. Taking a turn moves the tenant to the end; it
leaves when it is found to have nothing left. Knows no RQ.
"""

from typing import Any

from workers import redis_names as names
from workers.flows import QueueName

# KEYS: turns. ARGV: tenant. Who has a place keeps it: a tenant that queues more must not be moved
# to the end for it, nor get a second place.
_JOIN = """
if not redis.call('LPOS', KEYS[1], ARGV[1]) then redis.call('RPUSH', KEYS[1], ARGV[1]) end
"""

# KEYS: turns, the tenant's own queue. ARGV: tenant.
_LEAVE = """
if redis.call('LLEN', KEYS[2]) == 0 then redis.call('LREM', KEYS[1], 0, ARGV[1]) end
"""


class Turns:
    """The order of the tenants in one lane.

    Args:
        redis: a client of `workers.redis_client.connect_transport`; to join, a pipeline of one.
        lane: which.

    Attributes:
        lane: the same.
    """

    def __init__(self, redis: Any, lane: QueueName) -> None:
        self.lane = lane
        self._redis = redis
        self._place = names.turns(lane)

    def join(self, tenant: str) -> None:
        """Give a tenant a place; in the transaction that puts something into its queue."""
        self._redis.eval(_JOIN, 1, self._place, tenant)

    def next(self, timeout: int | None) -> str | None:
        """The tenant whose turn it is; its next turn comes after everybody else's.

        Args:
            timeout: seconds to wait until somebody has a place; None not to wait.
        """
        if timeout is None:
            tenant = self._redis.lmove(self._place, self._place)
        else:
            tenant = self._redis.blmove(self._place, self._place, timeout)
        return None if tenant is None else tenant.decode()

    def leave(self, tenant: str, queue: str) -> None:
        """Give up a tenant's place, if its queue (the key) is still empty."""
        self._redis.eval(_LEAVE, 2, self._place, queue, tenant)

    def tenants(self) -> list[str]:
        """Everybody who has something in the lane."""
        return [tenant.decode() for tenant in self._redis.lrange(self._place, 0, -1)]
