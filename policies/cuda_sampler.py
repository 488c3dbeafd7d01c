"""Sampling on a GPU: each CUDA graph runs a few steps. Used by `Sampler`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear

from sequence_tutor.policies.encodings.base import Encoding, Episodes
from sequence_tutor.policies.kernels.cuda_graph import captured
from sequence_tutor.policies.kernels.cuda_kernels import Progress, draw, step_layer
from sequence_tutor.policies.network import RecurrentNetwork

# Steps per graph. Even, since each step reads one copy of the hidden vectors and writes the other.
STEPS = 8
# Least number of rows to step; fewer rows would take the same time.
LEAST_ROWS = 64


class CudaSampler:
    """Steps networks over a batch of episodes.

    After each graph the rows of finished episodes are dropped, if at least half are finished. The
    graphs read copies of the weights, which every call of `sample` refreshes: recording graphs for
    each version of the weights would take longer than sampling.
    """

    def __init__(
        self, networks: list[RecurrentNetwork], encoding: Encoding, dtype: torch.dtype
    ) -> None:
        self._networks, self._encoding = networks, encoding
        self._device = networks[0].head.weight.device
        self._weights = [_KernelWeights(network, dtype) for network in networks]
        self._buffers: _Buffers | None = None
        self._graphs: dict[int, Callable[[], None]] = {}

    @torch.no_grad()
    def sample(self, batch: int, generator: torch.Generator | None = None) -> Episodes:
        """See `Sampler.sample`; `generator`, on the CPU, draws the seed of the GPU's generator."""
        for weights in self._weights:
            weights.refresh()
        buffers = self._buffers_for(batch)
        seed = int(torch.randint(2**62, (1,), generator=generator))
        width = buffers.start(batch, torch.Generator(self._device).manual_seed(seed))
        for _ in range(0, self._encoding.max_length, STEPS):
            self._graphs[width]()
            width = buffers.drop(width)
            if not width:
                break
        return buffers.episodes(batch)

    def _buffers_for(self, batch: int) -> _Buffers:
        """Tensors for `batch` episodes; they are replaced only where they are too small."""
        if self._buffers is None or self._buffers.batch < batch:
            self._graphs.clear()
            end_id, steps = self._encoding.vocabulary.end_id, self._encoding.max_length
            start_id = self._encoding.vocabulary.start_id
            self._buffers = buffers = _Buffers(
                self._weights, _width(batch), steps, start_id, end_id
            )
            for width in buffers.widths:  # while empty, since recording overwrites the content
                self._graphs[width] = captured(buffers.steps_of(width), self._device)
        return self._buffers


class _KernelWeights:
    """A copy of a network's weights as the kernels read them."""

    def __init__(self, network: RecurrentNetwork, dtype: torch.dtype) -> None:
        self._network, self.dtype = network, dtype
        self.sizes = network.architecture
        self._parts = [part.clone() for part in self._current()]
        self.head = self._parts[-2], self._parts[-1]
        # per layer: input weights (None for the first), hidden weights, table of summands
        self.layers: list[tuple[Tensor | None, Tensor, Tensor]] = [
            (None, self._parts[0], self._parts[1])
        ]
        for i in range(2, len(self._parts) - 2, 3):
            self.layers.append((self._parts[i], self._parts[i + 1], self._parts[i + 2]))

    def refresh(self) -> None:
        """Copy the network's current weights."""
        for old, new in zip(self._parts, self._current(), strict=True):
            old.copy_(new)

    def _current(self) -> list[Tensor]:
        weights = [p.detach() for p in self._network.rnn.parameters()]
        found = []
        for i in range(0, len(weights), 4):
            w_ih, w_hh, b_ih, b_hh = weights[i : i + 4]
            if i:
                found.append(w_ih.to(self.dtype))
                read = b_ih[None]
            else:  # the input products depend on the action only
                read = linear(self._network.embedding.weight.detach(), w_ih, b_ih)
            if self.sizes.cell == "lstm":
                added = read + b_hh
            else:
                h = self.sizes.hidden
                past = b_hh[2 * h :].expand(len(read), h)
                added = torch.cat((read[:, : 2 * h] + b_hh[: 2 * h], read[:, 2 * h :], past), 1)
            found += [w_hh.to(self.dtype), added]
        return [*found, self._network.head.weight.detach(), self._network.head.bias.detach()]


