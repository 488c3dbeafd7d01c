"""Files of music in a folder or a .zip -> windows of melodies, from which a prior is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from sequence_tutor.policies.files.corpus import Corpus, CorpusError
from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.melody_tokens import TOKENS
from sequence_tutor.policies.pieces.files import music_files
from sequence_tutor.policies.pieces.line import windows
from sequence_tutor.policies.pieces.melody import Melody, melody_of
from sequence_tutor.policies.pieces.piece import Piece, ReadError
from sequence_tutor.policies.pieces.read import read_pieces
from sequence_tutor.policies.pieces.scores import Scores
from sequence_tutor.policies.pieces.suffixes import SUFFIXES

TRACKS = ["file", "title", "part", "name", "reason", "parts"]  # columns of tracks.csv
# Share of the notes that were moved, above which they may be triplets.
MANY = 0.1
# Stretches of a single piece, one of which is held out for validation.
STRETCHES = 10


@dataclass(frozen=True)
class Request:
    """What to cut from the files."""

    length: int = 32
    """Length of a window in steps: whole bars."""
    time: Time = field(default_factory=Time)
    """Metre and grid."""
    track: str | None = None
    """Name or number of the part that has the melody; None for the likeliest."""
    upbeat: bool = True
    """Whether the upbeat is estimated where a file doesn't tell it."""


@dataclass
class _Tally:
    """What the user should know about the reading."""

    files: int = 0
    """Files that could be read."""
    melodies: list[Melody] = field(default_factory=list)
    """The melodies of all pieces."""
    dropped: Counter[str] = field(default_factory=Counter)
    """What was damaged in files that were read."""
    repaired: int = 0
    """Files with such damage."""
    cut: int = 0
    """Windows that were cut, repeated ones included."""
    seen: set[str] = field(default_factory=set)
    """Their texts."""
    tracks: list[list[str]] = field(default_factory=list)
    """A row of `TRACKS` for each piece of several parts."""

    def add_damage(self, pieces: list[Piece]) -> None:
        """Count what was damaged in a file."""
        for piece in pieces:
            self.dropped.update(piece.dropped)
        self.repaired += any(piece.dropped for piece in pieces)

    def add_track(self, name: str, piece: Piece, melody: Melody) -> None:
        """Note which part of a piece has the melody, where there are several."""
        choice = melody.choice
        if len(piece.parts) > 1:
            others = "; ".join(f"{i} {part.name}" for i, part in enumerate(piece.parts, 1))
            row = [name, piece.title, str(choice.number), choice.part.name, choice.reason, others]
            self.tracks.append(row)


