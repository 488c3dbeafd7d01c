"""The prior's log-probabilities of episodes that replay draws repeatedly. Used by the learner."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sequence_tutor.policies.encodings.base import pad

# Number of episodes remembered; one of 45 actions takes about 350 bytes.
CAPACITY = 100_000


class PriorCache:
    """log p of each action, remembered for the most recently used episodes.

    The prior never changes, and replay draws the same good episodes many times. A remembered value
    was computed in another batch, so its last bit may differ from a new computation; with a
    `capacity` of 0 nothing is remembered between calls.

    compute: actions int64 [B,T], lengths int64 [B] -> float32 [B,T], nats.
    """

    def __init__(
        self,
        compute: Callable[[Tensor, Tensor], Tensor],
        device: torch.device,
        capacity: int = CAPACITY,
    ) -> None:
        self._compute, self._device, self._capacity = compute, device, capacity
        self._known: OrderedDict[bytes, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def __call__(self, batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """int16 [B,T], int [B] of each batch -> float32 [B,T], zero in the padding. New episodes of
        all batches are computed in one call, which costs less per episode."""
        episodes = [
            [row[:n].astype(np.int16) for row, n in zip(tokens, lengths, strict=True)]
            for tokens, lengths in batches
        ]
        every = {e.tobytes(): e for batch in episodes for e in batch}
        found = {key: self._known[key] for key in every if key in self._known}
        for key in found:
            self._known.move_to_end(key)
        new = [key for key in every if key not in found]
        if new:
            padded, ends = pad([every[key] for key in new])
            computed = self._compute(
                torch.from_numpy(padded.astype(np.int64)).to(self._device),
                torch.from_numpy(ends.astype(np.int64)).to(self._device),
            )
            for key, row, n in zip(new, computed.cpu().numpy(), ends, strict=True):
                found[key] = self._known[key] = row[:n].copy()
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return [
            self._filled(tokens.shape, [found[episode.tobytes()] for episode in batch])
            for batch, (tokens, _) in zip(episodes, batches, strict=True)
        ]

    @staticmethod
    def _filled(shape: tuple[int, ...], rows: list[np.ndarray]) -> np.ndarray:
        out = np.zeros(shape, np.float32)
        for row, values in zip(out, rows, strict=True):
            row[: len(values)] = values
        return out
