from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.pieces import scores as module
from sequence_tutor.policies.pieces.corpus import Request, read_music_corpus
from sequence_tutor.policies.pieces.piece import Piece, ReadError
from sequence_tutor.policies.pieces.read import read_pieces
from sequence_tutor.policies.pieces.score_text import texts_of
from sequence_tutor.policies.pieces.scores import Scores, sections_of_measures

pytest.importorskip("verovio", reason="needs sequence-tutor[notes]")

HEAD = "X:1\nT:A tune\nM:3/4\nL:1/4\nK:G\n"


@pytest.fixture(scope="module")
def scores() -> Iterator[Scores]:
    with Scores() as found:
        yield found


def abc(scores: Scores, music: str, head: str = HEAD) -> Piece:
    (piece,) = read_pieces("a.abc", (head + music).encode(), scores)
    return piece


def notes(piece: Piece) -> list[tuple[int, float, float]]:
    return [(n.pitch, round(n.start, 2), round(n.end, 2)) for n in piece.parts[0].notes]


def bars(piece: Piece) -> list[tuple[str, float, float]]:
    """Metre, start and first bar line at or after it of each section."""
    return [(f"{s.numerator}/{s.denominator}", s.start, s.start + s.upbeat) for s in piece.sections]


def test_a_tune_with_an_upbeat_a_tie_and_an_accidental(scores: Scores):
    piece = abc(scores, "D|G2A|B3-|B2^c|c3|]\n")
    # F and C of the key, a tie over a bar line, an accidental that holds to the end of its bar
    assert notes(piece) == [
        (62, 0, 1), (67, 1, 3), (69, 3, 4), (71, 4, 9), (73, 9, 10), (72, 10, 13),
    ]  # fmt: skip
    assert bars(piece) == [("3/4", 0, 1)]
    assert (piece.title, piece.scale, piece.notated) == ("A tune", 7, True)


def test_repeats_are_read_once_and_upbeats_within_a_bar_shift_nothing(scores: Scores):
    piece = abc(scores, "|:D|G2A|B2:|:A|G2A|G2:|\n")
    assert bars(piece) == [("3/4", 0, 1)]
    assert [n[0] for n in notes(piece)] == [62, 67, 69, 71, 69, 67, 69, 67]


def test_a_change_of_the_metre_begins_a_section(scores: Scores):
    piece = abc(scores, "G2A|B3|[M:2/4]c2|d2|]\n")
    assert bars(piece) == [("3/4", 0, 0), ("2/4", 6, 6)]


def test_triplets_graces_slurs_and_chord_symbols(scores: Scores):
    plain = abc(scores, "G2(3GAB|c2B|]\n", HEAD.replace("1/4", "1/8").replace("3/4", "2/4"))
    same = abc(
        scores,
        '"G"G2((3G.AB)|{d}(c2!trill!B)|] % the end\nw: la la\n',
        HEAD.replace("1/4", "1/8").replace("3/4", "2/4"),
    )
    assert notes(plain) == notes(same)
    assert [n[1] for n in notes(plain)] == [0, 1, 1.33, 1.67, 2, 3]


def test_no_tune_leaves_its_key_to_the_next(scores: Scores):
    assert notes(abc(scores, "F3|]"))[0][0] == 66
    assert notes(abc(scores, "F3|]", HEAD.replace("K:G", "K:C")))[0][0] == 65


def test_the_tunes_of_a_file_are_pieces(scores: Scores, tmp_path: Path):
    tunes = (
        "M:3/4\nL:1/4\n\nX:1\nT:One\nK:C\nCDE|FGA|B2c|c3|]\n\nX:2\nT:Two\nK:C\nEDC|CDE|GAG|G3|]\n"
    )
    found = read_pieces("a.abc", tunes.replace("\n", "\r\n").encode("latin-1"), scores)
    assert [piece.title for piece in found] == ["One", "Two"]
    (tmp_path / "a.abc").write_text(tunes + "\nX:3\nT:Three\nK:C\n\n")
    time = Time.parse("3/4")
    corpus = read_music_corpus(tmp_path / "a.abc", lambda _: None, Request(24, time))
    assert corpus.sequences[0] == "3/4:C4---D4---E4---F4---G4---A4---"
    assert set(corpus.groups) == {0, 1}
    assert any("1 tunes that can't be read" in note for note in corpus.notes)
    assert any("with 2 pieces" in note for note in corpus.notes)


