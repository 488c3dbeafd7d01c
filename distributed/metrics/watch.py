"""What the watches of a run have in common: warnings that wait until they are printed."""

from __future__ import annotations


class Watch:
    """Collects warnings, one sentence each."""

    def __init__(self) -> None:
        self._warnings: list[str] = []

    def take_warnings(self) -> list[str]:
        """The warnings since the last call."""
        warnings, self._warnings = self._warnings, []
        return warnings
