"""The names of our keys in Redis. Pure: strings in, strings out.

handsoff:job:{tenant}/{id}            hash   the record, its version, where the job is in its flow
handsoff:steps:{tenant}/{id}/{stage}  hash   the steps of a stage: attempts, faults, done, progress
handsoff:jobs:{tenant}                zset   the tenant's jobs by age
handsoff:living                       set    {tenant}/{id} of the jobs that have not ended
handsoff:after:{tenant}/{id}          set    ids of the jobs that wait for this one
handsoff:leases                       zset   {tenant}/{id}/{stage}/{index} by expiry, in ms of 1970
handsoff:later                        zset   steps that wait before they are tried again, by time
handsoff:changes:{tenant}/{id}        channel, told the version of each change
handsoff:rebuilt                      which life of Redis was compared with the bucket
"""

LIVING = "handsoff:living"
LEASES = "handsoff:leases"
LATER = "handsoff:later"
REBUILT = "handsoff:rebuilt"


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
