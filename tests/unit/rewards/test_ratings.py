"""The CSV of marks: what is read, what is refused, and what counts as a pair."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from sequence_tutor.rewards.ratings import (
    Rating,
    mark_of,
    ratings_csv,
    read_ratings,
    unequal_pairs,
)


def test_what_is_written_is_read():
    ratings = [Rating("C4---", 5, "2026-01-31T12:00:00+00:00"), Rating('a,"b', 1)]
    text = ratings_csv(ratings)
    assert text.startswith("sequence,mark,time\nC4---,5,2026-01-31T12:00:00+00:00\n")
    found = read_ratings(text.encode())
    assert [(one.sequence, one.mark, one.time) for one in found] == [
        (one.sequence, one.mark, one.time) for one in ratings
    ]
    assert [one.line for one in found] == [2, 3] and read_ratings(ratings_csv([]).encode()) == []


@pytest.mark.parametrize("divider", [",", ";", "\t"])
def test_what_spreadsheets_write_is_read(divider: str):
    rows = [("number", "Sequence", "Mark"), ("1", "CCO", " 4 "), ("2", "CCN", ""), ("", "", "")]
    text = "\ufeff" + "\r\n".join(divider.join(row) for row in rows)
    assert read_ratings(text.encode()) == [Rating("CCO", 4, "", 2)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1 must name the columns, among them one 'sequence'"),
        (b"sequence,score\nCCO,3\n", "one 'mark'"),
        (b"sequence,mark,mark\nCCO,3,3\n", "one 'mark'"),
        (b"sequence,mark\nCCO,3\nCCN,6\n", "line 3: mark '6' must be a whole number from 1"),
        (b"sequence,mark\n\nCCO,good\n", "line 3: mark 'good'"),
        (b"sequence,mark\nCCO,3.0\n", "to 5, the best, or empty"),
        (b"sequence,mark\n,3\n", "line 2 has a mark and no sequence"),
        (b"sequence,mark\nCCO,3\n\xff\xfe,2\n", "line 3 isn't UTF-8"),
        (b'sequence,mark\n"CCO"x,3\n', "line 2 is no CSV"),
    ],
)
def test_a_bad_line_is_one_sentence(content: bytes, words: str):
    with pytest.raises(ValueError) as error:
        read_ratings(content)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_marks_are_whole_numbers():
    assert [mark_of(text) for text in ("1", " 5 ", "0", "6", "+1", "1e0", "", "²")] == [
        1,
        5,
        *[None] * 6,
    ]


def test_unequal_pairs_are_counted():
    for seed in range(5):
        marks = np.random.default_rng(seed).integers(1, 6, 12).tolist()
        assert unequal_pairs(marks) == sum(a != b for a, b in combinations(marks, 2))
    assert unequal_pairs([]) == 0
