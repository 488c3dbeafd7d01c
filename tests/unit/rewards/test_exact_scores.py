"""Our QED and SA are RDKit's to the last bit, and what the screen skips has no match."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import QED, Crippen
from rdkit.Contrib.SA_Score import sascorer

from sequence_tutor.rewards.molecules import qed as own_qed
from sequence_tutor.rewards.molecules.molecule import Molecule, parse, quiet
from sequence_tutor.rewards.molecules.screen import Needs, content, possible

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
PATTERNS = [*QED.StructuralAlerts, *QED.Acceptors]

ODD = """
C [H] [H][H] [2H] [2H]O[2H] [H+] [H]Cl * *C *c1ccccc1 [Na+].[Cl-] [Fe] [Fe+2].[O-]S(=O)(=O)[O-] [U]
[13CH4] [13CH3]C [15NH3] C[18OH] C[34S]C [2H]C([2H])([2H])c1ccccc1 [12C] [16OH2] [235U] O=C=O
[C-]#[O+] N#N [O-][O+]=O [O][O] [CH3] [CH2] [OH-] [NH4+] C[N+](C)(C)C C[N+](=O)[O-] CN=[N+]=[N-]
[O-]c1ccccc1.[NH3+]C [Hg]C [Si](C)(C)(C)F B(O)O [Se]1C=CC=C1 c1cc[se]c1 [te]1cccc1 P#P CP(C)(=O)O
FF ClCl BrBr II F.F.F.F F.F.F FC(F)(F)F OC(=O)C.OC(=O)C.OC(=O)C CC(=O)OC.CC(=O)OC CI
c1ccc2c(c1)ccc1ccccc12 C1CC1 C1OC1 N1CC1 S1CC1 C12C3C4C1C5C2C3C45 C1CCCCCCCCCCC1 C1CCCCCCC1
C1CCCCCC1 C1CC2CCC1CC2 C1CC12CC2 O=C1C=CC(=O)C=C1 O=C1C=CC=CC1=O C=C=C C=C=O C=CC=C CC=CC=CC N=C=O
N=C=N C#C C#CC(=O)C CC#CC(=O)OC C#CS(=O)(=O)C N#CC(=O)C N#CCO NCC#N CC(=C)C#N OC=C SC C[S-]
C[S+](C)C OSC CON OO SS NN NNC(=O)C CC(=O)NO CC=NO CC(C)=NOC=O O=C1NC(=O)CN1 O=C1CCN1 C1(=O)NCC1
c1nnnn1C=O [O-][n+]1ccccc1 C[N+]([O-])(C)C C[N-]C [CH2-]C [CH2+]C [cH-]1cccc1
[C+](c1ccccc1)c1ccccc1 F/C=C/F C[C@H](F)Cl C[C@@H](O)[C@H](N)C(=O)O CC(F)Cl OC1CCC(O)CC1 [nH]1cccc1
c1ccoc1 c1ccsc1 O=c1cc[nH]cc1 [Cu+2].[O-]C(=O)C.[O-]C(=O)C [Pt](Cl)(Cl)(N)N N->[Cu] [Cl-].C[NH3+]
[H]N([H])C [H]C([H])([H])O[2H]
""".split()

# what a chain can be made of: each begins and ends with an atom that can take one more bond
LINKS = """
C C C C(C) C(C)(C) O N N(C) S C(=O) C(=O)O C(=O)N S(=O)(=O) S(=O) C=C C#C C=N N=N NN OO SS C(=S)
C(=N) C(C#N) C(=C) C(F)(F) C(Cl) C(Br) C(I) C([N+](=O)[O-]) C(S) C(O) C([O-]) C(N=C=O)
C(N=[N+]=[N-]) [N+](C)(C) [13CH2] [SiH2] P(=O)(O) P [Se] B(O) C1CCC1 C1CCCCC1 C1CCCCCC1 N1CCN(CC1)
C1CC1 C1OC1 C1=CCCC1 c1ccccc1 c1ccc(cc1) c1ccncc1 c1nc(F)ncc1 c1ccsc1 c1cc(O)c(O)cc1
c1c(Cl)c(Cl)c(Cl)cc1 c1ccc(N)cc1 C(C=O) C([2H]) c1ccc2ccccc2c1 C1NC(=O)C1 [S+](C) [n+]1ccccc1
[C@H](F) [C@@H](C) C(OS(=O)(=O)C(F)(F)F) C(C(=O)OC) C([NH3+])
""".split()


def chains(n: int) -> list[str]:
    """Molecules that have alerts often."""
    choose = random.Random(1)
    texts = (".".join(_chain(choose) for _ in range(choose.choice([1, 1, 1, 2]))) for _ in range(n))
    with quiet():
        return [text for text in texts if parse(text) is not None]


def _chain(choose: random.Random) -> str:
    return "".join(choose.choices(LINKS, k=choose.randint(1, 7)))


def drug_like(n: int) -> list[str]:
    """As written, and as many spelled at random."""
    path = DATA / "zinc250k.smi.gz"
    if not path.exists():
        pytest.skip(f"shared/data/{path.name} is missing")
    with gzip.open(path, "rt") as file:
        known = random.Random(2).sample(file.read().split(), n)
    mols = [Chem.MolFromSmiles(text) for text in known]
    return known + [Chem.MolToRandomSmilesVect(mol, 1, randomSeed=3)[0] for mol in mols]


@pytest.fixture(params=["odd", "chains", "drug-like"])
def molecules(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "drug-like":
        return drug_like(500)
    return ODD if request.param == "odd" else chains(1500)


def test_qed_and_sa_are_those_of_rdkit(molecules: list[str]) -> None:
    with quiet():
        for text in molecules:
            mol, reference = parse(text), parse(text)
            assert mol is not None, text
            ours = Molecule(text, mol)
            assert ours.sa == sascorer.calculateScore(reference), text
            assert ours.logp == Crippen.MolLogP(reference), text
            assert ours.qed == QED.qed(reference), text


def test_what_is_skipped_has_no_match(molecules: list[str]) -> None:
    needs = [Needs(pattern) for pattern in PATTERNS]
    skipped = 0
    with quiet():
        for text in molecules:
            mol = parse(text)
            has = content(mol)
            elements = has.elements()
            for pattern, need in zip(PATTERNS, needs, strict=True):
                if not need.met(elements, has.kinds):
                    skipped += 1
                    assert not mol.HasSubstructMatch(pattern), (text, Chem.MolToSmarts(pattern))
    assert skipped > 0.3 * len(molecules) * len(PATTERNS)


@pytest.mark.parametrize(
    ("smarts", "found"),
    [
        ("[C]", {"element": {6}}),
        ("[n]", {"element": {7}}),
        ("[#8,S]", {"element": {8, 16}}),
        ("[C,N;+]", {"element": {6, 7}, "charge": {1}}),
        ("[C+,C-]", {"element": {6}, "charge": {1, -1}}),
        ("[C+,N]", {"element": {6, 7}}),
        ("[15N]", {"element": {7}, "isotope": {15}}),
        ("[C,$(CC)]", {}),
        ("[C,R]", {}),
        ("[N;!$(N[C,S]=O)]", {"element": {7}}),
        ("[!C]", {}),
        ("[!C;!N]", {}),
        ("[!#6;O]", {"element": {8}}),
        ("[!+0]", {}),
        ("*", {}),
    ],
)
def test_what_an_atom_of_a_pattern_can_be(smarts: str, found: dict[str, set[int]]) -> None:
    assert possible(Chem.MolFromSmarts(smarts).GetAtomWithIdx(0).DescribeQuery()) == found


@pytest.mark.parametrize(
    ("smarts", "found"),
    [("C=C", {"order": {2}}), ("C=!@C", {"order": {2}}), ("C=,#C", {"order": {2, 3}})]
    + [(smarts, {}) for smarts in ("CC", "C~C", "C!=C", "C=,@C")],
)
def test_what_a_bond_of_a_pattern_can_be(smarts: str, found: dict[str, set[int]]) -> None:
    assert possible(Chem.MolFromSmarts(smarts).GetBondWithIdx(0).DescribeQuery()) == found


def test_a_negated_group_is_taken_for_anything() -> None:
    assert possible("not AtomOr\n  AtomType 6 = val\n  AtomType 7 = val\n") == {}
    assert possible("") == possible("something new\n") == {}


def test_another_version_of_the_descriptor_is_left_to_rdkit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mol = Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O")
    assert own_qed.qed(mol, logp=0.0) != QED.qed(mol)  # control: ours uses what it is given
    monkeypatch.setattr(own_qed, "VERSION", "0.9")
    assert own_qed.qed(mol, logp=0.0) == QED.qed(mol)


def test_either_perception_of_stereocentres_gives_its_own_score() -> None:
    text, legacy = "C1CC(C)C(C)C(C)C1", Chem.GetUseLegacyStereoPerception()
    scores = []
    try:
        for chosen in (True, False):
            Chem.SetUseLegacyStereoPerception(chosen)
            mol, reference = Chem.MolFromSmiles(text), Chem.MolFromSmiles(text)
            scores.append(Molecule(text, mol).sa)
            assert scores[-1] == sascorer.calculateScore(reference)
    finally:
        Chem.SetUseLegacyStereoPerception(legacy)
    assert scores[0] != scores[1]
