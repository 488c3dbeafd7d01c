"""Recurrent layers over episodes of different lengths, without a step spent on padding.

The steps of a batch are packed time first, longest episode first: block t holds step t of every
episode that is longer than t, so what goes on from one block to the next are its first rows.

    block 0      block 1    block 2
    e0 e1 e2 e3  e0 e1 e2   e0        where e0 has 3 steps, e1 and e2 have 2, e3 has 1

Only the recurrent product goes step by step. All others, those of the weights' gradients too, are
one product over all N packed steps of a batch, which is what a CPU does best. The gradients are
written out by hand: recorded operation by operation, they would be summed once per step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


class Packing:
    """Where the steps of B episodes of at most T steps lie in packed order.

    lengths: int64 [B], at least 1. `size` is N, the sum of the lengths; `blocks` the bounds of the
    blocks, T' + 1 numbers for a longest episode of T' steps.
    """

    def __init__(self, lengths: Tensor, steps: int) -> None:
        ordered, order = lengths.sort(descending=True, stable=True)
        longest = int(ordered[0])
        alive = torch.arange(longest, device=lengths.device).unsqueeze(1) < ordered
        step, rank = alive.nonzero(as_tuple=True)
        self.steps, self.episodes, self.size = steps, len(lengths), len(step)
        self.blocks: list[int] = [0, *alive.sum(1).cumsum(0).tolist()]
        self._flat = order[rank] * steps + step
        # for each packed step after block 0, the packed step before it
        widths = alive.sum(1)
        self.before = torch.arange(len(ordered), self.size, device=lengths.device)
        self.before -= widths[step[len(ordered) :] - 1]

    def pack(self, padded: Tensor) -> Tensor:
        """[B,T,...] -> [N,...]."""
        return padded.flatten(0, 1)[self._flat]

    def unpack(self, packed: Tensor) -> Tensor:
        """[N,...] -> [B,T,...], zero in the padding."""
        empty = packed.new_zeros((self.episodes * self.steps, *packed.shape[1:]))
        filled = empty.index_copy(0, self._flat, packed)
        return filled.view(self.episodes, self.steps, *packed.shape[1:])


class LSTMSteps(torch.autograd.Function):
    """The recurrence of an LSTM layer: input products [N,4H] with biases -> hidden [N,H].

    Gates in PyTorch's order: input, forget, cell, output. The recurrent product is in the weights'
    precision, everything else in that of the input products.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor, packing: Packing) -> Tensor:
        """weights [4H,H], of the recurrent product."""
        gates = inputs.clone()
        size = gates.shape[1] // 4
        hidden, cells = gates.new_empty(len(gates), size), gates.new_empty(len(gates), size)
        tanh_cells = torch.empty_like(cells)
        before = 0
        for i, j in pairwise(packing.blocks):
            now = gates[i:j]
            if i:
                now += _product(hidden[before : before + j - i], weights.t())
            keep_in, forget, new, out = now.chunk(4, 1)
            torch.mul(keep_in.sigmoid_(), new.tanh_(), out=cells[i:j])
            forget.sigmoid_()
            if i:
                cells[i:j].addcmul_(forget, cells[before : before + j - i])
            torch.tanh(cells[i:j], out=tanh_cells[i:j])
            torch.mul(out.sigmoid_(), tanh_cells[i:j], out=hidden[i:j])
            before = i
        ctx.save_for_backward(gates, cells, tanh_cells, hidden, weights)
        ctx.packing = packing
        return hidden

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        gates, cells, tanh_cells, hidden, weights = ctx.saved_tensors
        packing: Packing = ctx.packing
        size = hidden.shape[1]
        grads = torch.empty_like(gates)
        grad_cell = gates.new_zeros(packing.episodes, size)
        grad_hidden = gates.new_zeros(packing.episodes, size)
        blocks = packing.blocks
        for t in reversed(range(len(blocks) - 1)):
            i, j = blocks[t], blocks[t + 1]
            rows, tanh_cell = slice(0, j - i), tanh_cells[i:j]
            keep_in, forget, new, out = gates[i:j].chunk(4, 1)
            grad_in, grad_forget, grad_new, grad_out = grads[i:j].chunk(4, 1)
            d_hidden, d_cell = grad_hidden[rows], grad_cell[rows]
            d_hidden += grad[i:j]
            d_cell += d_hidden * out * (1 - tanh_cell.square())
            torch.mul(d_hidden * tanh_cell, out * (1 - out), out=grad_out)
            torch.mul(d_cell * new, keep_in * (1 - keep_in), out=grad_in)
            torch.mul(d_cell * keep_in, 1 - new.square(), out=grad_new)
            if not t:
                grad_forget.zero_()
                break
            past = cells[blocks[t - 1] : blocks[t - 1] + j - i]
            torch.mul(d_cell * past, forget * (1 - forget), out=grad_forget)
            d_cell *= forget
            d_hidden.copy_(_product(grads[i:j], weights))
        return grads, _weight_gradient(grads, hidden, packing, weights.dtype), None


