"""What the prior says of episodes that are learned from again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sequence_tutor.policies.encodings.base import pad

# Episodes remembered: of 45 actions, about 350 bytes each.
CAPACITY = 100_000


class PriorCache:
    """log p of each action, remembered for the episodes asked about last.

    The prior never changes, and replay draws the same good episodes many times over. What is
    remembered was computed in another batch, so it may differ in the last bit from what would be
    computed now; with a `capacity` of 0 nothing is, from one call to the next.

    compute: actions int64 [B,T], lengths int64 [B] -> float32 [B,T].
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
        """int16 [B,T], int [B] of each batch -> float32 [B,T], zero in the padding. What is new in
        any of them is computed at once: many episodes cost less each."""
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
