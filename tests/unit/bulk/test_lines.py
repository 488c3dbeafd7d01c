from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sequence_tutor.distributed.bulk.lines import (
    LONGEST_BATCH,
    Batch,
    Range,
    batches,
    count_lines,
    gaps,
    merged,
    read_lines,
)
from sequence_tutor.policies.files.corpus import CorpusError
from sequence_tutor.policies.files.text_lines import LONGEST_LINE


def counted(numbers: list[int]) -> Callable[[], int]:
    left = iter(numbers)
    return lambda: next(left)


def lines(n: int) -> list[str]:
    return [f"s{i}" for i in range(n)]


def test_lines_of_a_file_agree_with_their_count(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("name,text\na,CC\nb,\n\nc,N\n")
    assert list(read_lines(path, "text")) == ["CC", "", "N"]
    assert count_lines(path) == 3


def test_an_unreadable_file_raises(tmp_path: Path):
    with pytest.raises(CorpusError, match="there is no file"):
        read_lines(tmp_path / "a.smi")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CorpusError, match="choose one with --column from: a, b"):
        read_lines(tmp_path / "a.csv")
    packed = gzip.compress(random.Random(1).randbytes(99_999).hex("\n").encode())
    (tmp_path / "b.smi.gz").write_bytes(packed[:-100])
    good = read_lines(tmp_path / "b.smi.gz")  # the damage is further down
    with pytest.raises(CorpusError, match="can't be read as text after line"):
        list(good)


MONSTERS = [
    b"C" * (LONGEST_LINE + 5),
    b"C" * (3 * LONGEST_LINE + 1) + b" its name",
    b"CC\0O",
    b"\0\0",
    b"CC\xed\xa0\x80",  # a lone surrogate
    b"caf\xe9",
    b"\xff\xfe\xff",
    "C\u202eC\U0001f4a9\ufeff".encode(),
    b"[[[[[[[[",
    b"{",
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("name", ["a.smi", "a.smi.gz", "a.csv", "a.tsv"])
def test_a_malformed_line_leaves_other_lines_intact(tmp_path: Path, name: str, end: bytes):
    good = [f"CC{'O' * i}".encode() for i in range(len(MONSTERS) + 1)]
    lines = [line for pair in zip(good, [*MONSTERS, b""], strict=True) for line in pair][:-1]
    if name.endswith("sv"):
        lines = [b"smiles", *lines]
    content = end.join(lines) + end
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = list(read_lines(path))
    assert found[::2] == [text.decode() for text in good]
    assert count_lines(path) == len(found) == 2 * len(MONSTERS) + 1
    for text in found[1::2]:  # short, and no SMILES
        assert len(text) < 20_010 and not re.fullmatch(r"[A-Za-z0-9()=#]+", text), text[:50]


def test_the_size_function_is_called_for_each_batch():
    assert list(batches(lines(9), counted([2, 1, 5, 4]))) == [
        Batch(0, ["s0", "s1"]),
        Batch(2, ["s2"]),
        Batch(3, ["s3", "s4", "s5", "s6", "s7"]),
        Batch(8, ["s8"]),
    ]
    assert list(batches([], counted([]))) == []


def test_a_full_batch_does_not_wait_for_the_line_after_it():
    def broken():
        yield from ("a", "b")
        raise CorpusError("line 3")

    found = batches(broken(), lambda: 2)
    assert next(found) == Batch(0, ["a", "b"])
    with pytest.raises(CorpusError):
        next(found)


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ([], [(0, 4), (4, 8), (8, 10)]),
        ([Range(0, 10)], []),
        ([Range(0, 3)], [(3, 7), (7, 10)]),
        ([Range(9, 10)], [(0, 4), (4, 8), (8, 9)]),
        ([Range(1, 2), Range(4, 6), Range(6, 7)], [(0, 1), (2, 4), (7, 10)]),
        ([Range(2, 5), Range(8, 99)], [(0, 2), (5, 8)]),
    ],
)
def test_lines_with_results_are_left_out(done: list[Range], expected: list[tuple[int, int]]):
    found = list(batches(lines(10), lambda: 4, done))
    assert [(b.first, b.first + len(b.sequences)) for b in found] == expected
    assert all(b.sequences == lines(10)[b.first :][: len(b.sequences)] for b in found)
    assert gaps(merged(done), 10) == [Range(*r) for r in merged(Range(*e) for e in expected)]


def test_very_long_lines_come_in_small_batches():
    long = "C" * (LONGEST_BATCH // 3)
    sizes = [len(b.sequences) for b in batches([long] * 7, lambda: 100)]
    assert sizes == [3, 3, 1]
    huge = "C" * (LONGEST_BATCH + 1)
    assert [len(b.sequences) for b in batches(["C", huge, "C"], lambda: 100)] == [1, 1, 1]


def test_merged_ranges_and_gaps():
    assert merged([Range(0, 2), Range(2, 3), Range(5, 6)]) == [Range(0, 3), Range(5, 6)]
    assert gaps([Range(1, 3), Range(5, 6)], 8) == [Range(0, 1), Range(3, 5), Range(6, 8)]
    assert gaps([], 0) == [] and gaps([], 2) == [Range(0, 2)]
