"""What the prior says of episodes that are learned from again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sequence_tutor.policies.encoding import pad

# Episodes remembered: of 45 actions, about 350 bytes each.
CAPACITY = 100_000


class PriorCache:
    """log p of each action, remembered for the episodes asked about last.

    The prior never changes, and replay draws the same good episodes many times over. What is
    remembered was computed in another batch, so it may differ in the last bit from what would be
    computed now.

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

    def __call__(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """int16 [B,T], int [B] -> float32 [B,T], zero in the padding."""
        episodes = [row[:n].astype(np.int16) for row, n in zip(tokens, lengths, strict=True)]
        keys = [episode.tobytes() for episode in episodes]
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        found = {key: self._known[key] for key in keys if key not in new}
        for key in found:
            self._known.move_to_end(key)
        if new:
            padded, ends = pad([episodes[i] for i in new.values()])
            computed = self._compute(
                torch.from_numpy(padded.astype(np.int64)).to(self._device),
                torch.from_numpy(ends.astype(np.int64)).to(self._device),
            )
            for key, row, n in zip(new, computed.cpu().numpy(), ends, strict=True):
                found[key] = self._known[key] = row[:n].copy()
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)
        out = np.zeros(tokens.shape, np.float32)
        for row, key, n in zip(out, keys, lengths, strict=True):
            row[:n] = found[key]
        return out
