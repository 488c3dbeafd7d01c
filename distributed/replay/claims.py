"""Claims: which scorer is scoring which key that isn't known yet.

A claim is a lease. Its holder is a scorer process, with another name after a restart. Each call of
a holder is a sign of life for all its claims. An expired claim is taken over only when another
scorer asks for that key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from sequence_tutor.distributed.replay.messages import Claim

# Scorers lost while they held a key, after which the key is taken for the cause: it isn't scored
# again.
MAX_LOSSES = 3
# Beginning of the error text in such a key's row; the record is searched for it.
LOST = "not tried again: "


class ClaimTable:
    """The claims of a shard.

    lease_s: seconds that a holder may be silent. grace_s: seconds, from the first sign of life on,
    for which a key without a holder is busy: after a restart of the shard, holders are still
    scoring and have yet to renew their claims. clock: seconds, monotonic.
    """

    def __init__(
        self,
        lease_s: float,
        grace_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not lease_s > 0:
            raise ValueError(f"need lease_s > 0, got {lease_s}")
        self._lease_s, self._clock = lease_s, clock
        self._grace_s = grace_s
        self._grace_until: float | None = None
        self._holder_of: dict[str, str] = {}
        self._heard: dict[str, float] = {}
        self._losses: dict[str, int] = {}
        self.losses = 0  # claims taken from silent holders since the start

    def __len__(self) -> int:
        """Claims held, those of silent holders included."""
        return len(self._holder_of)

    def ask(self, holder: str, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Claim keys that aren't known. Returns int8 [B] of Claim, YOURS or BUSY, and int8 [B], how
        many holders were lost with each key. A holder gets a key that it has already again."""
        now, grace_until = self.heard(holder), self._grace_until or 0.0
        state = np.full(len(keys), Claim.BUSY, dtype=np.int8)
        for i, key in enumerate(keys):
            owner = self._holder_of.get(key)
            if owner is None and now < grace_until:
                continue
            if owner is not None and owner != holder:
                if now - self._heard[owner] <= self._lease_s:
                    continue
                self._losses[key] = self._losses.get(key, 0) + 1
                self.losses += 1
            self._holder_of[key] = holder
            state[i] = Claim.YOURS
        losses = [min(self._losses.get(key, 0), 127) for key in keys] if self._losses else 0
        return state, np.full(len(keys), losses, dtype=np.int8)

    def renew(self, holder: str, keys: Sequence[str]) -> None:
        """A sign of life, with the unknown keys that the holder believes to hold: it keeps those
        that no other holder has claimed in the meantime."""
        self.heard(holder)
        for key in keys:
            self._holder_of.setdefault(key, holder)

    def release(self, holder: str, keys: Sequence[str]) -> None:
        """Give keys back; claims of other holders stay."""
        self.heard(holder)
        for key in keys:
            if self._holder_of.get(key) == holder:
                del self._holder_of[key]

    def settle(self, keys: Sequence[str]) -> None:
        """The keys are known: end their claims and forget the losses."""
        for key in keys:
            self._holder_of.pop(key, None)
            self._losses.pop(key, None)

    def heard(self, holder: str) -> float:
        """Note a sign of life. Returns its time, in seconds of the clock."""
        if not holder:
            raise ValueError("a holder of claims needs a name")
        now = self._heard[holder] = self._clock()
        if self._grace_until is None:
            self._grace_until = now + self._grace_s
        return now
