"""LSTM and GRU layers: PyTorch's, read in the four ways of `base.Layers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear
from torch.nn.functional import embedding as look_up

from sequence_tutor.policies.cells.gated_tree import RecurrentLayers
from sequence_tutor.policies.kernels.device import product_dtype
from sequence_tutor.policies.kernels.packed_linear import TYPICAL_ROWS, Product, one_dnn, tanh_
from sequence_tutor.policies.kernels.prefix_tree import PrefixTree
from sequence_tutor.policies.kernels.stepper import State

# biases, one layer, without dropout, with gradients, one direction, time first
_ONE_LAYER: tuple[Any, ...] = (True, 1, 0.0, True, False, False)
_LSTM = 2  # PyTorch's number for the kind of cell, in its oneDNN operators


class GatedLayers(nn.RNNBase):
    """What LSTM and GRU layers have in common. Dropout acts on each layer's output.

    The parameters are PyTorch's: per layer input and hidden weights, input and hidden biases.
    """

    kernels = True
    reads_at_once = False
    lstm: bool
    drop: float
    """Probability with which an output of a layer is dropped in training."""

    def padded(self, embedding: Tensor, reads: Tensor) -> Tensor:
        output, _ = self(look_up(reads, embedding))
        return dropout(output, self.drop, self.training)

    def with_dropout(self, embedding: Tensor, reads: Tensor, kept: Tensor) -> Tensor:
        """It casts the weights itself, since all threads share autocast's cache, which is cleared
        when one of them leaves its block."""
        device = embedding.device.type
        dtype = product_dtype(device)
        output = look_up(reads, embedding)
        weights = list(self.parameters())
        empty = output.new_zeros(1, reads.shape[1], self.hidden_size, dtype=dtype)
        with torch.autocast(device, enabled=False):
            for i, factors in enumerate(kept):
                own = [weight.to(dtype) for weight in weights[4 * i : 4 * i + 4]]
                output = self._one_layer(output.to(dtype), empty, own) * factors
        return output

    def _one_layer(self, below: Tensor, empty: Tensor, own: list[Tensor]) -> Tensor:
        """One layer's hidden vectors: [T,B,E], a state of zeros [1,B,H] -> [T,B,H]."""
        raise NotImplementedError

    def over_trees(
        self, embedding: Tensor, trees: Sequence[PrefixTree], dtype: torch.dtype
    ) -> Tensor:
        weights = list(self.parameters())
        # the first input product depends on the action only, so V + 1 are computed instead of N
        bias = weights[2] + weights[3] if self.lstm else weights[2]
        with torch.autocast("cpu", enabled=False):
            table = linear(embedding, weights[0], bias)
        parts: list[Tensor | None] = []
        for i in range(0, len(weights), 4):
            w_ih, w_hh, b_ih, b_hh = weights[i : i + 4]
            parts += [w_hh, None if self.lstm else b_hh]
            parts += [w_ih, b_ih + b_hh if self.lstm else b_ih] if i else [None, None]
        return torch.cat(RecurrentLayers.apply(trees, self.lstm, dtype, table, *parts))  # type: ignore[no-untyped-call]

    def steps(self, embedding: Tensor, dtype: torch.dtype) -> GatedSteps:
        return GatedSteps(self, embedding, dtype)


class Lstm(GatedLayers, nn.LSTM):
    """LSTM layers."""

    lstm = True

    def __init__(self, embedding: int, hidden: int, layers: int, drop: float) -> None:
        nn.LSTM.__init__(self, embedding, hidden, layers, dropout=drop if layers > 1 else 0.0)
        self.drop = drop

    def _one_layer(self, below: Tensor, empty: Tensor, own: list[Tensor]) -> Tensor:
        return torch.lstm(below, [empty, empty], own, *_ONE_LAYER)[0]


class Gru(GatedLayers, nn.GRU):
    """GRU layers."""

    lstm = False

    def __init__(self, embedding: int, hidden: int, layers: int, drop: float) -> None:
        nn.GRU.__init__(self, embedding, hidden, layers, dropout=drop if layers > 1 else 0.0)
        self.drop = drop

    def _one_layer(self, below: Tensor, empty: Tensor, own: list[Tensor]) -> Tensor:
        return torch.gru(below, empty, own, *_ONE_LAYER)[0]