MUSICXML = """<?xml version="1.0" encoding="UTF-8"?>
<score-partwise version="3.1"><work><work-title>Song</work-title></work>
<part-list><score-part id="P1"><part-name>Voice</part-name></score-part>
<score-part id="P2"><part-name>Flute</part-name></score-part></part-list>
<part id="P1"><measure number="0" implicit="yes"><attributes><divisions>2</divisions>
<key><fifths>-1</fifths></key><time><beats>3</beats><beat-type>4</beat-type></time></attributes>
<note><pitch><step>C</step><octave>4</octave></pitch><duration>2</duration><type>quarter</type>
</note></measure><measure number="1">
<note><pitch><step>F</step><octave>4</octave></pitch><duration>6</duration><type>half</type><dot/>
</note></measure></part>
<part id="P2"><measure number="0" implicit="yes"><attributes><divisions>2</divisions>
<key><fifths>-1</fifths></key><time><beats>3</beats><beat-type>4</beat-type></time></attributes>
<note><rest/><duration>2</duration><type>quarter</type></note></measure><measure number="1">
<note><pitch><step>A</step><octave>5</octave></pitch><duration>6</duration><type>half</type><dot/>
</note></measure></part></score-partwise>
"""


def packed(text: str) -> bytes:
    stream = BytesIO()
    container = '<container><rootfiles><rootfile full-path="s.musicxml"/></rootfiles></container>'
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("META-INF/container.xml", f'<?xml version="1.0"?>{container}')
        archive.writestr("s.musicxml", text)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.musicxml", MUSICXML.encode()),
        ("a.XML", MUSICXML.replace("UTF-8", "UTF-16").encode("utf-16")),
        ("a.mxl", packed(MUSICXML)),
    ],
)
def test_musicxml(scores: Scores, name: str, data: bytes):
    (piece,) = read_pieces(name, data, scores)
    assert [part.name for part in piece.parts] == ["Voice", "Flute"]
    assert notes(piece) == [(60, 0, 1), (65, 1, 4)]
    assert bars(piece) == [("3/4", 0, 1)]
    assert (piece.title, piece.scale) == ("Song", 5)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.abc", b"", "it is empty"),
        ("a.xml", b"<html><body/></html>", "no notes that verovio can read"),
        ("a.mxl", b"PK\x03\x04 not a zip", "no notes that verovio can read|crashed"),
        ("a.musicxml", MUSICXML[:300].encode(), "no notes that verovio can read"),
        ("a.abc", b"\x00\xff" * 100, "no notes that verovio can read"),
    ],
)
def test_bad_scores_raise_with_a_reason(scores: Scores, name: str, data: bytes, reason: str):
    with pytest.raises(ReadError, match=reason):
        read_pieces(name, data, scores)
    assert abc(scores, "G3|]").parts  # and the next one is read


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os.abort()", "verovio crashed"),
        ("import time; time.sleep(60)", "more than 0.5 s"),
    ],
)
def test_a_crash_or_a_hang_costs_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, reason: str
):
    real = module._PROGRAM
    monkeypatch.setattr(module, "_PROGRAM", tmp_path / "program.py")
    (tmp_path / "program.py").write_text(program)
    with Scores(limit_s=0.5) as scores:
        with pytest.raises(ReadError, match=reason):
            abc(scores, "G3|]")
        monkeypatch.setattr(module, "_PROGRAM", real)
        scores._limit_s = 30
        assert abc(scores, "G3|]").parts


def test_without_verovio_a_sentence_says_how_to_get_it(
    scores: Scores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ReadError, match=r"pip install 'sequence-tutor\[notes\]'"):
        abc(scores, "G3|]")


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ([(0, 4, 4), (4, 4, 4)], [("4/4", 0, 0)]),
        ([(0, 4, 4), (1, 4, 4), (5, 4, 4)], [("4/4", 0, 1)]),
        # the last bar of a strain and the upbeat to the next make one
        ([(0, 4, 4), (1, 4, 4), (5, 4, 4), (8, 4, 4), (9, 4, 4)], [("4/4", 0, 1)]),
        # they don't: the upbeat begins a section
        ([(0, 4, 4), (4, 4, 4), (8, 4, 4), (9, 4, 4)], [("4/4", 0, 0), ("4/4", 8, 9)]),
        ([(0, 4, 4), (4, 3, 4), (5, 3, 4)], [("4/4", 0, 0), ("3/4", 4, 5)]),
        ([(0, 4, 4), (5, 4, 4), (9, 4, 4)], [("4/4", 0, 0), ("4/4", 5, 5)]),
        ([(0, 4, 4)], [("4/4", 0, 0)]),
    ],
)
def test_sections_of_measures(measures, expected):
    end = measures[-1][0] + 4 if len(measures) > 1 else 2
    found = sections_of_measures(measures, end)
    assert [
        (f"{s.numerator}/{s.denominator}", s.start, s.start + s.upbeat) for s in found
    ] == expected
    assert [s.end for s in found] == [*(s.start for s in found[1:]), end]


def test_texts_of_an_abc_file():
    assert texts_of(b"%abc\nM:3/4\nX:1\nK:C\nC(DE)|\n\nX:2\nK:D\nB2(3ABc\n") == [
        "X:1\nM:3/4\nK:C\nCDE|\n",
        "X:2\nM:3/4\nK:D\nB2 (3ABc \n",
    ]


def test_the_program_imports_nothing_of_ours():
    code = f"import runpy, sys; runpy.run_path({str(module._PROGRAM)!r}); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert "verovio" in run.stdout and "sequence_tutor.policies" not in run.stdout
