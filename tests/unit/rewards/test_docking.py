"""Docking into a part of a receptor, beside Vina called directly and an older Vina."""

from __future__ import annotations

import hashlib
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from sequence_tutor.rewards import score_one
from sequence_tutor.rewards.base import Scores
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.compiled_reward import Objective
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.molecules.docking import receptor as receptors
from sequence_tutor.rewards.molecules.docking.engine import engine
from sequence_tutor.rewards.molecules.docking.ligand import MAX_TORSIONS, prepare_ligand
from sequence_tutor.rewards.pinned import pinned

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in receptors.PACKAGES),
    reason="the extra docking isn't installed",
)
RECEPTOR = Path(__file__).parent / "docking_receptor" / "kit.pdbqt"
CENTER, SIZE = [35.5, -0.5, -27.0], [12.0, 12.0, 12.0]
SITE: dict[str, Any] = {"receptor": str(RECEPTOR), "center": CENTER, "size": SIZE}
# it is docked as its anion
BENZOIC, ANION = "O=C(O)c1ccccc1", "O=C([O-])c1ccccc1"
INDOLE = "c1ccc2[nH]ccc2c1"


def objective(**options: Any) -> Objective:
    part = {"name": "docking", "exhaustiveness": 1, **SITE, **options}
    return build_reward(RewardConfig.model_validate({"component": [part]}))


def docked(*smiles: str, **options: Any) -> Scores:
    return objective(**options).score(smiles)


def pose_of(scores: Scores, row: int = 0) -> Chem.Mol:
    """The molecule in the file that was kept for a row."""
    assert scores.files is not None
    [file] = scores.files[row]
    assert (file.component, file.folder, file.suffix) == ("docking", "poses", ".sdf")
    supplier = Chem.SDMolSupplier()
    supplier.SetData(file.content.decode(), removeHs=False)
    [mol] = supplier
    assert mol is not None
    return mol


def test_the_score_is_vinas_and_an_older_vina_agrees_on_the_pose(tmp_path: Path) -> None:
    """Vina called with the ligand first, so that it computes other maps; and the program of
    version 1.1.2, which dockstring brings, scores the pose without any map."""
    from vina import Vina

    ligand = prepare_ligand(Chem.MolFromSmiles(BENZOIC), 7.4)
    plain = Vina(cpu=1, seed=5, verbosity=0)
    plain.set_receptor(str(RECEPTOR))
    plain.set_ligand_from_string(ligand.pdbqt)
    plain.compute_vina_maps(CENTER, SIZE)
    plain.dock(exhaustiveness=1, n_poses=1)
    score = score_one("docking", BENZOIC, exhaustiveness=1, seed=5, **SITE)
    assert score == pytest.approx(plain.energies(n_poses=1)[0][0], abs=1e-3)

    pose = tmp_path / "pose.pdbqt"
    lines = plain.poses(n_poses=1).splitlines()
    pose.write_text("\n".join(x for x in lines if not x.startswith(("MODEL", "ENDMDL"))))
    place = receptors.read_site("KIT", None, None, None)
    program = Path(place.path).parents[1] / "bin" / "vina_linux"
    found = subprocess.run(
        [str(program), "--receptor", str(RECEPTOR), "--ligand", str(pose), "--score_only"],
        capture_output=True,
        text=True,
        check=True,
    )
    [affinity] = [x.split()[1] for x in found.stdout.splitlines() if x.startswith("Affinity:")]
    assert score == pytest.approx(float(affinity), abs=0.01)
    assert score < -2.0  # it found a place


def test_a_score_depends_on_the_molecule_and_the_seed_alone(capfd: pytest.CaptureFixture[str]):
    first, other = docked(BENZOIC, INDOLE), docked(INDOLE, BENZOIC)
    assert first.raw["docking"].tolist() == other.raw["docking"][::-1].tolist()
    assert first.files is not None and other.files is not None
    assert first.files[0] == other.files[1]  # the same pose, byte by byte
    seeded = docked(BENZOIC, seed=77)
    assert seeded.files is not None and seeded.files[0] != first.files[0]  # control
    assert capfd.readouterr() == ("", "")


def test_the_pose_is_the_docked_form_in_the_box() -> None:
    scores = docked(BENZOIC)
    pose = pose_of(scores)
    assert pose.GetProp("_Name") == Chem.CanonSmiles(BENZOIC)
    assert pose.GetPropsAsDict() == {
        "smiles": BENZOIC,
        "docked_form": ANION,
        "score_kcal_per_mol": pytest.approx(scores.raw["docking"][0], abs=1e-3),
        "target": str(RECEPTOR),
        "exhaustiveness": 1,
        "seed": 1,
    }
    assert Chem.MolToSmiles(Chem.RemoveHs(pose)) == ANION
    heavy = [a.GetIdx() for a in pose.GetAtoms() if a.GetAtomicNum() > 1]
    outside = np.abs(pose.GetConformer().GetPositions()[heavy] - CENTER) - np.array(SIZE) / 2
    assert outside.max() < 0.1
    lengths = Chem.Get3DDistanceMatrix(pose)
    for bond in pose.GetBonds():
        assert 0.8 < lengths[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] < 1.7


def test_protons() -> None:
    """pKa of acetic acid 4.8, of methylamine 10.6, of phenol 10."""
    amine, acid, phenol = "CN", "CC(=O)O", "Oc1ccccc1"
    forms = {s: prepare_ligand(Chem.MolFromSmiles(s), 7.4).smiles for s in (amine, acid, phenol)}
    assert forms == {amine: "C[NH3+]", acid: "CC(=O)[O-]", phenol: "Oc1ccccc1"}
    assert prepare_ligand(Chem.MolFromSmiles(acid), 2.0).smiles == acid
    assert prepare_ligand(Chem.MolFromSmiles(amine), None).smiles == amine
    assert pose_of(docked(amine, protonate=False)).GetProp("docked_form") == amine


