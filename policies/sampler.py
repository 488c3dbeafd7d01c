"""Generating batches of whole episodes from a policy; actors and `Prior.sample` use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sequence_tutor.policies.encodings.base import Encoding, Episodes, Starts
from sequence_tutor.policies.encodings.constraint import Constraint
from sequence_tutor.policies.kernels.device import bfloat16_is_fast
from sequence_tutor.policies.kernels.stepper import stepper_of
from sequence_tutor.policies.network import RecurrentNetwork, allowed_only

if TYPE_CHECKING:
    from sequence_tutor.policies.cuda_sampler import CudaSampler


class Sampler:
    """Steps a network over a batch of episodes, each distinct prefix once.

    Episodes with the same actions so far are in the same state, so they share a row of the
    network's batch until their actions differ. Finished episodes have no row, or lose it soon. Each
    episode draws its own actions, so the distribution is that of episodes sampled one by one.

    With `prior` given, the policy is the prior reweighted by the network (G-learning):
    pi(a|s) proportional to p(a|s) exp G(s,a). The prior's logits needn't be normalised, since a
    constant added to all actions of a state cancels.

    Where the encoding has a constraint, only the actions that it allows are drawn, from the
    policy normalised over them.

    Networks are stepped on their own device, all else is on the CPU; on a GPU `CudaSampler` does
    all of it, for the cells that it has kernels for. Matrix products run in bfloat16 where that's
    fast. Each call of `sample` reads the weights
    again, so they may change in place between calls, and an episode is drawn with one version.
    """

    def __init__(
        self,
        network: RecurrentNetwork,
        encoding: Encoding,
        prior: RecurrentNetwork | None = None,
    ) -> None:
        self.networks = [network] if prior is None else [network, prior]
        self.encoding = encoding
        self._on_gpu: CudaSampler | None = None

    @torch.no_grad()
    def sample(
        self,
        batch: int,
        generator: torch.Generator | None = None,
        starts: Starts | None = None,
    ) -> Episodes:
        """Draw `batch` episodes; `generator` is on the CPU. starts: how they begin; what is given
        has probability 1, and what follows that of the policy normalised over what is allowed.

        Raises FloatingPointError where a network's outputs are not finite, and ValueError on a GPU
        with a constraint or starts.
        """
        device = self.networks[0].head.weight.device
        dtype = torch.bfloat16 if bfloat16_is_fast(device.type) else torch.float32
        constraint = self.encoding.constraint
        if device.type == "cuda" and (constraint is not None or starts is not None):
            raise ValueError("given parts of sequences need a policy on a CPU to sample")
        if device.type == "cuda" and all(network.rnn.kernels for network in self.networks):
            return self._cuda_sampler(dtype).sample(batch, generator)
        vocabulary, steps = self.encoding.vocabulary, self.encoding.max_length
        steppers = [stepper_of(network, dtype) for network in self.networks]
        states = [stepper.start() for stepper in steppers]
        tokens = torch.zeros(steps, batch, dtype=torch.int64)
        lengths = torch.zeros(batch, dtype=torch.int64)
        totals = torch.zeros(batch)
        # the episodes that go on, and the row of each one's state
        episodes = torch.arange(batch)
        row_of = torch.zeros_like(episodes)
        last = torch.full((1,), vocabulary.start_id)
        given = _Given(constraint, starts, batch)
        for t in range(steps):
            outputs = []
            for i, stepper in enumerate(steppers):
                hidden, states[i] = stepper.step(last.to(device), states[i])
                outputs.append(stepper.outputs(hidden).cpu())
            logits, row_of_logits = given.allowed(sum(outputs[1:], outputs[0]), row_of, episodes, t)
            log_probs = logits.log_softmax(-1)
            actions = _draw(log_probs, row_of_logits, generator)
            totals[episodes] += log_probs[row_of_logits, actions]
            lengths[episodes] = t + 1
            tokens[t, episodes] = actions
            going_on = given.going_on(actions, episodes, vocabulary.end_id)
            if going_on is not None:
                episodes, row_of, actions = (x[going_on] for x in (episodes, row_of, actions))
            if not len(episodes):
                break
            parents, following, next_row_of = _next_rows(row_of, actions, vocabulary.size)
            width = _width(len(parents), batch)
            if width == len(last) and _none_split(parents):  # every state keeps its row
                last = last.index_copy(0, parents, following)
                continue
            parents, last = (_padded(x, width) for x in (parents, following))
            rows = parents.to(device)
            states = [[part.index_select(0, rows) for part in state] for state in states]
            row_of = next_row_of
        if not torch.isfinite(totals).all():
            raise FloatingPointError("the policy's outputs are not finite; nothing was sampled")
        return Episodes(
            tokens[: t + 1].t().to(torch.int16).contiguous().numpy(),
            lengths.to(torch.int32).numpy(),
            totals.numpy(),
        )

    def _cuda_sampler(self, dtype: torch.dtype) -> CudaSampler:
        if self._on_gpu is None:
            # its kernels need Triton, which only a PyTorch for CUDA includes
            from sequence_tutor.policies.cuda_sampler import CudaSampler

            self._on_gpu = CudaSampler(self.networks, self.encoding, dtype)
        return self._on_gpu


class _Given:
    """What is given of the episodes of a batch: by the constraint, and as their first actions. The
    constraint of `starts` holds for the episodes that have first actions."""

    def __init__(self, constraint: Constraint | None, starts: Starts | None, batch: int) -> None:
        self._constraint, self._bound = constraint, np.ones(batch, bool)
        self._starts = None
        if starts is not None:
            longest = max(map(len, starts.actions), default=0)
            self._starts = np.full((batch, longest), -1, np.int64)
            for row, start in zip(self._starts, starts.actions, strict=True):
                row[: len(start)] = start
            if constraint is None:
                self._constraint = starts.constraint
                self._bound = np.array([len(start) > 0 for start in starts.actions], bool)
        first = 0 if self._constraint is None else self._constraint.start
        self._states = np.full(batch, first)

    def allowed(
        self, logits: Tensor, row_of: Tensor, episodes: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """The outputs in N states, float32 [N,V], and the row of each of R episodes, int64 [R]; or,
        where something is given at this step, outputs of each episode, [R,V], with low numbers for
        what isn't allowed."""
        at = episodes.numpy()
        if self._constraint is None and (self._starts is None or step >= self._starts.shape[1]):
            return logits, row_of
        allowed = np.ones((len(at), logits.shape[1]), bool)
        if self._constraint is not None:
            bound = np.flatnonzero(self._bound[at])
            allowed[bound] = self._constraint.allowed(self._states[at[bound]], step)
        if self._starts is not None and step < self._starts.shape[1]:
            first = self._starts[at, step]
            rows = np.flatnonzero(first >= 0)
            allowed[rows] = False
            allowed[rows, first[rows]] = True
        return allowed_only(logits[row_of], torch.from_numpy(allowed)), torch.arange(len(at))

    def going_on(self, actions: Tensor, episodes: Tensor, end_id: int | None) -> Tensor | None:
        """bool [R]: whether the episodes go on after these actions; None where all do."""
        if self._constraint is None:
            return None if end_id is None else actions != end_id
        at, taken = episodes.numpy(), actions.numpy()
        goes_on = np.ones(len(at), bool) if end_id is None else taken != end_id
        bound = np.flatnonzero(self._bound[at])
        states = self._constraint.advance(self._states[at[bound]], taken[bound])
        self._states[at[bound]] = states
        goes_on[bound] = ~self._constraint.over(states)
        return torch.from_numpy(goes_on)


