from __future__ import annotations

from pathlib import Path

import pretty_midi
import pytest

from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.pieces.start import is_start_file, read_start, read_whole


def write(
    path: Path, notes: list[tuple[int, float, float]], metre: tuple[int, int] = (4, 4)
) -> Path:
    """Notes with times in quarters."""
    midi = pretty_midi.PrettyMIDI(initial_tempo=60)
    midi.time_signature_changes = [pretty_midi.TimeSignature(*metre, 0)]
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(90, *note) for note in notes]
    midi.instruments = [piano]
    midi.write(str(path))
    return path


def test_a_motif_is_taken_as_it_is(tmp_path: Path):
    motif = write(tmp_path / "motif.mid", [(62, 3, 4), (66, 4, 5), (69, 12, 13)])
    # from its bar line, in its key, a rest of more than a bar within it, no rest after it
    rest = "." + "-" * 27
    assert read_start(motif, Time()) == "-" * 12 + "D4---F#4---" + rest + "A4---"
    assert read_start(motif, Time(), transpose=True).startswith("-" * 12 + "C4---E4---.")
    fine = read_start(motif, Time(4, 4, 12))
    assert fine.startswith("4/4@12:" + "-" * 36 + "D4-----------")


def test_a_motif_in_another_metre(tmp_path: Path):
    waltz = write(tmp_path / "waltz.mid", [(60, 0, 2), (62, 2, 3), (64, 3, 6)], (3, 4))
    assert read_start(waltz, Time(3, 4)) == "3/4:C4-------D4---E4-----------"
    with pytest.raises(ValueError, match="waltz.mid has no notes in 4/4; it is in 3/4"):
        read_start(waltz, Time())


def test_a_motif_in_abc(tmp_path: Path):
    pytest.importorskip("verovio", reason="needs sequence-tutor[notes]")
    (tmp_path / "a.abc").write_text("X:1\nM:4/4\nL:1/4\nK:D\nD|F2|]\n")
    # a file without one full bar has no other bar line than its start
    assert read_start(tmp_path / "a.abc", Time()) == "D4---F#4-------"


def test_a_whole_melody_has_whole_bars(tmp_path: Path):
    # an upbeat, and a last bar that is shorter than the others
    upbeat = write(tmp_path / "upbeat.mid", [(62, 3, 4), (66, 4, 5), (69, 5, 6)])
    assert read_whole(upbeat, Time()) == "-" * 12 + "D4---" + "F#4---A4---." + "-" * 7
    waltz = write(tmp_path / "waltz.mid", [(60, 0, 2), (62, 2, 3), (64, 3, 6)], (3, 4))
    assert read_whole(waltz, Time(3, 4)) == "3/4:C4-------D4---E4-----------"
    high = write(tmp_path / "high.mid", [(96, 0, 2), (98, 2, 4)])  # two octaves lower
    assert read_whole(high, Time()) == "C5-------D5-------"
    triplet = write(tmp_path / "triplet.mid", [(60, i / 3, (i + 1) / 3) for i in range(12)])
    with pytest.raises(ValueError, match="triplet.mid: 8 of 12 notes don't begin on a step"):
        read_whole(triplet, Time())
    assert read_whole(triplet, Time(4, 4, 12)).startswith("4/4@12:C4---C4---C4---")


def test_a_whole_melody_of_a_score(tmp_path: Path):
    pytest.importorskip("verovio", reason="needs sequence-tutor[notes]")
    path = tmp_path / "tune.abc"
    path.write_text("X:1\nM:4/4\nL:1/4\nK:C\nC D E F|G2 E2|]\n")
    assert read_whole(path, Time()) == "C4---D4---E4---F4---G4-------E4-------"
    path.write_text("X:1\nM:4/4\nL:1/4\nK:C\nC D E F|[M:3/4] G2 E|]\n")
    with pytest.raises(ValueError, match="tune.abc is in 4/4 and 3/4, one after the other"):
        read_whole(path, Time())


def test_names_and_errors(tmp_path: Path):
    assert is_start_file("motif.mid") and is_start_file("a/b.MusicXML")
    assert not is_start_file("C4---D4.--") and not is_start_file("3/4:C4.")
    with pytest.raises(ValueError, match="there is no file .*none.mid"):
        read_start(tmp_path / "none.mid", Time())
    (tmp_path / "a.mid").write_text("Dear diary")
    with pytest.raises(ValueError, match="a.mid: it is not MIDI"):
        read_start(tmp_path / "a.mid", Time())