class _Buffers:
    """The tensors of up to `batch` episodes, at the addresses that graphs were recorded with. Rows
    in use come first."""

    def __init__(
        self,
        networks: list[_KernelWeights],
        batch: int,
        steps: int,
        start_id: int,
        end_id: int | None,
    ) -> None:
        self.batch, self._networks = batch, networks
        self._start_id, self._end_id = start_id, end_id
        device = networks[0].head[0].device
        self._progress = Progress.empty(steps, batch, device)
        self._uniform = torch.zeros(steps, batch, device=device)
        self._hidden: list[tuple[list[Tensor], list[Tensor]]] = []
        self._states: list[list[Tensor]] = []
        for network in networks:
            layers, shape = range(network.sizes.layers), (batch, network.sizes.hidden)
            read, written = (
                [torch.zeros(shape, dtype=network.dtype, device=device) for _ in layers]
                for _ in range(2)
            )
            self._hidden.append((read, written))
            self._states.append([torch.zeros(shape, device=device) for _ in layers])

    @property
    def widths(self) -> list[int]:
        """The numbers of rows for which there are graphs, the largest first."""
        return [self.batch >> i for i in range((self.batch // LEAST_ROWS).bit_length())]

    def start(self, batch: int, generator: torch.Generator) -> int:
        """Put `batch` episodes at their start; returns the number of rows to step."""
        progress = self._progress
        for tensor in (progress.tokens, progress.lengths, progress.totals, progress.going_on):
            tensor.zero_()
        for (read, _), states in zip(self._hidden, self._states, strict=True):
            for tensor in (*read, *states):
                tensor.zero_()
        progress.going_on[:batch] = 1
        torch.arange(self.batch, out=progress.episodes)
        progress.last.fill_(self._start_id)
        self._uniform.uniform_(generator=generator)
        return _width(batch)

    def steps_of(self, width: int) -> Callable[[], None]:
        """A function that makes STEPS steps with the first `width` rows."""
        progress = self._progress.first(width)
        states = [[state[:width] for state in layers] for layers in self._states]
        hidden = [
            ([x[:width] for x in read], [x[:width] for x in written])
            for read, written in self._hidden
        ]
        heads = [network.head for network in self._networks]

        def run() -> None:
            for i in range(STEPS):
                tops = []
                for network, both, state in zip(self._networks, hidden, states, strict=True):
                    read, written = both if i % 2 == 0 else both[::-1]
                    for j, weights in enumerate(network.layers):
                        below = written[j - 1] if j else None
                        step_layer(progress.last, below, read[j], state[j], weights, written[j])
                    tops.append(written[-1])
                draw(tops, heads, self._uniform, progress, self._end_id)

        return run

    def drop(self, width: int) -> int:
        """Move the rows that go on to the front, if at least half can be left out; returns the
        number of rows to step."""
        progress = self._progress
        rows = progress.going_on[:width].nonzero().squeeze(1)
        narrower = _width(len(rows)) if len(rows) else 0
        if not 0 < narrower < width:
            return narrower
        for tensor in (progress.last, progress.episodes, progress.going_on):
            tensor[: len(rows)] = tensor[rows]
        progress.going_on[len(rows) : narrower] = 0
        for (read, _), states in zip(self._hidden, self._states, strict=True):
            for tensor in (*read, *states):
                tensor[: len(rows)] = tensor[rows]
        return narrower

    def episodes(self, batch: int) -> Episodes:
        """Return the first `batch` episodes. Raises FloatingPointError where outputs weren't
        finite."""
        progress = self._progress
        lengths, totals = progress.lengths[:batch].cpu(), progress.totals[:batch].cpu()
        if not torch.isfinite(totals).all():
            raise FloatingPointError("the policy's outputs are not finite; nothing was sampled")
        tokens = progress.tokens[: int(lengths.max()), :batch].t().contiguous().cpu()
        return Episodes(tokens.numpy(), lengths.numpy(), totals.numpy())


def _width(rows: int) -> int:
    """Number of rows to step for `rows` episodes: a power of two, so that there are few graphs."""
    return 1 << max(rows - 1, LEAST_ROWS - 1).bit_length()
