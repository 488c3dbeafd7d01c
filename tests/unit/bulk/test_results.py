from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequence_tutor.distributed.bulk.lines import BulkError, Range
from sequence_tutor.distributed.bulk.results import (
    GIVEN_UP,
    SCHEMA,
    Fragment,
    LineResults,
    done_ranges,
    forget,
    fragments,
    read_fragment,
    tallies,
    write_fragment,
)
from sequence_tutor.distributed.replay.claims import LOST
from sequence_tutor.policies.files.atomic import atomic_file
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Scores, Status

MakeResults = Callable[..., LineResults]


def test_results_round_trip_through_a_fragment(tmp_path: Path):
    scores = Scores(
        rewards=np.array([0.1 + 0.2, np.nan, -1e-300]),
        status=np.array([Status.OK, Status.TIMEOUT, Status.INVALID], np.int8),
        errors=["", "60 s", "bad \udcff byte"],
        seconds=np.array([0.1, 60, 0], np.float32),
        raw={"a": np.array([1.5, np.nan, np.inf])},
    )
    results = LineResults(["CC", "", "C\nΩ"], ["CC", "", "C"], scores)
    path = write_fragment(tmp_path, 7, results)
    assert path.name == "lines-000000000007-000003.parquet"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    table = read_fragment(Location(tmp_path), Fragment(7, 3))
    assert table.schema.names == [*SCHEMA.names, "raw.a"]
    assert table.schema == pa.schema([*SCHEMA, ("raw.a", pa.float64())])
    assert table.to_pydict() == {
        "sequence": ["CC", "", "C\nΩ"],
        "key": ["CC", "", "C"],
        "reward": [0.1 + 0.2, None, -1e-300],
        "status": ["ok", "timeout", "invalid"],
        "error": ["", "60 s", "bad ? byte"],
        "seconds": [np.float32(0.1), 60.0, 0.0],
        "raw.a": [1.5, None, np.inf],
    }


def test_file_names_give_the_ranges_with_results(tmp_path: Path, make_results: MakeResults):
    assert done_ranges(Location(tmp_path)) == [] and done_ranges(Location(tmp_path / "none")) == []
    for first, n in [(10, 5), (0, 4), (15, 1), (4, 2), (999_999_999_990, 3)]:
        write_fragment(tmp_path, first, make_results(first, n))
    (tmp_path / "lines-000000000006-000004.parquet.ab12cd34.tmp").write_bytes(b"half")
    (tmp_path / "notes.txt").touch()
    assert done_ranges(Location(tmp_path)) == [
        Range(0, 6),
        Range(10, 16),
        Range(999_999_999_990, 999_999_999_993),
    ]


def test_tallies_count_lines_by_status(tmp_path: Path, make_results: MakeResults):
    assert tallies(Location(tmp_path)).total() == 0
    for first in range(0, 300, 3):
        status = [Status.OK, Status.INVALID, Status.OK if first % 2 else Status.CRASHED]
        write_fragment(tmp_path, first, make_results(first, 3, status))
    assert tallies(Location(tmp_path)) == {Status.OK: 150, Status.INVALID: 100, Status.CRASHED: 50}


def test_forget_deletes_only_lines_to_be_tried_again(tmp_path: Path, make_results: MakeResults):
    errors = ["", "not a number", GIVEN_UP, f"{LOST}3 scorers were lost while they had it"]
    for first, error in enumerate(errors):
        judged = make_results(first, 1, [Status.CRASHED if error else Status.OK])
        judged.scores.errors[:] = [error]
        write_fragment(tmp_path, first, judged)
    hiding = make_results(10, 2, [Status.CRASHED] * 2)
    hiding.scores.errors[:] = [GIVEN_UP, ""]
    write_fragment(tmp_path, 10, hiding)  # and a half of the batch, written as well
    write_fragment(tmp_path, 11, make_results(11, 1, [Status.INVALID]))
    forget(Location(tmp_path), failures=False)
    assert fragments(Location(tmp_path)) == [Fragment(0, 1), Fragment(1, 1), Fragment(11, 1)]
    forget(Location(tmp_path), failures=True)
    assert fragments(Location(tmp_path)) == [Fragment(0, 1), Fragment(11, 1)]
    forget(Location(tmp_path / "none"), failures=True)


