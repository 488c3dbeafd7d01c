"""The replay ratio: keeps the learner and the actors in step, whichever is faster."""

from __future__ import annotations

import math


class ReplayRatio:
    """Decides when rows may be sampled and inserted: samples per row inserted stay near `ratio`.

    The idea of Reverb's SampleToInsertRatio. Each row beyond the first `min_rows` adds `ratio`
    samples to a balance, each sample drawn takes one away, and

        balance = ratio (inserted - min_rows) - sampled,   -slack <= balance <= slack

    holds from `min_rows` rows on. The lower bound keeps the learner from training again and again
    on the same rows, the upper bound keeps rows from getting stale before the learner uses them.
    Before `min_rows` rows nothing is sampled and everything may be inserted. With ratio 0 nothing
    is ever sampled.

    Both sides would wait for ever at a balance at which neither may move. There is none if

        slack >= (sample_rows + ratio insert_rows) / 2

    where these are the most rows that one sample or insert asks for. Raises ValueError otherwise.
    The default slack is twice that bound, so that either side may be a batch ahead.

    Counts are of this run: rows loaded for a warm start add no samples. The caller counts. For
    `may_insert` it counts rows on their way to the replay as inserted, for `may_sample` samples on
    their way to the learner as sampled; otherwise the balance goes beyond its bounds by these.
    """

    def __init__(
        self,
        ratio: float,
        min_rows: int = 1,
        slack: float | None = None,
        *,
        sample_rows: int,
        insert_rows: int,
    ) -> None:
        if not ratio >= 0 or min(min_rows, sample_rows, insert_rows) < 1:
            raise ValueError(
                "need ratio >= 0 and min_rows, sample_rows, insert_rows >= 1, got "
                f"{ratio}, {min_rows}, {sample_rows}, {insert_rows}"
            )
        bound = (sample_rows + ratio * insert_rows) / 2
        self.ratio, self.min_rows = ratio, min_rows
        self.slack = 2 * bound if slack is None else slack
        self.sample_rows, self.insert_rows = sample_rows, insert_rows
        if not self.slack >= bound:
            raise ValueError(
                f"slack {self.slack:g} would deadlock: with {sample_rows} samples or {insert_rows} "
                f"rows at a time and ratio {ratio:g} it must be at least {bound:g} samples"
            )

    def balance(self, inserted: int, sampled: int) -> float:
        """Samples that may be drawn by the ratio; negative where more were drawn."""
        return self.ratio * (inserted - self.min_rows) - sampled

    def owed(self, inserted: int, sampled: int, n: int) -> int:
        """How many samples of n rows bring the balance nearest to 0 if nothing more is inserted; 0
        before there are `min_rows` rows."""
        if inserted < self.min_rows:
            return 0
        return max(0, round(self.balance(inserted, sampled) / n))

    def balance_share(self, inserted: int, sampled: int) -> float:
        """Balance divided by slack, -1 to 1: at 1 the actors wait, at -1 the learner."""
        if not self.ratio:
            return math.nan
        return max(-1.0, min(self.balance(inserted, sampled) / self.slack, 1.0))

    def achieved(self, inserted: int, sampled: int) -> float:
        """Samples drawn per row inserted beyond the first `min_rows`; NaN before there is one."""
        return sampled / (inserted - self.min_rows) if inserted > self.min_rows else math.nan

    def may_sample(self, inserted: int, sampled: int, n: int) -> bool:
        """Whether n more rows may be sampled now. ValueError if n exceeds `sample_rows`."""
        if n > self.sample_rows:
            raise ValueError(f"{n} samples at once, but sample_rows is {self.sample_rows}")
        if not self.ratio or inserted < self.min_rows:
            return False
        return self.balance(inserted, sampled) - n >= -self.slack

    def may_insert(self, inserted: int, sampled: int, n: int) -> bool:
        """Whether n more rows may be inserted now. ValueError if n exceeds `insert_rows`."""
        if n > self.insert_rows:
            raise ValueError(f"{n} rows at once, but insert_rows is {self.insert_rows}")
        if inserted < self.min_rows:
            return True
        return self.balance(inserted + n, sampled) <= self.slack