def read_music_corpus(path: Path, check: Callable[[str], str | None], request: Request) -> Corpus:
    """Read the distinct windows of all files in a folder or .zip, or of one.

    Each piece is one group of the corpus; a window that occurs in several belongs to the first.
    `check` returns the reason why a window can't be used, or None. Files are read in the order of
    their names; unusable ones are noted and skipped. Raises CorpusError.
    """
    time, length = request.time, request.length
    if length % time.bar:
        raise CorpusError(
            f"{length} steps aren't whole bars: a bar of {time.metre} with grid {time.grid} has "
            f"{time.bar} steps"
        )
    corpus, tally = Corpus(path, parts="files", shown=1000), _Tally()
    with Scores() as scores:
        _read_files(path, corpus, tally, request, check, scores)
    if not tally.files and not corpus.broken_count:
        endings = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        raise CorpusError(f"{path} has no file of music, none named {endings}")
    remarks = _remarks(corpus, tally, request)
    if len(set(corpus.groups)) == 1 < len(corpus.groups):
        stretch = ceil(len(corpus.groups) / STRETCHES)
        corpus.groups = [place // stretch for place in range(len(corpus.groups))]
        remarks.append(
            "there is one piece alone, so stretches of it are held out; as windows of neighbouring "
            "stretches share bars, the NLL of what is held out is too low"
        )
    if not corpus.sequences:
        why = [*_other_metres(tally, time), *filter(None, [corpus.complaints()])]
        text = f"{path} has no melody of {length} steps in {time.metre}. {' '.join(why)}"
        raise CorpusError(text.strip())
    corpus.notes += remarks
    if tally.tracks:
        corpus.tables["tracks.csv"] = [TRACKS, *tally.tracks]
    return corpus


def _read_files(
    path: Path,
    corpus: Corpus,
    tally: _Tally,
    request: Request,
    check: Callable[[str], str | None],
    scores: Scores,
) -> None:
    for name, read in music_files(path):
        try:
            pieces = read_pieces(name, read(), scores)
            melodies = [
                melody_of(p, request.time, track=request.track, upbeat=request.upbeat)
                for p in pieces
            ]
        except (ReadError, OSError) as error:
            corpus.add_broken(name, str(error))
            continue
        tally.files += 1
        tally.add_damage(pieces)
        for piece, melody in zip(pieces, melodies, strict=True):
            tally.add_track(name, piece, melody)
            _add_windows(corpus, tally, name, melody, request, check)


def _add_windows(
    corpus: Corpus,
    tally: _Tally,
    name: str,
    melody: Melody,
    request: Request,
    check: Callable[[str], str | None],
) -> None:
    group, time = len(tally.melodies), request.time
    tally.melodies.append(melody)
    for segment in melody.segments:
        for window in windows(segment, request.length, time.bar, time.grid):
            tally.cut += 1
            text = time.header + "".join(TOKENS[token] for token in window)
            if text in tally.seen:
                continue
            tally.seen.add(text)
            reason = check(text)
            if reason is None:
                corpus.sequences.append(text)
                corpus.groups.append(group)
            else:
                corpus.add_broken(f"{name}: {text[:60]!r}", reason)


def _remarks(corpus: Corpus, tally: _Tally, request: Request) -> list[str]:
    """Remarks for the user on how the files were read."""
    melodies = tally.melodies
    of_pieces = "" if len(melodies) == tally.files else f" with {len(melodies)} pieces"
    remarks = [
        f"{len(corpus.sequences)} windows of {request.length} steps ({request.time}) from "
        f"{len(set(corpus.groups))} of {tally.files} files{of_pieces}; "
        f"{tally.cut - len(tally.seen)} repeated windows left out",
        f"{sum(m.shift % 12 != 0 for m in melodies)} melodies transposed to C major or A minor",
        *_other_metres(tally, request.time),
    ]
    if estimated := sum(m.upbeat_estimated and bool(m.segments) for m in melodies):
        remarks.append(
            f"the upbeat of {estimated} pieces was estimated, as their files begin with the first "
            "note (--upbeat none counts bars from it)"
        )
    if tally.tracks:
        reasons = Counter(row[TRACKS.index("reason")] for row in tally.tracks)
        listed = ", ".join(f"{count} by {reason}" for reason, count in reasons.most_common())
        remarks.append(
            f"{len(tally.tracks)} pieces have several parts; the melody's was chosen: {listed} "
            "(tracks.csv beside the prior has each; --track decides)"
        )
    total = sum(melody.notes for melody in melodies)
    changes = [
        (sum(melody.moved for melody in melodies), "off-grid notes quantised"),
        (sum(melody.collided for melody in melodies), "dropped (same step)"),
        (sum(melody.vanished for melody in melodies), "dropped (too short)"),
        (sum(melody.out_of_range for melody in melodies), "dropped (out of range)"),
    ]
    if any(count for count, _ in changes):
        counts = ", ".join(f"{count} {what}" for count, what in changes if count)
        finer = request.time.grid % 3 and changes[0][0] > MANY * total
        hint = "; triplets need --grid 6 or 12" if finer else ""
        remarks.append(f"of {total} notes {counts}{hint}")
    if tally.repaired:
        counts = ", ".join(f"{count} {what}" for what, count in tally.dropped.most_common())
        remarks.append(f"{tally.repaired} damaged files were read; dropped or repaired: {counts}")
    return remarks


def _other_metres(tally: _Tally, time: Time) -> list[str]:
    """A sentence on the pieces that were skipped for their metre; none where there are none."""
    skipped = [m.other_metres for m in tally.melodies if m.other_metres and not m.segments]
    if not skipped:
        return []
    metres = Counter(metre for metres in skipped for metre in metres)
    listed = ", ".join(f"{count} in {metre}" for metre, count in metres.most_common(6))
    return [
        f"{len(skipped)} pieces in other metres than {time.metre} skipped: {listed} (see --metre)"
    ]
