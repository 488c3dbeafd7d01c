"""The algorithm under Ray Tune."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ray import tune

from sequence_tutor.distributed.algorithm import SequenceTutor, SequenceTutorConfig
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.run_directory import checkpoint


@pytest.mark.nightly
def test_tune_runs_two_temperatures(
    local_ray: None, make_run: Callable[..., RunConfig], tmp_path: Path
):
    runs = [make_run(learner={"temperature": t}, replay={"shards": 1}) for t in (0.1, 10.0)]
    config = SequenceTutorConfig().tutor(runs[0])
    space = config.to_dict() | {"run": tune.grid_search(runs)}
    results = tune.Tuner(
        SequenceTutor,
        param_space=space,
        tune_config=tune.TuneConfig(max_concurrent_trials=1),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path),
            stop={"training_iteration": 2},
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
            # the record is in the trial's working directory, which Tune doesn't keep by default
            sync_config=tune.SyncConfig(sync_artifacts=True),
            verbose=0,
        ),
    ).fit()
    assert not results.errors
    assert len(results) == 2
    temperatures = set()
    for result in results:
        assert result.metrics["training_iteration"] == 2
        assert result.metrics["tutor"]["updates"] > 0
        saved = checkpoint.read(Path(result.checkpoint.path))
        assert saved.counters["updates"] == result.metrics["tutor"]["updates"]
        assert saved.tensors
        temperatures.add(result.config["run"].learner.temperature)
        assert list(Path(result.path).glob("scores/*.parquet"))
    assert temperatures == {0.1, 10.0}
