"""Matrix products of few rows at a time with the same weights, on a CPU.

A product of 8 to 64 rows spends as long on laying out the weights as on multiplying, so the weights
are laid out once. oneDNN's kernels, which read that layout, are also twice as fast in float32 as
PyTorch's default ones on AMD's processors.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import linear

# Number of rows for which a layout is made. Other numbers work too, with the same layout so far.
TYPICAL_ROWS = 64


@cache
def one_dnn(dtype: torch.dtype) -> bool:
    """Whether weights can be laid out for oneDNN's kernels on this CPU.

    PyTorch has these operators for its compiler; they are the same in every release since 2.1.
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
    """tanh in place, as 2 sigmoid(2 x) - 1, with an absolute error of 1e-7. On a CPU PyTorch's tanh
    takes eight times as long as its sigmoid."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)
