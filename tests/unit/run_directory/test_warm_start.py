from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from records import read_record
from shards import open_shard

from sequence_tutor.distributed.replay.messages import Claim
from sequence_tutor.distributed.replay.record.writer import RecordWriter
from sequence_tutor.distributed.replay.sampler import UniformSampler
from sequence_tutor.distributed.run_directory.warm_start import read_scored, to_scored
from sequence_tutor.distributed.types import Scored, concatenate
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.files.corpus import CorpusError
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.domains import domain_of

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
def test_a_csv_of_scores_is_read(tmp_path: Path, name: str):
    path = tmp_path / name
    content = ("\ufeff" + CSV).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    sequences, rewards, remarks = read_scored(path)
    assert sequences == ["CC", "C", "F"]  # up to the first white space
    assert rewards.dtype == np.float64 and rewards.tolist() == [0.5, 1e-3, -2.0]
    assert remarks == [
        f"{path}: 6 unusable lines left out, for example\n"
        "  line 3: 'CO': status is 'timeout'\n"
        "  line 6: '': no sequence\n"
        "  line 7: 'N': its reward is 'high'\n"
        "  line 8: 'O': its reward is 'nan'\n"
        "  line 9: 'S': its reward is '-inf'"
    ]


def test_a_sequence_column_is_chosen_by_name(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("reward,sequence,mine\n1,CC,N\n2,CO,O\n")
    assert read_scored(path)[0] == ["CC", "CO"]
    assert read_scored(path, "mine")[0] == ["N", "O"]
    assert read_scored(path)[2] == []
    with pytest.raises(CorpusError, match="no column 'x'; it has: reward, sequence, mine"):
        read_scored(path, "x")


def test_a_parquet_file_of_scores_is_read(tmp_path: Path):
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


def test_the_record_of_a_run_is_read(tmp_path: Path):
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
        (
            "a.csv",
            "smiles,x\nCC,1\n",
            "it has: smiles, x; choose one with --reward-column, or rename one, or sco",
        ),
        ("a.csv", "mol,reward\nCC,1\n", "no column 'sequence'; it has: mol, reward"),
        ("a.csv", "smiles,reward\n", "no sequence with a reward; score it first: sequence-tutor"),
        ("a.csv", "smiles,reward\nC,?\n", "CONFIG FILE. .*\n.*line 2: 'C': its reward is '[?]'"),
        ("a.csv", "", "has no column"),
        ("a.parquet", "no", "is not a Parquet file"),
    ],
)
def test_unusable_files_raise(tmp_path: Path, name: str, content: str | None, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_scored(path)
    assert str(path) in str(caught.value)


def test_scored_sequences_become_rows_for_the_replay(tmp_path: Path):
    sequences = ["CCO", "C1CC1", "cco", "X", "QQ", "C" * 9, "N", "n"]
    encoding = SmilesEncoding.fit(["CO1NXco"], max_length=6)
    rewards = np.array([0, 1, 2, 3, 4, 5, 6, 6]) / 3
    scored, remarks = to_scored(sequences, rewards, encoding, Keys(), 1e9)  # type: ignore[arg-type]
    assert scored.keys == ["CCO", "C1CC1", "QQ", "C" * 9, "N"]
    assert scored.sequences == scored.keys
    assert scored.rewards.tolist() == [1 / 3, 1 / 3, 4 / 3, 5 / 3, 2.0]  # CCO: the mean of two
    assert scored.lengths.tolist() == [4, 6, 0, 0, 2]  # length 0: known, but not trainable
    for row, length, text in zip(scored.tokens, scored.lengths, scored.sequences, strict=True):
        if length:
            assert np.array_equal(row[:length], encoding.encode(text))
        assert not row[length:].any()
    assert scored.sources == ["warm-start"] * 5 and scored.actors == [""] * 5
    assert scored.versions.tolist() == [-1] * 5 and scored.scored_at.tolist() == [1e9] * 5
    assert np.isnan(scored.log_probs).all() and not scored.seconds.any()
    assert scored.status.tolist() == [Status.OK] * 5
    assert remarks == [
        "1 of 8 scored sequences left out (not valid), such as 'X'",
        "2 of 8 scored sequences are the same as an earlier one, such as 'cco', 'n'",
        "1 of 5 different sequences come with more than one reward; the mean is taken. They differ "
        "most for 'CCO': 0 to 0.666667",
        "1 of 8 scored sequences can't be learned from (the prior's vocabulary can't express it), "
        "but aren't scored again, such as 'QQ'",
        "1 of 8 scored sequences can't be learned from (longer than 6 tokens), but aren't scored "
        "again, such as 'CCCCCCCCC'",
    ]
    (tmp_path / "scores").mkdir()
    writer = RecordWriter(tmp_path / "scores", 0)
    writer.append(scored)
    writer.flush()
    found = read_record(tmp_path / "scores")
    assert found is not None and found.keys == scored.keys  # it's fit for the record
    assert np.array_equal(found.tokens, scored.tokens)
    assert np.array_equal(found.lengths, scored.lengths)


def test_a_shard_knows_rows_that_are_not_trainable(tmp_path: Path):
    encoding = SmilesEncoding.fit(["CO"])
    scored, _ = to_scored(["CO", "NN"], np.ones(2), encoding, Keys(), 0.0)  # type: ignore[arg-type]
    (tmp_path / "scores").mkdir()
    options = {"sampler": UniformSampler(), "flush_seconds": 0.0}
    open_shard(tmp_path / "scores", **options).add(scored)  # type: ignore[arg-type]
    shard = open_shard(tmp_path / "scores", **options)  # type: ignore[arg-type]
    claims = shard.claim("me", ["CO", "NN", "S"])
    assert claims.state.tolist() == [Claim.KNOWN, Claim.KNOWN, Claim.YOURS]
    stats = shard.stats()
    assert (stats.rows, stats.trainable_rows, stats.paid_rows) == (2, 1, 0)
    batch = shard.sample(20, seed=1)
    assert batch.lengths.tolist() == [len(encoding.encode("CO"))] * 20


ODD = [
    "[CH3][CH2][OH]",
    "[H]C([H])([H])O",
    "C%12CCCC%12",
    "c1:c:c:c:c:c:1O",
    "C[NH1]C",
    "OC1=CC=CC=C1C",
    "C[C@@H1](N)C(=O)O",
]


def test_a_spelling_the_prior_lacks_becomes_the_canonical_one():
    domain = domain_of("smiles")
    encoding = SmilesEncoding.fit(["CCO", "C1CCCC1", "Oc1ccccc1", "CNC", "C[C@@H](N)C(=O)O"])
    scored, remarks = to_scored(ODD, np.arange(7.0), encoding, domain, 0.0)
    assert (scored.lengths > 0).all() and remarks == []
    for row, length, text, key in zip(
        scored.tokens, scored.lengths, scored.sequences, scored.keys, strict=True
    ):
        assert encoding.decode(row[:length]) == text and domain.key(text) == key
    again, remarks = to_scored(["[NH4+]", *ODD], np.arange(8.0), encoding, domain, 0.0)
    assert again.lengths[0] == 0 and "[NH4+]" in remarks[0]  # control


def test_melodies_of_another_length_are_not_trainable():
    encoding = MelodyEncoding.fit([], max_length=4)
    texts = ["C4---", "C4--", "C4----"]
    scored, remarks = to_scored(texts, np.ones(3), encoding, Keys(), 0.0)  # type: ignore[arg-type]
    assert scored.lengths.tolist() == [4, 0, 0]
    assert "not 4 tokens long, as all must be), but" in remarks[0] and "'C4--'" in remarks[0]
    assert "longer than 4 tokens), but" in remarks[1] and "'C4----'" in remarks[1]


def test_no_usable_sequence_gives_no_rows():
    encoding = SmilesEncoding.fit(["C"])
    scored, remarks = to_scored(["X"], np.ones(1), encoding, Keys(), 0.0)  # type: ignore[arg-type]
    assert len(scored) == 0 and scored.tokens.shape == (0, 1) and len(remarks) == 1
    assert to_scored([], np.ones(0), encoding, Keys(), 0.0)[1] == []  # type: ignore[arg-type]


def test_reward_columns_by_name_and_lower_is_better(tmp_path: Path):
    path = tmp_path / "docked.tsv"
    path.write_text("id\tligand\tkcal/mol\treward\n1\tCCO name\t-7.5\t0\n2\tCC\t-3\t0\n")
    sequences, rewards, remarks = read_scored(path, "ligand", "kcal/mol", lower_is_better=True)
    assert (sequences, rewards.tolist(), remarks) == (["CCO", "CC"], [7.5, 3.0], [])
    assert read_scored(path, "ligand", "kcal/mol")[1].tolist() == [-7.5, -3.0]
    with pytest.raises(CorpusError, match="no column 'kJ/mol'; it has: id, ligand, kcal/mol"):
        read_scored(path, "ligand", "kJ/mol")
    text = tmp_path / "docked.txt"
    text.write_bytes(path.read_bytes())
    assert read_scored(text, "ligand", "kcal/mol")[0] == ["CCO", "CC"]


def test_a_stray_quote_raises_with_its_line(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text('smiles,name,reward\nCCO,ethanol,1\nCCN,"amine 2,2\nCCC,propane,3\n')
    with pytest.raises(CorpusError, match="field that opens at line 3"):
        read_scored(path)
