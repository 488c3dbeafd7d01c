"""One asynchronous run, and the content of its run directory."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
import ray
from records import rows_on_record
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, load_config, parse_config
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.report.summary import RunSummary, print_summary
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.scoring.pool import WAITING_PER_SCORER
from sequence_tutor.distributed.start_processes import HANDED_PER_SCORER
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.attachments import stored_path
from sequence_tutor.rewards.base import Status

BUDGET = 320


@dataclass(frozen=True)
class Finished:
    run: RunConfig
    out: Path
    summary: RunSummary

    @property
    def record(self) -> Scored:
        return rows_on_record(self.out / "scores")

    @property
    def metrics(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.out / "metrics.jsonl").open()]


@pytest.fixture(scope="module")
def finished(
    local_ray: None,
    plugins: Path,
    make_run: Callable[..., RunConfig],
    tmp_path_factory: pytest.TempPathFactory,
) -> Finished:
    """A run to its budget whose reward fails on nitrogen."""
    reward = {"name": "python", "function": "user_rewards:dislikes_nitrogen"}
    run = make_run(
        mode="asynchronous",
        reward={"component": [reward]},
        stop={"scores": BUDGET},
        checkpoint={"updates": 8, "keep": 2},
    )
    out = tmp_path_factory.mktemp("run") / "async"
    summary = optimize(run, out, Console(quiet=True))
    assert ray.is_initialized()  # it was there before
    return Finished(run, out, summary)


def test_the_budget_of_distinct_valid_sequences_is_kept(finished: Finished):
    record, last = finished.record, finished.metrics[-1]
    assert len(set(record.keys)) == len(record)
    # a failure on a valid sequence uses the budget as well
    paid = np.count_nonzero(record.status != Status.INVALID)
    assert last["scores_used"] == finished.summary.metrics.scores_used == paid == BUDGET
    assert last["replay_rows"] == len(record)
    assert finished.summary.reason == "budget used"


def test_failures_of_a_users_function_are_on_record(finished: Finished):
    record = finished.record
    nitrogen = np.array(["N" in key for key in record.keys])
    failed = record.status == Status.FAILED
    assert failed.any() and nitrogen[failed].all()
    assert not (record.status[nitrogen] == Status.OK).any()
    assert np.isnan(record.rewards[failed]).all()
    row = int(np.flatnonzero(failed)[0])
    assert "RuntimeError: no parameters for N in" in record.errors[row]
    assert finished.metrics[-1]["failed"] >= failed.sum()
    ok = int(np.flatnonzero(record.status == Status.OK)[0])
    assert record.rewards[ok] == record.keys[ok].upper().count("C")


def test_what_a_users_function_keeps_is_stored(finished: Finished):
    """For each molecule that the reward was called for, by the processes of the scorers."""
    paid = finished.record.select(np.flatnonzero(finished.record.status != Status.INVALID))
    expected = {
        stored_path(key, "notes", ".txt", "python"): text
        for key, text in zip(paid.keys, paid.sequences, strict=True)
    }
    found = {f"notes/{p.name}": p.read_text() for p in (finished.out / "notes").iterdir()}
    assert found == expected and len(found) == BUDGET


def test_samples_per_insert_stay_near_the_ratio(finished: Finished):
    run = finished.run
    rows = run.learner.batch * run.learner.updates_per_call
    slack = rows + run.replay.ratio * run.actors.batch
    queued = (HANDED_PER_SCORER + WAITING_PER_SCORER) * run.scorers.count
    under_way = (queued + 2 * run.actors.count) * run.actors.batch
    for tick in finished.metrics:
        sampled = tick["updates"] * run.learner.batch
        earned = run.replay.ratio * (tick["replay_rows"] - run.replay.min_rows)
        assert sampled - earned <= slack
        assert earned - sampled <= slack + run.replay.ratio * under_way
    assert tick["updates"] > 0


def test_metrics_have_the_same_keys_in_each_line(finished: Finished):
    names = [f.name for f in fields(Metrics)]
    lines = finished.metrics
    assert len(lines) >= 2
    for line in lines:
        assert list(line) == names
    assert [line["iteration"] for line in lines] == sorted({line["iteration"] for line in lines})
    last = lines[-1]
    assert last["actors_alive"] == finished.run.actors.count
    assert last["waiting_to_be_scored"] == last["scoring"] == 0
    assert list((finished.out / "tensorboard").glob("events.*"))


def test_the_saved_config_is_that_of_the_run(finished: Finished):
    assert load_config(finished.out / "config.toml") == finished.run


def test_the_policy_differs_from_the_prior(finished: Finished):
    policy, prior = load_prior(finished.out), load_prior(finished.run.prior)
    assert policy.card["updates"] == finished.summary.metrics.updates
    sequences = [s for s in prior.sample(50, seed=1) if len(s) < 20]
    assert np.abs(policy.log_prob(sequences) - prior.log_prob(sequences)).max() > 0.1
    columns = finished.summary.columns
    assert set(columns["tuned policy"]) == {*columns["prior"], "kl_to_prior"} >= {"nll", "valid"}
    assert all("reward" in numbers for numbers in finished.summary.rewards.values())
    assert columns["uniform random"]["valid"] < columns["prior"]["valid"]


def test_top_csv_has_the_best_sequences_first(finished: Finished):
    table = list(csv.DictReader((finished.out / "top.csv").open()))
    rewards = [float(row["reward"]) for row in table]
    assert rewards == sorted(rewards, reverse=True)
    assert len({row["key"] for row in table}) == len(table) == 100
    assert rewards[0] == finished.record.rewards[finished.record.status == Status.OK].max()
    assert all(float(row["raw.python"]) == float(row["reward"]) for row in table)


def test_the_newest_checkpoints_are_whole(finished: Finished):
    found = checkpoint.complete(finished.out / "checkpoints")
    assert 1 <= len(found) <= finished.run.checkpoint.keep
    saved = checkpoint.read(found[-1])
    assert saved.counters["updates"] == finished.summary.metrics.updates
    assert sum(saved.live_rows) == len(finished.record)
    for part in ("model.online.", "model.online.level", "optimizer.policy.", "rng."):
        assert any(name.startswith(part) for name in saved.tensors), part
    assert parse_config(tomllib.loads(saved.config)) == finished.run


def test_the_summary_compares_prior_and_policy(finished: Finished, quiet: Console):
    print_summary(finished.summary, finished.out, quiet)
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert "tuned policy" in text and "budget used" in text and "top.csv" in text


def test_a_resumed_run_continues_with_its_counts(finished: Finished):
    before, lines = finished.record, len(finished.metrics)
    used = finished.summary.metrics.scores_used
    longer = finished.run.model_copy(
        update={"stop": finished.run.stop.model_copy(update={"scores": used + 60})}
    )
    summary = optimize(longer, finished.out, Console(quiet=True), Options(resume=True))
    record = finished.record
    paid = np.count_nonzero(record.status != Status.INVALID)
    assert summary.metrics.scores_used == paid == used + 60
    assert summary.metrics.elapsed_s > finished.summary.metrics.elapsed_s
    assert summary.metrics.updates > finished.summary.metrics.updates
    assert record.keys[: len(before)] == before.keys
    assert len(set(record.keys)) == len(record)
    assert len(finished.metrics) > lines
    ticks = [line["iteration"] for line in finished.metrics]
    assert ticks == sorted(ticks)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"reward": {"component": [{"name": "qed"}]}}, r"reward.component\[0\].name"),
        ({"learner": {"temperature": 3.0}}, "learner.temperature"),
        ({"seed": 5}, "seed"),
    ],
)
def test_resuming_with_another_setting_raises(
    finished: Finished, make_run: Callable[..., RunConfig], change: dict, named: str
):
    data = finished.run.model_dump(by_alias=True, mode="json")
    for key, value in change.items():
        data[key] = data[key] | value if isinstance(value, dict) else value
    other = RunConfig.model_validate(data)
    before = (finished.out / "config.toml").read_bytes()
    with pytest.raises(ConfigError, match=rf"another {named} \(was"):
        optimize(other, finished.out, Console(quiet=True), Options(resume=True))
    assert (finished.out / "config.toml").read_bytes() == before
