"""A run in a bucket equals the run on disk; storage that fails for a while doesn't end it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import read_record
from rich.console import Console

from sequence_tutor.distributed.commands import optimize as run_module
from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, to_toml
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.metrics.writer import MetricsWriter
from sequence_tutor.distributed.run_directory import checkpoint, storage_retry, working_copy
from sequence_tutor.distributed.run_directory.resume import check_directory
from sequence_tutor.distributed.run_directory.working_copy import WorkingCopy
from sequence_tutor.policies.files.storage import Location, StorageError
from sequence_tutor.policies.prior import load_prior

MakeRun = Callable[..., RunConfig]
LOCAL = Options(local=True)


@pytest.fixture
def far(s3: Any) -> Location:
    return Location(s3.bucket(f"b{uuid.uuid4().hex}")) / "runs" / "first"


def weights(place: Location) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in load_prior(place).network.state_dict().items()}


def ticks(place: Location) -> list[int]:
    lines = (place / "metrics.jsonl").read().decode().splitlines()
    return [json.loads(line)["iteration"] for line in lines]


def test_a_run_in_a_bucket_equals_the_run_on_disk(
    make_run: MakeRun,
    far: Location,
    s3: Any,
    tmp_path: Path,
    quiet: Console,
    command: Callable[..., Any],
):
    near = Location(tmp_path / "near")
    half, whole = (
        make_run(stop={"updates": updates, "scores": 10**6}, checkpoint={"updates": 8})
        for updates in (8, 16)
    )
    optimize(whole, near, quiet, LOCAL)
    optimize(half, far, quiet, LOCAL)
    # half a line after the checkpoint, as if the driver had been killed while it wrote
    lines = (far / "metrics.jsonl").read()
    (far / "metrics.jsonl").write(lines + lines.splitlines()[-1][:-9])
    summary = optimize(whole, far, quiet, Options(resume=True, local=True))
    found = ["best", "checkpoints", "config.toml", "logs", "metrics.jsonl", "policy"]
    assert far.names() == near.names() == [*found, "samples", "scores", "tensorboard", "top.csv"]
    assert (far / "logs").names() == ["attempt-1.log", "attempt-2.log"]
    for n in (1, 2):
        log = (far / "logs" / f"attempt-{n}.log").read().decode()
        assert "the best sequences are in" in log and "\nended 2" in log
    assert (far / "top.csv").read() == (near / "top.csv").read()
    assert (far / "config.toml").read() == (near / "config.toml").read()
    for name, value in weights(near / "policy").items():
        assert (value == weights(far / "policy")[name]).all(), name
    assert ticks(far) == ticks(near) == list(range(1, len(ticks(near)) + 1))
    saved = checkpoint.complete(far / "checkpoints")
    assert [p.name for p in saved] == (far / "checkpoints").names() and len(saved) == 2
    assert (
        checkpoint.read(saved[-1]).counters
        == checkpoint.read(checkpoint.complete(near / "checkpoints")[-1]).counters
    )
    record, expected = (read_record((place / "scores").uri) for place in (far, near))
    assert record is not None and expected is not None
    assert set(record.keys) == set(expected.keys)
    assert len(set(record.keys)) == len(record.keys) >= 64
    assert any(str(far / "best" / "molecules.svg") in text for text in summary.shown)

    with pytest.raises(ConfigError, match="learner.temperature"):
        check_directory(make_run(learner={"temperature": 0.25}), far, resume=True)
    with pytest.raises(ConfigError, match="exists already"):
        check_directory(make_run(), far, resume=False)
    drawn = command("sample", far.uri, "-n", 7, "--seed", 1)
    assert drawn.out.split() == load_prior(near).sample(7, seed=1)
    table = command("evaluate", far.uri, "-n", 50)
    assert table.code == 0 and "tuned policy" in table.out, table
    again = make_run(prior=(far / "policy").uri, actors={"count": 0}, stop={"updates": 2})
    optimize(again, tmp_path / "again", quiet, Options(warm_start=far.uri, local=True))
    assert "sequences are new to the replay" in quiet.file.getvalue()  # type: ignore[attr-defined]


def test_storage_that_fails_for_a_while_does_not_end_a_run(
    make_run: MakeRun,
    far: Location,
    s3: Any,
    quiet: Console,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(run_module, "SAVE_AGAIN_S", 0.0)
    monkeypatch.setattr(storage_retry, "RETRY_S", 0.1)
    refused: list[str] = []

    def refuses(request: str) -> bool:
        """Three writes of checkpoints and three of parts of the record after the start."""
        kind = next((k for k in ("/checkpoints/", "part-") if k in request), None)
        if kind is None or not request.startswith("P") or len(s3.requests) <= 25:
            return False
        if sum(kind in one for one in refused) == 3:
            return False
        refused.append(request)
        return True

    s3.refuses = refuses
    optimize(make_run(checkpoint={"updates": 2}), far, quiet, LOCAL)
    assert len(refused) == 6 and any("part-" in r for r in refused)
    said = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert "can't write a checkpoint at present" in said and "can write a checkpoint again" in said
    record = read_record((far / "scores").uri)
    assert record is not None and len(record) >= 100
    assert len(checkpoint.complete(far / "checkpoints")) == 2


def test_a_storage_error_raises_before_ray_starts(
    s3: Any, make_run: MakeRun, tmp_path: Path, command: Callable[..., Any]
):
    config = tmp_path / "run.toml"
    config.write_text(to_toml(make_run()))
    command("optimize", config, "--out", s3.uri("nowhere/run")).refused("no bucket nowhere")
    s3.bucket("forbidden")
    s3.refuses = lambda request: request.startswith("PUT")
    command("optimize", config, "--out", s3.uri("forbidden/run")).refused(
        "can't write s3://forbidden/run", "ACCESS_DENIED"
    )


def test_a_working_copy_is_uploaded_as_it_changes(
    far: Location, s3: Any, quiet: Console, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(working_copy, "UPLOAD_EVERY_S", 0.1)
    (far / "old").write(b"1")
    with WorkingCopy(far, quiet) as work:
        work.fetch("old")
        work.fetch("none")
        assert (work.path / "old").read_bytes() == b"1"
        writer = MetricsWriter(work.path)
        writer.write(Metrics(iteration=1))
        writer.flush()  # TensorBoard's thread writes later otherwise
        work.upload()
        assert ticks(far) == [1] and len((far / "tensorboard").names()) == 1
        s3.requests.clear()
        work.upload()
        assert not [r for r in s3.requests if r.startswith("P")]  # nothing has changed
        writer.write(Metrics(iteration=2))
        for _ in range(100):
            if ticks(far) == [1, 2]:
                break
            time.sleep(0.05)
        else:
            pytest.fail("it isn't uploaded")
        writer.close()
        assert work.shown(f"in {work.path}/a/b.svg: x") == f"in {far / 'a' / 'b.svg'}: x"
    assert not work.path.exists()


def test_files_that_cannot_be_uploaded_stay(
    far: Location, s3: Any, quiet: Console, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(storage_retry, "RETRY_S", 0.01)
    monkeypatch.setattr(storage_retry, "STORAGE_PATIENCE_S", 0.05)
    with pytest.raises(StorageError, match="can't write"), WorkingCopy(far, quiet) as work:
        (work.path / "a").write_bytes(b"1")
        s3.refuses = lambda request: request.startswith("PUT")
    assert (work.path / "a").read_bytes() == b"1"
    assert str(work.path) in quiet.file.getvalue()  # type: ignore[attr-defined]


def test_a_run_on_disk_has_no_working_copy(tmp_path: Path, quiet: Console):
    with WorkingCopy(Location(tmp_path), quiet) as work:
        assert work.path == tmp_path
        (work.path / "a").write_bytes(b"1")
        work.fetch("a")
        work.upload()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("step", [checkpoint.TENSORS, checkpoint.CONFIG, checkpoint.MARKER])
def test_a_checkpoint_whose_write_fails_is_not_listed(far: Location, s3: Any, step: str):
    def saved(n: int) -> checkpoint.Checkpoint:
        counters = {"updates": n, "sequences": 0}
        return checkpoint.Checkpoint({"w": np.full(3, float(n))}, counters, [1], 0.5, "seed = 1\n")

    whole = checkpoint.save(far, saved(1), keep=2)
    s3.refuses = lambda request: request.startswith("PUT") and request.endswith(step)
    with pytest.raises(StorageError):
        checkpoint.save(far, saved(2), keep=2)
    assert checkpoint.complete(far) == [whole]
    s3.refuses = lambda request: False
    assert checkpoint.save(far, saved(2), keep=2) == checkpoint.complete(far)[-1]
    last = checkpoint.save(far, saved(3), keep=1)
    assert checkpoint.complete(far) == [last] and far.names() == [last.name]
    assert checkpoint.read(last).tensors["w"].tolist() == [3.0] * 3
    s3.refuses = lambda request: request.startswith("GET")
    with pytest.raises(StorageError):  # not CheckpointError, which suggests to remove it
        checkpoint.read(last)
