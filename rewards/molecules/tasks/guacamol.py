"""The 20 goal-directed tasks of GuacaMol, and the formula C7H8N2O2 that PMO adds.

Each is a component without options, with values from 0 to 1. Sources: Brown et al. 2019,
"GuacaMol: benchmarking models for de novo molecular design", as in the package guacamol 0.5.5; Gao
et al. 2022, "Sample efficiency matters: a benchmark for practical molecular optimization" (PMO),
which takes its definitions from TDC. TDC before 0.3.7 had other definitions of the formulas, and so
of `zaleplon_mpo` and `sitagliptin_mpo`. The values here are those of TDC since then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from rdkit.Chem import GraphDescriptors, rdMolDescriptors

from sequence_tutor.rewards.molecules.formula import has_formula
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.molecules.tasks.drugs import drug
from sequence_tutor.rewards.molecules.tasks.parts import (
    arithmetic,
    at_least,
    at_most,
    geometric,
    has,
    lacks,
    near,
    same_pharmacophores,
    similarity,
    up_to,
)
from sequence_tutor.rewards.registry import component

PAPER = "Brown et al. 2019, https://doi.org/10.1021/acs.jcim.8b00839"
GUACAMOL_TASKS: dict[str, Callable[[Molecule], float]] = {}
# The pattern of the ring system that `deco_hop` keeps and `scaffold_hop` replaces.
_SCAFFOLD = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"


def _task(function: Callable[[Molecule], float]) -> Callable[[Molecule], float]:
    """Registers a task as a component under the function's name."""
    name = function.__name__
    GUACAMOL_TASKS[name] = component(name, domain="molecules", bounded=True, reference=PAPER)(
        function
    )
    return function


@_task
def celecoxib_rediscovery(molecule: Molecule) -> float:
    """Similarity to celecoxib (ECFP4)."""
    return similarity(molecule, "celecoxib", "ECFP4")


@_task
def troglitazone_rediscovery(molecule: Molecule) -> float:
    """Similarity to troglitazone (ECFP4)."""
    return similarity(molecule, "troglitazone", "ECFP4")


@_task
def thiothixene_rediscovery(molecule: Molecule) -> float:
    """Similarity to thiothixene (ECFP4)."""
    return similarity(molecule, "thiothixene", "ECFP4")


@_task
def aripiprazole_similarity(molecule: Molecule) -> float:
    """Similarity to aripiprazole (ECFP4, where TDC has FCFP4); 0.75 is enough for 1."""
    return up_to(similarity(molecule, "aripiprazole", "ECFP4"), 0.75)


@_task
def albuterol_similarity(molecule: Molecule) -> float:
    """Similarity to albuterol (FCFP4); 0.75 is enough for 1."""
    return up_to(similarity(molecule, "albuterol", "FCFP4"), 0.75)


@_task
def mestranol_similarity(molecule: Molecule) -> float:
    """Similarity to mestranol (atom pairs); 0.75 is enough for 1."""
    return up_to(similarity(molecule, "mestranol", "AP"), 0.75)


@_task
def isomers_c7h8n2o2(molecule: Molecule) -> float:
    """The formula C7H8N2O2."""
    return has_formula(molecule, "C7H8N2O2")


@_task
def isomers_c11h24(molecule: Molecule) -> float:
    """The formula C11H24."""
    return has_formula(molecule, "C11H24")


@_task
def isomers_c9h10n2o2pf2cl(molecule: Molecule) -> float:
    """The formula C9H10N2O2PF2Cl."""
    return has_formula(molecule, "C9H10N2O2PF2Cl")


@_task
def median1(molecule: Molecule) -> float:
    """Similar to camphor and to menthol (ECFP4, geometric mean)."""
    return geometric(
        similarity(molecule, "camphor", "ECFP4"), similarity(molecule, "menthol", "ECFP4")
    )


@_task
def median2(molecule: Molecule) -> float:
    """Similar to tadalafil and to sildenafil (ECFP6, geometric mean)."""
    return geometric(
        similarity(molecule, "tadalafil", "ECFP6"), similarity(molecule, "sildenafil", "ECFP6")
    )


@_task
def osimertinib_mpo(molecule: Molecule) -> float:
    """Like osimertinib by role (FCFP4, 0.8 is enough), less so by element (ECFP6 at most 0.85),
    TPSA from 100 square angstrom, logP up to 1 (geometric mean)."""
    return geometric(
        up_to(similarity(molecule, "osimertinib", "FCFP4"), 0.8),
        at_most(similarity(molecule, "osimertinib", "ECFP6"), 0.85, 0.1),
        at_least(molecule.tpsa, 100.0, 10.0),
        at_most(molecule.logp, 1.0, 1.0),
    )


