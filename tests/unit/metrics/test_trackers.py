"""Metrics at MLflow and Weights & Biases: a data base on this machine, and offline mode."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from wandb_files import offline_run

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig, TrackingConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.metrics import trackers
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.metrics.trackers import Trackers, check_trackers
from sequence_tutor.policies.files.storage import Location

MakeRun = Callable[..., RunConfig]
LOCAL = Options(local=True)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither MLflow nor Weights & Biases goes to the network; both write into a folder."""
    pytest.importorskip("mlflow")
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)


def last_line(out: Path) -> dict[str, Any]:
    return json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])


def mlflow_runs(uri: str, experiment: str = "sequence-tutor") -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


class Fake:
    """A tracker that may wait or fail."""

    id = "7"

    def __init__(self, *_: Any) -> None:
        self.ticks: list[int] = []
        self.go_on, self.failed = threading.Event(), False
        self.go_on.set()
        self.error: Exception | None = None

    def log(self, values: dict[str, float], tick: int, updates: int) -> None:
        self.go_on.wait()
        self.ticks.append(tick)
        if self.error is not None:
            raise self.error

    def end(self, failed: bool) -> None:
        self.failed = failed


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    kinds = {"mlflow": ("MLflow", "mlflow", lambda *_: fake)}
    monkeypatch.setattr(trackers, "_KINDS", kinds)
    monkeypatch.setattr(trackers, "EVERY_S", 0.0)
    monkeypatch.setattr(trackers, "PATIENCE_S", 1.0)
    return fake


def faked(out: Path, console: Console) -> Trackers:
    return Trackers(TrackingConfig(mlflow="x"), {}, Location(out), False, console)


def test_mlflow_has_the_metrics_and_the_config_of_a_run(
    make_run: MakeRun, tmp_path: Path, quiet: Console
):
    uri, out = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "first"
    run = make_run(stop={"scores": 60}, tracking={"mlflow": uri})
    optimize(run, out, quiet, LOCAL)
    [found] = mlflow_runs(uri)
    assert found.info.run_name == "first" and found.info.status == "FINISHED"
    assert found.data.params["learner.batch"] == "16"
    assert found.data.params["reward.component.0.name"] == "logp"
    values = last_line(out)
    assert found.data.metrics["scores_used"] == values["scores_used"] >= 60
    assert found.data.metrics["reward_mean"] == pytest.approx(values["reward_mean"])
    assert found.data.metrics["sources/policy/scored"] == values["sources"]["policy"]["scored"]
    # a resumed run goes on there, with another budget
    more = make_run(stop={"scores": 100}, tracking={"mlflow": uri})
    optimize(more, out, quiet, Options(local=True, resume=True))
    [found] = mlflow_runs(uri)
    assert found.data.metrics["scores_used"] == last_line(out)["scores_used"] >= 100
    assert found.info.status == "FINISHED"


def test_weights_and_biases_has_them(
    make_run: MakeRun, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trackers, "PATIENCE_S", 120.0)  # a busy machine takes more than 20 s
    out = tmp_path / "first"
    run = make_run(stop={"scores": 60}, tracking={"wandb": "someone/melodies"})
    optimize(run, out, quiet, LOCAL)
    more = make_run(stop={"scores": 100}, tracking={"wandb": "someone/melodies"})
    optimize(more, out, quiet, Options(local=True, resume=True))
    assert "warning" not in quiet.file.getvalue()  # type: ignore[attr-defined]
    first, second = (offline_run(file) for file in sorted(tmp_path.rglob("*.wandb")))
    assert first.id == second.id == json.loads((out / "trackers.json").read_text())["wandb"]
    assert (first.name, first.project, first.exit_code) == ("first", "melodies", 0)
    assert first.config["learner.batch"] == 16 and first.config["stop.scores"] == 60
    assert second.config["stop.scores"] == 100
    values = last_line(out)
    assert second.history[-1]["_step"] == values["iteration"]
    assert second.history[-1]["scores_used"] == values["scores_used"] >= 100
    assert second.history[-1]["sources/policy/scored"] == values["sources"]["policy"]["scored"]


