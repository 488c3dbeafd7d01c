"""Matrix products with weights that many inputs meet, a few rows at a time.

A product of 8 to 64 rows spends as long on laying out the weights as on multiplying, so that's done
once. oneDNN's kernels, which read that layout, are also twice as fast in float32 as the ones that
PyTorch calls by itself on AMD's processors.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import linear

# Rows that a layout is made for; any other number works, and no layout was seen to depend on it.
TYPICAL_ROWS = 64


@cache
def one_dnn(dtype: torch.dtype) -> bool:
    """Whether weights can be laid out for oneDNN's kernels on this CPU.

    PyTorch has them for its compiler; they're the same operators in every release since 2.1.
    """
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not available or not torch.cpu._is_avx2_supported():
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class Product:
    """x -> x W^T + b in the precision of W: weight [O,I], bias [O] or None; no gradients.

    x is [N,I] in that precision, N at least 1, and the result [N,O].
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._bias = bias
        self._packed = weight.device.type == "cpu" and one_dnn(weight.dtype)
        self._weight = weight.detach()
        if self._packed:
            pack = torch.ops.mkldnn._reorder_linear_weight
            self._weight = pack(self._weight.contiguous(), TYPICAL_ROWS)

    def __call__(self, x: Tensor) -> Tensor:
        if self._packed:
            product = torch.ops.mkldnn._linear_pointwise
            return product(x, self._weight, self._bias, "none", [], "")  # type: ignore[no-any-return]
        return linear(x, self._weight, self._bias)


def tanh_(x: Tensor) -> Tensor:
    """tanh in place, as 2 sigmoid(2 x) - 1: on a CPU PyTorch's own takes eight times as long as its
    sigmoid. The error is absolute, 1e-7."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)
