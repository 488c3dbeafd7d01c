"""Recurrent layers over the tree of a batch's prefixes: each distinct one once, and no padding.

Episodes that begin alike are in the same states until they part, so a batch is a tree. Its nodes
are laid out by their depth, block t holding those that have read t actions:

    C C O <end>                block 0   block 1   block 2   block 3
    C C N C <end>              [start]   C         CC  CN    CCO  CCN  CNC     (then CCNC)
    C N C                                          (a node reads the last action of its prefix)

Only the recurrent product goes block by block. All others, those of the weights' gradients too,
are one product over all N nodes, which is what a CPU does best. The gradients are written out by
hand: recorded operation by operation, the weights' would be summed once per block.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor


class PrefixTree:
    """The distinct prefixes of B episodes of at most T actions.

    actions int64 [B,T], lengths int64 [B], at least 1; start: what is read before the first
    action. `reads` int64 [N]: the action that each node reads; `parents` int64 [N - 1]: the nodes
    before all but the first; `blocks`: their bounds, T' + 1 numbers for a longest episode of T'
    actions. Works on the CPU.
    """

    def __init__(self, actions: Tensor, lengths: Tensor, start: int) -> None:
        self.shape = actions.shape
        rows, ends = actions.numpy(), lengths.numpy()
        # big-endian numbers sort as their bytes do: afterwards equal prefixes lie side by side
        texts = rows.astype(">u4")
        order = np.array(sorted(range(len(rows)), key=lambda b: texts[b].tobytes()))
        rows, ends = rows[order], ends[order]
        # parted[i,t]: row i has another prefix of t actions than the row above it
        parted = np.zeros(rows.shape, dtype=bool)
        differ = rows[1:, :-1] != rows[:-1, :-1]
        parted[1:, 1:] = np.logical_or.accumulate(differ, axis=1)
        groups = parted.cumsum(0)
        step, row = (np.arange(rows.shape[1])[:, None] < ends).nonzero()
        codes, first, node_of = np.unique(
            step * len(rows) + groups[row, step], return_index=True, return_inverse=True
        )
        depth = step[first]
        self.size = len(codes)
        self.blocks: list[int] = np.searchsorted(depth, np.arange(int(ends.max()) + 1)).tolist()
        before = np.concatenate((np.full((len(rows), 1), start), rows[:, :-1]), axis=1)
        self.reads = torch.from_numpy(before[row[first], depth])
        # an episode's node at each step; it has one at every step before its end
        at = np.zeros(rows.shape, dtype=np.int64)
        at[row, step] = node_of
        self.parents = torch.from_numpy(at[row[first[1:]], depth[1:] - 1])
        self._node_of = torch.from_numpy(node_of)
        self._flat = torch.from_numpy(order[row] * rows.shape[1] + step)

    def unpack(self, nodes: Tensor) -> Tensor:
        """[N,...] -> [B,T,...], what belongs to each step of each episode; zero in the padding."""
        episodes, steps = self.shape
        empty = nodes.new_zeros((episodes * steps, *nodes.shape[1:]))
        filled = empty.index_copy(0, self._flat, nodes[self._node_of])
        return filled.view(episodes, steps, *nodes.shape[1:])

    def above(self, block: int) -> Tensor:
        """int64: the parents of a block's nodes, for all blocks but the first."""
        return self.parents[self.blocks[block] - 1 : self.blocks[block + 1] - 1]


