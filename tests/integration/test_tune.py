"""The algorithm under Ray Tune."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.air.integrations.wandb import WandbLoggerCallback
from wandb_files import offline_run

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


@pytest.mark.nightly
def test_ray_s_callbacks_log_a_trial(
    local_ray: None,
    make_run: Callable[..., RunConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    pytest.importorskip("wandb")
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    space = SequenceTutorConfig().tutor(make_run(replay={"shards": 1})).to_dict()
    results = tune.Tuner(
        SequenceTutor,
        param_space=space,
        run_config=tune.RunConfig(
            storage_path=str(tmp_path / "tune"),
            stop={"training_iteration": 2},
            verbose=0,
            callbacks=[
                MLflowLoggerCallback(uri, experiment_name="trials"),
                WandbLoggerCallback(project="trials", mode="offline", dir=str(tmp_path)),
            ],
        ),
    ).fit()
    assert not results.errors
    numbers = results[0].metrics["tutor"]
    assert numbers["updates"] > 0
    client = mlflow.MlflowClient(uri)
    [trial] = client.search_runs([client.get_experiment_by_name("trials").experiment_id])
    assert trial.info.status == "FINISHED"
    assert trial.data.metrics["tutor/updates"] == numbers["updates"]
    assert "temperature=0.5" in trial.data.params["run"]
    [file] = tmp_path.rglob("*.wandb")
    offline = offline_run(file)
    assert [tick["training_iteration"] for tick in offline.history] == [1, 2]
    assert offline.history[-1]["tutor/updates"] == numbers["updates"]
    assert "temperature=0.5" in str(offline.config["run"])
