"""Files that a component keeps beside a score, such as the pose of a docked molecule.

    component ── keep ──► COLLECTOR ──► Scores.files ──► a run's storage (distributed/scoring)

A reward doesn't know where they are stored, and a process that scores has no access to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote

# Names in an output directory that other files have.
TAKEN = frozenset({"best", "checkpoints", "logs", "policy", "samples", "scores", "tensorboard"})
# Place of a judge that is given several sequences at once.
SEVERAL = -1


class Attachment(NamedTuple):
    """A file that belongs to one sequence."""

    component: str
    """Key of the component that kept it."""
    folder: str
    """Folder for all files of this kind, such as "poses"."""
    suffix: str
    """Suffix of its name, such as ".sdf"."""
    content: bytes
    """Its content."""

    def path(self, key: str) -> str:
        """Where it is stored below an output directory, for a sequence with this key."""
        return stored_path(key, self.folder, self.suffix, self.component)


class Collector:
    """What components have kept since a reward last took it.

    place: which of the sequences that a component was given is judged now; SEVERAL where it judges
    all at once, None where no reward is scoring. kept: place, folder, suffix and content of each.
    """

    def __init__(self) -> None:
        self.place: int | None = None
        self.kept: list[tuple[int, str, str, bytes]] = []

    def take(self, component: str, rows: Sequence[int]) -> list[tuple[int, Attachment]]:
        """What a component has kept for the sequences at `rows`, with their rows; it is forgotten
        here."""
        if not self.kept:
            return []
        kept, self.kept = self.kept, []
        return [
            (rows[place], Attachment(component, folder, suffix, content))
            for place, folder, suffix, content in kept
        ]


COLLECTOR = Collector()


def keep(folder: str, suffix: str, content: bytes) -> None:
    """Keep a file for the sequence that is being scored, as FOLDER/COMPONENT-DIGEST.SUFFIX in the
    directory of the run (`stored_path`).

    For a function that judges one sequence, in the thread that called it. A second file with this
    folder and suffix replaces the first. Where no run stores it, as in `score_one`, it is dropped.
    Raises ValueError for a folder or a suffix that can't be a name, or a folder that runs have for
    something else; TypeError for a content that isn't bytes; RuntimeError in a function that judges
    several sequences at once.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", folder) or folder in TAKEN:
        raise ValueError(
            f"folder = {folder!r} must be a word of small letters, and none of "
            f"{', '.join(sorted(TAKEN))}"
        )
    if not re.fullmatch(r"\.[a-z0-9]+", suffix):
        raise ValueError(f'suffix = {suffix!r} must be a point and small letters, such as ".sdf"')
    if not isinstance(content, bytes):
        raise TypeError(f"content must be bytes, got {type(content).__name__}")
    if COLLECTOR.place == SEVERAL:
        raise RuntimeError("a function that gets several sequences at once can't keep files")
    if COLLECTOR.place is not None:
        COLLECTOR.kept.append((COLLECTOR.place, folder, suffix, content))


def stored_path(key: str, folder: str, suffix: str, component: str) -> str:
    """Path, below an output directory, of the file that a component kept for a sequence; key: its
    canonical form, which is shortened to 16 hexadecimal characters."""
    digest = blake2b(key.encode(), digest_size=8).hexdigest()
    return f"{folder}/{quote(component, safe='')}-{digest}{suffix}"