@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("CCB(O)O", "Vina can't dock it: PDBQT parsing error: Atom type B is not a valid"),
        ("C[Se]C", "meeko can't prepare it: atom number 1 has None type"),
        ("CC[Na]", "can't"),
        ("CCO.O", "it has 2 fragments"),
        ("[H][H]", "without heavy atoms"),
        ("C" * (MAX_TORSIONS + 8), f"rotatable bonds, more than {MAX_TORSIONS}"),
        ("C1C#CC1", "RDKit finds 0 of 1 conformers"),
    ],
)
def test_what_cannot_be_docked_fails_with_one_sentence(smiles: str, words: str) -> None:
    scores = docked(smiles, "CCO")
    assert words in scores.errors[0] and "\n" not in scores.errors[0]
    assert np.isnan(scores.rewards[0]) and scores.rewards[1] < 0
    assert scores.files is not None and scores.files[0] == ()


def test_a_macrocycle_is_docked_with_a_flexible_ring() -> None:
    ring = "C1CCCCCC1"  # seven atoms: meeko opens it
    assert "CG0" in prepare_ligand(Chem.MolFromSmiles(ring), None).pdbqt
    assert Chem.MolToSmiles(Chem.RemoveHs(pose_of(docked(ring)))) == ring


def test_maps_are_computed_before_the_first_molecule_and_once() -> None:
    reward = objective(seed=11)
    place = receptors.site(None, str(RECEPTOR), CENTER, SIZE)
    before = engine.cache_info()
    reward.warm_up()
    prepared = engine.cache_info()
    assert prepared.misses == before.misses + 1
    kept = engine(place, 11)
    reward.score(["CO", "CCO"])
    assert engine.cache_info().misses == prepared.misses
    assert engine(place, 11) is kept


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give target, or receptor with center and size"),
        ({"target": "kit"}, "unknown target 'kit'; did you mean 'KIT'"),
        ({"target": "KITT"}, "did you mean 'KIT'"),
        ({"target": "KIT", "size": [1.0, 1.0, 1.0]}, "leave out size"),
        ({**SITE, "receptor": "none.pdbqt"}, "receptor = 'none.pdbqt' can't be read: No such"),
        ({**SITE, "receptor": "protein.pdb"}, "must be a PDBQT file"),
        ({**SITE, "receptor": "text.pdbqt"}, "it has no line that begins ATOM"),
        ({**SITE, "receptor": "plain.pdbqt"}, "isn't PDBQT: line 1 has no coordinates"),
        ({**SITE, "receptor": "binary.pdbqt"}, "it isn't text"),
        ({**SITE, "size": [12.0, 0.0, 12.0]}, "size must be above 0 in each direction"),
        ({**SITE, "size": [12.0, 12.0]}, "size must be three finite numbers"),
        ({**SITE, "center": [0.0, float("inf"), 0.0]}, "center must be three finite numbers"),
        ({**SITE, "center": [500.0, 0.0, 0.0]}, "no atom of receptor"),
        ({"receptor": str(RECEPTOR), "size": SIZE}, "receptor needs center too"),
        ({**SITE, "exhaustiveness": 0}, "exhaustiveness must be at least 1"),
        ({**SITE, "seed": 0}, "seed must be from 1"),
        ({**SITE, "ph": 15.0}, "ph must be from 0 to 14"),
    ],
)
def test_wrong_options(
    options: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.pdbqt").write_text("hello\n")
    Path("binary.pdbqt").write_bytes(b"\xff\xfe\x00")
    line = "ATOM      1  N   ASP A   9      36.279  11.118 -10.567  1.00 30.98           N  "
    Path("plain.pdbqt").write_text(line)
    with pytest.raises(ValueError, match="component 'docking': ") as error:
        build_reward(RewardConfig.model_validate({"component": [{"name": "docking"} | options]}))
    assert words in str(error.value)


def test_vinas_words_on_a_receptor_come_before_the_first_molecule(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pdbqt"
    wrong.write_text(RECEPTOR.read_text().replace(" OA\n", " Xx\n"))
    with pytest.raises(ValueError, match="component 'docking': Vina can't use .* Atom type Xx is"):
        objective(receptor=str(wrong)).prepare()


def test_a_receptor_that_has_changed_gets_new_maps(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pdbqt"
    mine.write_bytes(RECEPTOR.read_bytes())
    whole = docked(INDOLE, receptor=str(mine)).rewards[0]
    lines = RECEPTOR.read_text().splitlines(keepends=True)
    mine.write_text("".join(lines[: len(lines) // 2]))
    assert docked(INDOLE, receptor=str(mine)).rewards[0] != whole


def test_the_receptor_belongs_to_the_reward(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pdbqt"
    mine.write_bytes(RECEPTOR.read_bytes())
    part = {"name": "docking", **SITE, "receptor": str(mine)}
    config = pinned(RewardConfig.model_validate({"component": [part]}), "molecules")
    digest = hashlib.sha256(RECEPTOR.read_bytes()).hexdigest()
    assert config.component[0].options["sha256"] == digest
    assert pinned(config, "molecules") == config
    build_reward(config)
    mine.write_text(RECEPTOR.read_text() + "REMARK another\n")
    with pytest.raises(ValueError, match="mine.pdbqt' isn't the receptor of this run: its SHA-256"):
        build_reward(config)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receptors, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"vina, meeko.*pip install 'sequence-tutor\[docking\]'"):
        objective()