@_task
def fexofenadine_mpo(molecule: Molecule) -> float:
    """Like fexofenadine (atom pairs, 0.8 is enough), TPSA from 90 square angstrom, logP up to 4
    (geometric mean)."""
    return geometric(
        up_to(similarity(molecule, "fexofenadine", "AP"), 0.8),
        at_least(molecule.tpsa, 90.0, 10.0),
        at_most(molecule.logp, 4.0, 1.0),
    )


@_task
def ranolazine_mpo(molecule: Molecule) -> float:
    """Like ranolazine (atom pairs, 0.7 is enough), logP from 7, TPSA from 95 square angstrom, one
    fluorine atom (geometric mean)."""
    return geometric(
        up_to(similarity(molecule, "ranolazine", "AP"), 0.7),
        at_least(molecule.logp, 7.0, 1.0),
        at_least(molecule.tpsa, 95.0, 20.0),
        near(molecule.elements.get("F", 0), 1.0, 1.0),
    )


@_task
def perindopril_mpo(molecule: Molecule) -> float:
    """Like perindopril (ECFP4), but with two aromatic rings (geometric mean)."""
    return geometric(
        similarity(molecule, "perindopril", "ECFP4"),
        near(rdMolDescriptors.CalcNumAromaticRings(molecule.mol), 2.0, 0.5),
    )


@_task
def amlodipine_mpo(molecule: Molecule) -> float:
    """Like amlodipine (ECFP4), but with three rings (geometric mean)."""
    return geometric(
        similarity(molecule, "amlodipine", "ECFP4"),
        near(rdMolDescriptors.CalcNumRings(molecule.mol), 3.0, 0.5),
    )


@_task
def sitagliptin_mpo(molecule: Molecule) -> float:
    """Unlike sitagliptin (ECFP4 near 0), but with its logP, TPSA and formula (geometric mean)."""
    known = drug("sitagliptin")
    return geometric(
        near(similarity(molecule, "sitagliptin", "ECFP4"), 0.0, 0.1),
        near(molecule.logp, known.logp, 0.2),
        near(molecule.tpsa, known.tpsa, 5.0),
        has_formula(molecule, "C16H15F6N5O"),
    )


@_task
def zaleplon_mpo(molecule: Molecule) -> float:
    """Like zaleplon (ECFP4), but with the formula C19H17N3O2 (geometric mean)."""
    return geometric(similarity(molecule, "zaleplon", "ECFP4"), has_formula(molecule, "C19H17N3O2"))


@cache
def _complexity_of_sitagliptin() -> float:
    return _complexity(drug("sitagliptin"))


def _complexity(molecule: Molecule) -> float:
    """Bertz's index of complexity (Bertz 1981)."""
    return float(GraphDescriptors.BertzCT(molecule.mol))  # type: ignore[no-untyped-call]


@_task
def valsartan_smarts(molecule: Molecule) -> float:
    """Has a part of valsartan, and logP, TPSA and complexity of sitagliptin (geometric mean)."""
    if not has(molecule, "CN(C=O)Cc1ccc(c2ccccc2)cc1"):
        return 0.0  # as the mean would be; the complexity is slow
    known = drug("sitagliptin")
    return geometric(
        1.0,
        near(molecule.logp, known.logp, 0.2),
        near(molecule.tpsa, known.tpsa, 5.0),
        near(_complexity(molecule), _complexity_of_sitagliptin(), 30.0),
    )


@_task
def deco_hop(molecule: Molecule) -> float:
    """Keeps the ring system and the pharmacophores of a kinase inhibitor (0.85 is enough), without
    two groups that hang on it (arithmetic mean)."""
    return arithmetic(
        up_to(same_pharmacophores(molecule, "hop"), 0.85),
        lacks(molecule, "CS([#6])(=O)=O"),
        lacks(molecule, "[#7]-c1ccc2ncsc2c1"),
        has(molecule, _SCAFFOLD),
    )


@_task
def scaffold_hop(molecule: Molecule) -> float:
    """Keeps the groups and the pharmacophores of a kinase inhibitor (0.75 is enough), on another
    ring system (arithmetic mean)."""
    return arithmetic(
        up_to(same_pharmacophores(molecule, "hop"), 0.75),
        has(molecule, "[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1"),
        lacks(molecule, _SCAFFOLD),
    )
