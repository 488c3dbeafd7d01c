"""Who is scoring what: claims on keys that aren't known yet.

A claim is a lease. Its holder is a scorer process, in its present life: any call is a sign of life
for all its keys. An expired claim is taken over only when another scorer asks for that key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from sequence_tutor.distributed.replay.messages import Claim

# So many holders lost with a key in their hands, and it's the key that is under suspicion.
MAX_LOSSES = 3
# How the error text of such a key's row begins; the record is searched for it.
LOST = "not tried again: "


class ClaimTable:
    """The claims of a shard.

    lease_s: how long a holder may be silent, in seconds. grace_s: for so long from the first sign
    of life on keys that nobody holds are busy: after a restart the holders are still scoring, and
    first have to say what (`renew`). clock: seconds, monotonic.
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
        self.losses = 0  # claims taken from silent holders, all in all

    def __len__(self) -> int:
        """ClaimAnswer held, those of silent holders included."""
        return len(self._holder_of)

    def ask(self, holder: str, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Claim keys, none of them known: int8 [B] of Claim, YOURS or BUSY, and int8 [B], how many
        holders each key has cost so far. What a holder has already it's given again."""
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
        """A sign of life, with the unknown keys that the holder believes to have: those that nobody
        else has got in the meantime are its."""
        self.heard(holder)
        for key in keys:
            self._holder_of.setdefault(key, holder)

    def release(self, holder: str, keys: Sequence[str]) -> None:
        """Give keys back; those of others are left alone."""
        self.heard(holder)
        for key in keys:
            if self._holder_of.get(key) == holder:
                del self._holder_of[key]

    def settle(self, keys: Sequence[str]) -> None:
        """The keys are known now: nobody's claims, and no longer under suspicion."""
        for key in keys:
            self._holder_of.pop(key, None)
            self._losses.pop(key, None)

    def heard(self, holder: str) -> float:
        """A sign of life; the time."""
        if not holder:
            raise ValueError("a holder of claims needs a name")
        now = self._heard[holder] = self._clock()
        if self._grace_until is None:
            self._grace_until = now + self._grace_s
        return now
