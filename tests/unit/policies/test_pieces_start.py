from __future__ import annotations

from pathlib import Path

import pretty_midi
import pytest

from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.pieces.start import is_start_file, read_start


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


def test_names_and_errors(tmp_path: Path):
    assert is_start_file("motif.mid") and is_start_file("a/b.MusicXML")
    assert not is_start_file("C4---D4.--") and not is_start_file("3/4:C4.")
    with pytest.raises(ValueError, match="there is no file .*none.mid"):
        read_start(tmp_path / "none.mid", Time())
    (tmp_path / "a.mid").write_text("Dear diary")
    with pytest.raises(ValueError, match="a.mid: it is not MIDI"):
        read_start(tmp_path / "a.mid", Time())
