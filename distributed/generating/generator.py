"""Generates a batch of episodes with the current policy; doesn't use Ray.

A batch depends only on the weights, the run's seed, the worker's number, the numbers given with the
call, and its size.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch

from sequence_tutor.distributed.config import ActorsConfig
from sequence_tutor.distributed.given_parts import TRIES, LeadStarts
from sequence_tutor.distributed.learner_config import LearnerConfig
from sequence_tutor.distributed.population import part_of, policy_name
from sequence_tutor.distributed.types import ActorReport, Generated, Weights
from sequence_tutor.policies.encodings.base import Episodes, Starts
from sequence_tutor.policies.kernels.device import autocast
from sequence_tutor.policies.prior import Prior, as_tensors, token_log_probs
from sequence_tutor.policies.sampler import Sampler

# The KL to the prior is measured on every KL_EVERY-th episode, unless c depends on it: on all, the
# prior's pass would cost as much as sampling.
KL_EVERY = 8
# Seconds that a batch should take, if the actor chooses its size.
BATCH_S = 2.0


def kl_every_of(learner: LearnerConfig) -> int:
    """1 where the temperature is controlled by the KL, which needs every episode; else KL_EVERY."""
    return KL_EVERY if learner.asked_kl is None else 1


class Generator:
    """Samples the policy, whose weights change between batches only.

    prior: the network that the policy starts from; seed: the run's; worker: the actor's number,
    from 1; corrects_prior: whether the policy's logits are added to the prior's, as `g` learns
    them; kl_every: the KL is measured on each kl_every-th episode; policies: how many there are,
    which generate in turn; starts: how some episodes begin.
    """

    def __init__(
        self,
        prior: Prior,
        actors: ActorsConfig,
        seed: int,
        worker: int,
        corrects_prior: bool,
        kl_every: int = KL_EVERY,
        policies: int = 1,
        starts: LeadStarts | None = None,
    ) -> None:
        self._kl_every, self._policies, self._starts = kl_every, policies, starts
        self._seed, self._actors, self._worker = seed, actors, worker
        self.device = torch.device("cuda" if actors.gpus else "cpu")
        self.prior = prior.network.to(self.device)
        self.policy = deepcopy(self.prior)
        for network in (self.prior, self.policy):
            network.requires_grad_(False)
        self._weights: Weights = {}
        self.version, self._loaded, self.batch = -1, 0, actors.batch  # the prior's
        base = self.prior if corrects_prior else None
        self._constraint = prior.encoding.constraint
        self._sampler = Sampler(self.policy, prior.encoding, base)

    def take_weights(self, version: int, weights: Weights) -> None:
        """Use the policies' weights after `version` updates."""
        self._weights, self.version, self._loaded = weights, version, -1

    def _load(self, member: int) -> None:
        """Make `policy` the one of this number."""
        if self._loaded != member:
            self.policy.load_state_dict(as_tensors(part_of(self._weights, member)))
            self._loaded = member

    def sample(
        self, entropy: Sequence[int], actor_id: str, n: int | None = None
    ) -> tuple[ActorReport, Generated]:
        """Generate one batch, of the policy whose turn it is. entropy: numbers that seed it, with
        the run's seed and the worker's number; the first of them counts the calls. actor_id: id of
        the actor since its last start; n: episodes, by default as many as the config says."""
        seeds = np.random.SeedSequence([self._seed, self._worker, *entropy])
        generator = torch.Generator()
        generator.manual_seed(int(seeds.generate_state(1)[0]))
        member = (self._worker - 1 + entropy[0]) % self._policies
        self._load(member)
        started = time.perf_counter()
        size = self.batch if n is None else n
        starts, tries = None, size
        if self._starts is not None:
            tries = TRIES * size
            starts = self._starts.draw(tries, np.random.default_rng(seeds))
        episodes = self._sampler.sample(tries, generator, starts)
        seconds = time.perf_counter() - started
        if n is None:
            self.batch = self._next_batch(seconds)
        kl = self._kl_to_prior(episodes, starts)
        if self._starts is not None:
            episodes = self._starts.nearest(episodes, size)
        report = ActorReport(
            worker=self._worker,
            rows=len(episodes.lengths),
            version=self.version,
            seconds=seconds,
            kl_to_prior=kl,
            source=policy_name(member),
        )
        return report, Generated.by_one(episodes, self.version, actor_id, report.source, seconds)

    def _next_batch(self, seconds: float) -> int:
        """Size of the next batch, after one that took `seconds`; at most twice the last. Larger
        batches cost less per episode, but their episodes are staler."""
        fitting = int(self.batch * min(2.0, BATCH_S / max(seconds, 1e-6)))
        return int(max(self._actors.batch, min(fitting, self._actors.largest_batch)))

    def _kl_to_prior(self, episodes: Episodes, starts: Starts | None) -> float:
        """Mean over episodes of log pi(tau) - log p(tau), nats: an unbiased estimate of the KL. Of
        the episodes that the policy began itself; NaN where there are none."""
        own = np.arange(len(episodes.lengths))
        if starts is not None:
            own = own[[not len(start) for start in starts.actions]]
        rows = own[:: self._kl_every]
        if not len(rows):
            return float("nan")
        with autocast(self.device.type):
            log_prior = token_log_probs(
                self.prior,
                episodes.tokens[rows],
                episodes.lengths[rows],
                constraint=self._constraint,
            )
        return float((episodes.log_probs[rows] - log_prior).mean())
