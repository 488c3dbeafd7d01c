"""Recurrent layers over trees of prefixes, with their gradients.

Only the recurrent product goes through a tree block by block. Every other product, those of the
weights' gradients too, is one product over all N nodes, which is fastest on a CPU. The gradients
are written by hand, since autograd would sum the weights' gradients once per block. Each tree has
its own thread, which waits for the others once and not at every step.

Gates are in PyTorch's order. Products are in the given precision, everything else in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sequence_tutor.policies.kernels.packed_linear import Product, tanh_
from sequence_tutor.policies.kernels.prefix_tree import PrefixTree
from sequence_tutor.policies.kernels.threads import side_by_side


class RecurrentLayers(torch.autograd.Function):
    """All layers: the first layer's input products by action, float32 [V+1,G H] -> hidden vectors
    of the last layer, [N,H] for each tree, in the precision of the products."""

    @staticmethod
    def forward(
        ctx: Any,
        trees: list[PrefixTree],
        lstm: bool,
        dtype: torch.dtype,
        table: Tensor,
        *weights: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """weights: the arguments of each `Layer`, one layer after the other."""
        parts = [weights[i : i + 4] for i in range(0, len(weights), 4)]
        lay_out = [partial(Layer, dtype, *part) for part in parts]  # type: ignore[arg-type]
        layers = side_by_side(lay_out) if len(trees) > 1 else [call() for call in lay_out]
        run = partial(_forward, lstm=lstm, table=table, layers=layers)
        done = side_by_side([partial(run, tree) for tree in trees])
        ctx.trees, ctx.lstm, ctx.layers, ctx.actions = trees, lstm, layers, len(table)
        # detached: saving the outputs on ctx would make a reference cycle
        ctx.passes = [[step.detached() for step in steps] for steps in done]
        return tuple(steps[-1].hidden for steps in done)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        run = partial(_backward, lstm=ctx.lstm, layers=ctx.layers, actions=ctx.actions)
        found = side_by_side(
            [
                partial(run, tree, steps, grad)
                for tree, steps, grad in zip(ctx.trees, ctx.passes, grads, strict=True)
            ]
        )
        total = found[0]
        for other in found[1:]:
            for mine, added in zip(total, other, strict=True):
                if mine is not None and added is not None:
                    mine.add_(added)
        return (None, None, None, *total)


class Layer:
    """One layer's weights, G gates of H units, laid out for products forward and backward.

    recurrent: [G H,H]; recurrent_bias: [G H] of a GRU, None for an LSTM, where it is part of the
    input's. input, input_bias: [G H,H], [G H]; None for the first layer, whose input products are
    looked up.
    """

    def __init__(
        self,
        dtype: torch.dtype,
        recurrent: Tensor,
        recurrent_bias: Tensor | None,
        input: Tensor | None,
        input_bias: Tensor | None,
    ) -> None:
        self.dtype, self.recurrent_bias = dtype, recurrent_bias
        self.recurrent = Product(recurrent.to(dtype))
        self.recurrent_back = Product(recurrent.t().to(dtype))
        self.input = self.input_back = None
        if input is not None and input_bias is not None:
            self.input = Product(input.to(dtype), input_bias.to(dtype))
            self.input_back = Product(input.t().to(dtype))


@dataclass(frozen=True)
class Pass:
    """The values of a layer's forward pass that its gradient needs."""

    gates: Tensor
    """[N,G H]: of an LSTM before the nonlinearities, in the products' precision; of a GRU after
    them, in float32."""
    hidden: Tensor
    """[N,H] hidden vectors, in the products' precision."""
    kept: tuple[Tensor, ...]
    """float32 [N,H] each: of an LSTM the cells; of a GRU the recurrent part of the new state before
    the reset gate, and the hidden vectors."""

    def detached(self) -> Pass:
        return Pass(self.gates, self.hidden.detach(), self.kept)


def _forward(tree: PrefixTree, lstm: bool, table: Tensor, layers: list[Layer]) -> list[Pass]:
    passes: list[Pass] = []
    for layer in layers:
        if layer.input is None:
            products = table.index_select(0, tree.reads).to(layer.dtype if lstm else table.dtype)
        else:
            products = layer.input(passes[-1].hidden)
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
    grad_hidden = grad.float() if grad.dtype != torch.float32 else grad.clone()
    for i in reversed(range(len(layers))):
        layer, saved = layers[i], passes[i]
        step = _lstm_backward if lstm else _gru_backward
        grads, recurrent_grads = step(saved, grad_hidden, layer, tree)
        before = saved.hidden.index_select(0, tree.parents)
        own: list[Tensor | None] = [(recurrent_grads[1:].t() @ before).float(), None, None, None]
        if layer.recurrent_bias is not None:
            own[1] = recurrent_grads.sum(0).float()
        if layer.input_back is not None:
            own[2] = (grads.t() @ passes[i - 1].hidden).float()
            own[3] = grads.sum(0).float()
            grad_hidden = layer.input_back(grads).float()
        found = own + found
    table = grads.new_zeros(actions, grads.shape[1], dtype=torch.float32)
    for i, j in pairwise(tree.blocks):
        table.index_add_(0, tree.reads[i:j], grads[i:j].float())
    return [table, *found]