class GRUSteps(torch.autograd.Function):
    """The recurrence of a GRU layer: input products [N,3H] with biases -> hidden [N,H].

    Gates in PyTorch's order: reset, update, new. Precision as in `LSTMSteps`.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weights: Tensor, bias: Tensor, packing: Packing
    ) -> Tensor:
        """weights [3H,H] and bias [3H], of the recurrent product."""
        gates = inputs.clone()
        size = gates.shape[1] // 3
        hidden = gates.new_empty(len(gates), size)
        # the recurrent part of `new`, before the reset gate
        recurrent = gates.new_empty(len(gates), size)
        before = 0
        for i, j in pairwise(packing.blocks):
            reset, update, new = gates[i:j].chunk(3, 1)
            past = hidden[before : before + j - i] if i else hidden.new_zeros(j - i, size)
            added = _product(past, weights.t()) + bias
            from_reset, from_update, from_new = added.chunk(3, 1)
            recurrent[i:j] = from_new
            reset.add_(from_reset).sigmoid_()
            update.add_(from_update).sigmoid_()
            new.addcmul_(reset, from_new).tanh_()
            torch.lerp(new, past, update, out=hidden[i:j])
            before = i
        ctx.save_for_backward(gates, recurrent, hidden, weights)
        ctx.packing = packing
        return hidden

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        gates, recurrent, hidden, weights = ctx.saved_tensors
        packing: Packing = ctx.packing
        size = hidden.shape[1]
        grads = torch.empty_like(gates)  # of the input products
        recurrent_grads = torch.empty_like(gates)  # they differ in `new`
        grad_hidden = gates.new_zeros(packing.episodes, size)
        blocks = packing.blocks
        for t in reversed(range(len(blocks) - 1)):
            i, j = blocks[t], blocks[t + 1]
            reset, update, new = gates[i:j].chunk(3, 1)
            grad_reset, grad_update, grad_new = grads[i:j].chunk(3, 1)
            d_hidden = grad_hidden[: j - i]
            d_hidden += grad[i:j]
            before = blocks[t - 1] if t else 0
            past = hidden[before : before + j - i] if t else hidden.new_zeros(j - i, size)
            torch.mul(d_hidden * (past - new), update * (1 - update), out=grad_update)
            torch.mul(d_hidden * (1 - update), 1 - new.square(), out=grad_new)
            torch.mul(grad_new * recurrent[i:j], reset * (1 - reset), out=grad_reset)
            recurrent_grads[i:j] = grads[i:j]
            recurrent_grads[i:j, 2 * size :] *= reset
            if t:
                d_hidden *= update
                d_hidden += _product(recurrent_grads[i:j], weights)
        grad_weights = _weight_gradient(recurrent_grads, hidden, packing, weights.dtype)
        return grads, grad_weights, recurrent_grads.sum(0), None


def _product(x: Tensor, weights: Tensor) -> Tensor:
    return (x.to(weights.dtype) @ weights).to(x.dtype)


def _weight_gradient(grads: Tensor, hidden: Tensor, packing: Packing, dtype: torch.dtype) -> Tensor:
    """Of the recurrent weights: grads of the products [N,G], hidden [N,H] -> [G,H]."""
    later = grads[packing.episodes :].to(dtype)
    return later.t() @ hidden[packing.before].to(dtype)
