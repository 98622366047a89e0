"""One step of a generation, stopped at any moment and gone wrong at any stage."""

import json
import threading
import time
from dataclasses import replace

import pytest
from fakes import FakeStore
from support.compute import World
from support.contexts import Reports
from support.waiting import eventually

from models.overlap import THREAD_NAME
from workers import following, keys
from workers.errors import StorageUnavailable
from workers.runtime import Runtime
from workers.stop import StepStopped, StopReason
from workers.tasks import generate, plan


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """
    A bucket with a generation of one shard that would take long.
    """
    world = World(FakeStore(), tmp_path_factory.mktemp("world"), Runtime("cpu"))
    world.upload_generator()
    world.register()
    world.dataset("dst_1")
    world.invert()
    world.train()
    plan.run(step(world))
    return world


def step(world, **changes):
    """
    The step that makes the shard.
    """
    return replace(world.generation(count=10_000, shard_size=10_000), **changes)


def left_over(context):
    """
    What a step should not leave: threads, files, objects.
    """
    names = (THREAD_NAME, following.THREAD_NAME)
    threads = [one.name for one in threading.enumerate() if one.name.startswith(names)]
    files = [path.name for path in context.scratch.iterdir()]
    return threads + files + [info.key for info in context.store.list(context.key("data/"))]


def short(world, generation_id):
    """
    The step of a planned generation of one shard of four batches, the same for every name.
    """
    batch = json.loads(world.store.get(step(world).key("plan.json")))["batch"]
    context = world.generation(generation_id, count=4 * batch, shard_size=4 * batch)
    plan.run(context)
    return context


def shard_of(context):
    """
    What a step has left: its shard's bytes, and its description.
    """
    fragment = json.loads(context.store.get(context.key(keys.fragment(0))))
    return context.store.get(context.key(keys.shard(0))), fragment


@pytest.fixture(scope="module")
def expected(world):
    """
    The short generation's shard and description, of a store without fault.
    """
    context = short(world, "gnn_expected")
    generate.run(context)
    return shard_of(context)


class TestUploading:
    def test_begins_while_the_shard_is_drawn(self, world, expected):
        """
        The store has had samples when the last ones are only just drawn.
        """
        store, heard = Hearing(world.store.objects), []

        def report(_phase, done, total, _unit):
            if done == total:
                heard.append(store.has_heard.wait(30))

        context = replace(short(world, "gnn_heard"), store=store, report=report)
        generate.run(context)

        assert heard == [True]
        assert shard_of(context) == expected

    def test_that_fails_is_made_up_for(self, world, expected):
        """
        A store that is away in the midst of a shard, and back at its end, gets the same shard;
        nothing is drawn twice.
        """
        store = Hearing(world.store.objects, StorageUnavailable("away"))
        context = replace(short(world, "gnn_away"), store=store)
        generate.run(context)

        drawn = [done for _, done, _, _ in context.report]
        assert shard_of(context) == expected
        assert store.has_heard.is_set()
        assert sorted(drawn) == drawn
        assert drawn.count(drawn[-1]) == 1


class TestStopping:
    # A file that is torn out of `open` is closed by its finaliser, which warns.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize("after_ms", [1, 4, 10, 25, 40, 60, 85, 120])
    def test_by_force_leaves_nothing(self, world, switch, after_ms):
        """
        Wherever a shard's making is torn out of, in drawing, waiting or writing, no thread is
        left, no file, and no part of a shard.
        """
        context = step(world)

        def stop():
            time.sleep(after_ms / 1000)
            switch.ask(StopReason.CANCELLED)
            switch.force()

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(StepStopped), switch.armed():
            generate.run(context)
        stopper.join()

        assert eventually(lambda: left_over(context) == [])

    def test_at_a_report_leaves_nothing(self, world):
        """
        What a report raises ends the step, its threads and its file.
        """
        context = step(world, report=Reports(StepStopped(StopReason.DRAINED), after=5))

        with pytest.raises(StepStopped):
            generate.run(context)

        assert left_over(context) == []
        assert [unit for *_, unit in context.report] == ["samples"] * 6


class TestFailing:
    def test_to_write_leaves_nothing(self, world):
        """
        A disk that cannot be written ends the step with the disk's own error.
        """
        context = step(world)
        (context.scratch / "shard.tar.partial").symlink_to("/dev/full")

        with pytest.raises(OSError, match="No space left"):
            generate.run(context)

        assert left_over(context) == []

    def test_to_store_leaves_no_shard(self, world):
        """
        A bucket that is away ends the step with its own error: no shard, no fragment, no thread.
        """
        short = world.generation("gnn_2", count=20)
        plan.run(short)
        context = replace(short, store=Away(world.store.objects))

        with pytest.raises(StorageUnavailable, match="away"):
            generate.run(context)

        assert left_over(context) == ["shard.tar"]  # Its folder goes with the step.
        assert context.store.size(context.key(keys.fragment(0))) is None


class Hearing(FakeStore):
    """
    A bucket that says when it has read of a stream; then it may break.
    """

    def __init__(self, objects, error=None):
        super().__init__()
        self.objects = objects
        self.has_heard = threading.Event()
        self._error = error

    def put_stream(self, key, source, limit, content_type=""):
        first = source.read(1)
        self.has_heard.set()
        if self._error is not None:
            raise self._error
        self.put(key, first + source.read())
        return len(self.objects[key])


class Away(FakeStore):
    """
    A bucket that can be read and takes no files.
    """

    def __init__(self, objects):
        super().__init__()
        self.objects = objects

    def put_stream(self, key, source, limit, content_type=""):
        raise StorageUnavailable("the bucket is away")

    def put_file(self, key, source, content_type=""):
        raise StorageUnavailable("the bucket is away")
