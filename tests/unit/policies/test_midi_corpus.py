from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest

from sequence_tutor.policies.files.corpus import Corpus, CorpusError
from sequence_tutor.policies.melody_tokens import TOKENS
from sequence_tutor.policies.midi.corpus import is_midi, read_midi_corpus
from sequence_tutor.policies.midi.read import MAX_BYTES, read_midi

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
STEP_S = 0.125
SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


def write(path: Path, pitches: Sequence[int], steps: float = 4, gap: float = 0) -> Path:
    """Notes of `steps` steps each, 120 quarter notes a minute."""
    midi = pretty_midi.PrettyMIDI(initial_tempo=120)
    piano = pretty_midi.Instrument(0)
    for i, pitch in enumerate(pitches):
        start = i * (steps + gap)
        piano.notes.append(pretty_midi.Note(90, pitch, start * STEP_S, (start + steps) * STEP_S))
    midi.instruments = [piano]
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.write(str(path))
    return path


def read(path: Path, length: int = 32) -> Corpus:
    return read_midi_corpus(path, lambda _: None, length)


def packed(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder))
    return path


def fill(folder: Path) -> Path:
    write(folder / "b.mid", SCALE)
    write(folder / "a" / "deep" / "A.MIDI", SCALE[::-1] * 2)
    write(folder / "a" / "again.mid", SCALE)
    write(folder / "c.mid", SCALE[:4])
    (folder / "readme.txt").write_text("not MIDI")
    (folder / "._b.mid").write_bytes(b"what macOS leaves behind")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "b.mid").write_bytes(b"and there")
    return folder


UP, DOWN = ("---".join(TOKENS[p - 46] for p in s) + "---" for s in (SCALE, SCALE[::-1]))


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_windows_of_a_folder_or_zip_in_the_order_of_names(tmp_path: Path, kind: str):
    path = fill(tmp_path / "midi")
    if kind == "zip":
        path = packed(tmp_path / "midi.zip", path)
    before = sorted(tmp_path.rglob("*"))
    corpus = read(path)
    half = len(DOWN) // 2
    # a/again.mid; a/deep/A.MIDI from its bars 1 and 2, bar 3 repeats; b.mid repeats; c.mid is short
    assert corpus.sequences == [UP, DOWN, DOWN[half:] + DOWN[:half]]
    assert corpus.groups == [0, 1, 1]
    assert corpus.complaints() == ""
    assert corpus.notes[0] == (
        "3 windows of 32 steps from 2 of 4 MIDI files; 2 repeated windows left out"
    )
    assert sorted(tmp_path.rglob("*")) == before  # nothing was unpacked


def test_a_single_midi_file_is_read(tmp_path: Path):
    path = write(tmp_path / "a.mid", SCALE)
    assert is_midi(path) and is_midi(tmp_path) and is_midi(Path("a.zip"))
    assert not is_midi(Path("a.csv"))
    assert read(path).sequences == [UP]


def test_notes_count_transposed_quantised_and_dropped(tmp_path: Path):
    write(tmp_path / "a.mid", [p + 2 for p in SCALE])
    write(tmp_path / "b.mid", [*SCALE, 127], steps=4 - 1 / 3)  # the grid is met every third note
    write(tmp_path / "c.mid", SCALE * 8, steps=0.5)
    notes = read(tmp_path, 16).notes
    assert notes[1:] == [
        "1 files transposed to C major or A minor",
        "of 81 notes 6 off-grid notes quantised, 32 dropped (same step), 1 dropped (out of range)",
    ]
    (tmp_path / "b.mid").unlink()
    (tmp_path / "c.mid").unlink()
    assert read(tmp_path, 16).notes[1:] == ["1 files transposed to C major or A minor"]


def test_bad_files_are_named_and_the_others_are_used(tmp_path: Path):
    good = write(tmp_path / "good.mid", SCALE).read_bytes()
    (tmp_path / "cut.mid").write_bytes(good[:-20])
    (tmp_path / "diary.mid").write_text("Dear diary")
    (tmp_path / "empty.mid").touch()
    (tmp_path / "huge.mid").write_bytes(good + bytes(MAX_BYTES))
    write(tmp_path / "silent.mid", [])
    corpus = read(tmp_path)
    assert corpus.sequences == [UP] and corpus.groups == [3]
    assert corpus.broken_count == 5
    assert corpus.broken == [
        "cut.mid: it is cut short",
        "diary.mid: it is not MIDI: it doesn't start with MThd",
        "empty.mid: it is empty",
        "huge.mid: it has more than 4 MiB",
        "silent.mid: it has no notes",
    ]