class LSTMSteps(torch.autograd.Function):
    """The recurrence of an LSTM layer: input products [N,4H] with biases -> hidden [N,H].

    Gates in PyTorch's order: input, forget, cell, output. The recurrent product is in the weights'
    precision, everything else in that of the input products.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor, tree: PrefixTree) -> Tensor:
        """weights [4H,H], of the recurrent product."""
        gates = inputs.clone()
        size = gates.shape[1] // 4
        hidden, cells = gates.new_empty(len(gates), size), gates.new_empty(len(gates), size)
        tanh_cells = torch.empty_like(cells)
        for t, (i, j) in enumerate(pairwise(tree.blocks)):
            now = gates[i:j]
            if t:
                now += _product(hidden[tree.above(t)], weights.t())
            keep_in, forget, new, out = now.chunk(4, 1)
            torch.mul(keep_in.sigmoid_(), new.tanh_(), out=cells[i:j])
            forget.sigmoid_()
            if t:
                cells[i:j].addcmul_(forget, cells[tree.above(t)])
            torch.tanh(cells[i:j], out=tanh_cells[i:j])
            torch.mul(out.sigmoid_(), tanh_cells[i:j], out=hidden[i:j])
        ctx.save_for_backward(gates, cells, tanh_cells, hidden, weights)
        ctx.tree = tree
        return hidden

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        gates, cells, tanh_cells, hidden, weights = ctx.saved_tensors
        tree: PrefixTree = ctx.tree
        grads = torch.empty_like(gates)
        grad_hidden, grad_cells = grad.clone(), torch.zeros_like(cells)
        for t in reversed(range(len(tree.blocks) - 1)):
            i, j = tree.blocks[t], tree.blocks[t + 1]
            tanh_cell, d_hidden, d_cell = tanh_cells[i:j], grad_hidden[i:j], grad_cells[i:j]
            keep_in, forget, new, out = gates[i:j].chunk(4, 1)
            grad_in, grad_forget, grad_new, grad_out = grads[i:j].chunk(4, 1)
            d_cell += d_hidden * out * (1 - tanh_cell.square())
            torch.mul(d_hidden * tanh_cell, out * (1 - out), out=grad_out)
            torch.mul(d_cell * new, keep_in * (1 - keep_in), out=grad_in)
            torch.mul(d_cell * keep_in, 1 - new.square(), out=grad_new)
            if not t:
                grad_forget.zero_()
                break
            above = tree.above(t)
            torch.mul(d_cell * cells[above], forget * (1 - forget), out=grad_forget)
            grad_cells.index_add_(0, above, d_cell * forget)
            grad_hidden.index_add_(0, above, _product(grads[i:j], weights))
        return grads, _weight_gradient(grads, hidden, tree, weights.dtype), None


class GRUSteps(torch.autograd.Function):
    """The recurrence of a GRU layer: input products [N,3H] with biases -> hidden [N,H].

    Gates in PyTorch's order: reset, update, new. Precision as in `LSTMSteps`.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weights: Tensor, bias: Tensor, tree: PrefixTree
    ) -> Tensor:
        """weights [3H,H] and bias [3H], of the recurrent product."""
        gates = inputs.clone()
        size = gates.shape[1] // 3
        hidden = gates.new_empty(len(gates), size)
        # the recurrent part of `new`, before the reset gate
        recurrent = gates.new_empty(len(gates), size)
        for t, (i, j) in enumerate(pairwise(tree.blocks)):
            reset, update, new = gates[i:j].chunk(3, 1)
            past = hidden[tree.above(t)] if t else hidden.new_zeros(1, size)
            added = _product(past, weights.t()) + bias
            from_reset, from_update, from_new = added.chunk(3, 1)
            recurrent[i:j] = from_new
            reset.add_(from_reset).sigmoid_()
            update.add_(from_update).sigmoid_()
            new.addcmul_(reset, from_new).tanh_()
            torch.lerp(new, past, update, out=hidden[i:j])
        ctx.save_for_backward(gates, recurrent, hidden, weights)
        ctx.tree = tree
        return hidden

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        gates, recurrent, hidden, weights = ctx.saved_tensors
        tree: PrefixTree = ctx.tree
        size = hidden.shape[1]
        grads = torch.empty_like(gates)  # of the input products
        recurrent_grads = torch.empty_like(gates)  # they differ in `new`
        grad_hidden = grad.clone()
        for t in reversed(range(len(tree.blocks) - 1)):
            i, j = tree.blocks[t], tree.blocks[t + 1]
            reset, update, new = gates[i:j].chunk(3, 1)
            grad_reset, grad_update, grad_new = grads[i:j].chunk(3, 1)
            d_hidden = grad_hidden[i:j]
            past = hidden[tree.above(t)] if t else hidden.new_zeros(1, size)
            torch.mul(d_hidden * (past - new), update * (1 - update), out=grad_update)
            torch.mul(d_hidden * (1 - update), 1 - new.square(), out=grad_new)
            torch.mul(grad_new * recurrent[i:j], reset * (1 - reset), out=grad_reset)
            recurrent_grads[i:j] = grads[i:j]
            recurrent_grads[i:j, 2 * size :] *= reset
            if t:
                d_past = torch.addcmul(_product(recurrent_grads[i:j], weights), d_hidden, update)
                grad_hidden.index_add_(0, tree.above(t), d_past)
        grad_weights = _weight_gradient(recurrent_grads, hidden, tree, weights.dtype)
        return grads, grad_weights, recurrent_grads.sum(0), None


def _product(x: Tensor, weights: Tensor) -> Tensor:
    return (x.to(weights.dtype) @ weights).to(x.dtype)


def _weight_gradient(grads: Tensor, hidden: Tensor, tree: PrefixTree, dtype: torch.dtype) -> Tensor:
    """Of the recurrent weights: grads of the products [N,G], hidden [N,H] -> [G,H]."""
    return grads[1:].to(dtype).t() @ hidden[tree.parents].to(dtype)
