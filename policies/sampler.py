"""Generating whole batches of episodes from a network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from sequence_tutor.policies.device import bfloat16_is_fast
from sequence_tutor.policies.encoding import Encoding, Episodes
from sequence_tutor.policies.network import RecurrentNetwork, State


class Sampler:
    """Steps a network over a batch, once for each distinct beginning of the episodes in it.

    Episodes that have begun alike are in the same state, so they share one row of the network's
    batch until they part; and those that are over have none. Each still draws for itself, so the
    distribution is that of episodes sampled one by one.

    With `prior` given, the policy is the prior reweighted by the network (G-learning):
    pi(a|s) proportional to p(a|s) exp G(s,a). The prior may enter as unnormalised logits: what
    they lack to log p(a|s) is the same for every action of a state, and cancels.

    The weights are looked at afresh by each call of `sample`, so they may change in place between
    calls, and an episode has one version of them.
    """

    def __init__(
        self,
        network: RecurrentNetwork,
        encoding: Encoding,
        prior: RecurrentNetwork | None = None,
    ) -> None:
        self.networks = [network] if prior is None else [network, prior]
        self.encoding = encoding
        self._laid_out: dict[int, tuple[list[int], _Stepper]] = {}

    @torch.no_grad()
    def sample(self, batch: int, generator: torch.Generator | None = None) -> Episodes:
        """Draw `batch` episodes; `generator` lives on the CPU.

        Raises FloatingPointError where a network's outputs are not finite.
        """
        vocabulary, steps = self.encoding.vocabulary, self.encoding.max_length
        device = self.networks[0].head.weight.device
        steppers = [self._stepper(i) for i in range(len(self.networks))]
        states = [stepper.start() for stepper in steppers]
        tokens = torch.zeros(steps, batch, dtype=torch.int64, device=device)
        lengths = torch.zeros(batch, dtype=torch.int64, device=device)
        totals = torch.zeros(batch, device=device)
        # the episodes that aren't over, and of each the row of its state
        rows = torch.arange(batch, device=device)
        state_of = torch.zeros_like(rows)
        last = torch.full((1,), vocabulary.start_id, device=device)
        for t in range(steps):
            outputs = [s.step(last, state) for s, state in zip(steppers, states, strict=True)]
            log_probs = torch.stack(outputs).sum(0).log_softmax(-1)
            actions = _draw(log_probs, state_of, generator)
            totals[rows] += log_probs[state_of, actions]
            lengths[rows] = t + 1
            tokens[t, rows] = actions
            if vocabulary.end_id is not None:
                going_on = actions != vocabulary.end_id
                rows, state_of, actions = (x[going_on] for x in (rows, state_of, actions))
            if not len(rows):
                break
            parents, last, state_of = _next_states(state_of, actions, vocabulary.size)
            if steppers[0].few_widths:
                parents, last = (_padded(x, batch) for x in (parents, last))
            states = [tuple(part[:, parents] for part in state) for state in states]
        if not torch.isfinite(totals).all():
            raise FloatingPointError("the policy's outputs are not finite; nothing was sampled")
        return Episodes(
            tokens[: t + 1].t().to("cpu", torch.int16).contiguous().numpy(),
            lengths.to("cpu", torch.int32).numpy(),
            totals.cpu().numpy(),
        )

    def _stepper(self, i: int) -> _Stepper:
        """The weights of network i, laid out anew where they have changed."""
        # PyTorch counts the changes of a tensor in place
        versions = [p._version for p in self.networks[i].parameters()]
        if i not in self._laid_out or self._laid_out[i][0] != versions:
            self._laid_out[i] = versions, _Stepper(self.networks[i])
        return self._laid_out[i][1]


class _Stepper:
    """A network's weights laid out for stepping through time one action at a time.

    Matrix products run in bfloat16 where that's fast, everything else in float32. The first
    layer's input product depends on the action alone, so it's looked up in a table.
    """

    def __init__(self, network: RecurrentNetwork) -> None:
        self.sizes, self.device = network.architecture, network.head.weight.device
        self.dtype = torch.bfloat16 if bfloat16_is_fast(self.device.type) else torch.float32
        # a CPU's matrix kernels for bfloat16 are built for each shape, when it first comes up
        self.few_widths = self.device.type == "cpu" and self.dtype == torch.bfloat16
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

    def start(self) -> State:
        """State before the first action: hidden [L,1,H] and, for an LSTM, cell [L,1,H]."""
        shape = (self.sizes.layers, 1, self.sizes.hidden)
        if self.lstm:
            hidden = torch.zeros(shape, dtype=self.dtype, device=self.device)
            return hidden, torch.zeros(shape, device=self.device)
        return (torch.zeros(shape, device=self.device),)

    def step(self, actions: Tensor, state: State) -> Tensor:
        """Read actions int64 [N], update `state` in place -> outputs float32 [N,V]."""
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


def _next_states(
    state_of: Tensor, actions: Tensor, vocabulary: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct states that R episodes are in after their actions.

    state_of, actions: int64 [R], the state that each was in and its action there. Returns of N
    states the one before and the action that led on, int64 [N], and the new state of each episode,
    int64 [R].
    """
    steps, new_state_of = torch.unique(state_of * vocabulary + actions, return_inverse=True)
    return steps // vocabulary, steps % vocabulary, new_state_of


def _padded(states: Tensor, batch: int) -> Tensor:
    """Made longer, by states that nobody is in, to the next of batch, 7/8 batch, 49/64 batch..."""
    width = batch
    while len(states) <= width * 7 // 8:
        width = width * 7 // 8
    return torch.nn.functional.pad(states, (0, width - len(states)))


def _draw(log_probs: Tensor, state_of: Tensor, generator: torch.Generator | None) -> Tensor:
    """An action for each of R episodes in N states, by inverting the cumulative distribution:
    float32 [N,V], int64 [R] -> int64 [R].

    The action is the number of entries of the cumulative sum that u times its last entry, u
    uniform in [0,1), reaches; so an action of probability 0 is never drawn, nor one past the end.
    """
    cumulative = log_probs.exp().cumsum(-1)[state_of]
    uniform = torch.rand(len(state_of), 1, generator=generator).to(log_probs.device)
    return (cumulative <= uniform * cumulative[:, -1:]).sum(-1)
