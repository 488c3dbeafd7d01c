"""Several policies on one record: each learns as it would alone from its own batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from local_runs import rounds, rows

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.learner_config import LearnerConfig
from sequence_tutor.distributed.learning.population import Population, build_updater
from sequence_tutor.distributed.learning.updater import Updater, build_model
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.population import is_policy, joined, part_of, policy_name
from sequence_tutor.distributed.types import TrainingBatch, Weights
from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.prior import load_prior

CPU = torch.device("cpu")
MULTIPLES = [1.0, 2.0, 8.0]


def same(a: Weights, b: Weights) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def make_batches(prior: Path, n: int) -> list[TrainingBatch]:
    made, encoding = [], load_prior(prior).encoding
    for seed in range(n):
        texts = load_prior(prior).sample(16, seed)
        tokens, lengths = pad([encoding.encode(text)[:32] for text in texts])
        rewards = np.zeros(tokens.shape, np.float32)
        rewards[np.arange(16), lengths - 1] = [text.count("C") for text in texts]
        made.append(TrainingBatch(tokens, lengths, rewards, np.full(16, seed, np.int32)))
    return made


def population(prior: Path, **settings: Any) -> Population:
    learner = LearnerConfig(population=tuple(MULTIPLES), **settings)
    made = build_updater(build_model(load_prior(prior).network, learner, 5), learner, 5, CPU)
    assert isinstance(made, Population)
    return made


def alone(prior: Path, seed: int, **settings: Any) -> Updater:
    learner = LearnerConfig(**settings)
    return Updater(build_model(load_prior(prior).network, learner, seed), learner, CPU)


@pytest.mark.parametrize("algorithm", ["path", "psi"])
@pytest.mark.parametrize("given", [True, False], ids=["c from the driver", "c of the config"])
def test_each_policy_learns_as_it_would_alone(tiny_prior: Path, algorithm: str, given: bool):
    batches, c = make_batches(tiny_prior, 8), 0.5
    settings: dict[str, Any] = {"algorithm": algorithm, "value_warmup": 1}
    settings["temperature"] = "auto" if given else c
    together = population(tiny_prior, **settings)
    reports = [
        together.update(part, c if given else None) for part in (batches[:4], batches[4:], [])
    ]
    assert [report.updates for report in reports] == [4, 4, 0]
    assert (together.updates, reports[1].total_updates, reports[1].rows) == (8, 8, 4 * 16)
    # batch i was made by version i and is learned from in update i
    assert reports[0].staleness == reports[1].staleness == 0
    weights = together.policy_weights()
    for member, multiple in enumerate(MULTIPLES):
        settings["temperature"] = multiple * c
        single = alone(tiny_prior, 5 + member, **settings)
        single.update(batches[member::3])
        assert same(part_of(weights, member), single.policy_weights())
    assert not same(part_of(weights, 0), part_of(weights, 1))


def test_a_restored_population_learns_on_alike(tiny_prior: Path):
    batches = make_batches(tiny_prior, 7)
    whole, first, second = (population(tiny_prior, temperature=0.5) for _ in range(3))
    whole.update(batches)
    first.update(batches[:4])
    second.import_tensors(first.export_tensors(), 4)
    assert [member.updates for member in second.members] == [2, 1, 1]
    second.update(batches[4:])
    assert second.updates == 7
    assert same(whole.policy_weights(), second.policy_weights())


def test_names_and_weights_of_policies():
    names = [policy_name(member) for member in range(3)]
    assert names == ["policy", "policy-2", "policy-3"]
    assert all(map(is_policy, names))
    assert not any(map(is_policy, ["genetic", "policy-", "policy-mine", "policy2", "warm-start"]))
    parts = [{"head.weight": np.full(2, i), "level": np.full(1, i)} for i in range(3)]
    whole = joined(parts)
    assert len(whole) == 6 and whole["head.weight"][0] == 0
    assert all(same(part_of(whole, member), part) for member, part in enumerate(parts))


def test_policies_of_a_run_make_rows_and_are_saved(
    make_run: Callable[..., RunConfig], tmp_path: Path
):
    run = make_run(learner={"population": [1.0, 50.0]}, stop={"scores": 10**6})
    whole, parts = LocalRun(run, Location(tmp_path / "a")), LocalRun(run, Location(tmp_path / "b"))
    weights = rounds(whole, 8)
    place = whole.save_run()
    assert set(rows(tmp_path / "a").sources) == {"policy", "policy-2"}
    counts = whole.read_metrics().sources
    assert all(counts[name].scored > 0 for name in ("policy", "policy-2"))
    prior = load_prior(run.prior)
    texts = [text for text in prior.sample(64, 1) if 2 < len(text) < 20]
    moved = [
        np.abs(load_prior(place / name).log_prob(texts) - prior.log_prob(texts)).mean()
        for name in ("policy", "policy-2")
    ]
    assert moved[0] > 2 * moved[1] > 0  # the second has 50 times the temperature
    rounds(parts, 4)
    checkpoint = parts.save_run_checkpoint()
    again = LocalRun(run, Location(tmp_path / "b"))
    again.load_checkpoint(str(checkpoint))
    assert same(rounds(again, 8), weights)
    for one in (whole, parts, again):
        one.stop()


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        ({"population": [1.0, 2.0], "count": 2}, "a population of 2 policies has one learner"),
        ({"population": []}, "at least 1"),
        ({"population": [1.0, 0.0]}, "greater than 0"),
    ],
)
def test_a_population_that_cannot_be(
    make_run: Callable[..., RunConfig], learner: dict[str, Any], message: str
):
    with pytest.raises(ConfigError, match=message):
        make_run(learner=learner)