def test_a_run_that_fails_is_marked_so(fake: Fake, tmp_path: Path, quiet: Console):
    with pytest.raises(RuntimeError), faked(tmp_path, quiet) as tracked:
        tracked.write(Metrics(iteration=1))
        raise RuntimeError
    assert fake.failed and fake.ticks == [1]
    with faked(tmp_path, quiet):
        pass
    assert not fake.failed


def test_a_stage_is_named_with_its_run(fake: Fake, tmp_path: Path):
    assert trackers._name(Location(tmp_path / "first" / "stage-2")) == "first/stage-2"
    assert trackers._name(Location("s3://key:secret@bucket/a/b?region=x")) == "b"


def test_a_slow_tracker_gets_fewer_ticks_and_holds_nothing_up(
    fake: Fake, tmp_path: Path, quiet: Console
):
    fake.go_on.clear()
    with faked(tmp_path, quiet) as tracked:
        for tick in range(1, 100):
            tracked.write(Metrics(iteration=tick))
        fake.go_on.set()
        tracked.write(Metrics(iteration=100), last=True)
    assert fake.ticks[-1] == 100 and len(fake.ticks) < 5


def test_a_tracker_that_hangs_does_not_keep_the_run_from_ending(
    fake: Fake, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trackers, "PATIENCE_S", 0.05)
    fake.go_on.clear()
    with faked(tmp_path, quiet) as tracked:
        tracked.write(Metrics(iteration=1))
        tracked.write(Metrics(iteration=2), last=True)
    assert "aren't at mlflow yet" in quiet.file.getvalue()  # type: ignore[attr-defined]
    fake.go_on.set()


def test_a_tracker_that_fails_is_said_once(fake: Fake, tmp_path: Path, quiet: Console):
    fake.error = OSError("http://user:secret@host is gone\nand more")
    with faked(tmp_path, quiet) as tracked:
        for tick in (1, 2):
            tracked.write(Metrics(iteration=tick), last=True)
    said = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert said == "warning: MLflow doesn't take the metrics: http://host is gone\n"
    assert fake.ticks == [1, 2]


def test_a_place_that_takes_nothing_ends_the_command_with_a_sentence(
    make_run: MakeRun, tmp_path: Path, command: Callable[..., Any]
):
    (tmp_path / "c.toml").write_text(to_toml(make_run(tracking={"mlflow": "file:mlruns"})))
    done = command("optimize", tmp_path / "c.toml", "--out", tmp_path / "run", "--local")
    done.refused("tracking.mlflow: MLflow doesn't take the run: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("key", ["mlflow", "wandb"])
def test_a_missing_package_is_named(
    key: str,
    make_run: MakeRun,
    tmp_path: Path,
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
):
    check_trackers(TrackingConfig(mlflow="x", wandb="y"))
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    check_trackers(TrackingConfig())
    (tmp_path / "c.toml").write_text(to_toml(make_run(tracking={key: "somewhere"})))
    done = command("optimize", tmp_path / "c.toml", "--out", tmp_path / "run", "--local")
    done.refused(f"tracking.{key} needs ", f"pip install 'sequence-tutor[{key}]'")


def test_keys_of_a_uri_are_not_sent(
    make_run: MakeRun, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
):
    sent: list[Any] = []
    kinds = {"mlflow": ("MLflow", "mlflow", lambda *given: sent.append(given) or Fake())}
    monkeypatch.setattr(trackers, "_KINDS", kinds)
    config = {"prior": "s3://KEY:SECRET@bucket/prior", "seed": 1, "learner.kl": None}
    tracking = TrackingConfig(mlflow="http://user:word@host")
    Trackers(tracking, config, Location(tmp_path / "run"), False, quiet)
    [(where, name, values, id)] = sent
    assert (where, name, id) == ("http://user:word@host", "run", None)
    assert values == {"prior": "s3://bucket/prior", "seed": 1}
