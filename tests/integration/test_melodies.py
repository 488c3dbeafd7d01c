"""Melodies end to end: episodes of a fixed length whose rules pay by the step."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from records import read_record, rows_on_record
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.replay.record.writer import read_table
from sequence_tutor.distributed.report.summary import RunSummary, print_summary
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.kl_control import KLControlSettings
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.melody_tokens import TOKENS
from sequence_tutor.policies.pretrain import Pretraining, PretrainSettings
from sequence_tutor.policies.prior import Prior, load_prior
from sequence_tutor.policies.sampler import Sampler
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.melodies import RULE_NAMES, rule_rewards_batch

STEPS, LONGER = 32, 48
THEORY = {
    "aggregate": "sum",
    "component": [{"name": "music_theory", "profile": "corrected", "weights": {"key": 2.0}}],
}
KINDS = ("abc", "mid", "musicxml", "svg", "wav")  # of the files of a melody
PSI = {"algorithm": "psi", "gamma": 0.5, "value_warmup": 0}


def tunes(n: int, steps: int = STEPS) -> list[str]:
    """Walks over white and black keys, a note each quarter."""
    rng, out = random.Random(0), []
    for _ in range(n):
        pitch, text = rng.randint(8, 28), ""
        for _ in range(steps // 4):
            pitch = min(35, max(0, pitch + rng.choice((-4, -2, -1, 1, 2, 3))))
            text += TOKENS[pitch + 2] + rng.choice(("---", "-.-"))
        out.append(text)
    return out


@pytest.fixture(scope="session")
def melody_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior of 32 steps that learned `tunes` in seconds, with its data."""
    directory = tmp_path_factory.mktemp("melody_prior")
    torch.set_num_threads(1)
    settings = PretrainSettings(
        cell="gru", embedding=16, hidden=32, layers=1, epochs=10, batch=32, learning_rate=0.01,
        warmup=10, dropout=0.0, validation=0.1,
    )  # fmt: skip
    training = Pretraining(MelodyEncoding.fit([]), tunes(300), settings, "cpu")
    prior = training.run(directory, lambda _: None)
    prior.data = training.data
    prior.save(directory)
    return directory


@pytest.fixture(scope="session")
def melody_run(make_run: Callable[..., RunConfig], melody_prior: Path) -> Callable[..., RunConfig]:
    def make(**changes: Any) -> RunConfig:
        """A run with melodies of 48 steps, 16 more than the prior's."""
        return make_run(
            encoding="melody",
            prior=str(melody_prior),
            max_length=LONGER,
            reward=THEORY,
            learner=PSI,
            **changes,
        )

    return make


@dataclass(frozen=True)
class Finished:
    out: Path
    summary: RunSummary

    @property
    def record(self) -> Scored:
        return rows_on_record(self.out / "scores")

    @property
    def weights(self) -> dict[str, np.ndarray]:
        tensors = checkpoint.read(checkpoint.complete(self.out / "checkpoints")[-1]).tensors
        prefix = "model.online.network."
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@pytest.fixture(scope="module")
def finished(
    melody_run: Callable[..., RunConfig],
    tmp_path_factory: pytest.TempPathFactory,
) -> Finished:
    out = tmp_path_factory.mktemp("run") / "melodies"
    return Finished(out, optimize(melody_run(), out, Console(quiet=True), Options(local=True)))


def test_a_melody_run_repeats_bit_for_bit(
    finished: Finished,
    melody_run: Callable[..., RunConfig],
    melody_prior: Path,
    weights_of: Any,
    tmp_path: Path,
):
    expected, weights, records = finished.weights, [], []
    for seed in (1, 2):
        out = tmp_path / str(seed)
        run = LocalRun(melody_run(seed=seed), Location(out))
        while not run.out_of_budget():
            run.train()
        run.drain()
        weights.append(weights_of(run))
        run.stop()
        records.append(read_record(out / "scores"))

    def equal(network: dict[str, np.ndarray]) -> bool:
        return all(np.array_equal(expected[k], network[k]) for k in expected)

    start = load_prior(melody_prior).network.state_dict()
    assert expected.keys() == weights[0].keys() == start.keys()
    assert equal(weights[0]) and not equal(weights[1])
    assert not equal({k: v.numpy() for k, v in start.items()})
    # the order of the record's parts depends on when they were written
    first, same, other = (r.select(np.argsort(r.keys)) for r in (finished.record, *records))
    assert first.keys == same.keys != other.keys
    np.testing.assert_array_equal(first.step_rewards, same.step_rewards)


