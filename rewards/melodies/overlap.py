"""Overlap of the distributions of a sample's and the data's features.

Source: Yang & Lerch 2020, "On the evaluation of generative models in music". For each feature the
Euclidean distances between data melodies (intra-set) and those between sample and data melodies
(inter-set) are each smoothed by a Gaussian kernel. The area under the smaller of the two densities
is the overlapping area: 1 where the sample is as far from the data as the data from each other.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import cdist, pdist

from sequence_tutor.rewards.melodies.notes import Notes, find_notes

OVERLAP_SAMPLE = 500  # most melodies of each set that are compared
BINS = 4096  # of the histogram of distances
# Classes of note lengths in steps: 1, 2, 3, 4, 5-6, 7-8, 9-12, 13 and more.
LENGTH_EDGES = np.array([2, 3, 4, 5, 7, 9, 13])
LENGTHS = len(LENGTH_EDGES) + 1


def overlap_metrics(tokens: np.ndarray, data: np.ndarray) -> dict[str, float]:
    """Overlapping area in 0..1 of each feature: int [B,T] against data int [N,T].

    Keys overlap_* with the names of `features`. The same number of melodies is taken of each set,
    spread evenly over it: that of the smaller set, at most 500. So the two bandwidths differ only
    by the spread of the distances. NaN if either set has fewer than two melodies.
    """
    size = min(len(tokens), len(data), OVERLAP_SAMPLE)
    ours, theirs = (features(_spread(x, size)) for x in (tokens, data))
    return {f"overlap_{name}": feature_overlap(ours[name], theirs[name]) for name in ours}


def features(tokens: np.ndarray) -> dict[str, np.ndarray]:
    """int [B,T] -> float64 [B,F] per feature; a row is NaN where it isn't defined.

    pitch_class: share of notes in each of 12 pitch classes; note_length: share of notes in each of
    8 classes (see LENGTH_EDGES); pitch_range: highest - lowest, semitones, F = 1. These are defined
    from one note on. pitch_transitions, note_length_transitions: share of pairs of consecutive
    notes in each of 12 x 12 pairs of pitch classes, 8 x 8 of length classes; from two notes on.
    """
    notes = find_notes(tokens)
    pitch_class, length = notes.pitch % 12, np.searchsorted(LENGTH_EDGES, notes.length, "right")
    highest, lowest = np.full((2, notes.melodies), np.nan)
    np.fmax.at(highest, notes.melody, notes.pitch)
    np.fmin.at(lowest, notes.melody, notes.pitch)
    return {
        "pitch_class": _shares(notes.count(pitch_class, 12)),
        "note_length": _shares(notes.count(length, LENGTHS)),
        "pitch_range": (highest - lowest)[:, None],
        "pitch_transitions": _transitions(notes, pitch_class, 12),
        "note_length_transitions": _transitions(notes, length, LENGTHS),
    }


def feature_overlap(sample: np.ndarray, data: np.ndarray) -> float:
    """Overlapping area of one feature: float64 [B,F] against [N,F].

    Pairs with an undefined row have no distance. They count as a separate outcome, so that silence
    doesn't overlap with music. With a and b the shares of intra-set and inter-set pairs that have a
    distance, and p and q the densities, it is the integral of min(a p, b q) + min(1 - a, 1 - b).
    """
    if not len(sample) or len(data) < 2:
        return float("nan")
    ours, theirs = (x[~np.isnan(x).any(1)] for x in (sample, data))
    a = len(theirs) * (len(theirs) - 1) / (len(data) * (len(data) - 1))
    b = len(ours) * len(theirs) / (len(sample) * len(data))
    area = 0.0
    if a > 0 and b > 0:
        # each pair twice, as in the source, so that there are as many as between the sets
        intra = np.repeat(pdist(theirs), 2)
        area = overlapping_area(intra, cdist(ours, theirs).ravel(), a, b)
    return area + min(1 - a, 1 - b)


def overlapping_area(p: np.ndarray, q: np.ndarray, a: float = 1.0, b: float = 1.0) -> float:
    """Integral of min(a p(x), b q(x)) of two kernel density estimates: float64 [M], [N].

    Gaussian kernels of Scott's bandwidth, std n^(-1/5), on a histogram of 4,096 bins over both. A
    bandwidth below one bin, as for distances that are all equal, is one bin.
    """
    low, high = min(p.min(), q.min()), max(p.max(), q.max())
    if high - low < 1e-9:
        return min(a, b)
    widths = [x.std(ddof=1) * len(x) ** -0.2 if len(x) > 1 else 0.0 for x in (p, q)]
    margin = 6 * max(*widths, (high - low) / 1000)
    low, high = low - margin, high + margin
    size = (high - low) / BINS
    densities = []
    for x, width, mass in ((p, widths[0], a), (q, widths[1], b)):
        counts, _ = np.histogram(x, bins=BINS, range=(low, high))
        sigma = max(width / size, 1.0)
        smooth = gaussian_filter1d(counts.astype(float), sigma, mode="constant", truncate=6.0)
        densities.append(mass * smooth / len(x))
    return float(np.minimum(*densities).sum())


def _spread(tokens: np.ndarray, size: int) -> np.ndarray:
    """`size` rows spread evenly, the first and the last among them."""
    rows: np.ndarray = tokens[np.linspace(0, len(tokens) - 1, size).astype(int)]
    return rows


def _transitions(notes: Notes, kind: np.ndarray, kinds: int) -> np.ndarray:
    """Shares of each pair of kinds among consecutive notes of a melody: [N] -> [B,kinds^2]."""
    same = notes.melody[1:] == notes.melody[:-1]
    pairs = (kind[:-1] * kinds + kind[1:])[same]
    return _shares(notes.count(pairs, kinds * kinds, of=notes.melody[1:][same]))


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(1, keepdims=True)
    shares: np.ndarray = counts / np.where(total > 0, total, np.nan)
    return shares
