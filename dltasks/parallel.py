"""Parallel work on all cores, with results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")

QUEUED_PER_THREAD = 4
"""Maximum number of items per thread that are submitted and not yet yielded."""


def available_cores() -> int:
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Results of `function` for all items, in order; memory does not grow with the number of items.

    Args:
        function: Called with one item at a time.
        items: Taken one by one, as threads become free.
        threads: Number of threads; all cores if None.
    """
    threads = threads or available_cores()
    items = iter(items)
    if threads == 1:
        yield from map(function, items)
        return
    head = list(islice(items, 2))
    if len(head) < 2:
        # One input, the usual case, needs no threads and not their import.
        yield from map(function, head)
        return
    from concurrent.futures import ThreadPoolExecutor

    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        pending.extend(pool.submit(function, item) for item in head)
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= QUEUED_PER_THREAD * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
