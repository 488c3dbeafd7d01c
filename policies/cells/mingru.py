"""The cell "mingru": a gated linear recurrence, which is trained for all steps at once.

Each layer has two parts that add to a stream x, float32 [N,H], whose first values are looked up by
the action that was read. For one row, with sigma the logistic function, silu(y) = y sigma(y), and
n = x / sqrt(mean x^2), the root mean square norm of Zhang & Sennrich 2019:

    recurrence   f, c, g = W n + b          float [H] each
                 h_t = f h_{t-1} + (1 - f) c
                 x   <- x + U (h_t silu(g))
    mixing       a, c    = W' n + b'        float [M] each, M = 3 H / 2
                 x   <- x + U' (silu(a) c)

and the hidden vector is the n of the last x. The recurrence is minGRU of Feng et al. 2024, "Were
RNNs All We Needed?" (arXiv 2410.01201), section 3.1, with f = 1 - z: neither gate nor candidate
reads the state, so only the elementwise line goes step by step, and every product has one row for
each step of the batch. The gate silu(g) on its output and the mixing part (SwiGLU, Shazeer 2020)
are those of Griffin's blocks (De et al. 2024, arXiv 2402.19427). The norms have no weights, since
W could hold them.
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


class MinGru(nn.Module):
    """The layers. Dropout acts on what the two parts of a layer add to the stream, with the same
    factors for both."""

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
    """The weights of one layer: of each part the inner product's, its bias, the outer product's."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        middle = hidden * 3 // 2
        for name, inner, outer in (("recurrent", 3 * hidden, hidden), ("mixing", 2 * middle, middle)):
            first, last = nn.Linear(hidden, inner), nn.Linear(outer, hidden, bias=False)
            self.register_parameter(f"{name}_inner", first.weight)
            self.register_parameter(f"{name}_bias", first.bias)
            # so that the stream's size doesn't depend on the number of layers at first
            self.register_parameter(
                f"{name}_outer", nn.Parameter(last.weight.detach() / math.sqrt(2 * layers))
            )


class MinGruSteps:
    """The layers laid out for single steps. The state: h, float32 [N,H], of each layer."""

    def __init__(self, layers: MinGru, embedding: Tensor, dtype: torch.dtype) -> None:
        self._table = linear(embedding, layers.read.weight.detach(), layers.read.bias.detach())
        weights = [p.detach().to(dtype) for p in layers.layers.parameters()]
        self._products = [
            (Product(inner, bias), Product(outer))
            for inner, bias, outer in zip(*(weights[i::3] for i in range(3)), strict=True)
        ]
        self._dtype = dtype

    def start(self) -> State:
        empty = self._table.new_zeros(1, self._table.shape[1])
        return [empty.clone() for _ in self._products[::2]]

    def __call__(self, actions: Tensor, state: State) -> tuple[Tensor, State]:
        stream = self._table.index_select(0, actions)
        for i, (inner, outer) in enumerate(self._products):
            read = inner(_norm(stream).to(self._dtype))
            if i % 2 == 0:
                forget, new, gate = read.chunk(3, 1)
                past = state[i // 2]
                past.lerp_(new.float(), 1 - forget.float().sigmoid())
                read = past.to(self._dtype) * silu(gate)
            else:
                gate, new = read.chunk(2, 1)
                read = silu(gate) * new
            stream += outer(read)
        return _norm(stream), state


def _norm(stream: Tensor) -> Tensor:
    return torch.nn.functional.rms_norm(stream, stream.shape[-1:], eps=EPSILON)
