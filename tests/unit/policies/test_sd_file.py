from __future__ import annotations

import re
import resource
import tracemalloc
from pathlib import Path

import pytest
from rdkit import Chem

from sequence_tutor.policies.files import sd_file
from sequence_tutor.policies.files.corpus import read_corpus
from sequence_tutor.policies.files.table_reader import (
    CorpusError,
    count_rows,
    read_sequences,
    read_table,
)
from sequence_tutor.rewards.domains import domain_of


def block(smiles: str, title: str = "", v3000: bool = False) -> str:
    mol = Chem.MolFromSmiles(smiles)
    mol.SetProp("_Name", title)
    return str(Chem.MolToMolBlock(mol, forceV3000=v3000))


def sequences(path: Path) -> list[str]:
    found = [text for _, text in read_sequences(path, tolerant=True)]
    assert count_rows(path, tolerant=True) == len(found)
    return found


def reasons(path: Path) -> list[str]:
    return [domain_of("smiles").identify(text).reason for text in sequences(path)]


def test_damaged_records_are_invalid_rows_with_a_reason(tmp_path: Path):
    path = tmp_path / "a.sdf"
    good = block("CCO", "good") + "> <x>\n1\n\n$$$$\n"
    broken = [
        good.replace("M  END\n", "").replace("  1  2  1  0\n", ""),  # cut off in the bonds
        good.replace("0.0000 C ", "0.0000 Xx"),
        "no molecule\n$$$$\n",
        "$$$$\n",
        block("CC") + block("CCC") + "$$$$\n",  # no $$$$ between two
        block("CN(C)C").replace(" N   0", " F   0") + "$$$$\n",
    ]
    path.write_text(good + "".join(broken) + good)
    found = reasons(path)
    assert found[0] == found[-1] == ""
    assert all(text.startswith("mol block: ") for text in found[1:-1])
    assert "it is cut off" in found[1] and "Element 'Xx' not found" in found[2]
    assert "a line $$$$ is missing" in found[5]
    assert "valence" in found[6]
    assert [text for text in sequences(path) if text.startswith("CC")] == ["CCO", "CCO"]
    # other columns of a damaged record are kept
    header, _, rows = read_table(path)
    assert header == ["sequence", "name", "x"]
    assert [row[2] for row in rows] == ["1", "1", "1", "", "", "", "", "1"]
    # training leaves them out and names the record
    check = domain_of("smiles").identify
    corpus = read_corpus(path, lambda text: check(text).reason or None)
    assert len(corpus.sequences) == 2 and corpus.broken_count == len(broken)
    assert re.search("record 2: .unreadable:mol_block:_it_is_cut_off", corpus.complaints())


def test_fields_titles_and_v3000(tmp_path: Path):
    path = tmp_path / "a.sdf"
    path.write_text(
        block("C[C@H](N)O", " first one ", v3000=True)
        + "> 25  <log P>  (3)\n1.5\nmore\n\n>  <name>\nown\n\n> DT12\nx\n\n$$$$\r\n"
        + block("O").replace("\n", "\r\n")
        + "> <log P>\r\n2\r\n> not a field\r\n\r\n$$$$\r\n\r\n"
    )
    header, place, rows = read_table(path)
    assert (header, place) == (["sequence", "name", "log P", "name", "DT12"], 0)
    assert list(rows) == [
        ["C[C@H](N)O", "first one", "1.5\nmore", "own", "x"],
        ["O", "", "2\n> not a field", "", ""],
    ]
    path.write_text(block("O") + "> <a>\n1\n")  # a mol block alone, and without titles
    header, _, rows = read_table(path)
    assert (header, list(rows)) == (["sequence", "a"], [["O", "1"]])
    path.rename(tmp_path / "a.mol")
    assert sequences(tmp_path / "a.mol") == ["O"]


def test_hydrogens_are_implicit_and_stereochemistry_stays(tmp_path: Path):
    path = tmp_path / "a.sdf"
    texts = ["C[C@H](N)C(=O)O", r"C/C=C\C", "[13CH3]O", "C[N+](C)(C)C.[Cl-]"]
    parts = []
    for smiles in texts:
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        parts.append(Chem.MolToMolBlock(mol) + "$$$$\n")
    path.write_text("".join(parts))
    assert sequences(path) == [Chem.CanonSmiles(smiles) for smiles in texts]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("CCO ethanol\nCCN\n", "isn't an SD file.*begins with 'CCO ethanol'; rename it"),
        ("PAR1\0\0", "looks like Parquet: rename it to .parquet"),
    ],
)
def test_another_format_called_sdf_raises(tmp_path: Path, content: str, message: str):
    path = tmp_path / "a.sdf"
    path.write_text(content)
    with pytest.raises(CorpusError, match=message):
        sequences(path)
    path.write_text("")  # control
    assert sequences(path) == []


def test_an_sd_file_under_a_text_files_name_says_how_to_call_it(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text(block("CCO", "x") + "$$$$\n")
    with pytest.raises(CorpusError, match="mol block or SD file.*rename it to .sdf"):
        sequences(path)


def test_bytes_that_are_not_utf8_raise_with_the_line_in_training(tmp_path: Path):
    path = tmp_path / "a.sdf"
    path.write_bytes((block("O") + "> <a>\ncaf\xe9\n\n$$$$\n").encode("latin-1"))
    assert sequences(path) == ["O"]
    line = block("O").count("\n") + 2
    with pytest.raises(CorpusError, match=f"at line {line}"):
        list(read_sequences(path))


def test_huge_records_and_molecules_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.sdf"
    good = block("O") + "$$$$\n"
    long = block("C") + "> <a>\n" + ("x" * 99 + "\n") * 80_000 + "\n$$$$\n"
    large = block("C" * 1_100, v3000=True) + "$$$$\n"
    path.write_text(good + long + large + good)
    monkeypatch.setattr(sd_file, "LONGEST_RECORD", 200_000)
    tracemalloc.start()
    try:
        first, second, third, fourth = reasons(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert first == fourth == ""
    assert "longer than 200,000 characters" in second
    assert "1,100 atoms, more than 1,000" in third
    assert peak < 3 << 20


@pytest.mark.parametrize("counts", ["30000000 2", "-\nM  V30 30000000 2", "3 30000000"])
def test_counts_beyond_the_block_take_no_memory(tmp_path: Path, counts: str):
    path = tmp_path / "a.sdf"
    good = block("CCO", v3000=True) + "$$$$\n"
    assert "COUNTS 3 2" in good
    path.write_text(good + good.replace("COUNTS 3 2", f"COUNTS {counts}") + good)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [text[:26] for text in sequences(path)] == ["CCO", "unreadable:mol_block:_it_i", "CCO"]
    # RDKit would make room for that many atoms, a gigabyte
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_too_many_fields_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.sdf"
    path.write_text("".join(block("O") + f"> <f{i}>\n1\n\n$$$$\n" for i in range(4)))
    assert sequences(path) == ["O"] * 4
    monkeypatch.setattr(sd_file, "MOST_FIELDS", 3)
    with pytest.raises(CorpusError, match="more than 3 different fields, up to record 4"):
        sequences(path)
