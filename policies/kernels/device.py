"""Settings of the machine: arithmetic precision, repeatable kernels, memory allocator."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import AbstractContextManager
from functools import cache

import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


@cache
def keep_freed_memory() -> None:
    """Let glibc reuse large blocks instead of returning them to the kernel after each batch.

    Otherwise every activation tensor is mapped, zeroed by page faults and unmapped again, which
    costs about a fifth of a training step on a CPU. Does nothing on other C libraries.
    """
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_MAX, 0)
            # the arenas of other threads would return their memory at any threshold
            mallopt(_M_ARENA_MAX, 1)
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def choose_repeatable_kernels() -> None:
    """Make results repeatable: the same inputs give the same numbers, where the device can.

    `torch.use_deterministic_algorithms`, which RLlib's seed calls, does the same for a CPU but also
    loads the compiler, which costs more than a second of CPU time in every process.
    """
    if torch.version.cuda is None:
        torch.set_deterministic_debug_mode("error")
    else:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


@cache
def bfloat16_is_fast(device_type: str) -> bool:
    """Whether this machine has hardware for matrix products in bfloat16."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device_type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def product_dtype(device_type: str) -> torch.dtype:
    """The precision of matrix products: bfloat16 where that's fast and `autocast` is on."""
    fast = torch.is_autocast_enabled(device_type) and bfloat16_is_fast(device_type)
    return torch.bfloat16 if fast else torch.float32


def autocast(device_type: str, enabled: bool = True) -> AbstractContextManager[None]:
    """bfloat16 matrix products where they're fast, float32 elsewhere."""
    return torch.autocast(
        device_type, torch.bfloat16, enabled=enabled and bfloat16_is_fast(device_type)
    )
