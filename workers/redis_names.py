"""The names of our keys in Redis. Pure: strings in, strings out.

handsoff:job:{tenant}/{id}            hash   the record, its version, where the job is in its flow
handsoff:steps:{tenant}/{id}/{stage}  hash   the steps of a stage: attempts, faults, done, progress
handsoff:jobs:{tenant}                zset   the tenant's jobs by age
handsoff:living                       set    {tenant}/{id} of the jobs that have not ended
handsoff:after:{tenant}/{id}          set    ids of the jobs that wait for this one
handsoff:leases                       zset   {tenant}/{id}/{stage}/{index} by expiry, in ms of 1970
handsoff:later                        zset   steps that wait before they are tried again, by time
handsoff:changes:{tenant}/{id}        channel, told the version of each change
handsoff:turns:{lane}                 list   the tenants that wait in a lane, the next one first
handsoff:rate:{tenant}                 hash   how many requests it may still send, and since when
handsoff:making:{tenant}               zset   ids of jobs that are being made, by when they are not
handsoff:usage:{tenant}                hash   how many bytes it stores, and when they were counted
handsoff:rebuilt                      which life of Redis was compared with the bucket
handsoff:ended                        list   {tenant}/{id} of jobs whose end nobody was told of yet
handsoff:deliveries                   zset   {tenant}/{webhook}/{name} by when it is tried, in ms
handsoff:reconciled                   which life of Redis the deliveries were compared in
handsoff:index:{tenant}:{collection}  zset   the tenant's resources by age
handsoff:workers                      hash   what each process said of itself last, by its name
handsoff:measures                     hash   sums over all processes, by measure and labels
handsoff:retained                     there for as long as nothing has to be looked at again
"""

from datetime import datetime

LIVING = "handsoff:living"
LEASES = "handsoff:leases"
LATER = "handsoff:later"
REBUILT = "handsoff:rebuilt"
ENDED = "handsoff:ended"
DELIVERIES = "handsoff:deliveries"
RECONCILED = "handsoff:reconciled"
WORKERS = "handsoff:workers"
MEASURES = "handsoff:measures"
RETAINED = "handsoff:retained"


def job(tenant: str, job_id: str) -> str:
    """A job's hash."""
    return f"handsoff:job:{tenant}/{job_id}"


def steps(tenant: str, job_id: str, stage: int) -> str:
    """The hash of the steps of one of a job's stages."""
    return f"handsoff:steps:{tenant}/{job_id}/{stage}"


def index(tenant: str) -> str:
    """A tenant's jobs by age."""
    return f"handsoff:jobs:{tenant}"


def after(tenant: str, job_id: str) -> str:
    """The jobs that wait for this one."""
    return f"handsoff:after:{tenant}/{job_id}"


def changes(tenant: str, job_id: str) -> str:
    """The channel that is told of a job's changes."""
    return f"handsoff:changes:{tenant}/{job_id}"


def resources(tenant: str, collection: str) -> str:
    """A tenant's resources of one collection by age."""
    return f"handsoff:index:{tenant}:{collection}"


def by_age(named: str, born: datetime) -> str:
    """A member of a set by age: microseconds of 1970, then the id, so that texts sort."""
    return f"{int(born.timestamp() * 1_000_000):016d}:{named}"


def turns(lane: str) -> str:
    """The tenants that have steps in a lane."""
    return f"handsoff:turns:{lane}"


def rate(tenant: str) -> str:
    """How many requests a tenant may send."""
    return f"handsoff:rate:{tenant}"


def making(tenant: str) -> str:
    """A tenant's jobs that are being made."""
    return f"handsoff:making:{tenant}"


def usage(tenant: str) -> str:
    """How many bytes a tenant stores."""
    return f"handsoff:usage:{tenant}"
