"""`show` and `--from` on a run in a bucket."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import read_record
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.fork import FILE
from sequence_tutor.policies.files.storage import Location

MakeRun = Callable[..., RunConfig]
Command = Callable[..., Any]


@pytest.fixture
def first(s3: Any, make_run: MakeRun) -> Location:
    """A finished run in a bucket."""
    out = Location(s3.bucket(f"b{uuid.uuid4().hex}")) / "runs" / "first"
    run = make_run(stop={"updates": 8, "scores": 10**6}, checkpoint={"updates": 4})
    optimize(run, out, Console(quiet=True), Options(local=True))
    return out


def test_show_reads_a_bucket(first: Location, command: Command):
    rows = read_record((first / "scores").uri)
    assert rows is not None
    key = rows.keys[int(np.nanargmax(rows.rewards))]
    done = command("show", first.uri, key)
    assert (
        done.code == 0
        and f": {key}\n" in done.out
        and "rank: 1 of" in done.out
        and "most similar" in done.out
    )
    assert "secret" not in done.out
    command("show", first.uri, "CCCCCCCCCCCCBr").refused("isn't among the", str(first))
    command("show", (first / "none").uri, key).refused("is neither a run nor")


@pytest.mark.parametrize("far", [True, False])
def test_a_run_goes_on_from_one_in_a_bucket(
    first: Location, far: bool, make_run: MakeRun, tmp_path: Path, command: Command
):
    config = tmp_path / "second.toml"
    config.write_text(to_toml(make_run(stop={"updates": 4, "scores": 10**6})))
    out = first.with_name("second") if far else Location(tmp_path / "second")
    last = checkpoint.complete(first / "checkpoints")[-1]
    arguments = ("optimize", config, "--out", out.uri, "--local")
    done = command(*arguments, "--from", first.uri)
    assert done.code == 0 and f"going on from {last}, after 8 updates" in done.out, done
    assert "sequences are new to the replay" in done.out
    assert "secret" not in done.out
    assert "secret" not in (out / "logs" / "attempt-1.log").read().decode()
    assert checkpoint.read(checkpoint.complete(out / "checkpoints")[-1]).counters["updates"] == 12
    assert first.uri.partition("@")[2].split("?")[0] in (out / FILE).read().decode()
    more = command(*arguments, "--resume", "--set", "stop.updates=8")
    assert more.code == 0, more
    assert checkpoint.read(checkpoint.complete(out / "checkpoints")[-1]).counters["updates"] == 16
    third = ("optimize", config, "--out", tmp_path / "third", "--local", "--from", first.uri)
    command(*third, "--at", "99").refused("has no checkpoint 99", "8 updates")
    planned = command(*third, "--dry-run")
    assert str(last) in planned.out and "secret" not in planned.out
    assert "after 4 updates" in command(*third, "--at", "4").out
