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
from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.melody_tokens import TOKENS, tokenize
from sequence_tutor.policies.pieces.corpus import Request, read_music_corpus
from sequence_tutor.policies.pieces.files import holds_music
from sequence_tutor.policies.pieces.melody import melody_of
from sequence_tutor.policies.pieces.midi import read_midi
from sequence_tutor.policies.pieces.midi_repair import MAX_BYTES

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
    return read_music_corpus(path, lambda _: None, Request(length))


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
        "3 windows of 32 steps (4/4, grid 4) from 2 of 4 files; 2 repeated windows left out"
    )
    assert sorted(tmp_path.rglob("*")) == before  # nothing was unpacked


def test_a_single_midi_file_is_read(tmp_path: Path):
    path = write(tmp_path / "a.mid", SCALE)
    assert read(path).groups == [0]
    assert holds_music(path) and holds_music(tmp_path) and holds_music(Path("a.zip"))
    assert not holds_music(Path("a.csv"))
    assert read(path).sequences == [UP]


def test_stretches_of_a_single_piece_are_groups(tmp_path: Path):
    path = write(tmp_path / "a.mid", np.random.default_rng(0).integers(60, 72, 4 * 26).tolist())
    corpus = read(path)
    assert corpus.groups == [i // 3 for i in range(25)]
    assert corpus.notes[-1].startswith("there is one piece alone")
    write(tmp_path / "b.mid", SCALE)
    assert set(read(tmp_path).groups) == {0, 1}


@pytest.mark.parametrize("kind", ["folder", "zip", "file"])
@pytest.mark.parametrize("name", ["a.mid", "a.MIDI", "a.kar", "a.rmi", "a.Smf"])
def test_names_of_midi_files(tmp_path: Path, kind: str, name: str):
    folder = tmp_path / "music"
    path = {"folder": folder, "file": folder / name, "zip": tmp_path / "a.zip"}[kind]
    write(folder / "x.mid", SCALE).rename(folder / name)
    if kind == "zip":
        packed(path, folder)
    assert holds_music(path) and read(path).sequences == [UP]


def test_notes_count_transposed_quantised_and_dropped(tmp_path: Path):
    write(tmp_path / "a.mid", [p + 2 for p in SCALE])
    write(tmp_path / "b.mid", [*SCALE, 127], steps=4 - 1 / 3)  # the grid is met every third note
    write(tmp_path / "c.mid", SCALE * 8, steps=0.5)
    notes = read(tmp_path, 16).notes
    assert notes[1:] == [
        "1 melodies transposed to C major or A minor",
        "of 81 notes 6 off-grid notes quantised, 32 dropped (same step), 1 dropped (out of range)",
    ]
    (tmp_path / "b.mid").unlink()
    (tmp_path / "c.mid").unlink()
    assert read(tmp_path, 16).notes[1:-1] == ["1 melodies transposed to C major or A minor"]


def test_bad_files_are_named_and_the_others_are_used(tmp_path: Path):
    good = write(tmp_path / "good.mid", SCALE).read_bytes()
    (tmp_path / "diary.mid").write_text("Dear diary")
    (tmp_path / "empty.mid").touch()
    (tmp_path / "huge.mid").write_bytes(good + bytes(MAX_BYTES))
    write(tmp_path / "silent.mid", [])
    corpus = read(tmp_path)
    assert corpus.sequences == [UP] and corpus.groups == [0]
    assert corpus.broken_count == 4
    assert corpus.broken == [
        "diary.mid: it is not MIDI: it doesn't start with MThd",
        "empty.mid: it is empty",
        "huge.mid: it has more than 4 MiB",
        "silent.mid: it has no notes",
    ]


def test_an_unusable_window_is_named_with_its_file(tmp_path: Path):
    write(tmp_path / "a.mid", SCALE)
    write(tmp_path / "b.mid", SCALE[::-1])
    corpus = read_music_corpus(tmp_path, lambda t: "starts low" if t == UP else None, Request(32))
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
        ("a.mid", b"not MIDI", "no melody of 32 steps in 4/4. .*1 unusable files"),
    ],
)
def test_a_missing_or_unreadable_path_raises(tmp_path: Path, name: str, content, message: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read(tmp_path / name)


def test_a_folder_without_melodies_raises(tmp_path: Path):
    with pytest.raises(CorpusError, match="has no file of music"):
        read(tmp_path)
    (tmp_path / "a.txt").write_text("C4---")
    with pytest.raises(CorpusError, match="has no file of music"):
        read(tmp_path)
    write(tmp_path / "short.mid", SCALE[:4])
    with pytest.raises(CorpusError, match="has no melody of 32 steps in 4/4.$"):
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
    pieces = [melody_of(read_midi(data), Time()) for data in files]
    for piece in pieces:
        assert piece.moved + piece.collided + piece.vanished + piece.out_of_range == 0
    assert np.mean([piece.shift == 0 for piece in pieces]) > 0.95
    windows = [row.astype(np.int16).tobytes() for row in np.load(table)["tokens"]]
    in_time = [data for data, piece in zip(files, pieces, strict=True) if not piece.other_metres]
    wanted = windows_of(map(read_naively, in_time)).intersection(windows)
    found = windows_of(segment for piece in pieces for segment in piece.segments)
    assert len(wanted) > 200
    assert len(wanted & found) > 0.95 * len(wanted)


def in_metre(metre: str, upbeat: float, pitches: Sequence[int], first_metre: str = "") -> bytes:
    """A file of crotchets that begins `upbeat` quarters before the first bar line of `metre`;
    silence stands before the upbeat, unless a bar of `first_metre` holds it."""
    numerator, denominator = map(int, metre.split("/"))
    file = mido.MidiFile(ticks_per_beat=480, tracks=[mido.MidiTrack()])
    (track,) = file.tracks
    bar = 4 * numerator / denominator
    if first_metre:
        above, below = map(int, first_metre.split("/"))
        track.append(mido.MetaMessage("time_signature", numerator=above, denominator=below))
    times = {"numerator": numerator, "denominator": denominator}
    change = mido.MetaMessage("time_signature", **times, time=round(480 * upbeat))
    if not first_metre:
        track.append(change.copy(time=0))
    rest = 0 if first_metre or not upbeat else round(480 * (bar - upbeat))
    now = 0.0
    for pitch in pitches:
        if first_metre and now == upbeat:
            track.append(change.copy(time=0))
        track.append(mido.Message("note_on", note=pitch, velocity=90, time=rest))
        track.append(mido.Message("note_off", note=pitch, velocity=0, time=480))
        rest, now = 0, now + 1
    stream = BytesIO()
    file.save(file=stream)
    return stream.getvalue()


@pytest.mark.parametrize("first_metre", ["", "1/4"])
@pytest.mark.parametrize("metre", ["4/4", "3/4", "2/4", "6/8"])
def test_windows_begin_on_the_bar_lines_of_the_metre(tmp_path: Path, metre: str, first_metre: str):
    time = Time.parse(metre)
    # an upbeat and then C major up, a note on each quarter: bars begin on C, G ... in 4/4
    (tmp_path / "a.mid").write_bytes(in_metre(metre, 1, [55, *SCALE, *SCALE[::-1]], first_metre))
    corpus = read_music_corpus(tmp_path, lambda _: None, Request(2 * time.bar, time))
    texts = [text.removeprefix(time.header) for text in corpus.sequences]
    assert all(text.startswith(time.header) for text in corpus.sequences)
    line = "---".join([TOKENS[p - 46] for p in (*SCALE, *SCALE[::-1])]) + "---"
    whole = "-" * (time.bar - 4) + "G3---" + line + "." + "-" * time.bar
    for i, text in enumerate(texts):
        assert text == "".join(tokenize(whole)[i * time.bar : (i + 2) * time.bar])
    assert len(texts) >= 2


def test_pieces_in_other_metres_are_counted(tmp_path: Path):
    (tmp_path / "a.mid").write_bytes(in_metre("4/4", 0, SCALE))
    (tmp_path / "b.mid").write_bytes(in_metre("3/4", 0, SCALE))
    (tmp_path / "c.mid").write_bytes(in_metre("2/2", 0, SCALE[::-1]))
    (tmp_path / "d.mid").write_bytes(in_metre("2/4", 0, SCALE))
    corpus = read(tmp_path)
    assert corpus.sequences == [UP, DOWN] and corpus.groups == [0, 2]
    assert (
        "2 pieces in other metres than 4/4 skipped: 1 in 3/4, 1 in 2/4 (see --metre)"
        in corpus.notes
    )
    waltz = read_music_corpus(tmp_path, lambda _: None, Request(24, Time.parse("3/4")))
    assert waltz.sequences[0] == "3/4:" + "---".join(TOKENS[p - 46] for p in SCALE[:6]) + "---"
    with pytest.raises(CorpusError, match="no melody of 12 steps in 6/8. 4 pieces in other metres"):
        read_music_corpus(tmp_path, lambda _: None, Request(12, Time.parse("6/8")))
    with pytest.raises(CorpusError, match="^20 steps aren't whole bars: a bar of 4/4 .* 16 steps$"):
        read(tmp_path, 20)


def test_a_grid_of_twelve_holds_triplets(tmp_path: Path):
    write(tmp_path / "a.mid", SCALE * 3, steps=4 / 3)
    coarse = read(tmp_path)
    remark = "of 24 notes 16 off-grid notes quantised; triplets need --grid 6 or 12"
    assert remark in coarse.notes
    time = Time.parse("4/4", 12)
    fine = read_music_corpus(tmp_path, lambda _: None, Request(96, time))
    assert fine.sequences == ["4/4@12:" + "---".join(TOKENS[p - 46] for p in SCALE * 3) + "---"]
    assert not any("quantised" in note for note in fine.notes)
