"""`sequence-tutor show`: what is on record of one sequence."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import rows_on_record
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.commands.show import show
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.replay.record.retried import retry
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.record.writer import RecordWriter
from sequence_tutor.distributed.run_directory.record_rows import record_rows
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.attachments import stored_path
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.domains import domain_of


def shown(where: Path, text: str) -> str:
    file = io.StringIO()  # narrow: nothing may be broken into lines
    show(str(where), text, Console(file=file, width=60))
    return file.getvalue()


@pytest.fixture(scope="module")
def finished(
    make_run: Callable[..., RunConfig], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Scored]:
    """A run, and the rows on its record, the best first."""
    out = tmp_path_factory.mktemp("show") / "run"
    run = make_run(diversity={"type": "murcko_scaffold", "bucket_size": 5}, stop={"scores": 60})
    optimize(run, out, Console(quiet=True), Options(local=True))
    rows = rows_on_record(out / "scores")
    return out, rows.select(np.argsort(-np.nan_to_num(rows.rewards, nan=-np.inf), kind="stable"))


def test_all_that_is_on_record_is_shown(finished: tuple[Path, Scored]):
    out, rows = finished
    text = shown(out, rows.keys[0])
    valid = int((rows.status == Status.OK).sum())
    for part in (
        f"sequence: {rows.sequences[0]}\n",
        "status: ok\n",
        f"rank: 1 of {valid} valid rows\n",
        f"reward: {rows.rewards[0]:.6g}\n",
        f"component logp: raw {rows.raw['logp'][0]:.6g}, transformed {rows.rewards[0]:.6g}\n",
        f"proposed by: policy, after {rows.versions[0]} updates, by actor-1-local\n",
        "murcko_scaffold: ",
        "learned from: ",
    ):
        assert part in text, (part, text)
    assert f"rank: {valid} of {valid} valid rows" in shown(out, rows.keys[valid - 1])


def test_any_spelling_finds_the_row(finished: tuple[Path, Scored]):
    out, rows = finished
    random, domain = np.random.default_rng(0), domain_of("smiles")
    row = int(np.argmax([len(key) for key in rows.keys[:20]]))
    spellings = {domain.rewrite(rows.keys[row], random) for _ in range(8)} - {None}
    assert len(spellings) > 1
    expected = shown(out, rows.keys[row])
    for spelling in spellings:
        assert shown(out, str(spelling)) == expected
    assert shown(out / "scores", rows.keys[row]) == expected


def test_the_most_similar_rows_come_first(finished: tuple[Path, Scored]):
    out, rows = finished
    lines = shown(out, rows.keys[0]).partition("most similar")[2].splitlines()[1:]
    alike = [float(line.split()[0]) for line in lines]
    assert len(alike) == 5 and alike == sorted(alike, reverse=True)
    others = [line.split()[2] for line in lines]
    assert set(others) <= set(rows.keys) and rows.keys[0] not in others
    by_key = dict(zip(rows.keys, rows.rewards.tolist(), strict=True))
    rewards = [float(line.split()[1]) for line in lines]
    assert rewards == pytest.approx([by_key[key] for key in others], rel=1e-4)


def test_an_invalid_sequence_is_found_by_its_text(finished: tuple[Path, Scored]):
    out, rows = finished
    invalid = np.flatnonzero(rows.status == Status.INVALID)
    if not len(invalid):
        pytest.skip("the tiny prior made none")
    text = shown(out, rows.sequences[int(invalid[0])])
    assert "status: invalid: " in text and "rank" not in text and "most similar" not in text


def test_files_of_components_are_named(finished: tuple[Path, Scored]):
    out, rows = finished
    file = out / stored_path(rows.keys[3], "poses", ".sdf", "logp")
    other = out / stored_path(rows.keys[4], "poses", ".sdf", "logp")
    file.parent.mkdir()
    file.touch()
    other.touch()
    text = shown(out, rows.keys[3])
    assert f"file: {file}\n" in text and str(other) not in text


def test_what_is_not_on_record_is_one_sentence(
    finished: tuple[Path, Scored], command: Callable[..., Any], tmp_path: Path
):
    out, rows = finished
    command("show", out, "CCCCCCCCCCCCCCCCCl").refused("isn't among the", "nearest are", "(0.")
    command("show", out, "C1[bold]C").refused("C1[bold]C isn't valid (", "isn't among the")
    command("show", tmp_path, "C").refused("neither a run nor a result")
    assert command("show", out, rows.keys[0]).code == 0


def test_every_stage_that_has_it_is_shown(make_run: Callable[..., RunConfig], tmp_path: Path):
    stages = [{"stop": {"scores": 30}}, {"stop": {"scores": 20}}]
    optimize(make_run(stage=stages), tmp_path / "run", Console(quiet=True), Options(local=True))
    key = rows_on_record(tmp_path / "run" / "stage-1" / "scores").keys[0]
    text = shown(tmp_path / "run", key)
    assert text.startswith("stage-1:\n") and "\nstage-2:\n" in text
    assert "proposed by: the warm start, without a new score\n" in text.partition("stage-2")[2]


def test_results_of_score_are_read(
    make_run: Callable[..., RunConfig], command: Callable[..., Any], tmp_path: Path
):
    config, file, out = tmp_path / "c.toml", tmp_path / "in.smi", tmp_path / "out.csv"
    config.write_text(to_toml(make_run()))
    file.write_text("CCO\nCCN\nOCCC\n")
    assert command("score", config, file, "--out", out, "--local").code == 0
    for where in (out, tmp_path / "out.parquet", tmp_path / "out.record"):
        text = shown(where, "OCC")
        assert "sequence: CCO\n" in text and "of 3 valid rows" in text
        assert "proposed by: a line of the file" in text and "learned from: no, `score`" in text


def test_void_rows_are_left_out(finished: tuple[Path, Scored], tmp_path: Path):
    _, rows = finished
    one = replace(rows.select([0]), status=np.array([Status.FAILED], np.int8))
    writer = RecordWriter(tmp_path, 0, reward_id="x")
    writer.append(replace(one, errors=["no"], rewards=np.array([np.nan])))
    writer.flush()
    assert len(record_rows(Location(tmp_path), "x")) == 1
    retry(PartStore(tmp_path), "x", failures=True)
    assert len(record_rows(Location(tmp_path), "x")) == 0
    assert len(record_rows(Location(tmp_path), "another")) == 0
