"""Decides the temperature c of the next updates: a fixed number, or one that controls the KL.

    measured KL of new samples -> moving average -> controller -> c -> all learners

The driver decides and gives c to the learners with each call, so all of them use the same. With a
fixed number nothing here has a state.

The controller is a PI controller on logarithms, since KL is about proportional to a power of c and
both may have any scale. With e = log(KL / asked), at most LARGEST_ERROR either way, in nats of log:

    log c = I + PROPORTIONAL e          I changes by RISE e or FALL e with each update

The policy follows c within some hundred updates. The integral part is slower than that, or c would
run far beyond what is needed before the policy shows it; the proportional part acts at once. I
rises faster than it falls: while the record's best get better the same KL needs an ever larger c,
and too far from the prior is worse than too near. And c never moves faster than FASTEST, because a
policy that is left behind by its target breaks.
"""

from __future__ import annotations

import math

import numpy as np

from sequence_tutor.distributed.learner_config import LearnerConfig
from sequence_tutor.distributed.metrics.moving_average import MovingAverage
from sequence_tutor.distributed.metrics.repeat_watch import RepeatWatch
from sequence_tutor.distributed.types import PolicySamples, Weights

# Samples over which the KL is averaged, which gives it a standard error of a few per cent.
KL_WINDOW = 256
# What an error of 1 does to the integral part per update, above and below the KL that is asked for.
RISE, FALL = 1 / 30, 1 / 100
# The proportional part, and the error that counts at most.
PROPORTIONAL, LARGEST_ERROR = 2.0, 1.0
# Most that log c may change per update.
FASTEST = 0.02
# Only log c within this distance of the first one is tried.
FARTHEST = 15.0
# With "auto" c rises while fewer sequences are valid than this share of what it was at first.
LEAST_VALID = 0.8
# The name of the state in a checkpoint.
STATE = "temperature.control"


def first_temperature(rewards: np.ndarray, kl: float) -> float:
    """c at which p exp(r/c) would have a KL of `kl` nats to p, if r were normal under p.

    rewards float64 [N] of samples of p, N >= 0. For a normal reward of deviation s the KL is
    s^2 / (2 c^2). s is taken from the quartiles, which a few wild rewards don't move; where half of
    the rewards are equal it is the standard deviation. NaN where all rewards are equal.
    """
    if len(rewards) < 2:
        return math.nan
    ordered = np.sort(rewards)  # a sum in a fixed order, whatever shard each came from
    low, high = np.quantile(ordered, [0.25, 0.75])
    deviation = float(high - low) / 1.349 or float(ordered.std())
    found = deviation / math.sqrt(2 * kl)
    return found if math.isfinite(found) and found > 0 else math.nan


class Temperature:
    """The temperature of a run.

    repeats: what knows how often the policy repeats itself; with plain "auto", c rises while it
    does. value: c of the last updates that were started, NaN while there is none.
    """

    def __init__(self, learner: LearnerConfig, repeats: RepeatWatch) -> None:
        self._kl, self._guarded, self._repeats = learner.asked_kl, learner.kl is None, repeats
        self.value = math.nan if learner.temperature == "auto" else learner.temperature
        self._first = self._integral = math.nan  # logarithms
        self._pending = 0  # updates since c was last decided from new samples
        # first updates, in which the policy doesn't move whatever c is
        self._frozen = 0 if learner.algorithm == "path" else learner.value_warmup
        self._measured = False  # whether there were new samples since
        self._average = MovingAverage(KL_WINDOW)
        self._valid, self._valid_at_first = MovingAverage(KL_WINDOW), MovingAverage(KL_WINDOW)

    @property
    def needs_rewards(self) -> bool:
        """Whether `start` must be called with the first rewards."""
        return self._kl is not None and math.isnan(self._integral)

    def start(self, rewards: np.ndarray) -> None:
        """Choose the first c from rewards of the prior's samples, float64 [N]. Where they are all
        equal c is 1, which does no harm, until there are others."""
        assert self._kl is not None
        found = first_temperature(rewards, self._kl)
        self.value = 1.0 if math.isnan(found) else found
        self._first = self._integral = math.log(found)

    def add_kl(self, kl: float, rows: int) -> None:
        """Count `rows` new samples of the policy, whose mean KL to the prior is `kl` nats."""
        if self._kl is not None and math.isfinite(kl):
            self._average.add(kl, rows)
            self._measured = True

    def add_samples(self, samples: PolicySamples) -> None:
        """Count what became of new samples of the policy."""
        if self._kl is not None and samples.rows:
            share = samples.valid / samples.rows
            if not self._valid_at_first.full:
                self._valid_at_first.add(share, samples.rows)
            self._valid.add(share, samples.rows)

    def next(self, updates: int) -> float:
        """c for the next `updates` updates. It moves only if there were new samples since the last
        move, so that it stays where it is while nothing is generated."""
        if self._kl is None or math.isnan(self._integral):
            return self.value
        if self._frozen > 0:
            self._frozen -= updates
            return self.value
        if self._measured:
            error, step = self._error(), FASTEST * max(1, self._pending)
            speed = RISE if error > 0 else FALL
            grown = self._near_first(self._integral + speed * error * self._pending)
            wanted = self._near_first(grown + PROPORTIONAL * error) - math.log(self.value)
            if abs(wanted) <= step:  # I waits while c is still on its way
                self._integral = grown
            self.value *= math.exp(min(max(wanted, -step), step))
            self._pending, self._measured = 0, False
        self._pending += updates
        return self.value

    def state(self) -> Weights:
        """What a checkpoint keeps, as an array by name; nothing for a fixed temperature."""
        if self._kl is None:
            return {}
        averages = self._average, self._valid, self._valid_at_first, self._repeats.share
        numbers = [self.value, self._first, self._integral]
        counts = [self._pending, self._measured, self._frozen]
        held = [n for average in averages for n in average.state()]
        return {STATE: np.array([*numbers, *counts, *held], np.float64)}

    def restore(self, tensors: Weights) -> None:
        """The inverse of `state`; other names are ignored."""
        if self._kl is None:
            return
        numbers = tensors[STATE].tolist()
        self.value, self._first, self._integral = numbers[:3]
        self._pending, self._frozen = int(numbers[3]), int(numbers[5])
        self._measured = bool(numbers[4])
        averages = self._average, self._valid, self._valid_at_first, self._repeats.share
        for i, average in enumerate(averages):
            average.restore(numbers[6 + 2 * i : 8 + 2 * i])

    def _error(self) -> float:
        """e of the module's formula; with plain "auto", the largest while the policy narrows or
        breaks."""
        assert self._kl is not None
        valid, at_first = self._valid, self._valid_at_first
        broken = valid.full and valid.value < LEAST_VALID * at_first.value
        if self._guarded and (broken or self._repeats.many):
            return LARGEST_ERROR
        ratio = max(self._average.value / self._kl, 1e-6)  # an estimate may be below zero
        return min(max(math.log(ratio), -LARGEST_ERROR), LARGEST_ERROR)

    def _near_first(self, log_c: float) -> float:
        return min(max(log_c, self._first - FARTHEST), self._first + FARTHEST)
