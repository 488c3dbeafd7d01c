"""The cell "mingru": a gated linear recurrence, which is trained for all steps at once.

Each layer adds to a stream x, float32 [N,H], whose first values are looked up by the action that
was read. For one row, with sigma the logistic function, silu(y) = y sigma(y), R = 2 H, and
n = x / sqrt(mean x^2), the root mean square norm of Zhang & Sennrich 2019:

    f, c, g = sigma(F n + d), C n + e, silu(G n + b)        float [R] each
    h_t     = f h_{t-1} + (1 - f) c
    x      <- x + U (h_t g)

The hidden vector is the n of the last x. The recurrence is minGRU of Feng et al. 2024, "Were RNNs
All We Needed?" (arXiv 2410.01201), section 3.1, with f = 1 - z: neither gate nor candidate reads
the state, so only the second line goes step by step, and every product has a row for each step of
the batch. The gate g on its output is that of Griffin's recurrent block (De et al. 2024, arXiv
2402.19427), the layer of one part twice as wide as the stream is Mamba's (Gu & Dao 2023, arXiv
2312.00752). The norm has no weights of its own, since F, C and G could hold them.

docs/results/speed.md has what was measured for this choice, beside other cells and other layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from sequence_tutor.policies.cells.mingru_rows import EPSILON, PaddedRows, ReadRows
from sequence_tutor.policies.kernels.device import product_dtype
from sequence_tutor.policies.kernels.packed_linear import Product
from sequence_tutor.policies.kernels.prefix_tree import PrefixTree
from sequence_tutor.policies.kernels.stepper import State

# The recurrence's width R over the stream's H.
WIDER = 2


class MinGru(nn.Module):
    """The layers. Dropout acts on what each layer adds to the stream."""

    kernels = False
    reads_at_once = True

    def __init__(self, embedding: int, hidden: int, layers: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.read = nn.Linear(embedding, hidden)
        self.layers = nn.ModuleList(_Layer(hidden, layers) for _ in range(layers))

    def padded(self, embedding: Tensor, reads: Tensor) -> Tensor:
        kept = None
        if self.training and self.drop > 0:
            shape = len(self.layers), *reads.shape, self.read.out_features
            kept = embedding.new_empty(shape).bernoulli_(1 - self.drop).div_(1 - self.drop)
        return self._padded(embedding, reads, kept)

    def with_dropout(self, embedding: Tensor, reads: Tensor, kept: Tensor) -> Tensor:
        return self._padded(embedding, reads, kept)

    def _padded(self, embedding: Tensor, reads: Tensor, kept: Tensor | None) -> Tensor:
        dtype = product_dtype(embedding.device.type)
        factors = None if kept is None else kept.flatten(1, 2)
        hidden = self._rows(embedding, [PaddedRows(reads)], dtype, factors)
        return hidden.view(*reads.shape, -1)

    def over_trees(
        self, embedding: Tensor, trees: Sequence[PrefixTree], dtype: torch.dtype
    ) -> Tensor:
        return self._rows(embedding, trees, dtype, None)

    def _rows(
        self,
        embedding: Tensor,
        rows: Sequence[PrefixTree | PaddedRows],
        dtype: torch.dtype,
        kept: Tensor | None,
    ) -> Tensor:
        with torch.autocast(embedding.device.type, enabled=False):
            table = linear(embedding, self.read.weight, self.read.bias)
            weights = list(self.layers.parameters())
            grads = torch.is_grad_enabled()
            found = ReadRows.apply(rows, dtype, kept, grads, table, *weights)  # type: ignore[no-untyped-call]
        return torch.cat(found) if len(found) > 1 else found[0]

    def steps(self, embedding: Tensor, dtype: torch.dtype) -> MinGruSteps:
        return MinGruSteps(self, embedding, dtype)


class _Layer(nn.Module):
    """The weights of one layer: F, C and G with their biases [3R,H], and U [H,R]."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden, 3 * WIDER * hidden)
        self.outer = nn.Linear(WIDER * hidden, hidden, bias=False)
        with torch.no_grad():  # so that the stream's first size doesn't grow with the layers
            self.outer.weight /= math.sqrt(layers)


class MinGruSteps:
    """The layers laid out for single steps. The state: h, float32 [N,R], of each layer."""

    def __init__(self, layers: MinGru, embedding: Tensor, dtype: torch.dtype) -> None:
        self._table = linear(embedding, layers.read.weight.detach(), layers.read.bias.detach())
        weights = [p.detach().to(dtype) for p in layers.layers.parameters()]
        self._products = [
            (Product(inner, bias), Product(outer))
            for inner, bias, outer in zip(*(weights[i::3] for i in range(3)), strict=True)
        ]
        self._dtype = dtype

    def start(self) -> State:
        width = WIDER * self._table.shape[1]
        return [self._table.new_zeros(1, width) for _ in self._products]

    def __call__(self, actions: Tensor, state: State) -> tuple[Tensor, State]:
        stream = self._table.index_select(0, actions)
        for past, (inner, outer) in zip(state, self._products, strict=True):
            forget, new, gate = inner(_norm(stream).to(self._dtype)).chunk(3, 1)
            past.lerp_(new.float(), 1 - forget.float().sigmoid())
            stream += outer(past.to(self._dtype) * silu(gate))
        return _norm(stream), state


def _norm(stream: Tensor) -> Tensor:
    return torch.nn.functional.rms_norm(stream, stream.shape[-1:], eps=EPSILON)
