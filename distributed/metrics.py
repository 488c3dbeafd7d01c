"""The metrics of a run: fixed keys, units in the name, emitted each tick, zeros included."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from sequence_tutor.distributed.files import write_text
from sequence_tutor.distributed.types import ActorReport, LearnerReport, ScoreReport


@dataclass
class Metrics:
    """One tick. Shares are of the sequences scored in it; `*_s` are busy seconds since the last
    tick, summed over the processes of a kind; KL is nats per episode; staleness is updates."""

    iteration: int = 0
    elapsed_s: float = 0.0
    updates: int = 0
    scores_used: int = 0
    sequences: int = 0
    sequences_per_s: float = 0.0
    updates_per_s: float = 0.0
    valid_share: float = 0.0
    repeated_share: float = 0.0
    failed: int = 0
    reward_mean: float = math.nan
    reward_top10: float = math.nan
    kl_to_prior: float = math.nan
    staleness: float = 0.0
    loss: float = math.nan
    residual: float = math.nan
    start_value: float = math.nan
    replay_rows: int = 0
    waiting_to_be_scored: int = 0
    scoring: int = 0
    lost_batches: int = 0
    retried_batches: int = 0
    lost_leases: int = 0
    actors_alive: int = 0
    scorers_up: int = 0
    generate_s: float = 0.0
    score_s: float = 0.0
    replay_s: float = 0.0
    learn_s: float = 0.0
    broadcast_s: float = 0.0
    driver_waiting_s: float = 0.0


COUNTERS = (
    "iteration",
    "rounds",
    "sequences",
    "inserted",
    "sampled",
    "scores_used",
    "updates",
    "failed",
    "valid",
)


@dataclass
class Tally:
    """Counts since the start of the run, the last error of a reward, and reports since the last
    tick."""

    started: float = field(default_factory=time.monotonic)
    earlier_s: float = 0.0
    iteration: int = 0
    rounds: int = 0
    sequences: int = 0
    inserted: int = 0
    sampled: int = 0
    scores_used: int = 0
    updates: int = 0
    failed: int = 0
    valid: int = 0
    error: str = ""
    generated: list[ActorReport] = field(default_factory=list)
    scored: list[ScoreReport] = field(default_factory=list)
    learned: list[LearnerReport] = field(default_factory=list)
    replay_s: float = 0.0
    waited_s: float = 0.0
    ticked: float = field(default_factory=time.monotonic)
    last: Metrics = field(default_factory=Metrics)

    def counters(self) -> dict[str, int]:
        """What a checkpoint keeps."""
        return {name: getattr(self, name) for name in COUNTERS}

    def restore(self, counters: dict[str, int], elapsed_s: float) -> None:
        """Go on counting from a checkpoint."""
        for name in COUNTERS:
            setattr(self, name, counters[name])
        self.earlier_s, self.started = elapsed_s, time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the run, those between a stop and a resume left out."""
        return self.earlier_s + time.monotonic() - self.started

    def add_generated(self, report: ActorReport) -> None:
        self.generated.append(report)
        self.sequences += report.rows

    def add_scored(self, report: ScoreReport) -> None:
        self.scored.append(report)
        self.inserted += report.added
        self.scores_used += report.paid
        self.failed += report.failed
        self.valid += report.valid
        self.error = report.error or self.error

    def add_learned(self, report: LearnerReport) -> None:
        self.learned.append(report)
        self.updates = report.total_updates
        self.sampled += report.rows

    def tick(self, **gauges: Any) -> Metrics:
        """Metrics of the time since the last tick; what had no news keeps its last value."""
        now, last = time.monotonic(), self.last
        seconds = max(now - self.ticked, 1e-9)
        self.iteration += 1
        rows = sum(r.rows for r in self.scored)
        rewarded = sum(r.rewarded for r in self.scored)
        updates = sum(r.updates for r in self.learned)
        newest = self.learned[-1] if self.learned else None
        kl_rows = sum(r.rows for r in self.generated)
        self.last = Metrics(
            iteration=self.iteration,
            elapsed_s=self.elapsed_s,
            updates=self.updates,
            scores_used=self.scores_used,
            sequences=self.sequences,
            sequences_per_s=kl_rows / seconds,
            updates_per_s=updates / seconds,
            valid_share=sum(r.valid for r in self.scored) / rows if rows else last.valid_share,
            repeated_share=(
                sum(r.repeated for r in self.scored) / rows if rows else last.repeated_share
            ),
            failed=self.failed,
            reward_mean=(
                sum(r.reward_sum for r in self.scored) / rewarded if rewarded else last.reward_mean
            ),
            kl_to_prior=(
                sum(r.kl_to_prior * r.rows for r in self.generated) / kl_rows
                if kl_rows
                else last.kl_to_prior
            ),
            staleness=newest.staleness if newest else last.staleness,
            loss=newest.loss if newest else last.loss,
            residual=newest.residual if newest else last.residual,
            start_value=newest.start_value if newest else last.start_value,
            generate_s=sum(r.seconds for r in self.generated),
            score_s=sum(r.seconds for r in self.scored),
            replay_s=self.replay_s + sum(r.fetch_s for r in self.learned),
            learn_s=sum(r.learn_s for r in self.learned),
            broadcast_s=sum(r.publish_s for r in self.learned),
            driver_waiting_s=self.waited_s,
            **gauges,
        )
        self.generated, self.scored, self.learned = [], [], []
        self.replay_s = self.waited_s = 0.0
        self.ticked = now
        return self.last


class MetricsWriter:
    """Appends each tick to `metrics.jsonl` and to TensorBoard event files under `tensorboard/`.

    A run that goes on after `iteration` ticks and `updates` updates drops what it had written
    beyond them, half a line that a killed driver left included.
    """

    def __init__(self, directory: Path, iteration: int = 0, updates: int = 0) -> None:
        path = directory / "metrics.jsonl"
        kept = _ticks_until(path, iteration)
        write_text(path, "".join(f"{line}\n" for line in kept))
        self._lines = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(directory / "tensorboard"), purge_step=updates + 1)

    def write(self, metrics: Metrics) -> None:
        # NaN is not JSON: what is not known yet is null
        values = asdict(metrics)
        known = {
            k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()
        }
        self._lines.write(json.dumps(known) + "\n")
        self._lines.flush()
        for name, value in known.items():
            if value is not None:
                self._board.add_scalar(name, value, metrics.updates)

    def close(self) -> None:
        self._lines.close()
        self._board.close()


def _ticks_until(path: Path, iteration: int) -> list[str]:
    """The whole lines of ticks up to this one."""
    kept: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            if json.loads(line)["iteration"] <= iteration:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    return kept
