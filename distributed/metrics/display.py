"""What is shown during a run: one live table, or lines where there is no terminal."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.sources import SourceCounts
from sequence_tutor.distributed.metrics.tally import Metrics

# Seconds between two lines where there is no terminal.
LINE_EVERY_S = 10.0
# Seconds over which the shown speed is measured; many ticks, as a slow reward reports rarely.
SPEED_OVER_S = 30.0


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _short(value: float) -> str:
    """Three digits, for numbers of any scale."""
    return "-" if math.isnan(value) else f"{value:.3g}"


def _counts(c: SourceCounts) -> str:
    return (
        f"{c.proposed} proposed, {c.screened_out} screened out, {c.scored} scored, {c.top100} of "
        "the best 100"
    )


def _groups(m: Metrics) -> str:
    return f"{m.groups}, {_share(m.lowered_share)}"


class Display:
    """Shows a state: in place on a terminal, else a line every LINE_EVERY_S. A context manager that
    restores the terminal at its end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True) if console.is_terminal else None
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, line: str, picture: RenderableType | None = None) -> None:
        """Show a state: `picture` on a terminal, by default the line; else the line."""
        if self._live:
            self._live.update(picture or Text(line))
        elif time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)


class Speed:
    """How fast a count has grown in the last SPEED_OVER_S seconds; NaN until it has grown."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._first: int | None = None

    def add(self, elapsed_s: float, count: int) -> None:
        """Note the count at a time, in seconds since any start."""
        if self._first is None:
            self._first = count
        # the time before the first work doesn't count: processes were starting
        if count == self._first and self._seen:
            self._seen.clear()
        self._seen.append((elapsed_s, count))
        while len(self._seen) > 2 and self._seen[1][0] <= elapsed_s - SPEED_OVER_S:
            self._seen.popleft()

    @property
    def per_s(self) -> float:
        (from_s, before), (until_s, now) = self._seen[0], self._seen[-1]
        if now == self._first or until_s <= from_s:
            return math.nan
        return (now - before) / (until_s - from_s)


class Progress:
    """Shows the metrics of a run."""

    def __init__(self, run: RunConfig, display: Display) -> None:
        self.run, self.display = run, display
        self._speed = Speed()

    def show(self, m: Metrics) -> None:
        self._speed.add(m.elapsed_s, m.sequences)
        self.display.show(self._line(m), self._table(m))

    def _budget(self, m: Metrics) -> str:
        budget = self.run.stop.scores
        return f"{m.scores_used}/{budget}" if budget else str(m.scores_used)

    def _line(self, m: Metrics) -> str:
        diverse = "" if self.run.diversity is None else f"groups found {_groups(m)} lowered  "
        return (
            f"{m.elapsed_s:6.0f} s  scores {self._budget(m)}  reward {_number(m.reward_mean)} "
            f"(top 10 {_number(m.reward_top10)})  valid {_share(m.valid_share)}  "
            f"{diverse}KL {_number(m.kl_to_prior, 1)} nats  c {_short(m.temperature)}  "
            f"{_number(self._speed.per_s, 0)} sequences/s  "
            f"updates {m.updates}  staleness {m.staleness:.0f}  queue {m.waiting_to_be_scored}  "
            f"bottleneck {m.bottleneck.text}"
        )

    def _table(self, m: Metrics) -> Table:
        table = Table(title=f"{m.elapsed_s:.0f} s", show_header=False)
        rows = [
            ("scores used", self._budget(m)),
            ("sequences/s", _number(self._speed.per_s, 0)),
            ("valid", _share(m.valid_share)),
            ("repeated", _share(m.repeated_share)),
            ("reward, mean", _number(m.reward_mean)),
            ("reward, top 10", _number(m.reward_top10)),
            ("invalid is worth", _number(m.invalid_reward)),
            ("KL to the prior, nats", _number(m.kl_to_prior, 2)),
            ("temperature c", _short(m.temperature)),
            ("updates (per second)", f"{m.updates} ({m.updates_per_s:.1f})"),
            ("loss", _number(m.loss)),
            ("staleness, updates", f"{m.staleness:.0f}"),
            ("waiting to be scored, being scored", f"{m.waiting_to_be_scored}, {m.scoring}"),
            ("rows in the replay", str(m.replay_rows)),
            ("failed scores", str(m.failed)),
            ("calls of components saved", str(m.calls_saved)),
            ("bottleneck", m.bottleneck.text),
        ]
        if self.run.diversity is not None:
            rows.insert(-1, ("groups found, rewards lowered", _groups(m)))
        if self.run.searches:
            rows += [(f"from {name}", _counts(counts)) for name, counts in m.sources.items()]
        for name, value in rows:
            table.add_row(name, value)
        return table
