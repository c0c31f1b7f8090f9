"""Work over the cores, in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """`function` of each item, computed on `threads` threads (all cores if None), in the items' order.

    At most four items a thread are under way, so memory does not grow with the number of items.
    """
    threads = threads or available_cores()
    items = iter(items)
    if threads == 1:
        yield from map(function, items)
        return
    first = next(items, None)
    second = next(items, None)
    if second is None:
        if first is not None:
            yield function(first)
        return
    # One input, the usual case, does without.
    from concurrent.futures import ThreadPoolExecutor

    waiting = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        waiting.extend((pool.submit(function, first), pool.submit(function, second)))
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
