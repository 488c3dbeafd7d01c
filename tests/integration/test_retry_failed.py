"""Failed sequences are scored again once the reward is mended, and count as new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from records import rows_on_record
from rich.console import Console

from sequence_tutor.distributed import training
from sequence_tutor.distributed.bulk.results import GIVEN_UP, LineResults, write_fragment
from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.stop_signal import BrokenRewardError
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Outcome, Status, scores_of

BUDGET = 60
MENDED = {"component": [{"name": "python", "function": "counted_rewards:mended"}]}


def paid(out: Path) -> Scored:
    """The last row of each valid sequence."""
    record = rows_on_record(out / "scores")
    last = {key: row for row, key in enumerate(record.keys)}
    return record.select([row for row in last.values() if record.status[row] != Status.INVALID])


@pytest.mark.parametrize("local", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_failures_are_scored_again_once_the_reward_works(
    local: bool,
    local_ray: None,
    make_run: Callable[..., RunConfig],
    outside: Any,
    tmp_path: Path,
    quiet: Console,
    monkeypatch: pytest.MonkeyPatch,
):
    def said() -> str:
        text = quiet.file.getvalue()  # type: ignore[attr-defined]
        quiet.file.truncate(0)
        return text

    monkeypatch.setattr(training, "FAILED_AT_FIRST", 40)  # more than are learned from at first
    out, again = tmp_path / "run", Options(resume=True, local=local)
    at_last = Options(resume=True, local=True)  # either engine goes on with the other's record

    def run_of(scores: int) -> RunConfig:
        # near the prior, otherwise the policy repeats itself before the budget is used
        changes = {"learner": {"temperature": 100.0}, "replay": {"shards": 1}}
        return make_run(reward=MENDED, stop={"scores": scores}, **changes)

    with pytest.raises(
        BrokenRewardError, match="no licence; when it is mended, --resume tries them again"
    ):
        optimize(run_of(BUDGET), out, quiet, Options(local=local))
    failures = len(outside.calls())
    assert 40 <= failures <= BUDGET
    said()

    outside.mended.write_text("all but nitrogen")
    metrics = optimize(run_of(BUDGET), out, quiet, again).metrics
    assert f"{failures} failures of a reward that never worked don't count" in said()
    calls, rows = outside.calls(), paid(out)
    assert len(calls) == BUDGET == metrics.scores_used
    # those that failed before aren't all generated again
    failed = {k for k, error in zip(rows.keys, rows.errors, strict=True) if "licence" in error}
    nitrogen = {k for k, error in zip(rows.keys, rows.errors, strict=True) if "nitrogen" in error}
    assert len(failed) < failures and metrics.scores_ok == BUDGET - len(nitrogen)
    assert nitrogen and metrics.scores_failed == len(nitrogen) <= metrics.failed

    # the reward has worked: failures count until --retry-failed
    before = metrics.scores_used
    metrics = optimize(run_of(BUDGET), out, quiet, at_last).metrics
    assert metrics.scores_used == before and outside.calls() == [] and "count" not in said()

    outside.mended.write_text("all")
    more = BUDGET + 30
    metrics = optimize(run_of(more), out, quiet, replace(at_last, retry_failed=True)).metrics
    assert f"{len(nitrogen)} failures don't count" in said()
    calls = outside.calls()
    assert metrics.scores_used == more and len(calls) == 30 + len(nitrogen)
    assert metrics.failed == metrics.scores_failed == 0
    rows = paid(out)
    ok = {key for key, status in zip(rows.keys, rows.status, strict=True) if status == Status.OK}
    assert len(ok) == more and np.isfinite(rows.rewards[rows.status == Status.OK]).all()


def test_failed_lines_of_a_file_are_scored_again(
    plugins: Path,
    make_run: Callable[..., RunConfig],
    outside: Any,
    command: Callable[..., Any],
    molecules: list[str],
    tmp_path: Path,
):
    config, library, out = tmp_path / "run.toml", tmp_path / "library.smi", tmp_path / "out.csv"
    config.write_text(to_toml(make_run(reward=MENDED)))
    lines = [*molecules[:24], "C(", molecules[0]]
    library.write_text("\n".join(lines))
    nitrogen = [smiles for smiles in molecules[:24] if "N" in smiles]
    assert 0 < len(nitrogen) < 24
    score = ("score", config, library, "--out", out, "--local")
    resume, retry = (*score, "--resume"), (*score, "--resume", "--retry-failed")

    def results() -> list[str]:
        return list(pq.read_table(out.with_suffix(".parquet")).column("status").to_pylist())

    command(*score, "--retry-failed").refused("--retry-failed needs --resume")
    assert command(*score).code == 0 and len(outside.calls()) == 24
    assert results() == ["failed"] * 24 + ["invalid", "failed"]
    command(*resume).refused("out.csv exists already", "--retry-failed")

    outside.mended.write_text("all but nitrogen")
    done = command(*retry)
    assert done.code == 0 and "24 failures don't count" in done.out
    assert len(outside.calls()) == 24
    assert results()[:24] == ["failed" if "N" in smiles else "ok" for smiles in molecules[:24]]

    outside.mended.write_text("all")
    assert command(*retry).code == 0
    assert sorted(outside.calls()) == sorted(nitrogen)  # known lines aren't scored again
    assert results() == ["ok"] * 24 + ["invalid", "ok"]
    assert "failed" not in out.read_text() and not (tmp_path / "out.parts").exists()

    # unfinished, with lines that took scorers down
    for path in (out, out.with_suffix(".parquet")):
        path.unlink()
    (tmp_path / "out.parts").mkdir()
    write_fragment(tmp_path / "out.parts", 3, given_up(lines[3:6]))
    assert command(*resume).code == 0
    assert results() == ["ok"] * 24 + ["invalid", "ok"] and outside.calls() == []


def given_up(lines: list[str]) -> LineResults:
    given_up = Outcome(np.nan, Status.CRASHED, 0.0, GIVEN_UP, {})
    return LineResults(lines, [""] * len(lines), scores_of([given_up] * len(lines)))


def test_retry_failed_needs_resume(
    command: Callable[..., Any], make_run: Callable[..., RunConfig], tmp_path: Path
):
    config = tmp_path / "run.toml"
    config.write_text(to_toml(make_run()))
    done = command("optimize", config, "--out", tmp_path / "out", "--retry-failed")
    done.refused("--retry-failed needs --resume")
    assert not (tmp_path / "out").exists()
