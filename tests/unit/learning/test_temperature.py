"""The temperature's controller on simulated policies, without a run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sequence_tutor.distributed.learner_config import AUTO_KL, LearnerConfig
from sequence_tutor.distributed.learning.temperature import (
    FARTHEST,
    FASTEST,
    Temperature,
    first_temperature,
)
from sequence_tutor.distributed.metrics.repeat_watch import RepeatWatch
from sequence_tutor.distributed.types import PolicySamples

# Updates and samples of a round.
PER, ROWS = 4, 64
REWARDS = np.random.default_rng(0).normal(0.0, 1.0, 200)


def control(**learner: object) -> Temperature:
    one = Temperature(LearnerConfig(**learner), RepeatWatch("advice"))  # type: ignore[arg-type]
    if one.needs_rewards:
        one.start(REWARDS)
    return one


class Policy:
    """A simulated policy, whose KL follows a power of 1/c within `lag` updates. right: c at which
    it ends at `asked` nats."""

    def __init__(self, right: float, asked: float, lag: float, noise: float = 4.0) -> None:
        self.right, self.asked, self.lag, self.noise = right, asked, lag, noise
        self.kl, self.random = 0.0, np.random.default_rng(1)

    def learn(self, c: float) -> None:
        end = self.asked * (self.right / c) ** 1.5
        self.kl += (end - self.kl) * (1 - math.exp(-PER / self.lag))

    def measured(self) -> float:
        deviation = self.noise * math.sqrt(max(self.kl, 0.05) / self.asked)
        return self.kl + self.random.normal(0.0, deviation / math.sqrt(ROWS))


def rounds(one: Temperature, policy: Policy, n: int) -> list[float]:
    """The KL after each of n rounds."""
    found = []
    for _ in range(n):
        one.add_kl(policy.measured(), ROWS)
        policy.learn(one.next(PER))
        found.append(policy.kl)
    return found


@pytest.mark.parametrize("lag", [30, 100, 300])
@pytest.mark.parametrize("wrong", [0.3, 1.0, 3.0])
def test_the_kl_ends_at_what_is_asked_for(lag: float, wrong: float):
    """Also where the first c is wrong by a factor of three."""
    one = control(kl=5.0)
    found = rounds(one, Policy(one.value * wrong, 5.0, lag), 400)
    assert np.mean(found[-50:]) == pytest.approx(5.0, rel=0.05)
    assert max(abs(kl / 5.0 - 1) for kl in found[-50:]) < 0.1


def test_control_a_fixed_temperature_ends_elsewhere():
    one = control(temperature=0.5)
    assert rounds(one, Policy(1.5, 5.0, 100), 400)[-1] > 10 and one.value == 0.5
    assert one.state() == {} and not one.needs_rewards


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shift", [0.0, -40.0])
def test_the_first_temperature_has_the_scale_of_the_rewards(scale: float, shift: float):
    """That of a normal reward, at which KL = s^2 / (2 c^2); some wild rewards don't change it."""
    rewards = np.random.default_rng(0).normal(0.0, 3.0, 2000)
    wild = np.concatenate([rewards, np.full(20, -1e9)])
    for given in (rewards, wild):
        found = first_temperature(scale * (given + shift), 4.5)
        assert found == pytest.approx(scale * 1.0, rel=0.1)


def test_equal_rewards_tell_no_temperature_yet():
    one = Temperature(LearnerConfig(temperature="auto"), RepeatWatch(""))
    for rewards in (np.zeros(0), np.ones(1), np.ones(64)):
        one.start(rewards)
        one.add_kl(0.0, ROWS)
        assert one.next(8) == 1.0 and one.needs_rewards
    one.start(np.array([0.0] * 60 + [1.0] * 4))  # the quartiles are equal, the rewards aren't
    assert not one.needs_rewards and 0.0 < one.value < 1.0


def test_c_moves_at_most_so_fast_and_so_far():
    one = control(kl=5.0)
    first = before = one.value
    for i in range(3000):
        one.add_kl(1e4 if i < 1500 else -3.0, ROWS)  # an estimate can be below zero
        c = one.next(8)
        assert abs(math.log(c / before)) <= 8 * FASTEST + 1e-9
        assert abs(math.log(c / first)) <= FARTHEST + 1e-9
        before = c


def test_nothing_moves_without_new_samples():
    one = control(kl=5.0)
    one.add_kl(0.0, ROWS)
    value = one.next(8)
    one.add_kl(math.nan, ROWS)  # not measured
    assert [one.next(8) for _ in range(100)] == [value] * 100


def test_c_waits_while_only_the_values_learn():
    one = control(kl=5.0, algorithm="psi", value_warmup=20)
    first, found = one.value, []
    for _ in range(6):
        one.add_kl(0.0, ROWS)
        found.append(one.next(PER))
    assert found[:5] == [first] * 5 and found[5] < first
    one = control(kl=5.0, value_warmup=20)  # of "path", which has none
    one.add_kl(0.0, ROWS)
    assert one.next(PER) < first


def test_a_restored_controller_goes_on_as_before():
    one = control(temperature="auto")
    policy = Policy(one.value / 2, AUTO_KL, 100)
    rounds(one, policy, 30)
    one.add_samples(PolicySamples(64, 60, 10))
    other = Temperature(LearnerConfig(temperature="auto"), RepeatWatch("advice"))
    other.restore(one.state())
    assert other.value == one.value and not other.needs_rewards
    for kl in (3.0, 8.0, 30.0):
        for each in (one, other):
            each.add_kl(kl, ROWS)
        assert one.next(8) == other.next(8)
    mine, others = (each.state()["temperature.control"] for each in (one, other))
    assert np.array_equal(mine, others, equal_nan=True)
    control(temperature=0.5).restore(one.state())  # a fixed temperature has none


@pytest.mark.parametrize(
    ("learner", "valid", "repeated", "rises"),
    [
        ({"temperature": "auto"}, 64, 0, False),
        ({"temperature": "auto"}, 64, 60, True),
        ({"temperature": "auto"}, 30, 0, True),
        ({"kl": AUTO_KL}, 64, 60, False),
        ({"kl": AUTO_KL}, 30, 0, False),
    ],
)
def test_auto_rises_while_the_policy_narrows_or_breaks(
    learner: dict[str, object], valid: int, repeated: int, rises: bool
):
    """A KL that is asked for is reached all the same."""
    repeats = RepeatWatch("")
    one = Temperature(LearnerConfig(**learner), repeats)  # type: ignore[arg-type]
    one.start(REWARDS)
    for i in range(40):
        samples = PolicySamples(ROWS, 64, 0) if i < 4 else PolicySamples(ROWS, valid, repeated)
        repeats.add(samples)
        one.add_samples(samples)
        one.add_kl(1.0, ROWS)
        before = one.value
        one.next(PER)
    assert (one.value > before) == rises
