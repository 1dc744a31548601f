"""ordered_map: the order, how far ahead it goes, errors, and the end of its threads."""

import itertools
import threading
import time

import pytest

from alexnet_jax.system.threads import ordered_map


def threads_of_the_map() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("ordered_map")]


@pytest.mark.parametrize(("workers", "ahead"), [(1, 0), (1, 3), (4, 2), (4, 9)])
def test_results_come_in_the_order_of_the_items(workers, ahead):
    def slow_for_some(n):
        time.sleep(0.003 * (n % 3 == 0))
        return n * n

    expected = [n * n for n in range(20)]
    assert list(ordered_map(slow_for_some, range(20), workers, ahead)) == expected
    assert list(ordered_map(slow_for_some, [], workers, ahead)) == []
    assert not threads_of_the_map()


def test_it_runs_in_as_many_threads_at_once():
    meeting = threading.Barrier(3, timeout=10)  # passed only by three calls at the same time
    assert len(list(ordered_map(lambda n: meeting.wait(), range(9), 3, 3))) == 9


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_it_goes_no_further_ahead(ahead):
    taken = itertools.count()
    results = ordered_map(lambda n: n, taken, 2, ahead)
    assert next(taken) == 0  # nothing is taken before the first result is asked for
    for n in range(1, 30):
        assert next(results) == n
    assert next(taken) == 29 + ahead + 1
    results.close()


def test_an_error_comes_where_its_result_would_have_come():
    def broken_at_5(n):
        if n == 5:
            raise OSError("the disk is gone")
        return n

    results = ordered_map(broken_at_5, itertools.count(), 2, 4)
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="^the disk is gone$"):
        next(results)
    assert not threads_of_the_map()


def test_an_error_of_the_items_comes_after_the_results_before_it():
    def items():
        yield from range(4)
        raise OSError("the disk is full")

    def slow(n):
        time.sleep(0.05)  # the error comes while calls are waiting for the only thread
        return n

    results = ordered_map(slow, items(), 1, 9)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="^the disk is full$"):
        next(results)
    assert not threads_of_the_map()


def test_closing_ends_the_threads():
    called = []
    results = ordered_map(called.append, itertools.count(), 2, 50)
    next(results)
    assert threads_of_the_map()
    results.close()
    assert not threads_of_the_map()
    before = len(called)
    time.sleep(0.05)
    assert len(called) == before
    ordered_map(called.append, itertools.count(), 2, 50).close()  # never started
    assert not threads_of_the_map()
