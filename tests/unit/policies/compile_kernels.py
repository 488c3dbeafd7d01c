"""Compiles the sampler's kernels for an H100 on any machine; see test_cuda_kernels.py."""

from __future__ import annotations

from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sequence_tutor.policies.kernels import cuda_kernels

POINTERS = {
    **dict.fromkeys(("reads", "last", "episodes"), "*i64"),
    **dict.fromkeys(("going_on", "lengths"), "*i32"),
    "tokens": "*i16",
}


def compile_kernel(kernel: Any, products: str, **constants: Any) -> None:
    """products: the precision of the matrix products, fp32 or bf16."""
    types = {}
    for name in kernel.arg_names:
        if name in constants:
            types[name] = "constexpr"
        elif name in ("rows", "batch", "steps", "end"):
            types[name] = "i32"
        elif name in ("below", "hidden", "hidden2", "w_in", "w_hidden", "out"):
            types[name] = f"*{products}"
        else:
            types[name] = POINTERS.get(name, "*fp32")
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    triton.compile(ASTSource(kernel, types, places), target=GPUTarget("cuda", 90, 32))
    print("compiled", kernel.__name__, products, constants)


if __name__ == "__main__":
    tile = {"H": 512, "ROWS": 64, "UNITS": 32, "DEPTH": 64, "PRECISION": "ieee"}
    step, draw = cuda_kernels._step_layer, cuda_kernels._draw
    compile_kernel(step, "bf16", I=0, GRU=False, **tile)
    compile_kernel(step, "bf16", I=512, GRU=True, **tile)
    small = tile | {"ROWS": 16, "UNITS": 16, "DEPTH": 32}
    compile_kernel(step, "fp32", I=512, GRU=False, **small)
    compile_kernel(step, "fp32", I=0, GRU=True, **small)
    for second in (0, 512):
        compile_kernel(
            draw,
            "bf16",
            H=512,
            H2=second,
            V=63,
            ROWS=16,
            ACTIONS=64,
            DEPTH=64,
            PRECISION="tf32x3",
        )
