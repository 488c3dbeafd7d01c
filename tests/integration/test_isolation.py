"""Rewards that crash, hang, leak or print, in real processes: only their own sequence fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sequence_tutor.rewards.base import Scores, Status
from sequence_tutor.rewards.isolation.reward import IsolatedReward

Make = Callable[..., IsolatedReward]
GOOD = ["C" * n for n in range(1, 30)]


def calls(notes: Path) -> list[str]:
    return notes.read_text().split()


def require_good(scores: Scores, sequences: list[str], among: list[str] = GOOD) -> None:
    """The good sequences have their rewards."""
    for i, sequence in enumerate(sequences):
        if sequence in among:
            assert (scores.status[i], scores.errors[i]) == (Status.OK, "")
            assert scores.rewards[i] == len(sequence) / 7


def among_good(*bad: str) -> list[str]:
    """Good molecules with bad ones between them."""
    step = len(GOOD) // (len(bad) + 1)
    parts = [GOOD[i * step : (i + 1) * step] + [one] for i, one in enumerate(bad)]
    return sum(parts, []) + GOOD[len(bad) * step :]


@pytest.mark.parametrize(
    ("bad", "status", "error"),
    [
        ("F", Status.FAILED, "python: returned nan"),
        ("N", Status.FAILED, "python: returned inf"),
        ("O", Status.FAILED, "python: returned str, not a number"),
        ("Cl", Status.FAILED, "python: RuntimeError: no parameters for chlorine"),
        ("Br", Status.CRASHED, "segmentation fault (SIGSEGV)"),
        ("I", Status.CRASHED, "exited with code 3"),
        ("P", Status.CRASHED, "exited with code 1: a last word"),
        ("S", Status.CRASHED, "exited with code 1: no sulphur"),
        ("[He]", Status.CRASHED, "raised KeyboardInterrupt"),
        ("[Kr]", Status.CRASHED, "killed (SIGKILL)"),
        ("[Na]", Status.CRASHED, "needed more than memory_mb = 500"),
        ("[K]", Status.TIMEOUT, "took longer than timeout_s = 1"),
        ("[Ca]", Status.TIMEOUT, "took longer than timeout_s = 1"),
        ("[Li]", Status.TIMEOUT, "took longer than timeout_s = 1"),
    ],
)
def test_only_the_failing_sequence_fails(
    make: Make, notes: Path, bad: str, status: Status, error: str
) -> None:
    sequences = among_good(bad, f"{bad}.C")
    scores = make("by_element", timeout_s=1, memory_mb=500).score(sequences)
    for row in (sequences.index(bad), sequences.index(f"{bad}.C")):
        assert (scores.status[row], scores.errors[row]) == (status, error)
        assert np.isnan(scores.rewards[row]) and np.isnan(scores.raw["python"][row])
    require_good(scores, sequences)
    # no good one was scored twice; one that ran out of memory may be, as others used it, too
    assert sorted(set(calls(notes))) == sorted(sequences)
    assert sorted(c for c in calls(notes) if c in GOOD) == sorted(GOOD)


@pytest.mark.parametrize("bad", ["[Ne]", "[Ar]"])
def test_a_reward_that_closes_our_files_fails_alone(make: Make, notes: Path, bad: str) -> None:
    sequences = among_good(bad)
    scores = make("by_element", timeout_s=1).score(sequences)
    assert scores.status[sequences.index(bad)] == Status.CRASHED
    assert scores.errors[sequences.index(bad)]
    require_good(scores, sequences)
    assert calls(notes).count(bad) == 1


def test_printing_does_not_change_scores(make: Make) -> None:
    sequences = among_good("[Xe]")
    scores = make("by_element", timeout_s=20).score(sequences)
    assert scores.status.tolist() == [Status.OK] * len(sequences)
    assert scores.rewards[sequences.index("[Xe]")] == 0.5


def test_hanging_sequences_wait_in_parallel(make: Make, notes: Path) -> None:
    sequences = among_good(*["[K]" + ".C" * n for n in range(8)])
    reward = make("by_element", timeout_s=1.5)
    started = time.monotonic()
    scores = reward.score(sequences)
    assert time.monotonic() - started < 6  # one after another: 12 s
    assert (scores.status == Status.TIMEOUT).sum() == 8
    require_good(scores, sequences)
    assert sorted(calls(notes)) == sorted(sequences)
    assert scores.seconds is not None
    hung = scores.status == Status.TIMEOUT
    assert (scores.seconds[hung] > 1.4).all() and (scores.seconds[~hung] < 1.4).all()


def test_control_with_waiting_0_they_hang_one_by_one(make: Make) -> None:
    started = time.monotonic()
    scores = make("by_element", timeout_s=0.5, waiting=0).score(["[K]", "[K].C", "[K].CC"])
    assert time.monotonic() - started > 1.5
    assert (scores.status == Status.TIMEOUT).all()


def test_a_busy_loop_does_not_count_as_waiting(make: Make) -> None:
    started = time.monotonic()
    scores = make("by_element", timeout_s=0.7).score(["[Li]", "[Li].C", "[Li].CC"])
    assert time.monotonic() - started > 2.1
    assert (scores.status == Status.TIMEOUT).all()


def test_a_memory_leak_fails_no_sequence(make: Make, notes: Path) -> None:
    sequences = among_good("N", "NC", "NCC")
    scores = make("leaky", memory_mb=100).score(sequences)
    require_good(scores, sequences, sequences)
    # some failed and worked in a new process
    assert set(calls(notes)) == set(sequences)


def test_control_a_sequence_above_memory_mb_crashes(make: Make, notes: Path) -> None:
    scores = make("leaky", memory_mb=40).score(["C", "N", "CC"])
    assert scores.status.tolist() == [Status.OK, Status.CRASHED, Status.OK]
    assert "memory_mb = 40" in scores.errors[1]
    assert calls(notes).count("C") == calls(notes).count("CC") == 1


def test_failed_sequences_are_retried(make: Make, notes: Path) -> None:
    sequences = ["CC", "N", "S", "C"]
    scores = make("flaky", retries=2).score(sequences)
    assert scores.status.tolist() == [Status.OK, Status.OK, Status.FAILED, Status.OK]
    assert scores.errors == ["", "", "python: RuntimeError: attempt 3 (after 3 attempts)", ""]
    assert sorted(calls(notes)) == sorted(["CC", "N", "N", "N", "S", "S", "S", "C"])


def test_control_without_retries_one_attempt_is_made(make: Make, notes: Path) -> None:
    scores = make("flaky").score(["N", "S"])
    assert scores.status.tolist() == [Status.CRASHED] * 2
    assert calls(notes) == ["N", "S"]


def test_failures_get_the_failed_reward(make: Make) -> None:
    sequences = ["C", "Br", "Cl", "[K]", "C1"]
    scores = make("by_element", timeout_s=0.5, failed=-2.5, invalid=-1).score(sequences)
    assert scores.status.tolist() == [0, Status.CRASHED, Status.FAILED, Status.TIMEOUT, 1]
    assert scores.rewards.tolist() == [1 / 7, -2.5, -2.5, -2.5, -1]
    assert all(scores.errors[1:4])


@pytest.mark.parametrize("bad", ["Br", "[K]", "S", "[Na]"])
def test_the_failing_sequence_of_a_batch_is_found(make: Make, notes: Path, bad: str) -> None:
    sequences = GOOD[:5] + [bad] + GOOD[5:8]
    reward = make("batch", batched=True, timeout_s=0.3, memory_mb=500)
    scores = reward.score(sequences)
    expected = Status.TIMEOUT if bad == "[K]" else Status.CRASHED
    assert scores.status.tolist() == [0] * 5 + [expected] + [0] * 3
    require_good(scores, sequences)
    assert notes.read_text().splitlines()[0].split() == sequences  # the first call has all of them


def test_a_batch_without_failures_is_one_call(make: Make, notes: Path) -> None:
    scores = make("batch", batched=True).score(GOOD)
    require_good(scores, GOOD)
    assert notes.read_text().splitlines() == [" ".join(GOOD)]


def test_long_texts_are_scored(make: Make) -> None:
    """Texts longer than the largest packet."""
    long = ["[CH2:123]" * 1000, "C", "C" * 300_000]
    scores = make("carbons").score(long, [[f"{i}" for i in range(9000)] for _ in long])
    assert scores.status.tolist() == [0, 0, 1]
    assert scores.rewards[0] == 9000 / 7
    keys = [one.key for one in make("carbons").identify(long)]
    assert keys[0] is not None and keys[1:] == ["C", None]


def test_missing_token_lists_raise_and_no_sequences_pass(make: Make) -> None:
    reward = make("carbons")
    with pytest.raises(ValueError, match="2 sequences came with 1 token lists"):
        reward.score(["C", "CC"], [["C"]])
    assert reward.score([]).rewards.shape == (0,)


def test_error_texts_have_at_most_500_characters(make: Make) -> None:
    scores = make("by_element", timeout_s=1).score(["P" + "C" * 3])
    assert len(scores.errors[0]) <= 500
