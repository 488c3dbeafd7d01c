from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequence_tutor.distributed.replay.record import RecordWriter, read_record
from sequence_tutor.distributed.types import Scored, concatenate
from sequence_tutor.distributed.warm_start import read_scored, to_scored
from sequence_tutor.policies.corpus import CorpusError
from sequence_tutor.policies.melody import MelodyEncoding
from sequence_tutor.policies.smiles import SmilesEncoding
from sequence_tutor.rewards.base import Status

CSV = """\
id,SMILES,Score,Status
1,CC,0.5,ok
2,CO,,timeout
3,"C
N",1e-3,OK
4,,1,ok
5,N,high,ok
6,O,nan,ok
7,S,-inf,ok
8,F,-2,invalid
9,P
"""


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_spreadsheet(tmp_path: Path, name: str):
    path = tmp_path / name
    content = ("\ufeff" + CSV).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    sequences, rewards, remarks = read_scored(path)
    assert sequences == ["CC", "C\nN", "F"]
    assert rewards.dtype == np.float64 and rewards.tolist() == [0.5, 1e-3, -2.0]
    assert remarks == [
        f"{path}: 6 unusable lines left out, for example\n"
        "  line 3: 'CO': status is 'timeout'\n"
        "  line 6: '': no sequence\n"
        "  line 7: 'N': its reward is 'high'\n"
        "  line 8: 'O': its reward is 'nan'\n"
        "  line 9: 'S': its reward is '-inf'"
    ]


