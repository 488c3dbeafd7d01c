"""A network that reads one action at a time on a CPU, for sampling and for reading without
gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import linear

from sequence_tutor.policies.kernels.packed_linear import TYPICAL_ROWS, Product, one_dnn, tanh_

if TYPE_CHECKING:
    from sequence_tutor.policies.network import RecurrentNetwork

# Hidden vectors [N,H] of each layer, then, for an LSTM, the cells [N,H] of each layer.
State = list[Tensor]

_LSTM = 2  # PyTorch's number for the kind of cell, in its oneDNN operators


class Stepper:
    """A copy of a network's weights, laid out for a CPU; later changes don't reach it.

    Products are in `dtype`. Everything else is in float32, the output layer too: in bfloat16 a
    logit of 20 would be wrong by up to a twentieth of a nat.
    """

    def __init__(self, network: RecurrentNetwork, dtype: torch.dtype) -> None:
        self.sizes, self.dtype = network.architecture, dtype
        # per layer: input and hidden weights, input and hidden biases
        weights = [p.detach() for p in network.rnn.parameters()]
        layers = [weights[i : i + 4] for i in range(0, len(weights), 4)]
        embedding = network.embedding.weight.detach()
        fused = dtype == torch.bfloat16 and one_dnn(dtype)
        layer = _Gru if self.sizes.cell == "gru" else _FusedLstm if fused else _Lstm
        with torch.autocast("cpu", enabled=False):
            self._layers: list[Callable[..., tuple[Tensor, ...]]] = [
                layer(None if i else embedding, dtype, own) for i, own in enumerate(layers)
            ]
        self._head = Product(network.head.weight, network.head.bias.detach())

    @torch.no_grad()
    def start(self) -> State:
        """Return the state of one row before the first action."""
        layers, lstm = self.sizes.layers, self.sizes.cell == "lstm"
        kinds = (
            [self.dtype] * layers + [torch.float32] * layers if lstm else [torch.float32] * layers
        )
        return [torch.zeros(1, self.sizes.hidden, dtype=dtype) for dtype in kinds]

    @torch.no_grad()
    def step(self, actions: Tensor, state: State) -> tuple[Tensor, State]:
        """Read actions int64 [N] in a state of N rows -> hidden vectors of the last layer [N,H] and
        the state after the actions. The given state is overwritten."""
        read, count = actions, self.sizes.layers
        hidden, cells = [], []
        for i, layer in enumerate(self._layers):
            read, *after = layer(read, *state[i::count])
            hidden.append(after[0])
            cells += after[1:]
        return read, hidden + cells

    @torch.no_grad()
    def outputs(self, hidden: Tensor) -> Tensor:
        """The network's outputs for each next action: [N,H] -> float32 [N,V]."""
        return self._head(hidden.float())


_laid_out: WeakKeyDictionary[RecurrentNetwork, dict[torch.dtype, tuple[list[int], Stepper]]]
_laid_out = WeakKeyDictionary()


def stepper_of(network: RecurrentNetwork, dtype: torch.dtype) -> Stepper:
    """The stepper of a network's current weights. For a network that doesn't learn it is cached
    until the weights are written to."""
    # PyTorch counts the writes to a tensor, but not those of its fused optimizers
    if any(p.requires_grad for p in network.parameters()):
        return Stepper(network, dtype)
    versions = [p._version for p in network.parameters()]
    known = _laid_out.setdefault(network, {})
    if dtype not in known or known[dtype][0] != versions:
        known[dtype] = versions, Stepper(network, dtype)
    return known[dtype][1]


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
