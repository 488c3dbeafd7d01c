"""A parsed molecule, which all components of a reward share.

RDKit reports each unreadable SMILES on stderr; `quiet` silences it while a batch is scored.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import QED, rdMolDescriptors

from sequence_tutor.rewards.molecules.conformers import conformers
from sequence_tutor.rewards.molecules.fingerprints import fingerprint
from sequence_tutor.rewards.molecules.identity import read
from sequence_tutor.rewards.molecules.pharmacophores import pharmacophores

# tokens: bracket atom, two-letter halogen, %nn ring closure, any other single character
_TOKEN = re.compile(r"\[[^\[\]]+\]|Br|Cl|%\d\d|.", re.DOTALL)


def quiet() -> Any:
    """A context in which RDKit writes no log."""
    return rdBase.BlockLogs()


def tokens_of(smiles: str) -> list[str]:
    """SMILES tokens; a character that fits no rule is a token of its own."""
    return _TOKEN.findall(smiles)


def parse(smiles: str) -> Chem.Mol | None:
    """The sanitised molecule; None for a text that isn't one, or exceeds the limits of `identity`.

    To find out whether a sequence is valid, call `identity.identify`, which also finds the key.
    """
    return read(smiles)[0]


@cache
def _sascorer() -> Any:
    """RDKit's module for synthetic accessibility; loading its table takes a second."""
    return import_module("rdkit.Contrib.SA_Score.sascorer")


class Molecule:
    """A valid molecule with the properties that components share, each computed at most once.

    smiles: as written; tokens: the actions that spelled it; mol: RDKit's sanitised Mol.
    """

    def __init__(self, smiles: str, mol: Chem.Mol, tokens: Sequence[str] | None = None) -> None:
        self.smiles = smiles
        self.mol = mol
        self.tokens = tokens_of(smiles) if tokens is None else tokens
        self._fingerprints: dict[tuple[str, int, bool, bool], Any] = {}
        self._conformers: dict[int, Chem.Mol] = {}

    @cached_property
    def logp(self) -> float:
        """Octanol-water partition coefficient, log10 (Wildman and Crippen 1999)."""
        return float(rdMolDescriptors.CalcCrippenDescriptors(self.mol)[0])

    @cached_property
    def qed(self) -> float:
        """Drug-likeness in [0, 1] (Bickerton et al. 2012)."""
        return float(QED.qed(self.mol))  # type: ignore[no-untyped-call]

    @cached_property
    def sa(self) -> float:
        """Synthetic accessibility, 1 easy to 10 hard (Ertl and Schuffenhauer 2009)."""
        return float(_sascorer().calculateScore(self.mol))

    @cached_property
    def ring_penalty(self) -> float:
        """-max(0, atoms in the largest ring - 6)."""
        return float(min(0, 6 - self.largest_ring))

    @cached_property
    def largest_ring(self) -> int:
        """Atoms in the largest ring of RDKit's smallest set; 0 where there is none."""
        return max(map(len, self.mol.GetRingInfo().AtomRings()), default=0)

    @cached_property
    def tpsa(self) -> float:
        """Topological polar surface area, square angstrom (Ertl et al. 2000)."""
        return float(rdMolDescriptors.CalcTPSA(self.mol))

    @cached_property
    def elements(self) -> Mapping[str, int]:
        """Symbol -> number of atoms; all hydrogen atoms and isotopes are among them, under "H"."""
        found: Counter[str] = Counter()
        for atom in self.mol.GetAtoms():
            found[atom.GetSymbol()] += 1
            found["H"] += atom.GetTotalNumHs()
        return found

    @cached_property
    def atom_pairs(self) -> Any:
        """Sparse counts of pairs of atoms with the bonds between them, at most 10 (Carhart et al.
        1985)."""
        return self.fingerprint_of("atom_pairs")

    @cached_property
    def pharmacophores(self) -> NDArray[np.int64]:
        """Numbers of the pairs and triples of pharmacophores that occur, see `pharmacophores`."""
        return pharmacophores(self.mol)

    def fingerprint(self, radius: int = 2, counts: bool = False, features: bool = False) -> Any:
        """Morgan fingerprint: 2048 bits, or sparse counts; `features` as for `morgan`."""
        return self.fingerprint_of("fcfp" if features else "morgan", radius, counts)

    def fingerprint_of(
        self, name: str, radius: int = 2, counts: bool = True, folded: bool = True
    ) -> Any:
        """The fingerprint of that name; see `fingerprints.fingerprint`."""
        key = (name, radius, counts, folded)
        if key not in self._fingerprints:
            self._fingerprints[key] = fingerprint(self.mol, *key)
        return self._fingerprints[key]

    def conformers(self, count: int = 1) -> Chem.Mol:
        """A copy with hydrogen atoms and `count` conformers, the same in every run. Raises
        ValueError where RDKit finds none."""
        if count not in self._conformers:
            self._conformers[count] = conformers(self.mol, count)
        return self._conformers[count]
