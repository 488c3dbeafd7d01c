"""Warns where the policy mostly repeats sequences that are known already."""

from __future__ import annotations

from sequence_tutor.distributed.metrics.moving_average import MovingAverage
from sequence_tutor.distributed.metrics.watch import Watch
from sequence_tutor.distributed.types import PolicySamples

# Number of sequences over which the share of repeated ones is measured.
WINDOW = 256
# Above the first share the policy repeats itself; below the second it doesn't any more.
MANY, FEW = 0.5, 0.4
# What can be done: with a fixed temperature, with "auto", and with a KL that is asked for.
FIXED = (
    'raise learner.temperature, or set it to "auto"; or end the run here and start another with '
    "another seed"
)
AUTO = 'learner.temperature = "auto" raises c until there are fewer'
ASKED = "a smaller learner.kl keeps the policy wider; or end the run here"


class RepeatWatch(Watch):
    """Follows the share of the policy's sequences that needed no new score.

    advice: what the warning says can be done.
    """

    def __init__(self, advice: str) -> None:
        super().__init__()
        self._advice, self._warned = advice, False
        self.share = MovingAverage(WINDOW)

    def add(self, samples: PolicySamples) -> None:
        """Count some samples. Warns when more than half of the latest WINDOW are repeated, and
        again only after it was fewer than FEW."""
        if not samples.rows:
            return
        self.share.add(samples.repeated / samples.rows, samples.rows)
        if self.many and not self._warned:
            self._warned = True
            self._warnings.append(
                f"{self.share.value:.0%} of the policy's latest sequences were known already, so "
                f"it has narrowed: {self._advice}"
            )
        self._warned = self._warned and self.share.value >= FEW

    @property
    def many(self) -> bool:
        """Whether more than half of the latest sequences are repeated."""
        return self.share.full and self.share.value > MANY
