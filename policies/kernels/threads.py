"""Work that threads share in large pieces.

PyTorch's own threads share each operation, and after each they wait for each other, spinning. Where
another process uses one of the cores they all wait for the slowest of them, and a step takes ten
times as long. A thread that has a piece of the work to itself waits for the others once.
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
    """Within the block PyTorch's operations have no threads of their own. Yields the number of
    threads that they had before, which is how many may share the work of the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def share(calls: Sequence[Callable[[], T]], threads: int) -> list[T]:
    """The calls' results, in order. At most `threads` of them run at a time; as soon as one is
    done, its thread takes the next."""
    if threads == 1 or len(calls) == 1:
        return [call() for call in calls]
    return list(_threads(threads).map(_run, calls))


def side_by_side(calls: Sequence[Callable[[], T]]) -> list[T]:
    """The calls' results, without gradients; more than one call has a thread each, and no threads
    within it."""
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