class GatedSteps:
    """Layers laid out for single steps. The state: hidden vectors [N,H] of each layer, then, for an
    LSTM, the cells [N,H] of each layer."""

    def __init__(self, layers: GatedLayers, embedding: Tensor, dtype: torch.dtype) -> None:
        weights = [p.detach() for p in layers.parameters()]
        self._lstm, self._dtype, self._hidden = layers.lstm, dtype, layers.hidden_size
        fused = dtype == torch.bfloat16 and one_dnn(dtype)
        kind = (_FusedLstm if fused else _Lstm) if layers.lstm else _Gru
        self._layers: list[Callable[..., tuple[Tensor, ...]]] = [
            kind(None if i else embedding, dtype, weights[i : i + 4])
            for i in range(0, len(weights), 4)
        ]

    def start(self) -> State:
        layers = len(self._layers)
        kinds = [torch.float32] * layers
        if self._lstm:
            kinds = [self._dtype] * layers + kinds
        return [torch.zeros(1, self._hidden, dtype=dtype) for dtype in kinds]

    def __call__(self, actions: Tensor, state: State) -> tuple[Tensor, State]:
        read, count = actions, len(self._layers)
        hidden, cells = [], []
        for i, layer in enumerate(self._layers):
            read, *after = layer(read, *state[i::count])
            hidden.append(after[0])
            cells += after[1:]
        return read, hidden + cells


class _FusedLstm:
    """One layer in oneDNN's LSTM kernel, which takes hardly longer than the products alone. The
    first layer reads actions, so it includes the embedding."""

    def __init__(self, embedding: Tensor | None, dtype: torch.dtype, own: list[Tensor]) -> None:
        w_ih, w_hh, *self._bias = own
        self._size = w_hh.shape[1]
        self._embedding = None if embedding is None else embedding.to(dtype)
        rows = [1, TYPICAL_ROWS, w_ih.shape[1]]
        pack = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight
        weights = w_ih.to(dtype), w_hh.to(dtype)
        self._weights = pack(*weights, self._size, False, True, False, rows)

    def __call__(self, read: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        below = read if self._embedding is None else self._embedding[read]
        past = hidden.unsqueeze(0), cell.unsqueeze(0)
        # one layer, one direction, with biases, without gradients
        how: tuple[Any, ...] = (False, [], _LSTM, self._size, 1, True, False, False, False)
        layer = torch.ops.aten.mkldnn_rnn_layer
        _, hidden, cell, _ = layer(below.unsqueeze(0), *self._weights, *self._bias, *past, *how)
        return hidden[0], hidden[0], cell[0]


class _Lstm:
    """One LSTM layer. The first layer's input products depend on the action only, so they are
    looked up; other layers multiply input and state together, with concatenated weights."""

    def __init__(self, embedding: Tensor | None, dtype: torch.dtype, own: list[Tensor]) -> None:
        w_ih, w_hh, b_ih, b_hh = own
        self._table, bias = None, b_ih + b_hh
        if embedding is None:
            self._product = Product(torch.cat((w_ih, w_hh), 1).to(dtype), bias.to(dtype))
        else:
            self._table = linear(embedding, w_ih, bias)
            self._product = Product(w_hh.to(dtype))

    def __call__(self, read: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        if self._table is None:
            gates = self._product(torch.cat((read, hidden), 1)).float()
        else:
            gates = self._table[read]
            gates += self._product(hidden)
        keep_in, forget, new, out = gates.chunk(4, 1)
        cell.mul_(forget.sigmoid_()).addcmul_(keep_in.sigmoid_(), tanh_(new))
        hidden = tanh_(cell.clone()).mul_(out.sigmoid_()).to(hidden.dtype)
        return hidden, hidden, cell


class _Gru:
    """One GRU layer. Like `_Lstm`, but the state has its own product, since the reset gate acts on
    that one only."""

    def __init__(self, embedding: Tensor | None, dtype: torch.dtype, own: list[Tensor]) -> None:
        w_ih, w_hh, b_ih, b_hh = own
        self._recurrent, self._dtype = Product(w_hh.to(dtype), b_hh.to(dtype)), dtype
        self._read: Callable[[Tensor], Tensor]
        if embedding is None:
            product = Product(w_ih.to(dtype), b_ih.to(dtype))
            self._read = lambda below: product(below).float()
        else:
            self._read = linear(embedding, w_ih, b_ih).__getitem__

    def __call__(self, read: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        gates = self._read(read)
        past = self._recurrent(hidden.to(self._dtype)).float().chunk(3, 1)
        reset, update, new = gates.chunk(3, 1)
        reset.add_(past[0]).sigmoid_()
        update.add_(past[1]).sigmoid_()
        tanh_(new.addcmul_(reset, past[2]))
        hidden = hidden.lerp_(new, 1 - update)
        return hidden.to(self._dtype), hidden
