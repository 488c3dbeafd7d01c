"""What a person sees while a run goes on: one live table, or lines where there is no terminal."""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics import Metrics

LINE_EVERY_S = 10.0


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


class Progress:
    """Shows metrics; a context manager, so that the terminal is always put right again."""

    def __init__(self, run: RunConfig, console: Console) -> None:
        self.run, self.console = run, console
        self.live = Live(console=console, transient=True) if console.is_terminal else None
        self.last_line = 0.0

    def __enter__(self) -> Progress:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live:
            self.live.stop()

    def show(self, m: Metrics) -> None:
        if self.live:
            self.live.update(self._table(m))
        elif time.monotonic() - self.last_line >= LINE_EVERY_S:
            self.last_line = time.monotonic()
            self.console.print(self._line(m), soft_wrap=True)

    def _budget(self, m: Metrics) -> str:
        budget = self.run.stop.scores
        return f"{m.scores_used}/{budget}" if budget else str(m.scores_used)

    def _line(self, m: Metrics) -> str:
        return (
            f"{m.elapsed_s:6.0f} s  scores {self._budget(m)}  reward {_number(m.reward_mean)} "
            f"(top 10 {_number(m.reward_top10)})  valid {m.valid_share:.1%}  "
            f"KL {_number(m.kl_to_prior, 1)} nats  {m.sequences_per_s:.0f} sequences/s  "
            f"updates {m.updates}  staleness {m.staleness:.0f}  queue {m.waiting_to_be_scored}  "
            f"bottleneck {m.bottleneck.text}"
        )

    def _table(self, m: Metrics) -> Table:
        table = Table(title=f"{m.elapsed_s:.0f} s", show_header=False)
        rows = [
            ("scores used", self._budget(m)),
            ("sequences/s", f"{m.sequences_per_s:.0f}"),
            ("valid", f"{m.valid_share:.1%}"),
            ("repeated", f"{m.repeated_share:.1%}"),
            ("reward, mean", _number(m.reward_mean)),
            ("reward, top 10", _number(m.reward_top10)),
            ("KL to the prior, nats", _number(m.kl_to_prior, 2)),
            ("updates (per second)", f"{m.updates} ({m.updates_per_s:.1f})"),
            ("loss", _number(m.loss)),
            ("staleness, updates", f"{m.staleness:.0f}"),
            ("waiting to be scored, being scored", f"{m.waiting_to_be_scored}, {m.scoring}"),
            ("rows in the replay", str(m.replay_rows)),
            ("failed scores", str(m.failed)),
            ("bottleneck", m.bottleneck.text),
        ]
        for name, value in rows:
            table.add_row(name, value)
        return table