def _lstm_forward(gates: Tensor, layer: Layer, tree: PrefixTree) -> Pass:
    """`gates` holds the input products and is overwritten by the gates: input, forget, new, output.

    Memory is slower than the processor, so a block is finished while the caches hold it, and gates
    are kept in the precision of the products.
    """
    nodes, size = len(gates), gates.shape[1] // 4
    hidden = gates.new_empty(nodes, size)
    cells = gates.new_empty(nodes, size, dtype=torch.float32)
    for t, (i, j) in enumerate(pairwise(tree.blocks)):
        now, cell = gates[i:j].to(torch.float32, copy=True), cells[i:j]
        if t:
            now += layer.recurrent(hidden.index_select(0, tree.above(t)))
        gates[i:j] = now
        keep_in, forget, new, out = _lstm_gates(now)
        torch.mul(keep_in, new.mul_(2).sub_(1), out=cell)
        if t:
            cell.addcmul_(forget, cells.index_select(0, tree.above(t)))
        hidden[i:j] = tanh_(cell.clone()).mul_(out)
    return Pass(gates, hidden, (cells,))


def _lstm_gates(inputs: Tensor) -> Sequence[Tensor]:
    """float32 [N,4H], in place, after a sigmoid; `new` is (1 + tanh) / 2, see `tanh_`."""
    gates = inputs.chunk(4, 1)
    gates[2].mul_(2)
    inputs.sigmoid_()
    return gates


def _lstm_backward(
    saved: Pass, grad_hidden: Tensor, layer: Layer, tree: PrefixTree
) -> tuple[Tensor, Tensor]:
    """Gradients of the input products [N,4H] in the precision of the products, and those of the
    recurrent ones, which are the same. grad_hidden [N,H] is overwritten."""
    (cells,) = saved.kept
    grads, grad_cells = torch.empty_like(saved.gates), torch.zeros_like(cells)
    one = cells.new_ones(())
    for t in reversed(range(len(tree.blocks) - 1)):
        i, j = tree.blocks[t], tree.blocks[t + 1]
        d_hidden, d_cell = grad_hidden[i:j], grad_cells[i:j]
        gates = saved.gates[i:j].to(torch.float32, copy=True)
        keep_in, forget, new, out = _lstm_gates(gates)
        tanh_cell = tanh_(cells[i:j].clone())
        d_cell.addcmul_(d_hidden * out, torch.addcmul(one, tanh_cell, tanh_cell, value=-1))
        # of each sigmoid y: y (1 - y)
        now = torch.addcmul(gates, gates, gates, value=-1)
        by_in, by_forget, by_new, by_out = now.chunk(4, 1)
        by_in.mul_(d_cell).mul_(new.mul_(2).sub_(1))
        by_new.mul_(d_cell).mul_(keep_in.mul_(4))
        by_out.mul_(d_hidden).mul_(tanh_cell)
        if t:
            above = tree.above(t)
            by_forget.mul_(d_cell).mul_(cells.index_select(0, above))
            grad_cells.index_add_(0, above, d_cell * forget)
        else:
            by_forget.zero_()
        grads[i:j] = now
        if t:
            grad_hidden.index_add_(0, above, layer.recurrent_back(grads[i:j]).float())
    return grads, grads


def _gru_forward(gates: Tensor, layer: Layer, tree: PrefixTree) -> Pass:
    """`gates` holds the input products and is overwritten by the gates: reset, update, new."""
    gates = gates.float()
    nodes, size = len(gates), gates.shape[1] // 3
    hidden, recurrent = gates.new_empty(nodes, size), gates.new_empty(nodes, size)
    for t, (i, j) in enumerate(pairwise(tree.blocks)):
        reset, update, new = gates[i:j].chunk(3, 1)
        past = hidden.index_select(0, tree.above(t)) if t else hidden.new_zeros(1, size)
        assert layer.recurrent_bias is not None
        added = layer.recurrent(past.to(layer.dtype)).float() + layer.recurrent_bias
        from_reset, from_update, from_new = added.chunk(3, 1)
        recurrent[i:j] = from_new
        reset.add_(from_reset).sigmoid_()
        update.add_(from_update).sigmoid_()
        tanh_(new.addcmul_(reset, from_new))
        torch.lerp(new, past, update, out=hidden[i:j])
    return Pass(gates, hidden.to(layer.dtype), (recurrent, hidden))


def _gru_backward(
    saved: Pass, grad_hidden: Tensor, layer: Layer, tree: PrefixTree
) -> tuple[Tensor, Tensor]:
    """Gradients of the input products [N,3H] and of the recurrent ones, which differ in `new`, in
    the precision of the products. grad_hidden [N,H] is overwritten."""
    recurrent, hidden = saved.kept
    size = hidden.shape[1]
    grads, recurrent_grads = torch.empty_like(saved.gates), torch.empty_like(saved.gates)
    for t in reversed(range(len(tree.blocks) - 1)):
        i, j = tree.blocks[t], tree.blocks[t + 1]
        reset, update, new = saved.gates[i:j].chunk(3, 1)
        grad_reset, grad_update, grad_new = grads[i:j].chunk(3, 1)
        d_hidden = grad_hidden[i:j]
        past = hidden.index_select(0, tree.above(t)) if t else hidden.new_zeros(1, size)
        torch.mul(d_hidden * (past - new), update * (1 - update), out=grad_update)
        torch.mul(d_hidden * (1 - update), 1 - new.square(), out=grad_new)
        torch.mul(grad_new * recurrent[i:j], reset * (1 - reset), out=grad_reset)
        recurrent_grads[i:j] = grads[i:j]
        recurrent_grads[i:j, 2 * size :].mul_(reset)
        if t:
            d_past = layer.recurrent_back(recurrent_grads[i:j].to(layer.dtype)).float()
            grad_hidden.index_add_(0, tree.above(t), d_past.addcmul_(d_hidden, update))
    return grads.to(layer.dtype), recurrent_grads.to(layer.dtype)