def test_a_column_by_its_name(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("reward,sequence,mine\n1,CC,N\n2,CO,O\n")
    assert read_scored(path)[0] == ["CC", "CO"]
    assert read_scored(path, "mine")[0] == ["N", "O"]
    assert read_scored(path)[2] == []
    with pytest.raises(CorpusError, match="no column 'x'; it has: reward, sequence, mine"):
        read_scored(path, "x")


def test_parquet(tmp_path: Path):
    path = tmp_path / "a.parquet"
    rewards = pa.array([1, None, 3], pa.int32())
    pq.write_table(pa.table({"sequence": ["CC", "N", None], "REWARD": rewards}), path)
    sequences, values, remarks = read_scored(path)
    assert (sequences, values.tolist()) == (["CC"], [1.0])
    assert "2 unusable" in remarks[0] and "line 2: 'N': no reward" in remarks[0]


class Keys:
    """A domain in which letters' case doesn't matter and X is invalid."""

    def key(self, sequence: str) -> str | None:
        return None if "X" in sequence.upper() else sequence.upper()


def scored_of(sequences: list[str], **changes: object) -> Scored:
    rewards = np.arange(len(sequences), dtype=float)
    encoding = SmilesEncoding.fit(sequences)
    return to_scored(sequences, rewards, encoding, Keys(), 1.0)[0]  # type: ignore[arg-type]


def test_the_record_of_a_run(tmp_path: Path):
    directory = tmp_path / "run" / "scores"
    directory.mkdir(parents=True)
    with pytest.raises(CorpusError, match="neither a run nor its record: it has no part-"):
        read_scored(tmp_path / "run")
    failed = scored_of(["C", "N", "O"])
    failed.rewards[:] = np.nan
    failed.status[:] = [Status.TIMEOUT, Status.CRASHED, Status.FAILED]
    for rows in (scored_of(["CC", "CO"]), concatenate([failed, scored_of(["S", "F", "P"])])):
        writer = RecordWriter(directory, 0)
        writer.append(rows)
        writer.flush()
    expected = ["CC", "CO", "S", "F", "P"], [0.0, 1.0, 0.0, 1.0, 2.0]
    for path in (directory, tmp_path / "run"):
        sequences, rewards, remarks = read_scored(path)
        assert (sequences, rewards.tolist()) == expected
        assert "3 unusable" in remarks[0] and "row 1: 'C': status is 'timeout'" in remarks[0]
    broken = sorted(directory.iterdir())[1]
    broken.write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match=f"broken part {broken}"):
        read_scored(directory)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", None, "there is no file .*a.csv"),
        ("a.smi", None, "there is no file .*a.smi"),
        ("a.smi", "CC 1\n", "a.smi has no rewards, being neither CSV nor Parquet; score it first"),
        ("a.csv", "smiles,x\nCC,1\n", "'reward' or 'score'; it has: smiles, x; rename one, or sco"),
        ("a.csv", "mol,reward\nCC,1\n", "no column 'sequence'; it has: mol, reward"),
        ("a.csv", "smiles,reward\n", "no sequence with a reward; score it first: sequence-tutor"),
        ("a.csv", "smiles,reward\nC,?\n", "CONFIG FILE. .*\n.*line 2: 'C': its reward is '[?]'"),
        ("a.csv", "", "has no column"),
        ("a.parquet", "no", "is not a Parquet file"),
    ],
)
def test_files_without_anything_to_use(tmp_path: Path, name: str, content: str | None, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_scored(path)
    assert str(path) in str(caught.value)


def test_rows_for_the_replay(tmp_path: Path):
    sequences = ["CCO", "C1CC1", "cco", "X", "QQ", "C" * 9, "N"]
    encoding = SmilesEncoding.fit(["CO1NXco"], max_length=6)
    rewards = np.arange(7) / 3
    scored, remarks = to_scored(sequences, rewards, encoding, Keys(), 1e9)  # type: ignore[arg-type]
    assert scored.keys == ["CCO", "C1CC1", "N"] and scored.sequences == ["CCO", "C1CC1", "N"]
    assert scored.rewards.tolist() == [0.0, 1 / 3, 2.0]
    assert scored.lengths.tolist() == [4, 6, 2]
    for row, length, text in zip(scored.tokens, scored.lengths, scored.sequences, strict=True):
        assert np.array_equal(row[:length], encoding.encode(text)) and not row[length:].any()
    assert scored.sources == ["warm-start"] * 3 and scored.actors == [""] * 3
    assert scored.versions.tolist() == [-1] * 3 and scored.scored_at.tolist() == [1e9] * 3
    assert np.isnan(scored.log_probs).all() and not scored.seconds.any()
    assert scored.status.tolist() == [Status.OK] * 3
    assert remarks == [
        "1 of 7 scored sequences left out (the same as an earlier one), such as 'cco'",
        "1 of 7 scored sequences left out (not valid), such as 'X'",
        "1 of 7 scored sequences left out (the prior has no words for it), such as 'QQ'",
        "1 of 7 scored sequences left out (longer than 6 tokens), such as 'CCCCCCCCC'",
    ]
    (tmp_path / "scores").mkdir()
    writer = RecordWriter(tmp_path / "scores", 0)
    writer.append(scored)
    writer.flush()
    found = read_record(tmp_path / "scores")
    assert found is not None and found.keys == scored.keys  # it's fit for the record
    assert np.array_equal(found.tokens, scored.tokens)


def test_where_all_have_the_same_length_others_do_not_fit():
    encoding = MelodyEncoding.fit([], max_length=4)
    texts = ["C4---", "C4--", "C4----"]
    scored, remarks = to_scored(texts, np.ones(3), encoding, Keys(), 0.0)  # type: ignore[arg-type]
    assert scored.sequences == ["C4---"]
    assert "not 4 tokens long, as all must be), such as 'C4--'" in remarks[0]
    assert "longer than 4 tokens), such as 'C4----'" in remarks[1]


def test_nothing_may_be_left():
    encoding = SmilesEncoding.fit(["C"])
    scored, remarks = to_scored(["N"], np.ones(1), encoding, Keys(), 0.0)  # type: ignore[arg-type]
    assert len(scored) == 0 and scored.tokens.shape == (0, 1) and len(remarks) == 1
    assert to_scored([], np.ones(0), encoding, Keys(), 0.0)[1] == []  # type: ignore[arg-type]
