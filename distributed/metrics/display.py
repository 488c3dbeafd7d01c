"""What is shown during a run: one live table, or lines where there is no terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sequence_tutor.distributed.bulk.estimate import duration, per_time
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.sources import SourceCounts
from sequence_tutor.distributed.metrics.speed import Speed, TimeLeft
from sequence_tutor.distributed.metrics.tally import Metrics

# Seconds between two lines where there is no terminal.
LINE_EVERY_S = 10.0
# How many characters of the best sequence are shown.
SHOWN = 48


class Best(NamedTuple):
    """The best sequence of a run so far."""

    sequence: str
    """The sequence."""
    reward: float
    """Its reward on record."""


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _short(value: float) -> str:
    """Three digits, for numbers of any scale."""
    return "-" if math.isnan(value) else f"{value:.3g}"


def _speed(speed: Speed) -> str:
    """Such as "12/s", or "8.1/min" where that is less than one a second."""
    per_s = speed.per_s
    if math.isnan(per_s):
        return "-"
    return per_time(per_s) if per_s else "0/s"


def _best(best: Best | None) -> str:
    if best is None:
        return "-"
    text = best.sequence
    if len(text) > SHOWN:
        text = f"{text[: SHOWN - 3]}..."
    return f"{_short(best.reward)} {text}"


def _counts(c: SourceCounts) -> str:
    return (
        f"{c.proposed} proposed, {c.screened_out} screened out, {c.scored} scored, {c.top100} of "
        "the best 100"
    )


def _groups(m: Metrics) -> str:
    return f"{m.groups}, {_share(m.lowered_share)}"


class Display:
    """Shows a state: in place on a terminal, else a line every LINE_EVERY_S. A context manager that
    restores the terminal at its end.

    note: is given the lines where a terminal shows another picture, such as for a log.
    """

    def __init__(self, console: Console, note: Callable[[str], None] | None = None) -> None:
        self._console, self._note = console, note
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
        if time.monotonic() - self._last_line < LINE_EVERY_S:
            return
        self._last_line = time.monotonic()
        if self._live:
            if self._note is not None:
                self._note(line)
        else:
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)


class Progress:
    """Shows the metrics of a run.

    updates_before: updates of the runs that this one goes on from.
    """

    def __init__(self, run: RunConfig, display: Display, updates_before: int = 0) -> None:
        self.run, self.display = run, display
        self._left = TimeLeft(run.stop, updates_before)

    def show(self, m: Metrics, best: Best | None = None, updates_owed: int | None = None) -> None:
        """Show a tick. best: the best sequence so far, None while there is none. updates_owed:
        how many updates the run still makes once its budget is used, None before."""
        self._left.add(m)
        left_s = self._left.seconds(m, updates_owed)
        left = "-" if math.isnan(left_s) else duration(left_s)
        self.display.show(self._line(m, left, best), self._table(m, left, best))

    def _budget(self, m: Metrics) -> str:
        budget = self.run.stop.scores
        return f"{m.scores_used}/{budget}" if budget else str(m.scores_used)

    def _line(self, m: Metrics, left: str, best: Best | None) -> str:
        diverse = "" if self.run.diversity is None else f"groups found {_groups(m)} lowered  "
        return (
            f"{m.elapsed_s:6.0f} s  scores {self._budget(m)}  speed {_speed(self._left.scores)}  "
            f"left {left}  reward {_number(m.reward_mean)} "
            f"(top 10 {_number(m.reward_top10)})  best {_best(best)}  "
            f"valid {_share(m.valid_share)}  "
            f"{diverse}KL {_number(m.kl_to_prior, 1)} nats  c {_short(m.temperature)}  "
            f"updates {m.updates}  staleness {m.staleness:.0f}  queue {m.waiting_to_be_scored}  "
            f"bottleneck {m.bottleneck.text}"
        )

    def _table(self, m: Metrics, left: str, best: Best | None) -> Table:
        table = Table(title=f"{m.elapsed_s:.0f} s", show_header=False)
        rows = [
            ("scores used", self._budget(m)),
            ("scores, sequences", f"{_speed(self._left.scores)}, {_speed(self._left.sequences)}"),
            ("time left", left),
            ("best so far", _best(best)),
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
            table.add_row(name, Text(value))  # a Text, as a [ in a sequence is no markup
        return table
