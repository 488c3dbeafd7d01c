from __future__ import annotations

from pathlib import Path

import numpy as np
import pretty_midi
import pytest

from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.encodings.registry import encoding_from_metadata, encoding_to_metadata
from sequence_tutor.policies.melody_tokens import TOKENS, tokenize
from sequence_tutor.policies.prior import load_prior

ENCODING = MelodyEncoding.fit([])


def test_names_of_the_38_tokens():
    assert len(TOKENS) == 38 and TOKENS[:5] == ("-", ".", "C3", "C#3", "D3")
    assert TOKENS[14] == "C4" and TOKENS[37] == "B5"
    for token, name in enumerate(TOKENS[2:], 2):  # another's names for the same pitches
        assert pretty_midi.note_name_to_number(name) == token + 46


def test_a_melody_encodes_to_its_tokens():
    tokens = ENCODING.encode("C4---C#4.B5")
    assert tokens.dtype == np.int16 and tokens.tolist() == [14, 0, 0, 0, 15, 1, 37]
    assert ENCODING.encode("").tolist() == []


def test_texts_and_token_rows_map_one_to_one():
    rows = np.random.default_rng(0).integers(0, 38, (200, 32), dtype=np.int16)
    texts = [ENCODING.decode(row) for row in rows]
    assert len(set(texts)) == 200
    for text, row in zip(texts, rows, strict=True):
        assert ENCODING.encode(text).tolist() == row.tolist()


@pytest.mark.parametrize(
    ("melody", "position"),
    [("C4-x", 4), ("C6", 1), ("C4 D4", 3), ("c4", 1), ("E#4", 1), ("C4-C", 4), ("CCO", 1)],
)
def test_text_that_fits_no_token_raises_with_its_position(melody: str, position: int):
    with pytest.raises(ValueError, match=f"is not a melody at character {position}$"):
        tokenize(melody)
    with pytest.raises(ValueError):
        ENCODING.encode(melody)


def test_the_vocabulary_is_fixed_and_no_token_ends_an_episode():
    assert ENCODING.vocabulary == MelodyEncoding.fit(["C4"], 64).vocabulary
    assert ENCODING.vocabulary.end_id is None and ENCODING.vocabulary.size == 38
    assert (ENCODING.max_length, MelodyEncoding.fit([], 64).max_length) == (32, 64)


def test_metre_and_grid_are_in_the_metadata_and_the_header():
    metadata = encoding_to_metadata(ENCODING)
    assert "metre" not in metadata and "grid" not in metadata
    plain = encoding_from_metadata(metadata)
    assert plain.header == "" and plain.decode(np.array([14, 0])) == "C4-"
    waltz = MelodyEncoding.fit([], metre="3/4", grid=12)
    assert (waltz.header, waltz.max_length) == ("3/4@12:", 72)
    again = encoding_from_metadata(encoding_to_metadata(waltz) | {"max_length": 36})
    assert again.header == waltz.header and again.max_length == 36
    rows = np.random.default_rng(0).integers(0, 38, (20, 36), dtype=np.int16)
    for row in rows:
        text = again.decode(row)
        assert text.startswith("3/4@12:") and again.encode(text).tolist() == row.tolist()
    with pytest.raises(ValueError, match="3/4, grid 12"):
        again.encode("C4---")
    with pytest.raises(ValueError, match="4/4, grid 4"):
        ENCODING.encode("3/4@12:C4---")


def test_the_shipped_prior_is_in_common_time():
    assert load_prior("lieder").encoding.header == ""


def test_melodies_are_read_from_a_csv(tmp_path: Path):
    path = tmp_path / "melodies.csv"
    path.write_text("id,sequence\n1,C4---\n2,D4..\n3,X\n")

    def check(text: str) -> str | None:
        try:
            ENCODING.encode(text)
        except ValueError as error:
            return str(error)
        return None

    corpus = MelodyEncoding.read(path, check)
    assert corpus.sequences == ["C4---", "D4.."] and corpus.broken_count == 1
    assert MelodyEncoding.read(path, lambda _: None, column="id").sequences == ["1", "2", "3"]


def test_midi_is_cut_into_windows_of_the_length(tmp_path: Path):
    midi = pretty_midi.PrettyMIDI()
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(90, 60 + i % 3, i / 2, (i + 1) / 2) for i in range(16)]
    midi.instruments = [piano]
    midi.write(str(tmp_path / "a.mid"))
    for path in (tmp_path, tmp_path / "a.mid"):
        corpus = MelodyEncoding.read(path, lambda _: None, 16)
        assert [len(ENCODING.encode(text)) for text in corpus.sequences] == [16] * 3
        assert len(set(corpus.groups)) == 3  # stretches of the one piece
    usual = MelodyEncoding.read(tmp_path, lambda _: None).sequences
    assert {len(ENCODING.encode(text)) for text in usual} == {32}
