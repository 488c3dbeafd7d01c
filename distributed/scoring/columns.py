"""Columns of the rows that a scorer makes: scores of sequences that aren't given to the reward, and
values by step in the width of the episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequence_tutor.distributed.replay.claims import LOST, MAX_LOSSES
from sequence_tutor.rewards.base import Identity, Scores, Status


def unread_scores(found: Sequence[Identity]) -> Scores:
    """The scores of sequences without a key, because the process that looked for it died."""
    return Scores(
        rewards=np.full(len(found), np.nan),
        status=np.array([one.lost for one in found], dtype=np.int8),
        errors=[one.reason for one in found],
        seconds=np.zeros(len(found), dtype=np.float32),
    )


def condemned_scores(rows: int) -> Scores:
    """The scores of sequences that aren't scored again, as scorers were lost with them."""
    text = f"{LOST}{MAX_LOSSES} scorers were lost while they had it"
    return Scores(
        rewards=np.full(rows, np.nan),
        status=np.full(rows, Status.CRASHED, dtype=np.int8),
        errors=[text] * rows,
        seconds=np.zeros(rows, dtype=np.float32),
    )


def step_columns(scores: Scores, width: int) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """`step_rewards` and `step_raw` of rows with `width` actions at most: float32 [B,width]."""
    steps = scores.step_rewards
    if steps is not None:
        # an episode cut at the length limit has no end token to carry the terminal reward
        beyond = steps[:, width:].sum(1)
        steps = _as_wide(steps, width, 0.0)
        steps[:, width - 1] += beyond
    return steps, {k: _as_wide(v, width, np.nan) for k, v in scores.step_raw.items()}


def _as_wide(values: np.ndarray, width: int, empty: float) -> np.ndarray:
    """[B,T] -> a copy [B,width], cut or filled with `empty`."""
    out = np.full((len(values), width), empty, dtype=values.dtype)
    kept = min(width, values.shape[1])
    out[:, :kept] = values[:, :kept]
    return out
