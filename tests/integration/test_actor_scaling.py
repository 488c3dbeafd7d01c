"""Actors are added and removed as the learner needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.generating import actor_scaling
from sequence_tutor.distributed.generating.actor_scaling import ActorScaler, actors_wanted
from sequence_tutor.distributed.generating.generator import Generator
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.policies.prior import load_prior


@pytest.mark.parametrize(
    ("actors", "generating", "learning", "full", "wanted"),
    [
        (4, 240, 60, False, 5),  # both always busy: the present ones and a little more
        (4, 240, 15, False, 19),  # the learner works a quarter of the time: four times as many
        (4, 240, 15, True, 4),  # ... which scorers can't keep up with
        (4, 60, 60, False, 2),  # actors work a quarter of the time
        (4, 60, 60, True, 2),
        (4, 0, 60, False, 4),  # nothing was generated: unknown
    ],
)
def test_actors_wanted_follows_the_learner(actors, generating, learning, full, wanted):
    assert actors_wanted(actors, generating, learning, 60.0, full) == wanted


class Group:
    """A fake EnvRunnerGroup that only keeps the ids of its actors."""

    def __init__(self, size: int) -> None:
        self.ids, self._worker_manager = list(range(1, size + 1)), self

    def actor_ids(self) -> list[int]:
        return self.ids

    def add_workers(self, num_workers: int, validate: bool = False) -> None:
        self.ids = [*self.ids, *range(100, 100 + num_workers)]

    def remove_actor(self, actor_id: int) -> int:
        self.ids = [i for i in self.ids if i != actor_id]
        return actor_id


def test_the_scaler_acts_once_a_window_within_its_limits(monkeypatch):
    killed: list[int] = []
    monkeypatch.setattr(actor_scaling.ray, "kill", killed.append)
    group = Group(2)
    actor_scaler = ActorScaler(group, 2, 5)
    busy = Metrics(generate_s=2.0, learn_s=0.1)
    for _ in range(100):  # before the first update
        actor_scaler.look(Metrics(generate_s=2.0), 1.0, False)
    for _ in range(59):
        actor_scaler.look(busy, 1.0, False)
    assert len(group.ids) == 2
    actor_scaler.look(busy, 1.0, False)
    assert len(group.ids) == 5 and group.ids[:2] == [1, 2]
    for _ in range(60):
        actor_scaler.look(replace(busy, generate_s=0.1, learn_s=1.0), 1.0, False)
    assert group.ids == [1, 2] and killed == [100, 101, 102]
    fixed = ActorScaler(group, 2, 2)
    for _ in range(200):
        fixed.look(busy, 1.0, False)
    assert group.ids == [1, 2]


@pytest.mark.nightly
def test_actors_are_added_for_a_waiting_learner_and_removed(
    make_run: Callable[..., RunConfig], build: Any, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(actor_scaling, "WINDOW_S", 2.0)
    run = make_run(
        mode="asynchronous",
        actors={"count": 3, "min": 1, "batch": 32, "max_batch": 64},
        replay={"ratio": 0.05, "shards": 1},  # the learner has little to do
        stop={"scores": 1_000_000},
    )
    with build(run, tmp_path) as algorithm:
        assert algorithm.env_runner_group.num_remote_env_runners() == 1
        until = time.monotonic() + 240
        while algorithm.env_runner_group.num_remote_env_runners() < 3:
            assert time.monotonic() < until
            algorithm.train()
        generated: dict[int, int] = {}
        take = algorithm.tally.add_generated

        def note(report: Any) -> None:
            generated[report.worker] = max(generated.get(report.worker, 0), report.rows)
            take(report)

        algorithm.tally.add_generated = note
        while len(generated) < 3:
            assert time.monotonic() < until
            algorithm.train()
        assert set(generated.values()) <= {32, 64} and max(generated.values()) == 64
        idle = Metrics(generate_s=0.01, learn_s=1.0)
        for _ in range(3):
            algorithm.scaler.look(idle, 1.0, False)
        assert algorithm.env_runner_group.num_remote_env_runners() == 1
        before = algorithm.tally.sequences
        for _ in range(3):
            algorithm.train()
        assert algorithm.tally.sequences > before


def test_an_actor_chooses_its_batch(make_run: Callable[..., RunConfig]):
    actors = {"batch": 64, "max_batch": 500}
    run = make_run(mode="asynchronous", actors=actors, stop={"scores": 9})
    one = Generator(load_prior(run.prior), run.actors, 0, 1, False)
    sizes = []
    for _ in range(5):  # 10 ms an episode: 200 in two seconds
        one.batch = one._next_batch(0.01 * one.batch)
        sizes.append(one.batch)
    assert sizes == [128, 200, 200, 200, 200]
    one.batch = one._next_batch(100.0)
    assert one.batch == 64
    for _ in range(5):
        one.batch = one._next_batch(1e-4)
    assert one.batch == 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actors": {"count": 2, "min": 3}}, "actors.min can't be more than actors.count"),
        ({"actors": {"batch": 64, "max_batch": 32}}, "actors.max_batch can't be less"),
        ({"actors": {"count": 2, "min": 1}, "mode": "synchronous"}, "fixed number of actors"),
        ({"actors": {"max_batch": 512}, "mode": "synchronous"}, "fixed number of actors"),
    ],
)
def test_contradictory_limits_of_actors_raise(make_run, changes, message):
    with pytest.raises(ConfigError, match=message):
        make_run(**({"mode": "asynchronous"} | changes))
