"""Metrics of how far melodies follow the music-theory rules, counted as in the paper.

Source: Jaques et al. 2017, "Sequence Tutor: conservative fine-tuning of sequence generation models
with KL-control", table 1. The rules are always those of the `paper` profile, so the numbers can be
compared with the published ones. They don't separate music from noise: uniform random tokens have
the highest possible share in motifs.
"""

from __future__ import annotations

import numpy as np

from sequence_tutor.rewards.melodies import paper_rules as rules
from sequence_tutor.rewards.melodies.autocorrelation import LAGS
from sequence_tutor.rewards.melodies.melody import Melodies
from sequence_tutor.rewards.melodies.notes import mean, share
from sequence_tutor.rewards.melodies.time import COMMON, Time

# Jaques et al. 2017, table 1: 100,000 melodies of 32 steps of each model
PAPER_COLUMNS: dict[str, dict[str, float]] = {
    "paper: Note RNN": {
        "not_in_key": 0.001,
        "excessively_repeated": 0.633,
        "in_motif": 0.059,
        "in_repeated_motif": 0.00007,
        "starts_with_tonic": 0.009,
        "leaps_resolved": 0.772,
        "unique_max": 0.647,
        "unique_min": 0.494,
        "autocorrelation_1": -0.16,
        "autocorrelation_2": 0.14,
        "autocorrelation_3": -0.13,
    },
    "paper: Q": {
        "not_in_key": 0.010,
        "excessively_repeated": 0.0,
        "in_motif": 0.757,
        "in_repeated_motif": 0.0011,
        "starts_with_tonic": 0.288,
        "leaps_resolved": 0.911,
        "unique_max": 0.564,
        "unique_min": 0.519,
        "autocorrelation_1": -0.11,
        "autocorrelation_2": 0.03,
        "autocorrelation_3": 0.03,
    },
    "paper: Psi": {
        "not_in_key": 0.006,
        "excessively_repeated": 0.0002,
        "in_motif": 0.738,
        "in_repeated_motif": 0.0009,
        "starts_with_tonic": 0.287,
        "leaps_resolved": 0.900,
        "unique_max": 0.594,
        "unique_min": 0.583,
        "autocorrelation_1": -0.10,
        "autocorrelation_2": -0.01,
        "autocorrelation_3": 0.01,
    },
    "paper: G": {
        "not_in_key": 0.287,
        "excessively_repeated": 0.0003,
        "in_motif": 0.693,
        "in_repeated_motif": 0.0001,
        "starts_with_tonic": 0.0,
        "leaps_resolved": 0.522,
        "unique_max": 0.371,
        "unique_min": 0.565,
        "autocorrelation_1": 0.55,
        "autocorrelation_2": 0.31,
        "autocorrelation_3": 0.17,
    },
}
# what only the paper counts so: by the step, holds and rests included, and with tokens as numbers
OF_THE_PAPER = frozenset(
    {"not_in_key", "excessively_repeated", "in_motif", "in_repeated_motif", "starts_with_tonic"}
    | {f"autocorrelation_{k}" for k in LAGS}
)
# rows that count by the rules of profile `paper`, shown without the paper's results too
BY_PAPER_RULES = frozenset(
    {
        "not_in_key_per_note",
        "excessively_repeated_per_note",
        "in_motif_per_note",
        "in_repeated_motif_per_note",
        "leaps_resolved",
        "unique_max",
        "unique_min",
    }
)


def rule_metrics(tokens: np.ndarray, time: Time = COMMON) -> dict[str, float]:
    """The rows of the paper's table for int [B,T], T >= 4; NaN where the denominator is 0.

    not_in_key, excessively_repeated: steps that the rule punishes / all B T steps, holds and rests
    too; in_motif, in_repeated_motif: steps that the rule pays / all steps; the same with _per_note:
    note-ons among those steps / note-ons. starts_with_tonic: melodies whose first token is
    MIDI 60 / melodies. leaps_resolved: steps that resolve a leap / those and second leaps the same
    way. unique_max: melodies whose highest token in the paper's coding, a pitch where there is one,
    occurs once / melodies; unique_min: those whose lowest pitch does. autocorrelation_k: mean over
    the melodies that aren't constant, see `autocorrelations`.
    """
    melodies = Melodies(tokens, tokens.shape[1], time)
    numbers, ons = rules.as_numbers(melodies.tokens), melodies.note_on
    counted = {
        "not_in_key": rules.key(melodies) < 0,
        "excessively_repeated": rules.repetition(melodies) < 0,
        "in_motif": rules.motif(melodies) > 0,
        "in_repeated_motif": rules.repeated_motif(melodies) > 0,
    }
    leaps = rules.leaps(melodies)
    of_melodies = {
        "starts_with_tonic": tokens[:, 0] == rules.MIDDLE_C,
        "unique_max": rules.occurs_once(numbers, highest=True),
        "unique_min": rules.occurs_once(numbers, highest=False),
    }
    lags = autocorrelations(numbers)
    return {
        **{name: share(mask.sum(), mask.size) for name, mask in counted.items()},
        **{f"{name}_per_note": share(m[ons].sum(), ons.sum()) for name, m in counted.items()},
        "leaps_resolved": share((leaps > 0).sum(), (leaps != 0).sum()),
        **{name: share(mask.sum(), mask.size) for name, mask in of_melodies.items()},
        **{f"autocorrelation_{k}": mean(lags[:, i]) for i, k in enumerate(LAGS)},
    }


def autocorrelations(x: np.ndarray) -> np.ndarray:
    """r_k of whole melodies at lags k = 1, 2, 3: int [B,T] in the paper's coding -> float64 [B,3].

    r_k = sum_{i>=k} (x_i - m)(x_{i-k} - m) / (T v) with mean m and population variance v of x;
    0 for k >= T, NaN for a constant melody.
    """
    steps = x.shape[1]
    centred = x - x.mean(1, keepdims=True)
    total = (centred**2).sum(1)
    total[(x == x[:, :1]).all(1)] = np.nan
    lagged = [(centred[:, k:] * centred[:, : max(steps - k, 0)]).sum(1) for k in LAGS]
    return np.stack([sums / total for sums in lagged], axis=1)
