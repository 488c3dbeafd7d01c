"""The sampler's GPU kernels: a step of a recurrent layer, and the drawing of actions.

At a few hundred rows a GPU spends its time on starting kernels and on moving data between them. So
there are two kernels only: one for a layer's products and gates, one for the output layer's
product, its softmax and the draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor


@dataclass(frozen=True)
class Progress:
    """The state of B episodes being drawn in N rows; `draw` updates it in place."""

    last: Tensor
    """int64 [N] the action last drawn in each row."""
    going_on: Tensor
    """int32 [N], 1 where the row's episode goes on, else 0."""
    episodes: Tensor
    """int64 [N] the episode of each row, 0..B-1."""
    tokens: Tensor
    """int16 [T,B] actions of each episode, zeros after the end."""
    lengths: Tensor
    """int32 [B] actions drawn so far."""
    totals: Tensor
    """float32 [B] log-probability of the actions drawn so far, nats."""

    @classmethod
    def empty(cls, steps: int, batch: int, device: torch.device) -> Progress:
        """Allocate for `batch` rows, none of which goes on."""
        kinds = torch.int64, torch.int32, torch.int64, torch.int16, torch.int32, torch.float32
        shapes = (batch,), (batch,), (batch,), (steps, batch), (batch,), (batch,)
        parts = zip(shapes, kinds, strict=True)
        return cls(*[torch.zeros(shape, dtype=kind, device=device) for shape, kind in parts])

    def first(self, rows: int) -> Progress:
        """Views of the first rows; the tensors of the episodes are shared."""
        parts = self.last[:rows], self.going_on[:rows], self.episodes[:rows]
        return Progress(*parts, self.tokens, self.lengths, self.totals)


def step_layer(
    reads: Tensor,
    below: Tensor | None,
    hidden: Tensor,
    state: Tensor,
    weights: tuple[Tensor | None, Tensor, Tensor],
    out: Tensor,
) -> None:
    """One layer's step for N rows: writes the next hidden vectors [N,H] to `out`, and updates
    `state` in place.

    below, hidden, out: [N,I], [N,H], [N,H] in the precision of the products.
    state: float32 [N,H], the cells of an LSTM or the hidden vectors of a GRU.
    weights: input weights [G H,I], hidden weights [G H,H], both with gates in PyTorch's order, and
    a table of summands float32 [A,4 H]. The first layer has no `below` and no input weights: its
    summands are looked up by `reads`, int64 [N]. The four summands of a GRU belong to the reset
    gate, the update gate, the new state's product with the input and that with the hidden vectors.
    """
    w_in, w_hidden, added = weights
    rows, size = hidden.shape
    gru = len(w_hidden) == 3 * size
    tile_rows, tile_units, tile_depth, warps, stages = _tiles(rows, hidden.dtype, hidden.device)
    grid = triton.cdiv(rows, tile_rows), triton.cdiv(size, tile_units)
    _step_layer[grid](
        reads,
        hidden if below is None else below,
        hidden,
        state,
        w_hidden if w_in is None else w_in,
        w_hidden,
        added,
        out,
        rows,
        H=size,
        I=0 if below is None else below.shape[1],
        GRU=gru,
        ROWS=tile_rows,
        UNITS=tile_units,
        DEPTH=tile_depth,
        PRECISION="ieee",
        num_warps=warps,
        num_stages=stages,
    )


def draw(
    hidden: list[Tensor],
    heads: list[tuple[Tensor, Tensor]],
    uniform: Tensor,
    progress: Progress,
    end_id: int | None,
) -> None:
    """Draw an action for each of N rows that goes on, and note it in `progress`.

    The distribution is the softmax of the sum of the networks' outputs; its cumulative sum is
    inverted. hidden: [N,H] of one network or two; heads: weights float32 [V,H] and biases [V] of
    each; uniform: float32 [T,B] in [0,1).
    """
    rows, vocabulary = len(hidden[0]), len(heads[0][0])
    (first, head), (second, other) = (hidden[0], heads[0]), (hidden[-1], heads[-1])
    _draw[(triton.cdiv(rows, 16),)](
        first,
        *head,
        second,
        *other,
        uniform,
        progress.last,
        progress.going_on,
        progress.episodes,
        progress.tokens,
        progress.lengths,
        progress.totals,
        rows,
        uniform.shape[1],
        len(uniform),
        -1 if end_id is None else end_id,
        H=first.shape[1],
        H2=second.shape[1] if len(hidden) > 1 else 0,
        V=vocabulary,
        ROWS=16,
        ACTIONS=max(16, triton.next_power_of_2(vocabulary)),
        DEPTH=64,
        PRECISION="tf32x3",  # as exact as float32, on the matrix units
        num_warps=4,
    )


