"""The learner and the actor as plain classes, with only the weight board in Ray."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import ray
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData

from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.generating.actor import SequenceActor
from sequence_tutor.distributed.learning.learner import KLControlLearner
from sequence_tutor.distributed.packing import packed
from sequence_tutor.distributed.types import TrainingBatch
from sequence_tutor.distributed.weight_board import WeightBoard, board_name, prior_parts
from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.kl_control import ALGORITHMS
from sequence_tutor.policies.prior import Prior, as_tensors, build_prior, load_prior

Weights = dict[str, np.ndarray]


@pytest.fixture
def configure(
    local_ray: None, make_run: Callable[..., RunConfig]
) -> Iterator[Callable[..., SequenceTutorConfig]]:
    """Makes configs whose weight board runs and holds the prior."""
    boards: list[Any] = []
    references: list[Any] = []

    def make(**changes: Any) -> SequenceTutorConfig:
        config = SequenceTutorConfig().tutor(make_run(**changes))
        config.run_id = uuid.uuid4().hex
        config.learners(num_learners=0)
        references.append(ray.put(prior_parts(load_prior(config.run.prior))))
        boards.append(
            ray.remote(WeightBoard)
            .options(name=board_name(config.run_id), num_cpus=0)
            .remote(packed(references[-1]))
        )
        return config

    yield make
    for board in boards:
        ray.kill(board)


def learner_of(config: SequenceTutorConfig) -> KLControlLearner:
    actor = actor_of(config)
    spaces = {DEFAULT_MODULE_ID: actor.get_spaces()[DEFAULT_MODULE_ID]}
    return config.build_learner(spaces=spaces)


def actor_of(config: SequenceTutorConfig, index: int = 1) -> SequenceActor:
    return SequenceActor(config=config, worker_index=index, num_workers=2)


def batch_of(prior: Prior, reward: Callable[[str], float], n: int = 32) -> TrainingBatch:
    sequences = prior.sample(n, seed=3)
    tokens, lengths = pad(
        [prior.encoding.encode(s)[: prior.encoding.max_length] for s in sequences]
    )
    rewards = np.zeros(tokens.shape, dtype=np.float32)
    rewards[np.arange(n), lengths - 1] = [reward(s) for s in sequences]
    return TrainingBatch(tokens, lengths, rewards, np.zeros(n, dtype=np.int32))


def newest(config: SequenceTutorConfig) -> tuple[int, Weights]:
    version, reference = ray.get(ray.get_actor(board_name(config.run_id)).newest.remote(-1))
    return version, ray.get(reference[0])


def learn(learner: KLControlLearner, batch: TrainingBatch, updates: int) -> Any:
    references = [ray.put(batch)] * updates
    return learner.update(training_data=TrainingData(batch_refs=references))


def carbons(sequence: str) -> float:
    return float(sequence.count("C"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_starts_at_the_prior_and_learns(
    algorithm: str, configure: Any, prior_weights: Weights
):
    config = configure(learner={"algorithm": algorithm, "value_warmup": 2, "temperature": 1.0})
    prior = load_prior(config.run.prior)
    learner, actor = learner_of(config), actor_of(config)
    learner.publish()
    version, first = newest(config)
    assert version == 0
    report, _ = actor.sample(iteration=0)
    assert abs(report.kl_to_prior) < 0.05
    if algorithm == "g":
        assert not first["head.weight"].any() and not first["head.bias"].any()
    else:
        assert all(np.array_equal(first[k], prior_weights[k]) for k in prior_weights)

    batch = batch_of(prior, carbons)
    during = learn(learner, batch, 2)
    if algorithm != "path":  # the values learn first
        assert all(np.array_equal(newest(config)[1][k], first[k]) for k in first)
    after = learn(learner, batch, 6)
    version, weights = newest(config)
    assert version == after.total_updates == 8 and after.updates == 6
    assert after.rows == 6 * 32 and during.rows == 2 * 32
    assert np.isfinite(after.loss) and after.residual > 0
    assert any(not np.array_equal(weights[k], first[k]) for k in first)
    report, _ = actor.sample(iteration=0)
    assert report.version == 8
    assert report.kl_to_prior != pytest.approx(0, abs=1e-6)


def test_a_restored_learner_makes_the_same_updates(configure: Any):
    config = configure(learner={"algorithm": "psi", "value_warmup": 1})
    batch = batch_of(load_prior(config.run.prior), carbons)
    one = learner_of(config)
    learn(one, batch, 3)
    tensors = one.updater.export_tensors()
    other = learner_of(config)
    other.updater.import_tensors(tensors, one.updater.updates)
    learn(one, batch, 2)
    straight = one.updater.policy_weights()
    learn(other, batch, 2)
    resumed = other.updater.policy_weights()
    assert all(np.array_equal(straight[k], resumed[k]) for k in straight)
    # control: without the optimiser's moments the updates differ
    third = learner_of(config)
    third.updater.import_tensors({k: v for k, v in tensors.items() if not k.startswith("optim")}, 3)
    learn(third, batch, 2)
    assert any(
        not np.array_equal(straight[k], v) for k, v in third.updater.policy_weights().items()
    )


def test_a_saved_g_policy_has_the_same_log_probs(configure: Any, tmp_path: Any):
    fast = {"value_warmup": 0, "temperature": 0.2, "learning_rate": 0.02}
    config = configure(learner={"algorithm": "g"} | fast)
    prior = load_prior(config.run.prior)
    learner = learner_of(config)
    learn(learner, batch_of(prior, carbons), 20)
    network = build_prior(prior.metadata(), as_tensors(learner.updater.policy_weights())).network
    policy = Prior(prior.encoding, network, {}, prior.network)
    policy.save(tmp_path)
    loaded = load_prior(tmp_path)
    sequences = policy.sample(20, seed=1)
    whole = [s for s in sequences if len(s) < 20]
    here = policy.log_prob(whole)
    away = np.abs(here - prior.log_prob(whole)).mean()
    assert away > 1.0
    # weights are saved in bfloat16
    assert np.abs(here - loaded.log_prob(whole)).mean() < 0.1 * away
    assert loaded.base is not None


def test_an_infinite_loss_raises(configure: Any):
    config = configure()
    batch = batch_of(load_prior(config.run.prior), lambda _: float("inf"))
    with pytest.raises(FloatingPointError, match="try a larger learner.temperature"):
        learn(learner_of(config), batch, 1)


def test_an_actor_repeats_only_the_same_iteration(configure: Any):
    config = configure()
    learner_of(config).publish()

    def episodes(index: int, iteration: int | None) -> Any:
        _, reference = actor_of(config, index).sample(iteration=iteration)
        return ray.get(reference[0]).episodes

    first, again = episodes(1, 5), episodes(1, 5)
    np.testing.assert_array_equal(first.tokens, again.tokens)
    np.testing.assert_array_equal(first.log_probs, again.log_probs)
    for other in (episodes(1, 6), episodes(2, 5), episodes(1, None)):
        assert not np.array_equal(first.lengths, other.lengths)
    # a restarted actor generates other episodes than before
    assert not np.array_equal(episodes(1, None).lengths, episodes(1, None).lengths)


def test_an_actor_without_weights_raises(configure: Any):
    with pytest.raises(RuntimeError, match="no weights were published"):
        actor_of(configure()).sample(iteration=0)


def test_the_board_ignores_older_weights(configure: Any):
    config = configure()
    board = ray.get_actor(board_name(config.run_id))
    old, new = ray.put({"x": np.zeros(1)}), ray.put({"x": np.ones(1)})
    ray.get(board.publish.remote(4, [new]))
    ray.get(board.publish.remote(3, [old]))
    version, weights = newest(config)
    assert version == 4 and weights["x"][0] == 1.0
    assert ray.get(board.newest.remote(4)) == (4, [])
