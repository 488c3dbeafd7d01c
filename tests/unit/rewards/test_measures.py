"""Components of molecules: their descriptions, wrong options, and values by hand."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import linear_onnx
from rdkit import Chem
from rdkit.Chem import FilterCatalog

from sequence_tutor.rewards import score_one
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.costs import costs
from sequence_tutor.rewards.described import (
    cost_text,
    described_components,
    described_transforms,
)
from sequence_tutor.rewards.molecules.docking.receptor import PACKAGES
from sequence_tutor.rewards.molecules.measures import novelty
from sequence_tutor.rewards.molecules.measures.rings import ring_systems, scaffold
from sequence_tutor.rewards.registry import components
from sequence_tutor.rewards.transforms import TRANSFORMS

ASPIRIN, SALICYLATE = "CC(=O)Oc1ccccc1C(=O)O", "OC(=O)c1ccccc1O"
TASKS = "sequence_tutor.rewards.molecules.tasks"
OWN = sorted(
    name
    for name, found in components("molecules").items()
    if found.function.__module__.startswith("sequence_tutor.")
    and not found.function.__module__.startswith(TASKS)
    and not found.texts  # see test_external.py
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that examples name, in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("known.smi").write_text("CCO ethanol\n\nc1ccccc1\n")
    rings = {"c1ccccc1": 1.0, "C1CC1": 2.5, "linear": 4.0}
    Path("rings.json").write_text(json.dumps({"rings": rings, "generic_rings": {"C1CCCCC1": 0.5}}))
    marks = ["CCO,1", "CCCCCC,2", "c1ccccc1O,3", "CC(=O)Nc1ccc(O)cc1,4", "C1CCCCC1N,5"]
    Path("ratings.csv").write_text("\n".join(["sequence,mark", *marks]) + "\n")
    Path("model.onnx").write_bytes(linear_onnx([0.0] * 1024))
    Path("empty.smi").write_text("\n")
    Path("wrong.smi").write_text("CCO\nC1\n")
    Path("wrong.json").write_text('{"rings": {"c1ccccc1": "much"}}')
    Path("negative.json").write_text('{"rings": {"c1ccccc1": -1}}')
    return tmp_path


@pytest.mark.parametrize("name", OWN)
def test_every_example_works(name: str, files: Path) -> None:
    if name == "docking":
        for package in PACKAGES:
            pytest.importorskip(package, reason="the extra docking isn't installed")
    (described,) = [one for one in described_components("molecules") if one.name == name]
    (table,) = tomllib.loads(f"parts = [{described.example}]")["parts"]
    scores = build_reward(RewardConfig.model_validate({"component": [table]})).score([ASPIRIN])
    assert np.isfinite(scores.rewards[0]), scores.errors


def test_every_component_is_described() -> None:
    """A first line, a line for each option, and a measured time."""
    described = {one.name: one for one in described_components("molecules")}
    for name in OWN:
        one = described[name]
        assert one.value.endswith("."), name
        assert all(option.meaning for option in one.options), name
        assert one.cost, f"{name}: run docs/component_tables.py --measure"
    assert set(costs("molecules")) == set(OWN)
    assert [one.name for one in described_transforms()] == list(TRANSFORMS)
    assert cost_text(None) == "" and cost_text(0.2) == "0.001 ms" and cost_text(2e5) == "100 ms"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("descriptor", {"descriptor": "Balaban"}, "did you mean 'BalabanJ'"),
        ("descriptor", {"descriptor": "?"}, "is none of RDKit's"),
        ("similarity", {"smiles": []}, "smiles needs at least one molecule"),
        ("similarity", {"smiles": [ASPIRIN, "C1"]}, "smiles = 'C1' is not a valid molecule"),
        ("similarity", {"smiles": "C", "radius": -1}, "radius must not be negative"),
        ("similarity", {"smiles": "C", "fingerprint": "ecfp"}, "did you mean 'fcfp'"),
        ("similarity", {"smiles": "C", "measure": "tverski"}, "did you mean 'tversky'"),
        ("similarity", {"smiles": "C", "of": "least"}, "unknown of 'least'"),
        ("similarity", {"smiles": "C", "alpha": -1.0}, "alpha and beta must not be negative"),
        ("similarity", {"smiles": "C", "alpha": 0, "beta": 0}, "not both 0"),
        ("similarity", {"smiles": "C", "alpha": float("nan")}, "alpha"),
        ("substructure", {"smarts": []}, "smarts needs at least one pattern"),
        ("substructure", {"smarts": ["C", "C1"]}, "smarts = 'C1' is not a valid pattern"),
        ("substructure_count", {"smarts": "OC1=CC=CC=C1"}, "write 'Oc1ccccc1'"),
        ("alerts", {}, "give smarts"),
        ("alerts", {"smarts": [], "catalogues": []}, "give smarts"),
        ("alerts", {"smarts": ["C1"]}, "smarts = 'C1'"),
        ("alerts", {"catalogues": ["PAIN"]}, "name in catalogues: 'PAIN'.*did you mean 'PAINS'"),
        ("alerts", {"catalogues": "PAINS"}, "option 'catalogues'"),
        ("volume", {"grid_spacing": 0.0}, "grid_spacing must be positive"),
        ("volume", {"box_margin": float("inf")}, "box_margin must be positive"),
        ("pmi", {"property": "npr3"}, "unknown property 'npr3'"),
        ("shape", {"smiles": ASPIRIN, "conformers": 0}, "conformers must be at least 1"),
        ("shape", {"smiles": ASPIRIN, "color_weight": 1.5}, "color_weight must be from 0 to 1"),
        ("shape", {"smiles": "[H][H]"}, "without heavy atoms there is no shape"),
        ("scaffold_match", {"smiles": "CCO"}, "smiles = 'CCO' has no ring"),
        ("matched_pair", {"smiles": ASPIRIN, "max_variable_heavies": 0}, "max_variable_heavies"),
        ("matched_pair", {"smiles": ASPIRIN, "max_variable_ratio": 0.0}, "max_variable_ratio"),
        ("ring_precedence", {"file": "none.json"}, "file = 'none.json' can't be read"),
        ("ring_precedence", {"file": "wrong.json"}, "must be JSON"),
        ("ring_precedence", {"file": "negative.json"}, "negative or not finite"),
        ("ring_precedence", {"file": "rings.json", "method": "sum"}, "unknown method 'sum'"),
        ("ring_precedence", {"file": "known.smi"}, "must be JSON"),
        ("novelty", {"file": "none.smi"}, "file = 'none.smi' can't be read"),
        ("novelty", {"file": "empty.smi"}, "file = 'empty.smi': it has no molecules"),
        (
            "novelty",
            {"file": "wrong.smi"},
            "wrong.smi': line 2, 'C1', is not a valid molecule",
        ),
        ("novelty", {"file": "known.smi", "radius": -1}, "radius must not be negative"),
        ("tpsa", {"includeSandP": True}, "allowed: include_s_and_p"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    name: str, options: dict[str, Any], words: str, files: Path
) -> None:
    with pytest.raises(ValueError, match=words) as error:
        score_one(name, ASPIRIN, **options)
    text = str(error.value)
    assert name in text and "\n" not in text and len(text) < 400


def test_score_one() -> None:
    assert score_one("heavy_atoms", ASPIRIN) == 13.0
    assert score_one("similarity", ASPIRIN, smiles=ASPIRIN) == 1.0
    assert score_one("python", ASPIRIN, function=len) == len(ASPIRIN)
    for name, smiles, words in (
        ("heavy_atom", ASPIRIN, "did you mean 'heavy_atoms'"),
        ("heavy_atoms", "C1", "'C1': SMILES syntax error"),
        ("descriptor", "C[Se]C", "descriptor"),
    ):
        with pytest.raises(ValueError, match=words) as error:
            score_one(name, smiles, **({"descriptor": "BCUT2D_MWHI"} if "Se" in smiles else {}))
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="'weight' is no option"):
        score_one("qed", ASPIRIN, weight=2.0)


def test_names_are_listed_without_loading_rdkit_before() -> None:
    code = (
        "import sys\n"
        "import sequence_tutor.rewards\n"
        "assert 'rdkit' not in sys.modules and 'pydantic' not in sys.modules\n"
        "from sequence_tutor.rewards.registry import components\n"
        "assert 'qed' in components('molecules') and 'rdkit' in sys.modules\n"
        "assert 'nothing' not in components('molecules')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(ValueError, match="did you mean 'molecules'"):
        components("molecule")


@pytest.mark.parametrize(
    ("name", "smiles", "value"),
    [
        ("graph_length", "CCCC", 3),
        ("graph_length", "CCCC.CC", 3),
        ("graph_length", "C", 0),
        ("stereo_centres", "C[C@H](O)C(N)F", 2),
        ("open_stereo_centres", "C[C@H](O)C(N)F", 1),
        ("csp3", "CC=C", 1 / 3),
        ("csp3", "O", 0),
        ("num_sp", "C#CC", 2),
        ("num_sp2", "C=CC", 2),
        ("num_sp3", "C=CC", 1),
        ("heavy_atoms", "[H][H]", 0),
        ("hetero_atoms", "CCO", 1),
        ("aliphatic_ring_count", "c1ccccc1C1CC1", 1),
        ("largest_ring", "C1CC1C1CCCC1", 5),
        ("largest_ring", "CC", 0),
        ("formal_charge", "[NH3+]CC(=O)[O-].[Na+]", 1),
    ],
)
def test_counts_by_hand(name: str, smiles: str, value: float) -> None:
    assert score_one(name, smiles) == pytest.approx(value)


def _fragments(smiles: str) -> set[int]:
    mol = Chem.MolFromSmiles(smiles)
    generator = Chem.rdFingerprintGenerator.GetMorganGenerator(2)
    return set(generator.GetSparseCountFingerprint(mol).GetNonzeroElements())


def test_measures_of_similarity_by_hand() -> None:
    own, other = _fragments(SALICYLATE), _fragments(ASPIRIN)
    common, alone, theirs = len(own & other), len(own - other), len(other - own)
    assert common and alone and theirs and alone != theirs

    def value(**options: Any) -> float:
        return score_one(
            "similarity", SALICYLATE, smiles=ASPIRIN, counts=False, folded=False, **options
        )

    assert value() == pytest.approx(common / (common + alone + theirs))
    assert value(measure="dice") == pytest.approx(2 * common / (2 * common + alone + theirs))
    tversky = value(measure="tversky", alpha=0.9, beta=0.2)
    assert tversky == pytest.approx(common / (common + 0.9 * theirs + 0.2 * alone))
    assert tversky != pytest.approx(common / (common + 0.2 * theirs + 0.9 * alone))  # control


@pytest.mark.parametrize("fingerprint", ["morgan", "fcfp", "atom_pairs", "maccs", "topological"])
@pytest.mark.parametrize("counts", [False, True])
def test_every_fingerprint_tells_molecules_apart(fingerprint: str, counts: bool) -> None:
    options: dict[str, Any] = {"fingerprint": fingerprint, "counts": counts}
    for measure in ("tanimoto", "dice", "tversky"):
        options["measure"] = measure
        near, far = (
            score_one("similarity", smiles, smiles=ASPIRIN, **options)
            for smiles in (SALICYLATE, "C1CCNCC1")
        )
        assert 0 <= far < near < 1 and near > 0.3
        assert score_one("similarity", "OC(=O)c1ccccc1OC(C)=O", smiles=ASPIRIN, **options) == 1.0
    assert score_one("similarity", "[He]", smiles=ASPIRIN, **options) <= 0.1  # may be empty


def test_several_references() -> None:
    one, other = (score_one("similarity", SALICYLATE, smiles=s) for s in (ASPIRIN, "CCO"))
    both = {"smiles": [ASPIRIN, "CCO"]}
    assert score_one("similarity", SALICYLATE, **both) == max(one, other) > min(one, other)
    mean = score_one("similarity", SALICYLATE, of="mean", **both)
    assert mean == pytest.approx((one + other) / 2)


def test_patterns() -> None:
    assert score_one("substructure_count", "OCC(O)CO", smarts="[OX2H]") == 3
    assert score_one("substructure_count", "C" * 40, smarts="*~*~*~*.*~*") == 1000  # the most
    assert score_one("substructure_count", "c1ccccc1", smarts="c1ccccc1") == 1  # not 12
    left, right, pattern = "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "C[C@H](N)C(=O)"
    for name in ("substructure", "substructure_count"):
        assert score_one(name, left, smarts=pattern) == score_one(name, right, smarts=pattern) == 1
        assert score_one(name, left, smarts=pattern, chirality=True) == 1
        assert score_one(name, right, smarts=pattern, chirality=True) == 0
    assert score_one("substructure", "CO", smarts=["N", "O"]) == 1
    assert score_one("substructure", "CC", smarts=["N", "O"]) == 0
    assert score_one("substructure", "CC", smarts=["N", "O"], absent=True) == 1


def test_alerts() -> None:
    rhodanine = "O=C1C(=Cc2ccc(O)cc2)SC(=S)N1CC"
    assert score_one("alerts", rhodanine, catalogues=["PAINS"]) == 0
    assert score_one("alerts", rhodanine, catalogues=["ZINC"]) == 1
    assert score_one("alerts", rhodanine, catalogues=["ZINC", "PAINS_A"]) == 0
    assert score_one("alerts", rhodanine, smarts=["[Cl]", "[OH]"]) == 0
    assert score_one("alerts", rhodanine, smarts=["[Cl]"]) == 1
    assert score_one("alerts", rhodanine, smarts=["[Cl]"], catalogues=["PAINS"]) == 0
    for name in ("PAINS", "BRENK", "NIH", "ZINC", "CHEMBL"):
        assert score_one("alerts", "CCO", catalogues=[name]) == 1
        assert name in FilterCatalog.FilterCatalogParams.FilterCatalogs.names
    many = [f"[#{n}]" for n in range(9, 90)] * 4  # more than are remembered one by one
    assert score_one("alerts", "CCO", smarts=many) == 1


def test_nibr_adds_up_flags_and_excludes() -> None:
    assert score_one("nibr", "CC(=O)Nc1ccc(O)cc1") == 0
    assert score_one("nibr", "O=C(Cl)c1ccccc1") == 10  # an acid chloride is excluded
    assert score_one("nibr", "N#CC(C#N)Cc1ccccc1") == 1  # two cyano groups are a flag


def test_scaffolds() -> None:
    options: dict[str, Any] = {"smiles": "CC(=O)Nc1ccc(Cc2ccncc2)cc1"}
    assert score_one("scaffold_match", "c1ccc(Cc2ccncc2)cc1", **options) == 1
    assert score_one("scaffold_match", "c1ccc(Cc2ccccc2)cc1", **options) == 0
    assert score_one("scaffold_match", "c1ccc(Cc2ccccc2)cc1", generic=True, **options) == 1
    assert score_one("scaffold_match", "CCO", **options) == 0
    several = {"smiles": ["c1ccccc1C", "C1CC1"]}
    assert score_one("scaffold_match", "CC1CC1", **several) == 1
    assert scaffold(Chem.MolFromSmiles("C[C@H]1CCCN1")) == scaffold(Chem.MolFromSmiles("C1CCCN1"))


def test_ring_systems(files: Path) -> None:
    def systems(smiles: str, generic: bool = False) -> list[str]:
        return sorted(ring_systems(Chem.MolFromSmiles(smiles), generic))

    assert systems("CCO") == ["linear"]
    assert systems("Cc1ccccc1C1CC1") == ["C1CC1", "c1ccccc1"]
    assert systems("CC1CC12CC2") == ["C1CC12CC2"]  # spiro
    assert systems("O=C1CCCN1C") == ["O=C1CCCN1"]  # what is at it by a double bond stays
    assert systems("Cn1cccc1") == ["c1cc[nH]c1"]
    assert systems("C[C@H]1CCCN1") == ["C1CCNC1"]
    assert systems("O=C1CCCN1C", generic=True) == ["CC1CCCC1"]
    rings: dict[str, Any] = {"file": "rings.json"}
    assert score_one("ring_precedence", "c1ccccc1Cc1ccccc1", **rings) == 2
    assert score_one("ring_precedence", "c1ccccc1CC1CC1", method="max", **rings) == 2.5
    assert score_one("ring_precedence", "CC", **rings) == 4
    assert score_one("ring_precedence", "C1CCC1", **rings) == 100
    assert score_one("ring_precedence", "c1ccccc1", generic=True, **rings) == 0.5


@pytest.mark.parametrize(
    ("smiles", "reference", "pair"),
    [
        ("Cc1ccc(C(=O)NCc2ccccc2)cc1", "Clc1ccc(C(=O)NCc2ccccc2)cc1", True),
        ("Cc1ccc(C(=O)NCc2ccccc2)cc1", "c1ccc(C(=O)NCc2ccccc2)cc1", True),  # CH3 and H
        ("c1ccc(C(=O)NCc2ccccc2)cc1", "Cc1ccc(C(=O)NCc2ccccc2)cc1", True),
        ("Cc1ccc(C(=O)NCc2ccccc2)cc1", "Cc1ccc(C(=O)NCc2ccccc2)cc1", False),  # the same
        ("Cc1ccc(C(=O)NCc2ccccc2)cc1", "Clc1ccc(C(=O)NCc2ccc(F)cc2)cc1", False),  # two places
        ("Cc1ccc(C(=O)NCc2ccccc2)cc1", "Clc1cccc(C(=O)NCc2ccccc2)c1", False),
        ("Cc1ccc(C(=O)NCc2ccccc2)cc1.Cl", "Clc1ccc(C(=O)NCc2ccccc2)cc1", True),  # a salt
        ("C1CCCCC1", "C1CCCCC1C", True),
        ("CCO", "C", False),
    ],
)
def test_matched_pairs_by_hand(smiles: str, reference: str, pair: bool) -> None:
    assert score_one("matched_pair", smiles, smiles=reference) == pair
    assert score_one("matched_pair", smiles, smiles=["CCCCN", reference]) == pair


def test_the_part_in_which_a_pair_differs_is_limited() -> None:
    one, other = "Cc1ccc(C(=O)NCc2ccccc2)cc1", "FC(F)(F)c1ccc(C(=O)NCc2ccccc2)cc1"
    assert score_one("matched_pair", one, smiles=other) == 1
    assert score_one("matched_pair", one, smiles=other, max_variable_heavies=3) == 0
    assert score_one("matched_pair", one, smiles=other, max_variable_ratio=0.1) == 0


def test_novelty(files: Path) -> None:
    known: dict[str, Any] = {"file": "known.smi"}
    assert score_one("novelty", "OCC", **known) == 0
    near = max(score_one("similarity", "CCCO", smiles=s, counts=False) for s in ("CCO", "c1ccccc1"))
    assert score_one("novelty", "CCCO", **known) == pytest.approx(1 - near)
    Path("known.smi.gz").write_bytes(gzip.compress(Path("known.smi").read_bytes()))
    assert score_one("novelty", "CCCO", file="known.smi.gz") == pytest.approx(1 - near)
    assert score_one("novelty", "CCCO", radius=1, **known) != pytest.approx(1 - near)


def test_a_file_that_has_changed_is_read_again_when_a_reward_is_built(files: Path) -> None:
    config = RewardConfig.model_validate({"component": [{"name": "novelty", "file": "known.smi"}]})
    before = build_reward(config)
    assert before.score(["NCCCN"]).rewards[0] > 0
    Path("known.smi").write_text("NCCCN\n")
    assert before.score(["NCCCN"]).rewards[0] > 0  # in the middle of a run nothing changes
    assert build_reward(config).score(["NCCCN"]).rewards[0] == 0
    Path("known.smi").unlink()
    with pytest.raises(ValueError, match="known.smi' can't be read: No such file"):
        build_reward(config)
    Path("broken.smi.gz").write_bytes(gzip.compress(b"CCO")[:-9])
    with pytest.raises(ValueError, match="broken.smi.gz' can't be read"):
        score_one("novelty", ASPIRIN, file="broken.smi.gz")


def test_the_nearest_of_a_large_corpus_is_that_of_a_slow_search() -> None:
    random = np.random.default_rng(0)
    corpus = random.integers(0, 2**63, (10_000, 32), dtype=np.uint64)
    corpus &= random.integers(0, 2**63, corpus.shape, dtype=np.uint64)
    own = corpus[9_000] & random.integers(0, 2**63, 32, dtype=np.uint64)
    bits = [set(np.flatnonzero(np.unpackbits(row.view(np.uint8)))) for row in corpus[8_900:9_100]]
    mine = set(np.flatnonzero(np.unpackbits(own.view(np.uint8))))
    slow = [len(mine & one) / len(mine | one) for one in bits]
    sizes = np.bitwise_count(corpus).sum(axis=1, dtype=np.int64)
    assert (
        novelty.nearest(own, corpus, sizes) == pytest.approx(max(slow)) and max(slow) == slow[100]
    )
    assert novelty.nearest(own, corpus[:9_000], sizes[:9_000]) < max(slow)  # control