def test_fragments_inside_a_larger_fragment_are_ignored(tmp_path: Path, make_results: MakeResults):
    for first, n in [(0, 2), (2, 8), (2, 4), (6, 4), (6, 2), (10, 1)]:
        write_fragment(tmp_path, first, make_results(first, n))
    assert fragments(Location(tmp_path)) == [Fragment(0, 2), Fragment(2, 8), Fragment(10, 1)]
    assert tallies(Location(tmp_path)).total() == 11


def test_overlapping_fragments_raise(tmp_path: Path, make_results: MakeResults):
    write_fragment(tmp_path, 2, make_results(2, 4))
    write_fragment(tmp_path, 5, make_results(5, 2))
    names = "lines-000000000002-000004.parquet and lines-000000000005-000002.parquet"
    with pytest.raises(BulkError, match=f"{tmp_path}/{names} both have results of line 6; delete"):
        done_ranges(Location(tmp_path))


@pytest.mark.parametrize(
    "name", ["lines-1-2.parquet", "lines-000000000002-000000.parquet", "lines-copy.parquet"]
)
def test_a_malformed_fragment_name_raises(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    with pytest.raises(BulkError, match=f"{tmp_path / name} isn't a file of results; delete it"):
        done_ranges(Location(tmp_path))


def test_a_broken_fragment_raises_with_its_path(tmp_path: Path, make_results: MakeResults):
    path = write_fragment(tmp_path, 0, make_results(0, 50)).path
    whole = path.read_bytes()
    for content in (b"", b"no Parquet at all", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(BulkError, match=f"broken file of results {path}: .*; delete it"):
            tallies(Location(tmp_path))
    path.write_bytes(whole)
    path.rename(tmp_path / Fragment(0, 49).name)
    with pytest.raises(BulkError, match="000049.parquet doesn't hold the 49 results of its name"):
        tallies(Location(tmp_path))
    pq.write_table(pa.table({"status": ["ok"] * 49}), tmp_path / Fragment(0, 49).name)
    with pytest.raises(BulkError, match="doesn't hold the 49 results"):
        tallies(Location(tmp_path))


def test_ranges_that_no_file_name_can_hold_raise(tmp_path: Path, make_results: MakeResults):
    for first, n in [(0, 0), (-1, 1), (10**12, 1)]:
        with pytest.raises(BulkError, match="can't be one file"):
            write_fragment(tmp_path, first, make_results(0, n))
    with pytest.raises(FileNotFoundError):
        write_fragment(tmp_path / "none", 0, make_results(0, 1))


def test_a_failed_write_keeps_the_old_file(tmp_path: Path):
    path = tmp_path / "a"
    path.write_text("before")
    with pytest.raises(OSError, match="disk full"), atomic_file(path) as file:
        file.write(b"half")
        raise OSError("disk full")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_two_writers_of_the_same_file_each_write_it_whole(tmp_path: Path):
    path = tmp_path / "a"
    with atomic_file(path) as first:
        first.write(b"first")
        with atomic_file(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from pathlib import Path
from sequence_tutor.distributed.bulk import results

if sys.argv[2] == "killed":  # after writing, before renaming
    os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
empty = {name: results.np.zeros(2) for name in ("rewards", "status", "seconds")}
scores = results.Scores(errors=["", ""], **empty)
judged = results.LineResults(["a", "b"], ["", ""], scores)
results.write_fragment(Path(sys.argv[1]), 0, judged)
"""


@pytest.mark.parametrize("how", ["killed", "not killed"])
def test_a_writer_killed_before_the_rename_leaves_no_result(tmp_path: Path, how: str):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), how], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    if how == "killed":
        assert done.returncode == -signal.SIGKILL
        assert done_ranges(Location(tmp_path)) == [] and tallies(Location(tmp_path)).total() == 0
    else:  # control
        assert done.returncode == 0 and tallies(Location(tmp_path)).total() == 2
