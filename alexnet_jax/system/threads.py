"""A map whose calls run in threads: results come in order, a few are computed in advance."""

import collections
import concurrent.futures
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int
) -> Generator[Result]:
    """Yield function(item) of each item, in the order of the items.

    An error of a call is raised in the place of its result, and an error of `items` after the
    results of the items before it. Closing the iterator ends the threads as soon as their current
    calls are done.

    Args:
      function: called in the threads.
      items: taken one by one, in the thread that iterates.
      workers: how many threads.
      ahead: how many results are being computed or waiting, besides the one in use.
    """
    waiting: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers, "ordered_map") as pool:
        iterator, error = iter(items), None
        try:
            while True:
                try:
                    item = next(iterator)
                except StopIteration:
                    break
                except Exception as raised:
                    error = raised
                    break
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
            if error is not None:
                raise error
        finally:
            for future in waiting:
                future.cancel()
