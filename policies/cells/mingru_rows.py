"""The layers of "mingru" over all rows of a batch at once, with their gradients.

A row is one step of one episode, or one node of a tree of prefixes. Every product is one product
over all N rows; only the recurrence goes through the rows block by block, a block for each time.
The gradients are written by hand: autograd would keep three times the memory, and PyTorch's
operations on single numbers would take as long as the products. Products are in the given
precision, as are the vectors between two products; the stream, the recurrence and the norms are in
float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from sequence_tutor.policies.kernels.prefix_tree import PrefixTree
from sequence_tutor.policies.kernels.threads import side_by_side

# Added to the mean square of a vector that is divided by its root.
EPSILON = 1e-6


class PaddedRows:
    """The steps of a padded batch as rows, time first: int64 [T,B]. Block t has the B steps t."""

    def __init__(self, reads: Tensor) -> None:
        steps, self.episodes = reads.shape
        self.reads = reads.reshape(-1)
        self.blocks = [t * self.episodes for t in range(steps + 1)]


Rows = PrefixTree | PaddedRows


def times_of(rows: Rows) -> Tensor:
    """Each row's number of actions before it, int64 [N]."""
    steps = torch.arange(len(rows.blocks) - 1, device=rows.reads.device)
    if isinstance(rows, PaddedRows):
        return steps.unsqueeze(1).expand(-1, rows.episodes).flatten()
    return steps.repeat_interleave(torch.tensor(rows.blocks).diff())


class ReadRows(torch.autograd.Function):
    """All layers: the stream's first values float32 [N,H] -> hidden vectors float32 [N,H], for each
    of the given rows; with more than one, each has its own thread."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Sequence[Rows],
        dtype: torch.dtype,
        kept: Tensor | None,
        grads: bool,
        *starts_and_weights: Tensor,
    ) -> tuple[Tensor, ...]:
        """kept: the factors of dropout, float32 [L,N,H], or None; grads: whether `backward` will
        be called; then the first values of each rows, and the fields of each `Layer`."""
        starts, weights = starts_and_weights[: len(rows)], starts_and_weights[len(rows) :]
        cast = [weight.detach().to(dtype) for weight in weights]
        layers = [Layer(*cast[i : i + 3]) for i in range(0, len(cast), 3)]
        run = partial(_forward, layers=layers, kept=kept, keep=grads)
        done = side_by_side(
            [partial(run, one, start) for one, start in zip(rows, starts, strict=True)]
        )
        if grads:
            ctx.rows, ctx.layers, ctx.kept = rows, layers, kept
            ctx.passes = [saved for _, saved in done]
        return tuple(hidden for hidden, _ in done)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        run = partial(_backward, layers=ctx.layers, kept=ctx.kept)
        found = side_by_side(
            [
                partial(run, rows, saved, grad)
                for rows, saved, grad in zip(ctx.rows, ctx.passes, grads, strict=True)
            ]
        )
        total = found[0][1]
        for _, other in found[1:]:
            for mine, added in zip(total, other, strict=True):
                mine.add_(added)
        return (None, None, None, None, *(start for start, _ in found), *total)


@dataclass(frozen=True)
class Layer:
    """The weights of one layer, in the products' precision; see `mingru.py`."""

    inner: Tensor
    """[3R,H]: F, C and G, one below the other."""
    bias: Tensor
    """[3R], their biases."""
    outer: Tensor
    """[H,R]: U."""


@dataclass(frozen=True)
class Pass:
    """The values of a layer's forward pass that its gradient needs."""

    normed: Tensor
    """[N,H], the stream over its root mean square, in the products' precision."""
    scale: Tensor
    """float32 [N,1], by which the stream was multiplied."""
    between: Tensor
    """[N,R], what the outer product reads, in the products' precision."""
    middle: tuple[Tensor, ...]
    """What `_recurrence_back` needs."""


def _forward(
    rows: Rows, start: Tensor, layers: list[Layer], kept: Tensor | None, keep: bool
) -> tuple[Tensor, list[Pass]]:
    """Hidden vectors float32 [N,H], and what the gradients need; one more `Pass` for the last
    norm."""
    stream, passes = start.detach().clone(), []
    for i, layer in enumerate(layers):
        scale = _scale(stream)
        normed = (stream * scale).to(layer.inner.dtype)
        read = linear(normed, layer.inner, layer.bias)
        between, middle = _recurrence(read, rows)
        added = linear(between, layer.outer)
        stream.add_(added) if kept is None else stream.addcmul_(added.float(), kept[i])
        if keep:
            passes.append(Pass(normed, scale, between, middle))
    scale = _scale(stream)
    hidden = stream.mul_(scale)
    if keep:
        passes.append(Pass(hidden.detach(), scale, hidden, ()))
    return hidden, passes


