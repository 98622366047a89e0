import gc
import threading
import time
import weakref
from contextlib import closing

import pytest

from models.overlap import THREAD_NAME, in_order


def running():
    """
    The threads of an overlap that are alive.
    """
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def slowest_first(number):
    """
    Twice a number; the smaller, the later.
    """
    time.sleep(0.004 * (5 - number % 6))
    return 2 * number


class Unlucky(Exception):
    """
    What goes wrong in these tests.
    """


class TestResults:
    @pytest.mark.parametrize("threads", [0, 1, 4])
    @pytest.mark.parametrize("ahead", [0, 1, 3, 100])
    def test_come_in_the_order_of_items(self, threads, ahead):
        """
        Whatever is done first, and however many items are ahead, order and results are the same.
        """
        assert list(in_order(slowest_first, range(12), threads, ahead)) == list(range(0, 24, 2))
        assert not running()

    def test_nothing_gives_nothing(self):
        """
        Without items there are no results, and no thread stays.
        """
        assert list(in_order(slowest_first, [], 2, 2)) == []
        assert not running()

    def test_none_is_a_result_like_others(self):
        """
        Items and results may be None.
        """
        assert list(in_order(lambda item: item, [None, 1, None], 2, 2)) == [None, 1, None]


class TestOverlap:
    def test_the_next_items_are_made_while_the_threads_work(self):
        """
        The work on the first item ends only when the third one has been made.
        """
        made = threading.Event()

        def items():
            yield from (1, 2)
            made.set()
            yield 3

        assert list(in_order(lambda item: made.wait(10) and item, items(), 1, 3)) == [1, 2, 3]

    def test_threads_work_side_by_side(self):
        """
        Three pieces of work that wait for each other are all done.
        """
        together = threading.Barrier(3, timeout=10)

        assert len(list(in_order(lambda _: together.wait(), range(3), 3, 3))) == 3

    @pytest.mark.parametrize("ahead", [1, 4])
    def test_so_many_items_are_ahead_and_no_more(self, ahead):
        """
        Items wait for results to be taken: memory has an end when the work is slow.
        """
        taken, most = [], 0

        def items():
            for number in range(20):
                taken.append(number)
                yield number

        for done, _ in enumerate(in_order(slowest_first, items(), 2, ahead)):
            most = max(most, len(taken) - done)

        assert most <= ahead + 1

    def test_results_are_kept_no_longer_than_by_their_taker(self):
        """
        What was taken is gone when its taker lets go, though the threads live on.
        """

        class Picture:
            pass

        results = in_order(lambda _: Picture(), range(3), 1, 1)
        with closing(results):
            seen = weakref.ref(next(results))
            next(results)
            gc.collect()

            assert seen() is None


class TestFailure:
    @pytest.mark.parametrize("threads", [0, 1, 3])
    def test_of_the_work_is_raised_in_its_place(self, threads):
        """
        Results before it are given; then the very error is raised, and no thread is left.
        """
        error, results = Unlucky("the third"), []

        def work(number):
            if number == 2:
                raise error
            return number

        with pytest.raises(Unlucky) as failure:
            results.extend(in_order(work, range(100), threads, 10))

        assert failure.value is error
        assert not running()

    def test_of_the_work_ends_the_making_of_items(self):
        """
        An error is noticed when the next item has been made, however many may be ahead.
        """
        made = []

        def items():
            for number in range(1000):
                made.append(number)
                yield number
                time.sleep(0.01)

        def work(_):
            raise Unlucky

        with pytest.raises(Unlucky):
            list(in_order(work, items(), 1, 1000))
        assert len(made) < 100

    def test_of_the_items_is_raised_at_once(self):
        """
        What cannot be made ends all; work that has not begun never does.
        """
        error, begun = Unlucky("no more"), []
        hold = threading.Event()

        def items():
            yield from range(50)
            hold.set()
            raise error

        def work(number):
            begun.append(number)
            hold.wait(10)

        with pytest.raises(Unlucky) as failure:
            list(in_order(work, items(), 1, 100))

        assert failure.value is error
        assert len(begun) < 50
        assert not running()

    def test_a_thread_hands_over_whatever_is_raised(self):
        """
        Not only exceptions: a thread that died in silence would leave its taker waiting.
        """

        def work(_):
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            list(in_order(work, range(3), 2, 2))


class TestClosing:
    def test_ends_the_threads(self):
        """
        Who wants no more results closes; work that has begun is waited for.
        """
        results = in_order(slowest_first, range(1000), 2, 50)
        next(results)
        assert len(running()) == 2

        results.close()

        assert not running()

    def test_happens_when_it_is_dropped(self):
        """
        Nobody needs to close what nobody refers to.
        """
        next(in_order(slowest_first, range(1000), 2, 50))

        assert not running()

    def test_threads_begin_with_the_first_result(self):
        """
        What was made and never asked has no threads to end.
        """
        results = in_order(slowest_first, range(3), 2, 2)

        assert not running()
        results.close()
