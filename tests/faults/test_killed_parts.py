"""A killed part is replaced, except the learner: its death ends the run with an error."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from records import rows_on_record

from sequence_tutor.distributed.algorithm import SequenceTutor
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.ray_cluster.join import ResourceError, check_resources

BUDGET, DEADLINE_S = 300, 240.0


def train_until(algorithm: SequenceTutor, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, algorithm.tally
        algorithm.train()


def test_only_a_dead_learner_ends_a_run(
    make_run: Callable[..., RunConfig], build: Any, tmp_path: Path
):
    run = make_run(mode="asynchronous", stop={"scores": 10**6}, actors={"count": 2})
    with build(run, tmp_path) as algorithm:
        tally = algorithm.tally
        train_until(algorithm, lambda: tally.updates > 0)
        actor = next(iter(algorithm.env_runner_group._worker_manager.actors().values()))
        ray.kill(actor, no_restart=False)
        ray.kill(algorithm.scorers.fleet.processes[0], no_restart=False)
        ray.kill(algorithm.shards[0], no_restart=False)
        # the budget is counted from here, as a fast machine may have done much before the kill
        before = tally.scores_used, tally.updates
        more = {"scores": before[0] + BUDGET}
        algorithm.run_config = make_run(mode="asynchronous", stop=more, actors={"count": 2})
        train_until(algorithm, algorithm.out_of_budget)
        assert tally.scores_used >= before[0] + BUDGET and tally.updates > before[1]
        # the killed actor is restarted
        train_until(algorithm, lambda: algorithm.last_metrics.actors_alive == 2)
        algorithm.drain()
        record = rows_on_record(tmp_path / "scores")
        assert len(set(record.keys)) == len(record)
        shards = [part.name.split("-")[2] for part in (tmp_path / "scores").glob("*.parquet")]
        assert set(shards) == {"0000", "0001"}

        process = algorithm.learning.each(lambda _: os.getpid())[0]
        os.kill(process, signal.SIGKILL)
        algorithm.run_config = make_run(mode="asynchronous", stop={"scores": 10**6})
        with pytest.raises((RuntimeError, ray.exceptions.RayError), match="learner|actor died"):
            train_until(algorithm, lambda: False)


@pytest.mark.nightly
def test_two_learners_stay_equal_and_share_the_ratio(
    make_run: Callable[..., RunConfig], build: Any, tmp_path: Path
):
    run = make_run(learner={"count": 2, "batch": 8}, replay={"ratio": 4.0})
    with build(run, tmp_path) as algorithm:
        while algorithm.tally.rounds < 3:
            algorithm.train()
        one, two = algorithm.learning.each(lambda learner: learner.updater.policy_weights())
        assert all((one[k] == two[k]).all() for k in one)
        ranks = algorithm.learning.each(lambda learner: learner.rank)
        assert sorted(ranks) == [0, 1]
        tally = algorithm.tally
        assert tally.updates == 3 * run.updates_per_iteration == 24
        assert tally.sampled == tally.updates * 8 * 2
        published = algorithm.policy().network.state_dict()
        assert all((one[k] == published[k].numpy()).all() for k in one)


def test_too_few_cpus_raise_at_once(make_run: Callable[..., RunConfig], build: Any, tmp_path: Path):
    started = time.monotonic()
    run = make_run(actors={"count": 40})
    with pytest.raises(ResourceError, match="the run needs 42.02 CPUs and the Ray cluster has 8"):
        with build(run, tmp_path):
            pass
    assert time.monotonic() - started < 20
    assert not (tmp_path / "scores").exists()


def test_too_few_gpus_raise_at_once(local_ray: None, make_run: Callable[..., RunConfig]):
    if ray.cluster_resources().get("GPU"):
        pytest.skip("there is a GPU here")
    run = make_run(mode="asynchronous", learner={"gpus": 1})
    with pytest.raises(ResourceError, match=r"needs 1 GPUs.*has 0.*set learner.gpus"):
        check_resources(run)
    check_resources(make_run())
