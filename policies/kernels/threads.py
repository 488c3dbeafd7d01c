"""Threads that each take a large piece of the work.

PyTorch's own threads split every operation and busy-wait for each other after it. Where another
process uses one of the cores, all of them wait for the slowest, and a step takes ten times as long.
Threads with separate pieces wait for each other once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from typing import TypeVar

import torch

T = TypeVar("T")


@contextmanager
def unshared_operations() -> Iterator[int]:
    """Within the block each PyTorch operation runs on one thread. Yields the number of threads that
    operations had before, which is how many may share the work of the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def share(calls: Sequence[Callable[[], T]], threads: int) -> list[T]:
    """Return the calls' results, in order. At most `threads` of them run at a time; a thread that
    finishes one takes the next."""
    if threads == 1 or len(calls) == 1:
        return [call() for call in calls]
    return list(_threads(threads).map(_run, calls))


def side_by_side(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return the calls' results, without gradients. Each call has its own thread if there is more
    than one, and then PyTorch uses no threads within it."""
    if len(calls) == 1:
        return [calls[0]()]
    return list(_threads(len(calls)).map(_without_gradients, calls))


def _run(call: Callable[[], T]) -> T:
    return call()


def _without_gradients(call: Callable[[], T]) -> T:
    with torch.no_grad():
        return call()


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "layers", partial(torch.set_num_threads, 1))
