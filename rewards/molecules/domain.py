"""The domain of molecules, as `distributed` uses it: identity, respelling, metrics, pictures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from rdkit import Chem, DataStructs

from sequence_tutor.rewards.base import Domain, Identity
from sequence_tutor.rewards.buckets import Compare
from sequence_tutor.rewards.depiction import Depiction
from sequence_tutor.rewards.given_parts import Change, GivenParts, Start, Window
from sequence_tutor.rewards.molecules import breeding, depict
from sequence_tutor.rewards.molecules.features import molecule_counts
from sequence_tutor.rewards.molecules.given_parts.changes import changes
from sequence_tutor.rewards.molecules.given_parts.fragments import Fragments
from sequence_tutor.rewards.molecules.given_parts.near import Nearness
from sequence_tutor.rewards.molecules.given_parts.scaffold import Scaffold
from sequence_tutor.rewards.molecules.grouping import GROUPINGS, compare_by, group_of
from sequence_tutor.rewards.molecules.identity import identify, read
from sequence_tutor.rewards.molecules.measures.properties import molecular_weight, tpsa
from sequence_tutor.rewards.molecules.molecule import Molecule, quiet, tokens_of
from sequence_tutor.rewards.molecules.quality import passes_filters
from sequence_tutor.rewards.molecules.same import DEFAULT, FEATURES, in_order
from sequence_tutor.rewards.molecules.standard import standardize
from sequence_tutor.rewards.molecules.stereo import stereoisomers
from sequence_tutor.rewards.names import unknown

DIVERSITY_SAMPLE = 1000


class MoleculeDomain(Domain):
    """See `Domain`. A key is RDKit's canonical SMILES, see `identity`; `kept` tells molecules
    apart, see `same`."""

    name, encoding = "molecules", "smiles"
    example, cheapest = "CC(N)=O", "validity"
    isolated = True  # RDKit is C++: a text may hang or crash the process that reads it
    standardizes = True
    structure_file = "sdf"
    breeds = True
    groupings = GROUPINGS
    # from Jaques et al. 2017, quoted from memory and not checked; their SA has the other sign
    published = {
        "paper: before": {
            "valid": 0.303,
            "mean_logp": 2.07,
            "mean_qed": 0.678,
            "mean_sa": 2.77,
            "mean_ring_penalty": -0.096,
        },
        "paper: after": {
            "valid": 0.358,
            "mean_logp": 4.21,
            "mean_qed": 0.417,
            "mean_sa": 1.79,
            "mean_ring_penalty": -0.001,
        },
    }

    of_papers = frozenset({"mean_ring_penalty"})
    parts: ClassVar[Mapping[str, Callable[[Any], GivenParts]]] = {
        "scaffold": Scaffold,
        "fragments": Fragments,
        "start": Start,
    }

    def __init__(self, kept: tuple[str, ...] = DEFAULT, nearness: Nearness | None = None) -> None:
        self._kept, self._nearness = kept, nearness

    def features_apart(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """See `Domain`; the names are `same.FEATURES`."""
        for name in names:
            if name not in FEATURES:
                raise ValueError(unknown("feature", name, FEATURES))
        features = in_order(names)
        return None if features == DEFAULT else features

    def telling_apart(self, features: tuple[str, ...] | None) -> MoleculeDomain:
        """A domain in which these of `same.FEATURES` tell two molecules apart."""
        return MoleculeDomain(DEFAULT if features is None else features, self._nearness)

    def within(self, window: Window | None) -> MoleculeDomain:
        """The domain of molecules whose similarity to a lead is in a window, see `near`."""
        return MoleculeDomain(self._kept, None if window is None else Nearness(window))

    def changes(self, leads: Sequence[str], sequences: Sequence[str]) -> list[Change]:
        """By similarity of ECFP4 and matched pairs, see `given_parts.changes`."""
        return changes(leads, sequences)

    def load_components(self) -> None:
        """Register the components of molecules."""
        import_module("sequence_tutor.rewards.molecules.components")

    def identify(self, sequence: str) -> Identity:
        """Canonical SMILES, or why there is none."""
        found = identify(sequence, self._kept)
        if self._nearness is not None and found.mol is not None:
            if reason := self._nearness.refusal(found.mol):
                return Identity(None, reason)
        return Identity(found.key, found.reason)

    def split(self, sequence: str) -> list[str]:
        """The tokens of a SMILES."""
        return tokens_of(sequence)

    def read(self, sequence: str, tokens: Sequence[str]) -> Molecule | None:
        """The molecule of a SMILES; None where it isn't valid, or isn't near enough to a lead."""
        mol = identify(sequence, self._kept).mol
        if mol is None or (self._nearness is not None and self._nearness.refusal(mol)):
            return None
        return Molecule(sequence, mol, tokens)

    def quiet(self) -> AbstractContextManager[None]:
        """RDKit's log is off."""
        return quiet()  # type: ignore[no-any-return]

    def standardize(self, sequence: str) -> str:
        """The largest fragment without charges, see `standard`."""
        return standardize(sequence)

    def rewrite(self, sequence: str, random: np.random.Generator) -> str | None:
        """A random SMILES of the same molecule; the generator's state determines which.

        None where the sequence isn't valid or RDKit finds no spelling; the same text where there is
        only one.
        """
        seed = int(random.integers(1, 2**31 - 1))
        if (mol := read(sequence)[0]) is None:
            return None
        with quiet():
            try:
                return str(Chem.MolToRandomSmilesVect(mol, 1, randomSeed=seed)[0])
            except (RuntimeError, ValueError):  # such as too many rings open at once
                return None

    def mutate(self, sequence: str, random: np.random.Generator) -> str | None:
        """A molecule that differs by an atom or a bond, see `breeding`."""
        return self._as_key(breeding.mutate(sequence, random))

    def cross(self, first: str, second: str, random: np.random.Generator) -> str | None:
        """A part of each of two molecules, joined, see `breeding`."""
        return self._as_key(breeding.cross(first, second, random))

    def _as_key(self, child: str | None) -> str | None:
        plain = self._kept == DEFAULT and self._nearness is None
        return child if child is None or plain else self.key(child)

    def group(self, key: str, kind: str) -> str:
        """A scaffold, or the molecule without stereochemistry, see `grouping`."""
        with quiet():
            return group_of(key, kind)

    def compare(self, kind: str) -> Compare:
        """Similarity of scaffolds or molecules, see `grouping`."""
        return compare_by(kind)

    def features(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """Four blocks: counts of Morgan environments of radius 2 by element, of atom pairs, of
        environments by the atoms' roles, and of properties. Raises ValueError for a SMILES that
        isn't valid."""
        return molecule_counts(sequences)

    def variants(self, sequence: str, most: int) -> list[str]:
        """Stereoisomers of a molecule with centres or double bonds that it doesn't specify."""
        found = stereoisomers(sequence, most)
        return list(filter(None, map(self._as_key, found)))

    def practical(self, sequence: str) -> bool:
        """Whether a molecule passes the filters of `quality.passes_filters`."""
        mol = identify(sequence, self._kept).mol
        return mol is not None and passes_filters(Molecule(sequence, mol))

    def metrics(
        self, sequences: Sequence[str], training: Collection[str] | None = None
    ) -> dict[str, float]:
        """Numbers that describe N sequences; NaN where there is nothing to average.

        valid: share of sequences; distinct: different keys per valid sequence; novel, only with
        `training` (keys): share of the distinct keys not in it; mean_*: over valid sequences,
        mean_length in tokens over all; molecular weight in g/mol, TPSA in square angstrom;
        internal_diversity: 1 - mean Tanimoto (ECFP4 bits) over pairs of distinct molecules, of
        at most 1,000 spread evenly over the sample.
        """
        with quiet():
            valid: list[Molecule] = []
            distinct: dict[str, Molecule] = {}
            for sequence in sequences:
                found = identify(sequence, self._kept)
                if found.mol is not None and found.key is not None:
                    valid.append(Molecule(sequence, found.mol))
                    distinct.setdefault(found.key, valid[-1])
            numbers = {
                "valid": _share(len(valid), len(sequences)),
                "distinct": _share(len(distinct), len(valid)),
                "mean_logp": _mean(m.logp for m in valid),
                "mean_qed": _mean(m.qed for m in valid),
                "mean_sa": _mean(m.sa for m in valid),
                "mean_ring_penalty": _mean(m.ring_penalty for m in valid),
                "mean_molecular_weight": _mean(molecular_weight(m) for m in valid),
                "mean_tpsa": _mean(tpsa(m) for m in valid),
                "mean_length": _mean(float(len(tokens_of(s))) for s in sequences),
                "internal_diversity": _diversity(list(distinct.values())),
            }
        if training is not None:
            # a set, since searching a list of 250,000 keys for each molecule is slow
            known = training if isinstance(training, (set, frozenset, dict)) else set(training)
            numbers["novel"] = _share(sum(k not in known for k in distinct), len(distinct))
        return numbers

    def depict(self, sequence: str) -> Depiction:
        """A drawing with the atoms of alerts marked, see `depict`."""
        with quiet():
            return depict.depict(sequence)

    def structure(self, sequence: str) -> str:
        """The record of an SD file, see `depict.mol_block`."""
        with quiet():
            return depict.mol_block(sequence)

    def properties(self, sequences: Sequence[str]) -> dict[str, np.ndarray]:
        """Weight, log P, polar surface, QED and more, see `depict.properties`."""
        with quiet():
            return depict.properties(sequences)

    def nearest(
        self, sequences: Sequence[str], corpus: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """By Tanimoto similarity of ECFP4, see `depict.nearest`."""
        with quiet():
            return depict.nearest(sequences, corpus)

    def render(self, sequences: Sequence[str], directory: Path, **style: Any) -> str:
        """Draw the molecules in one picture (SVG), in the order given, each with its number."""
        if style:
            raise ValueError(f"molecules have no {', '.join(style)}")
        try:
            from rdkit.Chem import Draw
        except ImportError as error:  # it needs graphics libraries, which a server may lack
            return f"molecules can't be drawn on this machine: {error}"
        with quiet():
            mols = [mol for mol, _ in map(read, sequences) if mol is not None]
        if not mols:
            return "no valid molecule to draw"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "molecules.svg"
        legends = [str(i) for i in range(1, len(mols) + 1)]
        picture = Draw.MolsToGridImage(  # type: ignore[no-untyped-call]
            mols, molsPerRow=4, subImgSize=(250, 200), legends=legends, useSVG=True
        )
        path.write_text(str(picture), encoding="iso-8859-1")  # as its header says
        return f"{len(mols)} molecules are drawn in {path}"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else float("nan")


def _diversity(molecules: list[Molecule]) -> float:
    if len(molecules) < 2:
        return float("nan")
    if len(molecules) > DIVERSITY_SAMPLE:
        chosen = np.linspace(0, len(molecules) - 1, DIVERSITY_SAMPLE).astype(int)
        molecules = [molecules[i] for i in chosen]
    prints = [m.fingerprint() for m in molecules]
    total = sum(
        sum(DataStructs.BulkTanimotoSimilarity(prints[i], prints[:i]))
        for i in range(1, len(prints))
    )
    return float(1.0 - total / (len(prints) * (len(prints) - 1) / 2))