def _next_rows(row_of: Tensor, actions: Tensor, vocabulary: int) -> tuple[Tensor, Tensor, Tensor]:
    """The N distinct states of R episodes after their actions.

    row_of, actions: int64 [R], each episode's state and its action there. Returns the state before
    each new state and the action that led to it, int64 [N] each, and the new state of each episode,
    int64 [R].
    """
    steps, new_row_of = torch.unique(row_of * vocabulary + actions, return_inverse=True)
    return steps // vocabulary, steps % vocabulary, new_row_of


def _none_split(parents: Tensor) -> bool:
    """Whether no state is followed by two different ones; parents in order."""
    return bool((parents[1:] != parents[:-1]).all())


def _width(states: int, batch: int) -> int:
    """Number of rows in which to step the states. oneDNN builds a kernel for each new number of
    rows, so at most about a hundred different ones are used."""
    if states < 16:
        return min(batch, 1 << (states - 1).bit_length())
    grain = max(16, batch // 64)
    return min(batch, -(-states // grain) * grain)


def _padded(states: Tensor, width: int) -> Tensor:
    """Append states that belong to no episode, up to `width`."""
    return torch.nn.functional.pad(states, (0, width - len(states)))


def _draw(log_probs: Tensor, row_of: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw an action for each of R episodes in N states, by inverting the cumulative distribution:
    float32 [N,V], int64 [R] -> int64 [R].

    With u uniform in [0,1), the action is the number of cumulative sums that are at most u times
    the last one; so an action of probability 0 is never drawn, nor one past the end.
    """
    cumulative = log_probs.exp().cumsum(-1)[row_of]
    uniform = torch.rand(len(row_of), 1, generator=generator)
    return (cumulative <= uniform * cumulative[:, -1:]).sum(-1)
