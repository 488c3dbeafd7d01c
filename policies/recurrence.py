"""Recurrent layers over trees of prefixes, with their gradients.

Only the recurrent product goes block by block through a tree. All others, those of the weights'
gradients too, are one product over all its N nodes, which is what a CPU does best. The gradients
are written out by hand: recorded operation by operation, the weights' would be summed once per
block. Each tree has a thread of its own, which waits for the others once and not at every step.

Gates are in PyTorch's order. Products are in the precision of the weights given, everything else
in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from sequence_tutor.policies.prefix_tree import PrefixTree

T = TypeVar("T")


@dataclass(frozen=True)
class Layer:
    """One layer's weights, G gates of H units: recurrent [G H,H] with its bias [G H] where that
    can't be added to the input's (GRU); input [G H,H] with its bias, None for the first layer,
    whose input products are looked up."""

    recurrent: Tensor
    recurrent_bias: Tensor | None
    input: Tensor | None
    input_bias: Tensor | None


class RecurrentLayers(torch.autograd.Function):
    """All layers: products of the first layer's input by action [V+1,G H] -> hidden vectors of the
    last layer, [N,H] for each tree."""

    @staticmethod
    def forward(
        ctx: Any, trees: list[PrefixTree], lstm: bool, table: Tensor, *weights: Tensor | None
    ) -> tuple[Tensor, ...]:
        """weights: the four of each `Layer`, one layer after the other."""
        layers = _layers(weights)
        run = partial(_forward, lstm=lstm, table=table, layers=layers)
        done = _side_by_side([partial(run, tree) for tree in trees])
        ctx.trees, ctx.lstm, ctx.layers, ctx.actions = trees, lstm, layers, len(table)
        # not the outputs themselves: they'd hold what holds them
        ctx.passes = [[step.detached() for step in steps] for steps in done]
        return tuple(steps[-1].hidden for steps in done)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        run = partial(_backward, lstm=ctx.lstm, layers=ctx.layers, actions=ctx.actions)
        found = _side_by_side(
            [
                partial(run, tree, steps, grad)
                for tree, steps, grad in zip(ctx.trees, ctx.passes, grads, strict=True)
            ]
        )
        total = found[0]
        for other in found[1:]:
            for mine, added in zip(total, other, strict=True):
                if mine is not None and added is not None:
                    mine += added
        return (None, None, *total)


@dataclass(frozen=True)
class Pass:
    """What a layer leaves behind for its gradient: gates [N,G H] after their nonlinearities,
    hidden [N,H], and of an LSTM its cells [N,H] and their tanh, of a GRU the recurrent part of
    the new state [N,H] before it is reset."""

    gates: Tensor
    hidden: Tensor
    kept: tuple[Tensor, ...]

    def detached(self) -> Pass:
        return Pass(self.gates, self.hidden.detach(), self.kept)


def _layers(weights: Sequence[Tensor | None]) -> list[Layer]:
    return [Layer(*weights[i : i + 4]) for i in range(0, len(weights), 4)]  # type: ignore[arg-type]


def _forward(tree: PrefixTree, lstm: bool, table: Tensor, layers: list[Layer]) -> list[Pass]:
    passes: list[Pass] = []
    for layer in layers:
        if layer.input is None:
            products = table[tree.reads].float()
        else:
            below = passes[-1].hidden.to(layer.input.dtype)
            products = linear(below, layer.input, layer.input_bias).float()
        step = _lstm_forward if lstm else _gru_forward
        passes.append(step(products, layer, tree))
    return passes


def _backward(
    tree: PrefixTree,
    passes: list[Pass],
    grad: Tensor,
    lstm: bool,
    layers: list[Layer],
    actions: int,
) -> list[Tensor | None]:
    """Gradients of the table and of each layer's weights."""
    found: list[Tensor | None] = []
    grad_hidden = grad.clone()
    for i in reversed(range(len(layers))):
        layer, left = layers[i], passes[i]
        step = _lstm_backward if lstm else _gru_backward
        grads, recurrent_grads = step(left, grad_hidden, layer, tree)
        dtype = layer.recurrent.dtype
        before = left.hidden[tree.parents].to(dtype)
        own: list[Tensor | None] = [recurrent_grads[1:].to(dtype).t() @ before, None, None, None]
        if layer.recurrent_bias is not None:
            own[1] = recurrent_grads.sum(0)
        if layer.input is not None:
            below, rounded = passes[i - 1].hidden.to(dtype), grads.to(dtype)
            own[2:] = [rounded.t() @ below, grads.sum(0).to(dtype)]
            grad_hidden = (rounded @ layer.input).float()
        found = own + found
    table = grads.new_zeros(actions, grads.shape[1]).index_add_(0, tree.reads, grads)
    return [table, *found]


