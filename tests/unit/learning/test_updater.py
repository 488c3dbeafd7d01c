"""The updater's temperature: given with the call, remembered, and kept in checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sequence_tutor.distributed.learner_config import LearnerConfig
from sequence_tutor.distributed.learning.updater import TEMPERATURE, Updater, build_model
from sequence_tutor.distributed.types import TrainingBatch
from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.prior import load_prior


@pytest.fixture
def batch(tiny_prior: Path) -> TrainingBatch:
    """Rewards of 40 and more, so that a wrong log Z is wrong by tens of nats."""
    prior = load_prior(tiny_prior)
    texts = prior.sample(64, seed=3)
    tokens, lengths = pad([prior.encoding.encode(text)[:32] for text in texts])
    rewards = np.zeros(tokens.shape, np.float32)
    rewards[np.arange(64), lengths - 1] = [40.0 + text.count("C") for text in texts]
    return TrainingBatch(tokens, lengths, rewards, np.zeros(64, np.int32))


def updater(tiny_prior: Path, **settings: Any) -> Updater:
    learner = LearnerConfig(**settings)
    model = build_model(load_prior(tiny_prior).network, learner, 0)
    return Updater(model, learner, torch.device("cpu"))


def test_a_change_of_the_temperature_does_not_blow_up_the_loss(
    tiny_prior: Path, batch: TrainingBatch
):
    one = updater(tiny_prior, temperature="auto")
    before = one.update([batch], 4.0)
    after = one.update([batch], 2.0)
    assert after.residual < 4 * before.residual + 1
    assert after.start_value - before.start_value == pytest.approx(11.0, abs=2.0)
    control = updater(tiny_prior, temperature=4.0)
    control.update([batch])
    control._temperature = 2.0  # without the level
    assert control.update([batch]).residual > after.residual + 5


def test_the_same_temperature_is_as_a_fixed_one(tiny_prior: Path, batch: TrainingBatch):
    given, fixed = updater(tiny_prior, kl=3.0), updater(tiny_prior, temperature=3.0)
    for _ in range(3):
        given.update([batch], 3.0)
        fixed.update([batch])
    weights, others = given.policy_weights(), fixed.policy_weights()
    assert all(np.array_equal(weights[name], others[name]) for name in weights)
    assert TEMPERATURE not in fixed.export_tensors()


def test_a_checkpoint_has_the_temperature(tiny_prior: Path, batch: TrainingBatch):
    one, other = updater(tiny_prior, kl=3.0), updater(tiny_prior, kl=3.0)
    one.update([batch], 3.0)
    other.import_tensors(one.export_tensors(), 1)
    for each in (one, other):
        each.update([batch], 2.5)
    weights, others = one.policy_weights(), other.policy_weights()
    assert all(np.array_equal(weights[name], others[name]) for name in weights)
    other.update([], 1.0)  # nothing was learned at this one
    assert other.export_tensors()[TEMPERATURE].item() == 2.5
