"""How much a tenant may use: requests, unfinished jobs, images of a generation, bytes."""

from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from support.api import Api, problem
from support.tenants import as_tenant

from service.access import AccessDocuments
from service.errors import TooManyJobs, TooManyRequests
from service.quota import Quota
from service.quotas import Quotas
from service.rate import RateLimiter
from workers import redis_names as names


def limited(api: Api, **limits) -> Api:
    """
    A tenant with a quota.
    """
    AccessDocuments(api.services.store).change_quota("default", lambda _: Quota(**limits))
    return as_tenant(api, "default")


class TestRequests:
    def test_are_refused_beyond_so_many_a_minute(self, api):
        """
        The answer says when there will be room again; another tenant's requests are not counted.
        """
        client, other = limited(api, rpm=3), as_tenant(api, "other")
        answers = [client.get("/v1/jobs") for _ in range(5)]

        assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
        problem(answers[-1], 429, "too_many_requests")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
        assert other.get("/v1/jobs").status_code == 200
        assert api.get("/healthz").status_code == 200

    def test_come_back_evenly(self, redis, redis_url):
        """
        With 600 a minute there is one again after a tenth of a second; it is never more than 600.
        """

        async def use() -> int:
            rate = RateLimiter(redis_url)
            taken = 0
            try:
                while taken < 2000:
                    await rate.take("a", 600)
                    taken += 1
            except TooManyRequests:
                redis.hincrbyfloat(names.rate("a"), "at", -1000)  # A second passes.
                for _ in range(10):
                    await rate.take("a", 600)
            finally:
                await rate.close()
            return taken

        assert 600 <= anyio.run(use) < 1000

    def test_are_let_through_without_redis(self, tmp_path):
        """
        A limit that cannot be counted stops nobody, nor keeps them waiting.
        """

        async def use() -> None:
            rate = RateLimiter(f"unix://{tmp_path}/nobody.sock")
            for _ in range(100):
                await rate.take("a", 1)
            await rate.close()

        anyio.run(use)


class TestJobs:
    def test_are_limited_while_they_have_not_ended(self, api):
        """
        Beyond its number a tenant waits; a repetition of what was accepted is answered as before.
        """
        client = limited(api, jobs=2)
        first = client.upload()
        headers = {"Idempotency-Key": "one"}
        made = client.post("/v1/generators", {"upload_id": first}, headers=headers).json()["id"]
        client.generator()

        refused = client.post("/v1/generators", {"upload_id": first})
        told = problem(refused, 429, "too_many_jobs")
        again = client.post("/v1/generators", {"upload_id": first}, headers=headers)

        assert "2 jobs" in told["detail"]
        assert int(refused.headers["retry-after"]) > 0
        assert (again.status_code, again.json()["id"]) == (202, made)
        api.finish("generators", made)
        assert client.post("/v1/generators", {"upload_id": first}).status_code == 202

    def test_are_counted_exactly_when_many_come_at_once(self, redis, services):
        """
        Of twenty that are asked for at the same moment as many are admitted as may be.
        """
        redis.sadd(names.LIVING, "a/job_0", "b/job_1", "b/job_2")
        quotas = Quotas(services.redis, services.store)

        def ask(number: int) -> bool:
            try:
                quotas.admit_jobs("a", Quota(jobs=4), [f"job_new{number}"])
            except TooManyJobs:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(ask, range(20))) == 3

    def test_that_could_not_be_made_are_forgotten(self, redis, services):
        """
        What was admitted and came to nothing leaves its place; so does what its maker abandoned.
        """
        quotas, quota = Quotas(services.redis, services.store), Quota(jobs=1)
        quotas.admit_jobs("a", quota, ["job_1"])
        quotas.admit_jobs("a", quota, ["job_1"])
        quotas.jobs_made("a", quota, ["job_1"])
        quotas.admit_jobs("a", quota, ["job_2"])

        assert 0 < redis.pttl(names.making("a")) <= 30_000
        with pytest.raises(TooManyJobs):
            quotas.admit_jobs("a", quota, ["job_3"])


class TestImages:
    def test_of_one_generation_are_limited(self, api):
        """
        The field that is to blame is named.
        """
        client = limited(api, images=10)
        labels = client.label_generator()

        refused = client.post("/v1/generations", {"label_generator_ids": [labels], "count": 11})

        told = problem(refused, 403, "quota_exceeded")
        assert told["errors"][0]["pointer"] == "/count"
        client.made("generations", {"label_generator_ids": [labels], "count": 10})


class TestBytes:
    def test_that_are_announced_or_sent_are_limited(self, api):
        """
        Too large a file is refused when it is announced, and when it comes without.
        """
        client = limited(api, bytes=20_000)
        made = client.post("/v1/uploads", {"filename": "a"}).json()["id"]

        big = client.post("/v1/uploads", {"filename": "a", "size": 30_000})
        sent = client.put(f"/v1/uploads/{made}/content", content=bytes(30_000))

        problem(big, 403, "quota_exceeded")
        problem(sent, 403, "quota_exceeded")
        assert client.get(f"/v1/uploads/{made}").json()["state"] == "pending"
        assert client.upload(bytes(10_000))

    def test_are_counted_again_before_anybody_is_refused(self, api, redis):
        """
        What was deleted since the last count is no reason to refuse.
        """
        client = limited(api, bytes=20_000)
        client.upload(bytes(15_000))
        more = {"filename": "a", "size": 10_000}
        problem(client.post("/v1/uploads", more), 403, "quota_exceeded")
        for key in api.stored():
            if key.startswith("default/"):
                api.services.store.delete(key)
        redis.hincrby(names.usage("default"), "at", -11_000)  # Eleven seconds pass.

        assert client.post("/v1/uploads", more).status_code == 201

    def test_without_a_limit_are_not_counted(self, api, redis):
        """
        Who may store what he likes costs no listing.
        """
        as_tenant(api, "default").upload(bytes(1000))

        assert not redis.exists(names.usage("default"))