def test_an_unusable_window_is_named_with_its_file(tmp_path: Path):
    write(tmp_path / "a.mid", SCALE)
    write(tmp_path / "b.mid", SCALE[::-1])
    corpus = read_midi_corpus(tmp_path, lambda t: "starts low" if t == UP else None, 32)
    assert corpus.sequences == [DOWN] and corpus.groups == [1]
    assert corpus.broken == [f"a.mid: {UP!r}: starts low"]


def test_a_zip_bomb_is_a_broken_file(tmp_path: Path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.mid", b"MThd" + bytes(40 * MAX_BYTES))
        archive.write(write(tmp_path / "good.mid", SCALE), "../../good.mid")
    corpus = read(path)
    assert corpus.broken == ["bomb.mid: it has more than 4 MiB"]
    assert corpus.sequences == [UP]


def test_a_damaged_member_is_named(tmp_path: Path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(write(tmp_path / "a.mid", SCALE), "bad.mid")
        archive.write(write(tmp_path / "b.mid", SCALE), "good.mid")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"MTrk", b"MTrx", 1))  # and its checksum is wrong
    corpus = read(path)
    assert corpus.sequences == [UP]
    assert len(corpus.broken) == 1 and corpus.broken[0].startswith("bad.mid: it can't be unpacked")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing", None, "there is no file or folder .*missing"),
        ("missing.zip", None, "there is no file or folder .*missing.zip"),
        ("a.zip", b"not a zip", "a.zip can't be read as a zip file"),
        ("a.mid", b"not MIDI", "no melody of 32 steps. .*1 unusable files"),
    ],
)
def test_a_missing_or_unreadable_path_raises(tmp_path: Path, name: str, content, message: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read(tmp_path / name)


def test_a_folder_without_melodies_raises(tmp_path: Path):
    with pytest.raises(CorpusError, match="has no MIDI file"):
        read(tmp_path)
    (tmp_path / "a.txt").write_text("C4---")
    with pytest.raises(CorpusError, match="has no MIDI file"):
        read(tmp_path)
    write(tmp_path / "short.mid", SCALE[:4])
    with pytest.raises(CorpusError, match="has no melody of 32 steps.$"):
        read(tmp_path)
    assert len(read(tmp_path, 16).sequences) == 1


def windows_of(rows: Iterable[np.ndarray], length: int = 32) -> set[bytes]:
    """Every window of `length` steps of token rows, as bytes."""
    views = [np.lib.stride_tricks.sliding_window_view(r, length) for r in rows if len(r) >= length]
    return {stretch.astype(np.int16).tobytes() for view in views for stretch in view}


def read_naively(data: bytes) -> np.ndarray:
    """Tokens of a file with one voice on the grid, read in the simplest way."""
    file = mido.MidiFile(file=BytesIO(data))
    now, tokens = 0, {}
    for message in file.tracks[1]:
        now += message.time
        step, rest = divmod(now * 4, file.ticks_per_beat)
        if message.type == "note_on":
            assert rest == 0
            if message.velocity:
                tokens[step] = message.note - 46
            elif step not in tokens:
                tokens[step] = 1
    return np.array([tokens.get(step, 0) for step in range(max(tokens) + 1)])


def test_real_songs_keep_their_windows():
    """Songs in C major or A minor by their scores' key signatures, and windows cut from them."""
    songs, table = DATA / "openscore_lieder_midi.zip", DATA / "lieder_cc0_windows32.npz"
    for path in (songs, table):
        if not path.is_file() and not os.environ.get("CI"):
            pytest.skip(f"shared/data/{path.name} is missing")
    with zipfile.ZipFile(songs) as archive:
        files = [archive.read(name) for name in sorted(archive.namelist())[::16]]
    pieces = [read_midi(data) for data in files]
    for piece in pieces:
        assert piece.moved + piece.collided + piece.vanished + piece.out_of_range == 0
    assert np.mean([piece.shift == 0 for piece in pieces]) > 0.95
    windows = [row.astype(np.int16).tobytes() for row in np.load(table)["tokens"]]
    wanted = windows_of(map(read_naively, files)).intersection(windows)
    found = windows_of(segment for piece in pieces for segment in piece.segments)
    assert len(wanted) > 300
    assert len(wanted & found) > 0.95 * len(wanted)
