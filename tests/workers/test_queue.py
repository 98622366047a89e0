"""What every task queue must do; and that RQ runs nothing but our steps."""

import pytest
from fakes import FakeQueue
from rq.worker import SimpleWorker

from workers.errors import QueueUnavailable
from workers.flows import QueueName
from workers.queue import STEP, RqTaskQueue, StepJob, lane_queue, rq_queue
from workers.redis_client import connect_transport
from workers.steps import StepRef


@pytest.fixture
def transport(redis, redis_url):
    """
    A client as RQ wants it, to an emptied Redis.
    """
    with connect_transport(redis_url, retries=1) as client:
        yield client


@pytest.fixture(params=["fake", "rq"])
def queue(request):
    if request.param == "fake":
        return FakeQueue()
    return TakingQueue(request.getfixturevalue("transport"))


class TakingQueue(RqTaskQueue):
    """
    RQ's queue with the fake's `take`: what the next worker gets.
    """

    def take(self, name: QueueName) -> StepRef | None:
        queue = lane_queue(self._redis, name)
        found = queue.dequeue_any([queue], None, self._redis, StepJob, "json")
        return found[0].step if found else None


def steps(count: int) -> list[StepRef]:
    return [StepRef("t", "job_1", 1, index, 1) for index in range(count)]


class TestEveryQueue:
    def test_gives_in_order(self, queue):
        """
        Steps come out as they went in, each from its own queue.
        """
        queue.put(QueueName.CPU, steps(3))
        queue.put(QueueName.COMPUTE, [StepRef("u", "job_2", 0, 0, 7)])

        assert steps(3) == [queue.take(QueueName.CPU) for _ in range(3)]
        assert StepRef("u", "job_2", 0, 0, 7) == queue.take(QueueName.COMPUTE)
        assert queue.take(QueueName.CPU) is None

    def test_knows_what_waits(self, queue):
        """
        A step waits from when it is put until it is taken.
        """
        queue.put(QueueName.CPU, steps(2))
        queue.take(QueueName.CPU)

        assert {"job_1-1-1-a1"} == queue.waiting(QueueName.CPU)
        assert set() == queue.waiting(QueueName.COMPUTE)
        assert queue.depths() == {"cpu": 1, "compute": 0}

    def test_bears_the_same_step_twice(self, queue):
        """
        A step that is put again may come twice, and is then gone.
        """
        queue.put(QueueName.CPU, steps(1))
        queue.put(QueueName.CPU, steps(1))

        assert steps(1) * 2 == [queue.take(QueueName.CPU) for _ in range(2)]
        assert queue.take(QueueName.CPU) is None

    def test_takes_many(self, queue):
        """
        More steps than go in one batch all arrive; none is nothing.
        """
        queue.put(QueueName.CPU, steps(1203))
        queue.put(QueueName.CPU, [])

        assert len(queue.waiting(QueueName.CPU)) == 1203

    def test_can_be_cleaned(self, queue):
        """
        Cleaning leaves what waits.
        """
        queue.put(QueueName.CPU, steps(2))
        queue.clean()

        assert queue.depths()["cpu"] == 2


class TestRq:
    def test_forgets_what_was_taken_and_never_begun(self, transport):
        """
        What a worker took out before it died is dropped at the second cleaning, not the first:
        it may be just about to begin.
        """
        queue, key = TakingQueue(transport), "rq:queue:handsoff-cpu/t:intermediate"
        queue.put(QueueName.CPU, steps(1))
        queue.take(QueueName.CPU)

        queue.clean()
        assert transport.llen(key) == 1
        queue.clean()
        assert transport.llen(key) == 0

    @pytest.mark.parametrize("name", ["os.getcwd", "workers.worker.main", "step", "", None])
    def test_runs_no_other_function(self, transport, name):
        """
        An entry that names anything but our one function is not run, though RQ would import it.
        """
        entry = StepJob.create("os.getcwd", args=[], connection=transport, serializer="json")
        entry.func_name = name

        with pytest.raises(ValueError, match="which is not allowed"):
            entry.perform()

    def test_calls_no_functions_by_the_way(self, transport):
        """
        Callbacks and webhooks that somebody wrote into an entry are not looked at, nor imported.
        """
        entry = StepJob.create(STEP, args=[], connection=transport, serializer="json", id="e")
        entry.save()
        forged = {
            "success_callback_name": "no.such.module",
            "failure_callback_name": "no.such.module",
            "stopped_callback_name": "no.such.module",
            "webhooks": '[{"url": "http://127.0.0.1:1/", "job_status": "finished"}]',
            "retries_left": "5",
        }
        transport.hset(entry.key, mapping=forged)
        queue = rq_queue(transport, QueueName.CPU, "t")
        transport.rpush(queue.key, "e")
        worker = SimpleWorker([queue], connection=transport, serializer="json", job_class=StepJob)

        worker.work(burst=True)

        left = StepJob.fetch("e", connection=transport, serializer="json")
        assert "function is None" in left.latest_result().exc_string
        assert (
            left.success_callback,
            left.failure_callback,
            left.stopped_callback,
        ) == (None, None, None)

    @pytest.mark.parametrize(
        "arguments",
        [[], ["t"], ["t", "job_1", "0", 0, 1], ["t", "job_1", 0, 0, 1, 2], [1, 2, 3, 4, 5]],
    )
    def test_reads_no_nonsense(self, transport, arguments):
        """
        An entry whose arguments are no step is refused by name.
        """
        entry = StepJob.create(STEP, args=arguments, connection=transport, serializer="json")

        with pytest.raises(ValueError, match="names no step"):
            _ = entry.step

    def test_says_when_redis_is_away(self, tmp_path):
        """
        Without Redis every method says so.
        """
        with connect_transport(f"unix://{tmp_path}/none.sock", retries=0) as client:
            queue = RqTaskQueue(client)
            uses = [
                lambda: queue.put(QueueName.CPU, steps(1)),
                lambda: queue.waiting(QueueName.CPU),
                queue.depths,
                queue.clean,
            ]
            for use in uses:
                with pytest.raises(QueueUnavailable, match="Redis cannot be reached"):
                    use()
