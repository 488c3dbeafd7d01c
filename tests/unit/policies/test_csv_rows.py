from __future__ import annotations

from pathlib import Path

import pytest

from sequence_tutor.policies.files.table_reader import CorpusError, count_rows, read_sequences

HEADER, GOOD = "smiles,name,note\n", "CCO,ethanol,x\n"


def sequences(path: Path) -> list[str]:
    return [text for _, text in read_sequences(path)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        # never closed: all following rows would be lost
        ('CCN,"amine 2,x\nCCC,propane,x\n', "field that opens at line 3"),
        ('"CCN,amine,x\nCCC,propane,x\n', "field that opens at line 3"),
        ('CCN,amine,"x\n' + GOOD * 99_999, "field that opens at line 3"),
        # closed by the next stray quote, inside a field or at its end
        ('CCN,"amine 2,x\nCCC,propane,x\nCCS,"thiol,x\n', "field that opens at line 3"),
        ('CCN,"amine 2,x\nCCC,propane",x\n', "opens at line 3 takes in .* up to line 4"),
        ('CCN,"amine 2,x\nCCC,propane,x\nCCS,thiol",x\n', "line 3 .* up to line 5"),
        ('CCN,amine,"x\nCCC,propane,x\nCCS,thiol,x"\n', "line 3 .* up to line 5"),
        ('"CCN,amine,x\nCCC",propane,x\n', "line 3 .* up to line 4"),
        ('CCN,"a\nb\nc"\n', "line 3 .* up to line 5"),  # and then the row is too short
        # a quote within one line, a comma without quotes
        ('CCN,"amine" 2,x\n', "field that opens at line 3"),
        ("CCN,2,4-amine,x\n", "line 3 has 4 fields, but there are 3 columns"),
    ],
)
def test_a_stray_quote_raises_with_its_line(tmp_path: Path, rows: str, message: str):
    path = tmp_path / "a.csv"
    path.write_text(HEADER + GOOD + rows)
    for read in (sequences, count_rows):
        with pytest.raises(CorpusError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("row", "sequence"),
    [
        ('CCN,"two\nlines",x', "CCN"),
        ('CCN,"two\nlines, with commas",x', "CCN"),
        ('CCN,"many\n\n\nlines, of text, with commas\nlast","and\nagain"', "CCN"),
        ('"CCN","a ""quoted"" word\n""more""",x', "CCN"),
        ('CCN,5" of it,x', "CCN"),
        ("CCN,amine,x,,", "CCN"),
        ("CCN", "CCN"),
        ('" CCN\n",amine,x', "CCN"),
        ("CCN |$a;b$| name,amine,x", "CCN"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_correctly_quoted_rows_are_read(tmp_path: Path, row: str, sequence: str, end: str):
    path = tmp_path / "a.csv"
    text = HEADER + GOOD + row + "\n" + GOOD
    path.write_bytes(text.replace("\n", end).encode())
    assert sequences(path) == ["CCO", sequence, "CCO"]
    assert count_rows(path) == 3
