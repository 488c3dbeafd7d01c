"""Generating whole batches of episodes from a network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from sequence_tutor.policies.device import bfloat16_is_fast
from sequence_tutor.policies.encoding import Encoding, Episodes
from sequence_tutor.policies.network import RecurrentNetwork, State


class Sampler:
    """Steps a network over a batch, dropping finished episodes as it goes.

    With `prior` given, the policy is the prior reweighted by the network (G-learning):
    pi(a|s) proportional to p(a|s) exp G(s,a). The prior may enter as unnormalised logits: what
    they lack to log p(a|s) is the same for every action of a state, and cancels.

    The weights are read afresh by each call of `sample`, so they may change between calls and
    an episode has one version of them.
    """

    def __init__(
        self,
        network: RecurrentNetwork,
        encoding: Encoding,
        prior: RecurrentNetwork | None = None,
    ) -> None:
        self.networks = [network] if prior is None else [network, prior]
        self.encoding = encoding

    @torch.no_grad()
    def sample(self, batch: int, generator: torch.Generator | None = None) -> Episodes:
        """Draw `batch` episodes; `generator` lives on the CPU.

        Raises FloatingPointError where a network's outputs are not finite.
        """
        end, steps = self.encoding.vocabulary.end_id, self.encoding.max_length
        device = self.networks[0].head.weight.device
        steppers = [_Stepper(network) for network in self.networks]
        states = [stepper.start(batch) for stepper in steppers]
        tokens = torch.zeros(steps, batch, dtype=torch.int64, device=device)
        lengths = torch.zeros(batch, dtype=torch.int64, device=device)
        totals = torch.zeros(batch, device=device)
        # `rows` are the episodes still in the batch; some of them may be over (not `alive`)
        rows = torch.arange(batch, device=device)
        alive = torch.ones(batch, dtype=torch.bool, device=device)
        actions = torch.full((batch,), self.encoding.vocabulary.start_id, device=device)
        longest = steps
        for t in range(steps):
            outputs = [s.step(actions, state) for s, state in zip(steppers, states, strict=True)]
            log_probs = torch.stack(outputs).sum(0).log_softmax(-1)
            actions = _draw(log_probs, generator)
            chosen = log_probs.gather(1, actions.unsqueeze(1)).squeeze(1)
            totals[rows] += chosen * alive
            lengths[rows] += alive
            tokens[t, rows] = actions * alive
            if end is None:
                continue
            alive = alive & (actions != end)
            left = int(alive.sum())
            if left == 0:
                longest = t + 1
                break
            width = _narrowed(len(rows), left)
            if width < len(rows):
                keep = alive.byte().argsort(descending=True, stable=True)[:width]
                rows, alive, actions = rows[keep], alive[keep], actions[keep]
                states = [tuple(part[:, keep] for part in state) for state in states]
        if not torch.isfinite(totals).all():
            raise FloatingPointError("the policy's outputs are not finite; nothing was sampled")
        return Episodes(
            tokens[:longest].t().to("cpu", torch.int16).contiguous().numpy(),
            lengths.to("cpu", torch.int32).numpy(),
            totals.cpu().numpy(),
        )


class _Stepper:
    """A network's weights laid out for stepping through time one action at a time.

    Matrix products run in bfloat16 where that's fast, everything else in float32. The first
    layer's input product depends on the action alone, so it's looked up in a table.
    """

    def __init__(self, network: RecurrentNetwork) -> None:
        self.sizes, self.device = network.architecture, network.head.weight.device
        self.dtype = torch.bfloat16 if bfloat16_is_fast(self.device.type) else torch.float32
        self.lstm = self.sizes.cell == "lstm"
        # of each layer: input and hidden weights, input and hidden biases
        weights = list(network.rnn.parameters())
        (w_ih, w_hh, b_ih, b_hh), *rest = [weights[i : i + 4] for i in range(0, len(weights), 4)]
        self.table = linear(network.embedding.weight, w_ih, b_ih)
        if self.lstm:
            # one product per layer: [input, hidden] against both weights side by side
            self.table += b_hh
            self.first = self._cast(w_hh)
            self.above = [
                (torch.cat(self._cast(wi, wh), 1), *self._cast(bi + bh)) for wi, wh, bi, bh in rest
            ]
        else:
            self.first = self._cast(w_hh, b_hh)
            self.above = [self._cast(*layer) for layer in rest]
        self.head = self._cast(network.head.weight, network.head.bias)

    def start(self, batch: int) -> State:
        """State before the first action: hidden [L,B,H] and, for an LSTM, cell [L,B,H]."""
        shape = (self.sizes.layers, batch, self.sizes.hidden)
        if self.lstm:
            hidden = torch.zeros(shape, dtype=self.dtype, device=self.device)
            return hidden, torch.zeros(shape, device=self.device)
        return (torch.zeros(shape, device=self.device),)

    def step(self, actions: Tensor, state: State) -> Tensor:
        """Read actions int64 [B], update `state` in place -> outputs float32 [B,V]."""
        layer = self._lstm_layer if self.lstm else self._gru_layer
        below = None
        for i in range(self.sizes.layers):
            below = layer(i, actions, below, state)
        assert below is not None
        return linear(below, *self.head).float()

    def _cast(self, *weights: Tensor) -> tuple[Tensor, ...]:
        return tuple(weight.to(self.dtype) for weight in weights)

    def _lstm_layer(self, i: int, actions: Tensor, below: Tensor | None, state: State) -> Tensor:
        hidden, cell = state[0][i], state[1][i]
        if below is None:
            gates = self.table[actions]
            gates += linear(hidden, *self.first)
        else:
            gates = linear(torch.cat((below, hidden), 1), *self.above[i - 1]).float()
        keep_in, forget, new, out = gates.chunk(4, 1)
        cell.mul_(forget.sigmoid_()).addcmul_(keep_in.sigmoid_(), new.tanh_())
        hidden.copy_(cell.tanh().mul_(out.sigmoid_()))
        return hidden

    def _gru_layer(self, i: int, actions: Tensor, below: Tensor | None, state: State) -> Tensor:
        hidden = state[0][i]
        if below is None:
            gates, recurrent = self.table[actions], self.first
        else:
            w_ih, w_hh, b_ih, b_hh = self.above[i - 1]
            gates, recurrent = linear(below, w_ih, b_ih).float(), (w_hh, b_hh)
        past = linear(hidden.to(self.dtype), *recurrent).float().chunk(3, 1)
        reset, update, new = gates.chunk(3, 1)
        reset.add_(past[0]).sigmoid_()
        update.add_(past[1]).sigmoid_()
        new.addcmul_(reset, past[2]).tanh_()
        hidden.lerp_(new, 1 - update)
        return hidden.to(self.dtype)


def _narrowed(width: int, alive: int) -> int:
    """How many rows to go on with: the smallest of width, 7/8 width, 49/64 width... that holds
    the living ones. Few distinct widths, because a CPU's matrix kernels are built per shape."""
    while alive <= width * 7 // 8:
        width = width * 7 // 8
    return width


def _draw(log_probs: Tensor, generator: torch.Generator | None) -> Tensor:
    """One action per row, by inverting the cumulative distribution: [B,V] -> int64 [B].

    The action is the number of entries of the cumulative sum that u times its last entry, u
    uniform in [0,1), reaches; so an action of probability 0 is never drawn, nor one past the end.
    """
    cumulative = log_probs.exp().cumsum(-1)
    uniform = torch.rand(len(log_probs), 1, generator=generator).to(log_probs.device)
    return (cumulative <= uniform * cumulative[:, -1:]).sum(-1)
