"""The cell "mingru": a gated linear recurrence, which is trained for all steps at once.

Each layer adds to a stream x, float32 [N,H], whose first value is a vector for the action that was
read, plus T phi(t), where t is the number of actions before it and phi(t) are the sines and cosines
of 2 pi t over each of `PERIODS`. For one row, with sigma the logistic function,
silu(y) = y sigma(y), R = 2 H, and n = x / sqrt(mean x^2), the root mean square norm of Zhang &
Sennrich 2019:

    f, c, g = sigma(F n + d), C n + e, silu(G n + b)        float [R] each
    h_t     = f h_{t-1} + (1 - f) c
    x      <- x + U (h_t g)

The hidden vector is the n of the last x. The recurrence is minGRU of Feng et al. 2024, "Were RNNs
All We Needed?" (arXiv 2410.01201), section 3.1, with f = 1 - z: neither gate nor candidate reads
the state, so only the second line goes step by step, and every product has a row for each step of
the batch. The gate g on its output is that of Griffin's recurrent block (De et al. 2024, arXiv
2402.19427), the layer of one part twice as wide as the stream is Mamba's (Gu & Dao 2023, arXiv
2312.00752). The norm has no weights of its own, since F, C and G could hold them.

The clock phi is there since a recurrence whose f lie between 0 and 1 can't count in a circle, such
as the steps of a bar (Grazzi et al. 2024, arXiv 2411.12537); without it melodies were
learned far worse than by an LSTM.

docs/results/speed.md has what was measured for this choice, beside other cells and other layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding as look_up
from torch.nn.functional import linear, silu

from sequence_tutor.policies.cells.mingru_rows import EPSILON, PaddedRows, ReadRows, times_of
from sequence_tutor.policies.kernels.device import product_dtype
from sequence_tutor.policies.kernels.packed_linear import Product
from sequence_tutor.policies.kernels.prefix_tree import PrefixTree
from sequence_tutor.policies.kernels.stepper import State

# In steps: those of beats and bars in twos and threes, and long ones to tell early from late.
PERIODS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 192)
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
        self.clock = nn.Linear(2 * len(PERIODS), hidden, bias=False)
        nn.init.zeros_(self.clock.weight)  # or molecules, which don't need it, are learned later
        self.periods: Tensor
        self.register_buffer("periods", torch.tensor(PERIODS).float(), persistent=False)
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
            table = self.read(embedding)
            longest = max(len(one.blocks) for one in rows) - 1
            clock = self.clock(phases(torch.arange(longest, device=table.device), self.periods))
            starts = [look_up(one.reads, table) + look_up(times_of(one), clock) for one in rows]
            weights = list(self.layers.parameters())
            grads = torch.is_grad_enabled()
            found = ReadRows.apply(rows, dtype, kept, grads, *starts, *weights)  # type: ignore[no-untyped-call]
        return torch.cat(found) if len(found) > 1 else found[0]

    def steps(self, embedding: Tensor, dtype: torch.dtype) -> MinGruSteps:
        return MinGruSteps(self, embedding, dtype)


def phases(times: Tensor, periods: Tensor) -> Tensor:
    """Sines and cosines of the steps t: int64 [N], float32 [P] -> float32 [N,2P]."""
    angles = times.unsqueeze(1) * (2 * math.pi / periods)
    return torch.cat((angles.sin(), angles.cos()), 1)


class _Layer(nn.Module):
    """The weights of one layer: F, C and G with their biases [3R,H], and U [H,R]."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden, 3 * WIDER * hidden)
        self.outer = nn.Linear(WIDER * hidden, hidden, bias=False)
        with torch.no_grad():  # so that the stream's first size doesn't grow with the layers
            self.outer.weight /= math.sqrt(layers)


class MinGruSteps:
    """The layers laid out for single steps. The state: h, float32 [N,R], of each layer; then
    t, int64 [N,1]."""

    def __init__(self, layers: MinGru, embedding: Tensor, dtype: torch.dtype) -> None:
        self._table = linear(embedding, layers.read.weight.detach(), layers.read.bias.detach())
        self._clock, self._periods = layers.clock.weight.detach().clone(), layers.periods
        weights = [p.detach().to(dtype) for p in layers.layers.parameters()]
        self._products = [
            (Product(inner, bias), Product(outer))
            for inner, bias, outer in zip(*(weights[i::3] for i in range(3)), strict=True)
        ]
        self._dtype = dtype

    def start(self) -> State:
        width = WIDER * self._table.shape[1]
        time = torch.zeros(1, 1, dtype=torch.int64, device=self._table.device)
        return [*(self._table.new_zeros(1, width) for _ in self._products), time]

    def __call__(self, actions: Tensor, state: State) -> tuple[Tensor, State]:
        *layers, times = state
        clock = linear(phases(times.squeeze(1), self._periods), self._clock)
        stream = self._table.index_select(0, actions) + clock
        for past, (inner, outer) in zip(layers, self._products, strict=True):
            forget, new, gate = inner(_norm(stream).to(self._dtype)).chunk(3, 1)
            past.lerp_(new.float(), 1 - forget.float().sigmoid())
            stream += outer(past.to(self._dtype) * silu(gate))
        return _norm(stream), [*layers, times + 1]


def _norm(stream: Tensor) -> Tensor:
    return torch.nn.functional.rms_norm(stream, stream.shape[-1:], eps=EPSILON)