def test_the_record_has_the_rewards_of_every_rule_and_step(finished: Finished):
    table, record = read_table(finished.out / "scores"), finished.record
    assert len(record) >= 100
    for prefix in ("steps.", "raw."):
        names = [n.removeprefix(prefix) for n in table.column_names if n.startswith(prefix)]
        assert tuple(names) == RULE_NAMES
    rules, others = (
        rule_rewards_batch(record.tokens, LONGER, profile) for profile in ("corrected", "paper")
    )
    for name in RULE_NAMES:
        column = table.column(f"steps.{name}")
        assert pa.types.is_list(column.type) and column.type.value_type == pa.float32()
        assert {len(row) for row in column.to_pylist()} == {LONGER}
        np.testing.assert_allclose(record.step_raw[name], rules[name], atol=1e-5)
    assert any(np.ptp(rules[n]) > 0 and not np.allclose(rules[n], others[n]) for n in RULE_NAMES)
    weights = {name: 2.0 if name == "key" else 1.0 for name in RULE_NAMES}
    whole = sum(weight * record.raw[name] for name, weight in weights.items())
    np.testing.assert_allclose(record.rewards, whole, atol=1e-9)
    paid = sum(weight * record.step_raw[name] for name, weight in weights.items())
    assert record.step_rewards is not None
    np.testing.assert_allclose(record.step_rewards, paid, atol=1e-4)


def test_a_run_may_be_longer_than_its_prior(finished: Finished, melody_prior: Path):
    record = finished.record
    assert set(record.lengths) == {LONGER} and record.tokens.shape[1] == LONGER
    assert all(values.shape[1] == LONGER for values in record.step_raw.values())
    # a melody's extremes are paid in the last of the 48 steps
    assert np.flatnonzero(record.step_raw["unique_extremes"].any(0)).tolist() == [LONGER - 1]
    policy, prior = load_prior(finished.out), load_prior(melody_prior)
    assert (policy.encoding.max_length, prior.encoding.max_length) == (LONGER, STEPS)
    assert finished.summary.metrics.updates > 0
    moved = policy.log_prob(record.sequences[:20]) - prior.log_prob(record.sequences[:20])
    assert np.abs(moved).max() > 0.1


def test_a_finished_run_has_tables_midi_wav_and_pictures(finished: Finished, quiet: Console):
    top = list(csv.DictReader((finished.out / "top.csv").open()))
    rewards = [float(row["reward"]) for row in top]
    assert rewards == sorted(rewards, reverse=True) and len(rewards) == 100
    assert rewards[0] == pytest.approx(finished.record.rewards.max(), rel=1e-5)
    assert [n for n in top[0] if n.startswith("raw.")] == [f"raw.{n}" for n in RULE_NAMES]
    for row in top:
        raw = sum(float(row[f"raw.{name}"]) for name in RULE_NAMES) + float(row["raw.key"])
        assert raw == pytest.approx(float(row["reward"]), rel=1e-4, abs=1e-3)
    names = [f"melody-{i:02}.{kind}" for i in range(1, 11) for kind in KINDS]
    for folder in ("samples", "best"):
        files = {p.name: p.stat().st_size for p in (finished.out / folder).iterdir()}
        assert sorted(files) == [*names, "piano_rolls.png"] and all(files.values())
    print_summary(finished.summary, finished.out, quiet)
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    columns = "data uniform random prior tuned policy"
    assert columns in " ".join(text.replace("┃", " ").split())
    assert all(name in text for name in ("reward: unique extremes", "nll", "kl to prior"))


@pytest.mark.parametrize("temperature", [0.2, 1e6])
def test_psi_learns_immediate_rewards(melody_prior: Path, temperature: float):
    """The control has a temperature that makes the reward negligible."""
    prior, steps, generator = load_prior(melody_prior), STEPS, torch.Generator().manual_seed(0)
    reward = build_reward(RewardConfig.model_validate({"component": [{"name": "key"}]}), "melodies")
    torch.manual_seed(0)
    settings = KLControlSettings(gamma=0.5, lam=0.9)
    model = KLControlModel(prior.network, "psi", settings, target_rate=0.05)
    groups = [[*model.policy.parameters()], [*model.online.value.parameters(), model.online.level]]
    rates = zip(groups, (5e-3, 1e-2), strict=True)
    optimizer = torch.optim.Adam([{"params": p, "lr": rate} for p, rate in rates])
    for _ in range(50):
        episodes = Sampler(model.policy, prior.encoding).sample(32, generator)
        paid = reward.score([prior.encoding.decode(t) for t in episodes.tokens]).step_rewards
        tensors = (episodes.tokens.astype(np.int64), episodes.lengths, paid[:, :steps])
        actions, lengths, rewards = map(torch.from_numpy, tensors)
        optimizer.zero_grad()
        model.loss(actions, lengths, rewards / temperature).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.online.parameters(), 5.0)
        optimizer.step()
        model.after_update()
    policies = (prior, Prior(prior.encoding, model.policy))
    before, after = (reward.score(p.sample(200, 1)).rewards.mean() for p in policies)
    assert before < -2
    assert after > -0.5 if temperature < 1 else after < -1.5