def _lstm_forward(gates: Tensor, layer: Layer, tree: PrefixTree) -> Pass:
    """`gates` are the input products, and become the gates: input, forget, new, output."""
    size = gates.shape[1] // 4
    hidden, cells = gates.new_empty(len(gates), size), gates.new_empty(len(gates), size)
    tanh_cells = torch.empty_like(cells)
    for t, (i, j) in enumerate(pairwise(tree.blocks)):
        now = gates[i:j]
        if t:
            now += _product(hidden[tree.above(t)], layer.recurrent.t())
        keep_in, forget, new, out = now.chunk(4, 1)
        torch.mul(keep_in.sigmoid_(), new.tanh_(), out=cells[i:j])
        forget.sigmoid_()
        if t:
            cells[i:j].addcmul_(forget, cells[tree.above(t)])
        torch.tanh(cells[i:j], out=tanh_cells[i:j])
        torch.mul(out.sigmoid_(), tanh_cells[i:j], out=hidden[i:j])
    return Pass(gates, hidden, (cells, tanh_cells))


def _lstm_backward(
    left: Pass, grad_hidden: Tensor, layer: Layer, tree: PrefixTree
) -> tuple[Tensor, Tensor]:
    """Gradients of the input products [N,4H] and of the recurrent ones, which are the same.
    grad_hidden [N,H] is used up."""
    cells, tanh_cells = left.kept
    grads, grad_cells = torch.empty_like(left.gates), torch.zeros_like(cells)
    for t in reversed(range(len(tree.blocks) - 1)):
        i, j = tree.blocks[t], tree.blocks[t + 1]
        tanh_cell, d_hidden, d_cell = tanh_cells[i:j], grad_hidden[i:j], grad_cells[i:j]
        keep_in, forget, new, out = left.gates[i:j].chunk(4, 1)
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
        grad_hidden.index_add_(0, above, _product(grads[i:j], layer.recurrent))
    return grads, grads


def _gru_forward(gates: Tensor, layer: Layer, tree: PrefixTree) -> Pass:
    """`gates` are the input products, and become the gates: reset, update, new."""
    size = gates.shape[1] // 3
    hidden, recurrent = gates.new_empty(len(gates), size), gates.new_empty(len(gates), size)
    for t, (i, j) in enumerate(pairwise(tree.blocks)):
        reset, update, new = gates[i:j].chunk(3, 1)
        past = hidden[tree.above(t)] if t else hidden.new_zeros(1, size)
        assert layer.recurrent_bias is not None
        added = _product(past, layer.recurrent.t()) + layer.recurrent_bias
        from_reset, from_update, from_new = added.chunk(3, 1)
        recurrent[i:j] = from_new
        reset.add_(from_reset).sigmoid_()
        update.add_(from_update).sigmoid_()
        new.addcmul_(reset, from_new).tanh_()
        torch.lerp(new, past, update, out=hidden[i:j])
    return Pass(gates, hidden, (recurrent,))


def _gru_backward(
    left: Pass, grad_hidden: Tensor, layer: Layer, tree: PrefixTree
) -> tuple[Tensor, Tensor]:
    """Gradients of the input products [N,3H] and of the recurrent ones, which differ in `new`.
    grad_hidden [N,H] is used up."""
    size = left.hidden.shape[1]
    grads, recurrent_grads = torch.empty_like(left.gates), torch.empty_like(left.gates)
    for t in reversed(range(len(tree.blocks) - 1)):
        i, j = tree.blocks[t], tree.blocks[t + 1]
        reset, update, new = left.gates[i:j].chunk(3, 1)
        grad_reset, grad_update, grad_new = grads[i:j].chunk(3, 1)
        d_hidden = grad_hidden[i:j]
        past = left.hidden[tree.above(t)] if t else left.hidden.new_zeros(1, size)
        torch.mul(d_hidden * (past - new), update * (1 - update), out=grad_update)
        torch.mul(d_hidden * (1 - update), 1 - new.square(), out=grad_new)
        torch.mul(grad_new * left.kept[0][i:j], reset * (1 - reset), out=grad_reset)
        recurrent_grads[i:j] = grads[i:j]
        recurrent_grads[i:j, 2 * size :] *= reset
        if t:
            d_past = _product(recurrent_grads[i:j], layer.recurrent)
            grad_hidden.index_add_(0, tree.above(t), d_past.addcmul_(d_hidden, update))
    return grads, recurrent_grads


def _product(x: Tensor, weights: Tensor) -> Tensor:
    return (x.to(weights.dtype) @ weights).float()


def _side_by_side(calls: list[Callable[[], T]]) -> list[T]:
    """The calls' results; more than one call has a thread each, and no threads within it."""
    if len(calls) == 1:
        return [calls[0]()]
    return list(_threads(len(calls)).map(_without_gradients, calls))


def _without_gradients(call: Callable[[], T]) -> T:
    with torch.no_grad():
        return call()


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "layers", partial(torch.set_num_threads, 1))