def _tiles(rows: int, dtype: torch.dtype, device: torch.device) -> tuple[int, int, int, int, int]:
    """Rows and units of a tile, depth of its products, warps, and number of depths fetched ahead.

    These are the fastest on an H100 for 512 units; fewer are fetched where shared memory is short.
    """
    if dtype == torch.float32:
        return 16, 16, 32, 4, 2
    if rows <= 128:
        tile_rows, units, depth, warps, ahead = 16, 32, 128, 4, 3
    elif rows <= 256:
        tile_rows, units, depth, warps, ahead = 64, 16, 64, 4, 4
    elif rows <= 1024:
        tile_rows, units, depth, warps, ahead = 64, 32, 64, 4, 3
    else:
        tile_rows, units, depth, warps, ahead = 128, 64, 64, 8, 3
    each = (tile_rows + 4 * units) * depth * dtype.itemsize
    return tile_rows, units, depth, warps, max(1, min(ahead, _shared_memory(device) // each))


@cache
def _shared_memory(device: torch.device) -> int:
    """Bytes of shared memory per block; 0 in Triton's interpreter, which needs none."""
    if device.type != "cuda":
        return 0
    properties = triton.runtime.driver.active.utils.get_device_properties
    return int(properties(torch.cuda.current_device())["max_shared_mem"])


@triton.jit  # type: ignore[untyped-decorator]
def _step_layer(  # type: ignore[no-untyped-def]
    reads,
    below,
    hidden,
    state,
    w_in,
    w_hidden,
    added,
    out,
    rows,
    H: tl.constexpr,
    I: tl.constexpr,  # noqa: E741
    GRU: tl.constexpr,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    unit = tl.program_id(1) * UNITS + tl.arange(0, UNITS)
    depth = tl.arange(0, DEPTH)
    mine = (row < rows)[:, None] & (unit < H)[None, :]
    which = tl.load(reads + row, row < rows, 0) if I == 0 else row * 0
    first = added + which[:, None] * (4 * H) + unit[None, :]
    a = tl.load(first, mine, 0.0)
    b = tl.load(first + H, mine, 0.0)
    c = tl.load(first + 2 * H, mine, 0.0)
    d = tl.load(first + 3 * H, mine, 0.0)
    for k in range(0, I, DEPTH):
        inside = k + depth < I
        x = tl.load(below + row[:, None] * I + (k + depth), (row < rows)[:, None] & inside, 0.0)
        w = w_in + unit[None, :] * I + (k + depth)[:, None]
        wanted = (unit < H)[None, :] & inside[:, None]
        a = tl.dot(x, tl.load(w, wanted, 0.0), a, input_precision=PRECISION)
        b = tl.dot(x, tl.load(w + H * I, wanted, 0.0), b, input_precision=PRECISION)
        c = tl.dot(x, tl.load(w + 2 * H * I, wanted, 0.0), c, input_precision=PRECISION)
        if not GRU:
            d = tl.dot(x, tl.load(w + 3 * H * I, wanted, 0.0), d, input_precision=PRECISION)
    for k in range(0, H, DEPTH):
        inside = k + depth < H
        x = tl.load(hidden + row[:, None] * H + (k + depth), (row < rows)[:, None] & inside, 0.0)
        w = w_hidden + unit[None, :] * H + (k + depth)[:, None]
        wanted = (unit < H)[None, :] & inside[:, None]
        a = tl.dot(x, tl.load(w, wanted, 0.0), a, input_precision=PRECISION)
        b = tl.dot(x, tl.load(w + H * H, wanted, 0.0), b, input_precision=PRECISION)
        if GRU:
            d = tl.dot(x, tl.load(w + 2 * H * H, wanted, 0.0), d, input_precision=PRECISION)
        else:
            c = tl.dot(x, tl.load(w + 2 * H * H, wanted, 0.0), c, input_precision=PRECISION)
            d = tl.dot(x, tl.load(w + 3 * H * H, wanted, 0.0), d, input_precision=PRECISION)
    own = row[:, None] * H + unit[None, :]
    past = tl.load(state + own, mine, 0.0)
    if GRU:  # reset, update, the new state's parts from the input and from the hidden vectors
        new = 2 * tl.sigmoid(2 * (c + tl.sigmoid(a) * d)) - 1
        after = new + tl.sigmoid(b) * (past - new)
        seen = after
    else:  # input, forget, new, output
        after = tl.sigmoid(b) * past + tl.sigmoid(a) * (2 * tl.sigmoid(2 * c) - 1)
        seen = tl.sigmoid(d) * (2 * tl.sigmoid(2 * after) - 1)
    tl.store(state + own, after, mine)
    tl.store(out + own, seen, mine)


@triton.jit  # type: ignore[untyped-decorator]
def _draw(  # type: ignore[no-untyped-def]
    hidden,
    weights,
    bias,
    hidden2,
    weights2,
    bias2,
    uniform,
    last,
    going_on,
    episodes,
    tokens,
    lengths,
    totals,
    rows,
    batch,
    steps,
    end,
    H: tl.constexpr,
    H2: tl.constexpr,
    V: tl.constexpr,
    ROWS: tl.constexpr,
    ACTIONS: tl.constexpr,
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    action = tl.arange(0, ACTIONS)
    depth = tl.arange(0, DEPTH)
    here, known = row < rows, action < V
    logits = tl.zeros((ROWS, ACTIONS), tl.float32) + tl.load(bias + action, known, 0.0)[None, :]
    for k in range(0, H, DEPTH):
        inside = k + depth < H
        x = tl.load(hidden + row[:, None] * H + (k + depth), here[:, None] & inside, 0.0)
        w = tl.load(
            weights + action[None, :] * H + (k + depth)[:, None], known & inside[:, None], 0.0
        )
        logits = tl.dot(x.to(tl.float32), w, logits, input_precision=PRECISION)
    if H2:
        logits += tl.load(bias2 + action, known, 0.0)[None, :]
    for k in range(0, H2, DEPTH):
        inside = k + depth < H2
        x = tl.load(hidden2 + row[:, None] * H2 + (k + depth), here[:, None] & inside, 0.0)
        w = tl.load(
            weights2 + action[None, :] * H2 + (k + depth)[:, None], known & inside[:, None], 0.0
        )
        logits = tl.dot(x.to(tl.float32), w, logits, input_precision=PRECISION)
    logits = tl.where(known, logits, float("-inf"))
    logits -= tl.max(logits, 1)[:, None]
    cumulative = tl.cumsum(tl.exp(logits), 1)
    # the sum up to the last action, which u < 1 never reaches. It is read at that place, since each
    # sum is added up in its own order, so a later sum may be smaller
    total = tl.sum(tl.where((action == V - 1)[None, :], cumulative, 0.0), 1)
    goes_on = here & (tl.load(going_on + row, here, 0) != 0)
    episode = tl.load(episodes + row, here, 0)
    t = tl.load(lengths + episode, goes_on, 0)
    u = tl.load(uniform + t * batch + episode, goes_on, 0.0)
    reached = (cumulative <= (u * total)[:, None]) & known
    drawn = tl.sum(reached.to(tl.int32), 1)
    log_prob = tl.sum(tl.where(action == drawn[:, None], logits, 0.0), 1) - tl.log(total)
    tl.store(last + row, drawn.to(tl.int64), here)
    tl.store(tokens + t * batch + episode, drawn.to(tl.int16), goes_on)
    before = tl.load(totals + episode, goes_on, 0.0)
    tl.store(totals + episode, before + log_prob, goes_on)
    tl.store(lengths + episode, t + 1, goes_on)
    tl.store(going_on + row, ((drawn != end) & (t + 1 < steps)).to(tl.int32), goes_on)
