"""What the components `preference` of the domains share: files of marks become a taste.

A domain gives the features of a text. Each file is read and measured once; the taste is fitted when
a reward is built, before the processes are forked that score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sequence_tutor.rewards.bradley_terry import Floats, Ints, Taste, learn
from sequence_tutor.rewards.file_data import FileData, digest_of, require_digest
from sequence_tutor.rewards.ratings import read_ratings, unequal_pairs

# With fewer pairs of unequal marks nothing is fitted: five things that all differ have as many.
FEWEST_PAIRS = 10
# File or files of the option `file`, and their digests.
Files = str | list[str]


class _Rated(NamedTuple):
    """The marks of a file."""

    features: Floats
    """float64 [N,K]; N may be 0."""
    marks: Ints
    """int64 [N]."""
    digest: str
    """SHA-256 of the file's content, hexadecimal."""


class Preferences:
    """The tastes of files of marks.

    measure: text of a sequence -> its K features, or None for a text that isn't valid; kind: what a
    sequence is called, such as "melody".
    """

    def __init__(self, measure: Callable[[str], Sequence[float] | None], kind: str) -> None:
        self._measure, self._kind = measure, kind
        self._files = FileData(self._read)
        self._tastes: dict[tuple[str, ...], Taste] = {}

    def _read(self, path: str) -> _Rated:
        content = Path(path).read_bytes()
        last: dict[str, tuple[Sequence[float], int]] = {}  # a later mark of a sequence counts
        for one in read_ratings(content):
            if (features := self._measure(one.sequence)) is None:
                raise ValueError(
                    f"line {one.line}: {one.sequence[:60]!r} is not a valid {self._kind}"
                )
            last[one.sequence] = features, one.mark
        table = np.array([features for features, _ in last.values()], np.float64)
        marks = np.array([mark for _, mark in last.values()], np.int64)
        if not np.isfinite(table).all():
            raise ValueError(f"a {self._kind} in it has a feature that is no number")
        return _Rated(table, marks, hashlib.sha256(content).hexdigest())

    def check(self, file: Files, sha256: Files | None = None) -> None:
        """Read the files as they are now, and fit. Raises ValueError with one sentence."""
        names, pins = _listed(file), _listed(sha256 or [])
        if not names:
            raise ValueError("file needs at least one file of marks")
        if pins and len(pins) != len(names):
            raise ValueError(f"sha256 must be one text for each of the {len(names)} files")
        sets = [self._files.refresh(name) for name in names]
        for name, found, pin in zip(names, sets, pins, strict=False):
            require_digest(f"file = {name!r}", found.digest, pin)
        pairs = sum(unequal_pairs(found.marks.tolist()) for found in sets)
        if pairs < FEWEST_PAIRS:
            raise ValueError(
                f"file = {file!r} has {pairs} pairs of unequal marks, and a preference needs at "
                f"least {FEWEST_PAIRS}: rate more with `sequence-tutor rate RUN`"
            )
        self._taste(sets)

    def taste(self, file: Files) -> Taste:
        """What was fitted to the files that `check` has read."""
        return self._taste([self._files.get(name) for name in _listed(file)])

    def _taste(self, sets: Sequence[_Rated]) -> Taste:
        digests = tuple(found.digest for found in sets)
        if digests not in self._tastes:
            told = [found for found in sets if len(found.marks)]
            self._tastes[digests] = learn(
                [found.features for found in told], [found.marks for found in told]
            )
        return self._tastes[digests]


def pin_marks(file: Files, sha256: Files | None = None) -> dict[str, Any]:
    """The `pin` of a component with the options `file` and `sha256`."""
    if sha256 is not None:
        return {}
    digests = [digest_of(name) for name in _listed(file)]
    return {"sha256": digests[0] if isinstance(file, str) else digests}


def _listed(files: Files) -> list[str]:
    return [files] if isinstance(files, str) else list(files)
