"""Generating whole batches of episodes from a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sequence_tutor.policies.device import autocast
from sequence_tutor.policies.encoding import Encoding
from sequence_tutor.policies.network import RecurrentNetwork, State


@dataclass(frozen=True)
class Episodes:
    """Generated episodes, in the order they were asked for.

    tokens int16 [B,T], zero after the end; lengths int32 [B] in actions, end token included;
    log_probs float32 [B], nats under the distribution they were really drawn from.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    log_probs: np.ndarray


class Sampler:
    """Steps a network over a batch, dropping finished episodes as it goes.

    With `prior` given, the policy is the prior reweighted by the network (G-learning):
    pi(a|s) proportional to p(a|s) exp G(s,a).
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
        """Draw `batch` episodes."""
        vocabulary, steps = self.encoding.vocabulary, self.encoding.max_length
        device = self.networks[0].head.weight.device
        tokens = torch.zeros(batch, steps, dtype=torch.int16)
        lengths = torch.full((batch,), steps, dtype=torch.int32)
        totals = torch.zeros(batch, device=device)
        alive = torch.arange(batch, device=device)
        inputs = torch.full((batch,), vocabulary.start_id, device=device)
        states: list[State | None] = [None] * len(self.networks)
        longest = steps
        with autocast(device.type):
            for t in range(steps):
                logits = torch.zeros(len(alive), vocabulary.size, device=device)
                for i, network in enumerate(self.networks):
                    out, states[i] = _step(network, inputs, states[i])
                    # the prior enters as log-probabilities; the constant drops out below
                    logits += out
                log_probs = logits.log_softmax(-1)
                inputs = _draw(log_probs, generator)
                totals[alive] += log_probs.gather(1, inputs.unsqueeze(1)).squeeze(1)
                tokens[alive.cpu(), t] = inputs.to("cpu", torch.int16)
                if vocabulary.end_id is None:
                    continue
                done = inputs == vocabulary.end_id
                lengths[alive[done].cpu()] = t + 1
                keep = (~done).nonzero().squeeze(1)
                if len(keep) == 0:
                    longest = t + 1
                    break
                if len(keep) < len(alive):
                    alive, inputs = alive[keep], inputs[keep]
                    states = [tuple(s[:, keep] for s in state) for state in states if state]
        return Episodes(
            tokens[:, :longest].numpy(), lengths.numpy(), totals.float().cpu().numpy()
        )


def _step(network: RecurrentNetwork, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
    """One step of every layer: inputs int64 [B] -> outputs float32 [B,V] and the new state."""
    x = network.embedding(inputs).unsqueeze(0)
    if network.architecture.cell == "lstm":
        y, new = network.rnn(x, state)
    else:
        y, h = network.rnn(x, None if state is None else state[0])
        new = (h,)
    return network.head(y[0]).float(), new


def _draw(log_probs: Tensor, generator: torch.Generator | None) -> Tensor:
    """One action per row, by Gumbel-max in float64-safe form: [B,V] -> int64 [B].

    An exponential race, argmin Exp(1)/p, draws from p with one uniform per action.
    """
    noise = torch.empty(log_probs.shape).exponential_(generator=generator).to(log_probs.device)
    return (log_probs - noise.log()).argmax(-1)
