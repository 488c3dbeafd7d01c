"""The nine rules against a slow implementation of their text, in both profiles.

The slow functions below take one melody, step by step: the tokens before, the token, the length.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from sequence_tutor.rewards.melodies import (
    PROFILES,
    RULE_NAMES,
    RULES,
    Melodies,
    rule_rewards,
    rule_rewards_batch,
)

HOLD, OFF = 0, 1
C4, E4, G4, A4 = 14, 18, 21, 23


def pitches(tokens):
    return [a for a in tokens if a >= 2]


def is_class(a, *classes):
    return a >= 2 and (a - 2) % 12 in classes


def sounds(c):
    """The pitch that sounds after the tokens c, or None."""
    sounding = None
    for a in c:
        if a != HOLD:
            sounding = a if a >= 2 else None
    return sounding


def key(c, a, n, paper):
    return -1 if a >= 2 and not is_class(a, 0, 2, 4, 5, 7, 9, 11) else 0


def tonic(c, a, n, paper):
    t = len(c)
    if paper:
        if t in (0, n - 4):
            return 3 if a == C4 else 0
        if t == n - 3:
            return 3 if a == HOLD else 0
        return 3 if t > n - 3 and a in (HOLD, OFF) else 0
    if t == 0:
        return 3 if is_class(a, 0, 9) else 0
    sounding = sounds([*c, a])
    return 0.75 if t >= n - 16 and sounding is not None and is_class(sounding, 0, 9) else 0


def repetition(c, a, n, paper):
    equal, broken = 0, False
    for b in reversed(c):
        if b == a:
            equal += 1
        elif b in (HOLD, OFF):
            broken = True
        else:
            break
    if a == OFF and equal >= 2:
        return -100
    if paper:
        return -100 if equal >= (7 if broken else 5) else 0
    return -100 if a >= 2 and equal >= (6 if broken else 4) else 0


def correlations(x):
    """r_1, r_2, r_3 as fractions; none for a constant x."""
    size, total = len(x), sum(x)
    y = [size * value - total for value in x]  # size times the deviation from the mean
    variance = sum(d * d for d in y)
    return [
        Fraction(sum(y[i] * y[i - k] for i in range(k, size)), variance) if k < size else 0
        for k in (1, 2, 3)
        if variance
    ]


def autocorrelation(c, a, n, paper):
    x = [*c, a]
    if paper:
        x = [{HOLD: 1, OFF: 0}.get(b, b) for b in x]
    elif len(x) < n or len(pitches(x)) < 8:
        return 0
    else:
        x = pitches(x)
    return -3 * float(sum(abs(r) for r in correlations(x) if abs(r) > Fraction(15, 100)))


def distinct_in_window(c, a, paper):
    """Number of distinct pitches of the motif that ends here; 0 if no motif does."""
    if len(c) < 7 or (not paper and len(c) % 8 != 7):
        return 0
    d = len(set(pitches([*c, a][-8:])))
    return d if d >= 3 and (paper or d <= 5) else 0


def motif(c, a, n, paper):
    d = distinct_in_window(c, a, paper)
    return 3 + 0.3 * (d - 3) if d else 0


def repeated_motif(c, a, n, paper):
    d, x = distinct_in_window(c, a, paper), [*c, a]
    earlier = [x[end - 7 : end + 1] for end in range(7, len(x) - 8)]
    return 4 + (d - 3) if d and x[-8:] in earlier else 0


def preferred_intervals(c, a, n, paper):
    if not pitches(c):
        return 0
    p = pitches(c)[-1]
    if a < 2 and not paper and sounds(c) is None:
        return 0
    if a == HOLD:
        return 1.5 if is_class(p, 0, 7) else 0.375
    if a == OFF:
        return 0.75 if is_class(p, 0, 7) else 0.25
    i = abs(a - p)
    if i == 4:
        good = is_class(p, 0, 4) and (paper or is_class(a, 0, 4))
        return 0.75 if good else 0.45
    if i == 7:
        return 0.5 if is_class(p, 0, 7) else 0.1
    return -5 if i > 12 else {2: 0.4, 5: 0.35, 9: 0.25, 11: -1.5}.get(i, 0)


def leaps(c, a, n, paper):
    """Computes the state from the start and returns the last step's reward."""
    direction, origin, since, paid, owed = 0, 0, 0, 0, 0
    x = [*c, a]
    for t in range(1, len(x)):
        paid, before = 0, pitches(x[:t])
        if x[t] < 2 or not before:
            since += 1
            continue
        p = before[-1]
        size, way = abs(x[t] - p), 1 if x[t] > p else -1
        if size >= 7:
            if size > 12 and not paper:
                paid, direction, origin, owed = -5, way, p, 5
            elif direction == 0:
                direction, origin, owed = way, p, 5
            elif direction == way:
                paid = -5
            elif paper:
                paid = 5 if since > 6 else 0
                direction = 0
            else:
                direction, origin, owed = way, p, 10
            since = 0
        else:
            since += 1
            if (direction == 1 and x[t] <= origin) or (direction == -1 and x[t] >= origin):
                paid, direction = owed, 0
    return paid