def _backward(
    rows: Rows,
    passes: list[Pass],
    grad: Tensor,
    layers: list[Layer],
    kept: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """Gradients of the stream's first values, float32 [N,H], and of each layer's weights, float32,
    from that of the hidden vectors, float32 [N,H]."""
    last = passes[-1]
    found: list[Tensor] = []
    stream = _norm_back(grad.clone(), last.normed, last.scale)
    for i in reversed(range(len(layers))):
        layer, saved = layers[i], passes[i]
        added = stream if kept is None else stream * kept[i]
        added = added.to(layer.outer.dtype)
        read = _recurrence_back(rows, added @ layer.outer, *saved.middle)
        own = [read.t() @ saved.normed, read.sum(0), added.t() @ saved.between]
        found = [weights.float() for weights in own] + found
        normed = (read @ layer.inner).float()
        stream += _norm_back(normed, saved.normed.float(), saved.scale)
    return stream, found


def _scale(stream: Tensor) -> Tensor:
    """1 over the root mean square of each row: float32 [N,H] -> [N,1]."""
    length: Tensor = torch.linalg.vector_norm(stream, dim=1, keepdim=True)
    return length.square_().div_(stream.shape[1]).add_(EPSILON).rsqrt_()


def _norm_back(grad: Tensor, normed: Tensor, scale: Tensor) -> Tensor:
    """The gradient before the norm, float32 [N,H]; `grad`, that after it, is overwritten."""
    along = torch.linalg.vecdot(grad, normed).div_(grad.shape[1]).unsqueeze(1)
    return grad.addcmul_(normed, along, value=-1).mul_(scale)


def _recurrence(read: Tensor, rows: Rows) -> tuple[Tensor, tuple[Tensor, ...]]:
    """[N,3R] before the nonlinearities -> [N,R]: h g."""
    forget, new, gate = read.chunk(3, 1)
    forget, new = forget.float().sigmoid_(), new.float()
    hidden = torch.empty_like(new)
    for t, (i, j) in enumerate(pairwise(rows.blocks)):
        if t:
            torch.lerp(new[i:j], _above(hidden, rows, t), forget[i:j], out=hidden[i:j])
        else:
            torch.addcmul(new[i:j], new[i:j], forget[i:j], value=-1, out=hidden[i:j])
    opened = silu(gate)
    return hidden.to(read.dtype) * opened, (forget, new, gate, hidden, opened)


def _recurrence_back(
    rows: Rows,
    grad: Tensor,
    forget: Tensor,
    new: Tensor,
    gate: Tensor,
    hidden: Tensor,
    opened: Tensor,
) -> Tensor:
    """The gradient of [N,3R]. That of h_t is f_(t+1) times that of h_(t+1), and what its own row
    adds."""
    found = grad.new_empty(len(grad), 3 * grad.shape[1])
    by_forget, by_new, by_gate = found.chunk(3, 1)
    opening = grad * hidden.to(grad.dtype)
    torch.ops.aten.silu_backward.grad_input(opening, gate, grad_input=by_gate)
    by_hidden = grad.mul_(opened).float()
    for t in reversed(range(1, len(rows.blocks) - 1)):
        i, j = rows.blocks[t], rows.blocks[t + 1]
        _add_above(by_hidden, rows, t, forget[i:j])
    kept = 1 - forget
    first = rows.blocks[1]
    changed = new.neg()  # what a larger f adds to h: h_(t-1) - c
    changed[first:] += _past(hidden, rows)
    by_forget.copy_(changed.mul_(by_hidden).mul_(forget).mul_(kept))
    by_new.copy_(by_hidden.mul_(kept))
    return found


def _above(values: Tensor, rows: Rows, block: int) -> Tensor:
    """The values of the rows before those of a block."""
    if isinstance(rows, PaddedRows):
        return values[rows.blocks[block - 1] : rows.blocks[block]]
    return values.index_select(0, rows.above(block))


def _past(values: Tensor, rows: Rows) -> Tensor:
    """The values of the rows before those of all blocks but the first."""
    if isinstance(rows, PaddedRows):
        return values[: -rows.episodes]
    return values.index_select(0, rows.parents)


def _add_above(grads: Tensor, rows: Rows, block: int, share: Tensor) -> None:
    """Add `share` of the gradients of a block's rows to those of the rows before them."""
    own = grads[rows.blocks[block] : rows.blocks[block + 1]]
    if isinstance(rows, PaddedRows):
        grads[rows.blocks[block - 1] : rows.blocks[block]].addcmul_(own, share)
    else:
        grads.index_add_(0, rows.above(block), own * share)
