"""The candidates of a choice, with what is predicted of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sequence_tutor.distributed.screening.surrogate import Prediction, join_predictions
from sequence_tutor.distributed.types import Generated, join_generated
from sequence_tutor.policies.encodings.base import Encoding, Episodes, pad


@dataclass(frozen=True)
class Pool:
    """M candidates, all different, none of them on record."""

    keys: list[str]
    """M keys."""
    rows: Generated
    """The M episodes."""
    prediction: Prediction
    """What is expected of the M candidates."""

    def __len__(self) -> int:
        return len(self.keys)

    def hope(self, deviations: float) -> np.ndarray:
        """float64 [M]: the reward at this number of deviations above the mean."""
        p = self.prediction
        hope: np.ndarray = p.means[:, 0] + deviations * p.deviations[:, 0]
        return hope

    def select(self, at: np.ndarray) -> Pool:
        """The given candidates, in that order."""
        p = self.prediction
        blocks = [block[at] for block in p.blocks]
        chosen = Prediction(p.means[at], p.deviations[at], blocks, p.half[:, at])
        return Pool([self.keys[i] for i in at.tolist()], self.rows.select(at), chosen)

    def without(self, keys: set[str]) -> Pool:
        """The candidates that have none of these keys."""
        at = [i for i, key in enumerate(self.keys) if key not in keys]
        return self if len(at) == len(self) else self.select(np.array(at, np.int64))

    def respelled(self, keys: Sequence[str], encoding: Encoding) -> Pool:
        """The candidates with other keys, which have the same features. A candidate whose key
        changes is no longer the policy's own episode: it has another text."""
        changed = [i for i, (a, b) in enumerate(zip(self.keys, keys, strict=True)) if a != b]
        if not changed:
            return self
        episodes, versions = self.rows.episodes, self.rows.versions.copy()
        actions = [t[:n] for t, n in zip(episodes.tokens, episodes.lengths, strict=True)]
        log_probs = episodes.log_probs.copy()
        for i in changed:
            actions[i] = encoding.encode(keys[i])
            versions[i], log_probs[i] = -1, np.nan
        rows = replace(self.rows, episodes=Episodes(*pad(actions), log_probs), versions=versions)
        return replace(self, keys=list(keys), rows=rows)


def join_pools(pools: Sequence[Pool]) -> Pool:
    """Pools of different candidates as one."""
    return Pool(
        [key for pool in pools for key in pool.keys],
        join_generated([pool.rows for pool in pools]),
        join_predictions([pool.prediction for pool in pools]),
    )