def unique_extremes(c, a, n, paper):
    x = [*c, a]
    if len(x) < n:
        return 0
    notes = pitches(x)
    if paper:
        numbers = [{HOLD: 1, OFF: 0}.get(b, b) for b in x]
        highest = numbers.count(max(numbers)) == 1
    else:
        highest = bool(notes) and notes.count(max(notes)) == 1
    lowest = bool(notes) and notes.count(min(notes)) == 1
    if not paper and notes:
        leapt = len(notes) > 1 and abs(notes[-1] - notes[-2]) >= 7
        within = max(notes) - min(notes) <= 19
        highest = within and highest and not (leapt and notes[-1] == max(notes))
        lowest = within and lowest and not (leapt and notes[-1] == min(notes))
    return 3 * highest + 3 * lowest


READINGS = (
    key,
    tonic,
    repetition,
    autocorrelation,
    motif,
    repeated_motif,
    preferred_intervals,
    leaps,
    unique_extremes,
)


def melodies_of(kind: str, count: int, steps: int, rng: np.random.Generator):
    """Tokens int [count, steps] with many held notes, many rests and so on, by `kind`."""
    notes = rng.integers(2, 38, (count, steps))
    chance = rng.random((count, steps))
    if kind == "held":
        return np.where(chance < 0.7, HOLD, notes)
    if kind == "rests":
        return np.where(chance < 0.5, OFF, np.where(chance < 0.7, HOLD, notes))
    if kind == "one pitch":
        return np.where(chance < 0.25, rng.integers(0, 2, notes.shape), notes[:, :1])
    if kind == "specials":
        return np.where(chance < 0.04, notes, rng.integers(0, 2, notes.shape))
    if kind == "walk":
        walk = 16 + np.cumsum(rng.integers(-3, 4, notes.shape), axis=1)
        return np.where(chance < 0.3, HOLD, np.clip(walk, 2, 37))
    if kind == "phrases":  # few pitches, repeated phrases
        phrase = np.tile(rng.choice([HOLD, HOLD, C4, E4, G4, A4], (count, 8)), (1, steps // 8 + 1))
        return np.where(chance < 0.05, notes, np.roll(phrase, 3, axis=1)[:, :steps])
    return rng.integers(0, 38, notes.shape)


KINDS = ("uniform", "held", "rests", "one pitch", "specials", "walk", "phrases")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("steps, count", [(4, 20), (16, 12), (32, 12), (64, 4), (100, 3)])
def test_rules_agree_with_the_slow_reading(profile: str, steps: int, count: int) -> None:
    rng = np.random.default_rng(steps)
    tokens = np.concatenate([melodies_of(kind, count, steps, rng) for kind in KINDS])
    rewards = rule_rewards_batch(tokens, steps, profile)
    assert tuple(rewards) == RULE_NAMES
    for name, reading in zip(RULE_NAMES, READINGS, strict=True):
        expected = np.array(
            [[reading(m[:t], m[t], steps, profile == "paper") for t in range(steps)]
             for m in tokens.tolist()]
        )  # fmt: skip
        assert rewards[name].dtype == np.float64
        np.testing.assert_allclose(rewards[name], expected, atol=1e-9, err_msg=name)
        if steps >= 64:  # control: the expected rewards aren't all zero
            assert np.any(expected != 0), name


@pytest.mark.parametrize("profile", PROFILES)
def test_rewards_of_a_prefix_are_the_prefix_of_the_rewards(profile: str) -> None:
    rng = np.random.default_rng(1)
    tokens = np.concatenate([melodies_of(kind, 10, 32, rng) for kind in KINDS])
    whole = rule_rewards_batch(tokens, 32, profile)
    for steps in range(33):
        part = rule_rewards_batch(tokens[:, :steps], 32, profile)
        for name in RULE_NAMES:
            np.testing.assert_array_equal(part[name], whole[name][:, :steps], err_msg=name)
    # the control: as whole melodies the same prefixes have other rewards
    ended = rule_rewards_batch(tokens[:, :16], 16, profile)
    assert np.any(ended["unique_extremes"] != whole["unique_extremes"][:, :16])


@pytest.mark.parametrize("profile", PROFILES)
def test_a_rule_alone_and_a_melody_alone_earn_the_same(profile: str) -> None:
    tokens = melodies_of("phrases", 5, 32, np.random.default_rng(2)).astype(np.uint8)
    batch = rule_rewards_batch(tokens, profile=profile)
    for name in RULE_NAMES:
        alone = RULES[profile][name](Melodies(tokens))
        np.testing.assert_array_equal(alone, batch[name])
        one = rule_rewards(tokens[3].tolist(), profile=profile)
        np.testing.assert_array_equal(one[name], batch[name][3])
    assert rule_rewards_batch(tokens[:0])["leaps"].shape == (0, 32)


def test_autocorrelation_of_long_melodies() -> None:
    tokens = melodies_of("walk", 2, 1024, np.random.default_rng(3))
    for profile in PROFILES:
        rewards = rule_rewards_batch(tokens, 1024, profile)
        last = tokens[0].tolist()
        expected = autocorrelation(last[:-1], last[-1], 1024, profile == "paper")
        assert rewards["autocorrelation"][0, -1] == pytest.approx(expected)
        assert expected < 0
    # the largest possible sums: r = -1, 1, -1
    loud = np.tile([OFF, 37], 32_768)[None, :65_535]
    ended = RULES["paper"]["autocorrelation"](Melodies(loud, 65_535))
    assert ended[0, -1] == pytest.approx(-9, abs=1e-3)
