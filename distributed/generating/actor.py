"""The actor: fetches the newest weights, generates a batch of episodes, returns a reference to it.

The driver gets the report and the reference; only a scorer fetches the episodes.
"""

from __future__ import annotations

import uuid
from typing import Any

import gymnasium as gym
import ray
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.env.env_runner import EnvRunner

from sequence_tutor.distributed.generating.generator import Generator, kl_every_of
from sequence_tutor.distributed.given_parts import lead_starts
from sequence_tutor.distributed.types import ActorReport
from sequence_tutor.distributed.weight_board import board_name, fetch_prior
from sequence_tutor.policies.kernels.device import choose_repeatable_kernels, keep_freed_memory
from sequence_tutor.policies.prior import as_tensors, build_prior


class SequenceActor(EnvRunner):  # type: ignore[misc]
    """A process that generates: an RLlib environment runner without an environment.

    Weights change only between batches, so every episode has exactly one version. A restarted
    actor gets a new id.
    """

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        keep_freed_memory()
        choose_repeatable_kernels()
        run = config.whole_run()
        torch.set_num_threads(run.actors.threads)
        worker = self.worker_index or 0
        self.actor_id = f"actor-{worker}-{uuid.uuid4().hex[:8]}"
        parts = fetch_prior(config.run_id)
        prior = build_prior(parts.metadata, as_tensors(parts.weights))
        self.encoding, self.calls = prior.encoding, 0
        corrects = run.learner.algorithm == "g"
        kl_every = kl_every_of(run.learner)
        policies = len(run.learner.population)
        self.generator = Generator(
            prior,
            run.actors,
            run.seed,
            worker,
            corrects,
            kl_every,
            policies,
            lead_starts(run, prior.encoding),
        )
        self.board = ray.get_actor(board_name(config.run_id))

    def sample(
        self, iteration: int | None = None, n: int | None = None, **_: Any
    ) -> tuple[ActorReport, list[Any]]:
        """Generate one batch, of n episodes or as many as the config says. Returns the report for
        the driver and a list with one reference to the episodes.

        With `iteration` the episodes depend only on the weights, the run's seed, the iteration, n
        and the actor's index. Without it a restarted actor generates other episodes than before.
        """
        self._pull_weights()
        self.calls += 1
        if iteration is None:
            entropy = [self.calls, int(self.actor_id[-8:], 16)]
        else:
            entropy = [iteration]
        report, batch = self.generator.sample(entropy, self.actor_id, n)
        return report, [ray.put(batch)]

    def _pull_weights(self) -> None:
        generator = self.generator
        version, reference = ray.get(self.board.newest.remote(generator.version))
        if version < 0 and generator.version < 0:
            raise RuntimeError("no weights were published before the first episode")
        if reference:
            generator.take_weights(version, ray.get(reference[0]))

    def assert_healthy(self) -> None:
        assert self.board is not None

    def get_spaces(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        """The spaces that RLlib asks for; the observation is the previous action."""
        vocabulary = self.encoding.vocabulary
        spaces: tuple[Any, Any] = (
            gym.spaces.Discrete(vocabulary.size + 1),
            gym.spaces.Discrete(vocabulary.size),
        )
        return {"__env__": spaces, DEFAULT_MODULE_ID: spaces}

    def get_state(self, *_: Any, **__: Any) -> dict[str, Any]:
        """An empty state: weights come from the board."""
        return {}

    def set_state(self, *_: Any, **__: Any) -> None:
        """Do nothing: weights come from the board."""
