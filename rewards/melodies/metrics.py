"""All metrics of a sample of melodies, in one table with fixed names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequence_tutor.rewards.melodies.copying import copying_metrics, distinct_share
from sequence_tutor.rewards.melodies.note_metrics import note_metrics
from sequence_tutor.rewards.melodies.notes import windows
from sequence_tutor.rewards.melodies.overlap import overlap_metrics
from sequence_tutor.rewards.melodies.rule_metrics import rule_metrics
from sequence_tutor.rewards.melodies.time import COMMON, Time


def melody_metrics(
    tokens: np.ndarray, training: Sequence[np.ndarray] | None = None, time: Time = COMMON
) -> dict[str, float]:
    """Metrics of a sample int [B,T]; NaN where there is nothing to average, shares in 0..1.

    Rules of the paper (`rule_metrics`; steps include holds and rests)
        not_in_key, excessively_repeated, in_motif, in_repeated_motif: / steps
        not_in_key_per_note, ...: note-ons of which that is true / note-ons
        starts_with_tonic, unique_max, unique_min: / melodies
        leaps_resolved: / leaps resolved or followed by another the same way
        autocorrelation_1, _2, _3: mean over melodies
    Notes (`note_metrics`; means over melodies)
        notes_per_melody; mean_note_length: steps; rest_share: / steps
        pitch_range: semitones; pitches_used, pitch_classes_used: counts
        pitch_entropy, pitch_class_entropy: bits
        scale_consistency, pitch_in_c_major: / notes
        groove_consistency: / steps of neighbouring bars; empty_beat_rate: / beats
    Copies within the sample
        distinct: different melodies / melodies
    Against `training`, int [M] of any lengths, only where that is given
        novel: / different melodies; mean_longest_copied, max_longest_copied: steps;
        copied_whole: / melodies (`copying_metrics`)
        overlap_pitch_class, overlap_note_length, overlap_pitch_range, overlap_pitch_transitions,
        overlap_note_length_transitions: areas (`overlap_metrics`), against the training melodies
        cut into windows of T steps
    """
    numbers = rule_metrics(tokens, time) | note_metrics(tokens, time)
    numbers["distinct"] = distinct_share(tokens)
    if training is not None:
        numbers |= copying_metrics(tokens, training)
        numbers |= overlap_metrics(tokens, windows(training, tokens.shape[1]))
    return numbers
