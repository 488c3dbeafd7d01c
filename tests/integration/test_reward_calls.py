"""The reward is called only for paid sequences and on request; its calls are counted in a file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import rows_on_record
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.report import report_samples
from sequence_tutor.distributed.report.reward_table import evaluated_rewards
from sequence_tutor.distributed.stop_signal import StopRequest
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.domains import domain_of

MakeRun = Callable[..., RunConfig]
BUDGET = 40
COUNTED = {"component": [{"name": "python", "function": "counted_rewards:counted"}]}


def text_of(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def rows(out: Path, *sources: str) -> Scored:
    """The rows of some sources without invalid ones."""
    record = rows_on_record(out / "scores")
    assert len(set(record.keys)) == len(record)
    chosen = [s in sources for s in record.sources] & (record.status != Status.INVALID)
    return record.select(np.flatnonzero(chosen))


def keys_of(calls: list[str]) -> list[str | None]:
    """The sorted keys of calls; None for an invalid sequence."""
    return sorted(map(domain_of("smiles").key, calls), key=str)


def longer(run: RunConfig, scores: int) -> RunConfig:
    return run.model_copy(update={"stop": run.stop.model_copy(update={"scores": scores})})


@pytest.mark.parametrize("local", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_calls_of_a_run_its_resume_and_its_report(
    local: bool,
    local_ray: None,
    make_run: MakeRun,
    outside: Any,
    command: Callable[..., Any],
    tmp_path: Path,
    quiet: Console,
):
    near = {"temperature": 100.0}  # otherwise the policy repeats itself before the budget is used
    changes = {"reward": COUNTED, "learner": near, "replay": {"shards": 1}}
    run = make_run(stop={"scores": BUDGET}, **changes)
    # either engine goes on with the other's record
    out, again = tmp_path / "run", Options(resume=True, local=True)
    summary = optimize(run, out, quiet, Options(local=local))
    calls = outside.calls()
    assert keys_of(calls) == sorted(rows(out, "policy").keys) and len(calls) == BUDGET
    assert summary.metrics.scores_used == BUDGET
    valid = rows(out, "policy")
    valid = valid.select(np.argsort(valid.scored_at, kind="stable"))
    valid = valid.select(np.flatnonzero(valid.status == Status.OK))
    end, best = len(valid) // 2, np.sort(valid.rewards)[::-1]
    assert list(summary.rewards) == [
        *(f"first {end} scored", f"last {end} scored", f"best {len(valid)}")
    ]
    assert summary.rewards[f"best {len(valid)}"]["reward"] == pytest.approx(best.mean())
    ends = [summary.rewards[f"{which} {end} scored"]["reward"] for which in ("first", "last")]
    # with an odd number one row is in neither half; rows of one batch are ordered as in the record
    spread = (best[0] - best[-1]) / end
    assert np.mean(ends) == pytest.approx(valid.rewards.mean(), abs=spread)

    if local:
        optimize(run, out, quiet, again)
    assert command("evaluate", out, "-n", 30).code == 0
    assert command("sample", out, "-n", 30).code == 0
    assert outside.calls() == []

    report = ("evaluate", out, "-n", 30, "--report-samples", 25)
    done = command(*report)
    calls = outside.calls()
    assert f"of these 50 {len(calls)} distinct valid ones aren't known yet" in done.out
    assert "about" in done.out and "prior (25 samples)" in done.out
    assert 0 < len(calls) < 50 and keys_of(calls) == sorted(rows(out, "report").keys)
    assert "of these 50 0 distinct" in command(*report).out  # they're on record
    assert outside.calls() == []

    summary = optimize(longer(run, BUDGET + 20), out, quiet, again)
    assert summary.metrics.scores_used == BUDGET + 20
    calls = outside.calls()
    assert len(calls) == 20 and len(rows(out, "policy")) == BUDGET + 20


def test_calls_of_a_warm_start_and_a_final_report(
    plugins: Path,
    make_run: MakeRun,
    outside: Any,
    molecules: list[str],
    tmp_path: Path,
    quiet: Console,
):
    known, out = tmp_path / "known.csv", tmp_path / "run"
    with known.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["smiles", "reward"])
        table.writerows([smiles, i % 7] for i, smiles in enumerate(molecules[:150]))
    run = make_run(reward=COUNTED, stop={"scores": BUDGET})
    options = Options(warm_start=known, report_samples=20, local=True)
    summary = optimize(run, out, quiet, options)
    calls = outside.calls()
    assert len(rows(out, "warm-start")) == 150 and len(rows(out, "policy")) == BUDGET
    reported = rows(out, "report")
    assert f"of these 40 {len(reported)} distinct" in text_of(quiet)
    assert keys_of(calls) == sorted([*rows(out, "policy").keys, *reported.keys])
    assert summary.metrics.scores_used == BUDGET
    columns = list(summary.rewards)
    assert columns[:2] == ["prior (20 samples)", "tuned policy (20 samples)"]

    offline = make_run(reward=COUNTED, actors={"count": 0}, stop={"updates": 4})
    optimize(offline, tmp_path / "offline", quiet, Options(warm_start=known, local=True))
    assert outside.calls() == []


def test_a_stopped_report_keeps_its_scores(
    plugins: Path,
    make_run: MakeRun,
    outside: Any,
    tmp_path: Path,
    quiet: Console,
    monkeypatch: pytest.MonkeyPatch,
):
    run, out = make_run(reward=COUNTED), tmp_path / "run"
    (out / "scores").mkdir(parents=True)
    (out / "config.toml").write_text(to_toml(run))
    monkeypatch.setattr(report_samples, "LARGEST_BATCH", 4)
    batches = []

    def wanted(self: StopRequest) -> bool:
        batches.append(1)
        return len(batches) > 3

    monkeypatch.setattr(StopRequest, "wanted", property(wanted, lambda *_: None), raising=False)
    prior = load_prior(run.prior)
    columns = evaluated_rewards(out, prior, prior, 100, 0, quiet)
    calls = outside.calls()
    assert len(calls) == 12 and keys_of(calls) == sorted(rows(out, "report").keys)
    assert "weren't all scored" in text_of(quiet)
    first = next(iter(columns))
    assert first.startswith("prior (") and first != "prior (100 samples)"


def test_calls_of_scoring_a_file(
    plugins: Path,
    outside: Any,
    command: Callable[..., Any],
    molecules: list[str],
    tmp_path: Path,
    make_run: MakeRun,
):
    config, library = tmp_path / "run.toml", tmp_path / "library.smi"
    config.write_text(to_toml(make_run(reward=COUNTED)))
    library.write_text("\n".join([*molecules[:30], "C(", "", *molecules[:30]]))
    assert command("score", config, library, "--out", tmp_path / "out.csv", "--local").code == 0
    assert keys_of(outside.calls()) == keys_of(molecules[:30])


def test_report_samples_of_a_prior_or_file_is_one_sentence(
    command: Callable[..., Any], tiny_prior: Path, tmp_path: Path
):
    (tmp_path / "a.smi").write_text("CCO\n")
    for source in (tiny_prior, tmp_path / "a.smi"):
        command("evaluate", source, "--report-samples", 5).refused("--report-samples", str(source))
