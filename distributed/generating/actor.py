"""Actors: pull the newest weights, generate a batch of episodes, hand on a reference to it."""

from __future__ import annotations

import time
import uuid
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import ray
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.env.env_runner import EnvRunner

from sequence_tutor.distributed.types import ActorReport, Generated
from sequence_tutor.distributed.weight_board import board_name, fetch_prior
from sequence_tutor.policies.encodings.base import Episodes
from sequence_tutor.policies.kernels.device import (
    autocast,
    choose_repeatable_kernels,
    keep_freed_memory,
)
from sequence_tutor.policies.prior import as_tensors, build_prior, token_log_probs
from sequence_tutor.policies.sampler import Sampler

# KL to the prior is measured on one episode in so many: the prior's pass costs what sampling does.
KL_EVERY = 8
# Seconds that a batch of a size of the actor's own choice should take.
BATCH_S = 2.0


class SequenceActor(EnvRunner):  # type: ignore[misc]
    """One generating process, an RLlib environment runner without an environment.

    Weights change only between batches, so every episode has exactly one version. A restarted
    actor gets a new run id.
    """

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        keep_freed_memory()
        choose_repeatable_kernels()
        run = config.run
        torch.set_num_threads(run.actors.threads)
        self.run, self.run_id = run, f"actor-{self.worker_index}-{uuid.uuid4().hex[:8]}"
        self.device = torch.device("cuda" if run.actors.gpus else "cpu")
        parts = fetch_prior(config.run_id)
        prior = build_prior(parts.metadata, as_tensors(parts.weights))
        self.encoding = prior.encoding
        self.prior = prior.network.to(self.device)
        self.policy = deepcopy(self.prior)
        for network in (self.prior, self.policy):
            network.requires_grad_(False)
        self.version, self.calls, self.batch = -1, 0, run.actors.batch
        # `g` corrects the prior
        base = self.prior if run.learner.algorithm == "g" else None
        self.sampler = Sampler(self.policy, self.encoding, base)
        self.board = ray.get_actor(board_name(config.run_id))

    def sample(self, iteration: int | None = None, **_: Any) -> tuple[ActorReport, list[Any]]:
        """Generate one batch; returns what the driver may see and a reference to the rest.

        With `iteration` the episodes depend on the run's seed, the iteration and the actor's
        index alone; without, a restarted actor doesn't repeat itself.
        """
        self._pull_weights()
        self.calls += 1
        entropy = [self.run.seed, self.worker_index or 0]
        if iteration is None:
            entropy += [self.calls, int(self.run_id[-8:], 16)]
        else:
            entropy += [iteration]
        generator = torch.Generator()
        generator.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
        started = time.perf_counter()
        episodes = self.sampler.sample(self.batch, generator)
        seconds = time.perf_counter() - started
        self.batch = self._next_batch(seconds)
        report = ActorReport(
            worker=self.worker_index or 0,
            rows=len(episodes.lengths),
            version=self.version,
            seconds=seconds,
            kl_to_prior=self._kl_to_prior(episodes),
        )
        batch = Generated(episodes, self.version, self.run_id, "policy", seconds)
        return report, [ray.put(batch)]

    def _next_batch(self, seconds: float) -> int:
        """Episodes for the next batch, after one that took so long: larger ones cost less each, but
        the policy moves on meanwhile. At most twice as many at a time."""
        actors = self.run.actors
        fitting = int(self.batch * min(2.0, BATCH_S / max(seconds, 1e-6)))
        return int(max(actors.batch, min(fitting, actors.largest_batch)))

    def _pull_weights(self) -> None:
        version, reference = ray.get(self.board.newest.remote(self.version))
        if version < 0 and self.version < 0:
            raise RuntimeError("no weights were published before the first episode")
        if reference:
            weights = ray.get(reference[0])
            self.policy.load_state_dict(as_tensors(weights))
            self.version = version

    def _kl_to_prior(self, episodes: Episodes) -> float:
        """Mean over episodes of log pi(tau) - log p(tau), nats: an unbiased estimate of the KL."""
        rows = slice(None, None, KL_EVERY)
        with autocast(self.device.type):
            log_prior = token_log_probs(self.prior, episodes.tokens[rows], episodes.lengths[rows])
        return float((episodes.log_probs[rows] - log_prior).mean())

    def assert_healthy(self) -> None:
        assert self.board is not None

    def get_spaces(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        """What RLlib wants to know; the observation is the action before."""
        vocabulary = self.encoding.vocabulary
        spaces: tuple[Any, Any] = (
            gym.spaces.Discrete(vocabulary.size + 1),
            gym.spaces.Discrete(vocabulary.size),
        )
        return {"__env__": spaces, DEFAULT_MODULE_ID: spaces}

    def get_state(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Nothing: weights come from the board."""
        return {}

    def set_state(self, *_: Any, **__: Any) -> None:
        """Nothing: weights come from the board."""
