"""What a trained model is given of a molecule: fingerprints and descriptors, one after the other,
or its SMILES.

Letters: D numbers for a molecule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from sequence_tutor.rewards.molecules import fingerprints
from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.measures.properties import check_descriptor, descriptors
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import check_options, unknown

Numbers = NDArray[np.float64]
Features = str | dict[str, Any] | list[str | dict[str, Any]]
# A model that reads SMILES is given the molecule's canonical one.
SMILES = "smiles"
# More bits than any model has; RDKit allocates as many as it is asked for.
MOST_BITS = 1 << 20


@dataclass(frozen=True)
class Block:
    """One fingerprint, or some descriptors."""

    kind: str
    """Its `type` in the configuration."""
    width: int
    """How many numbers it has."""
    numbers: Callable[[Chem.Mol], Any]
    """Molecule -> `width` numbers."""
    names: tuple[str, ...] = ()
    """Names of the numbers; none for fingerprints."""


@dataclass(frozen=True)
class Inputs:
    """All that a model is given of a molecule."""

    blocks: tuple[Block, ...]
    """Blocks, in their order; none where the model reads SMILES."""

    @property
    def text(self) -> bool:
        """Whether the model reads SMILES."""
        return not self.blocks

    @property
    def width(self) -> int:
        """D; 0 where the model reads SMILES."""
        return sum(block.width for block in self.blocks)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the D numbers; () unless all of them have one."""
        named = all(block.names for block in self.blocks)
        return tuple(name for block in self.blocks for name in block.names) if named else ()

    def __str__(self) -> str:
        parts = [f"{block.kind} {block.width}" for block in self.blocks]
        return " + ".join(parts) or "SMILES"

    def of(self, molecule: Molecule) -> Numbers | str:
        """float64 [D] of a molecule, or its canonical SMILES. Raises ValueError where a descriptor
        isn't defined for it."""
        if self.text:
            return str(identify(molecule.smiles).key)
        numbers = [np.asarray(b.numbers(molecule.mol), np.float64) for b in self.blocks]
        for block, values in zip(self.blocks, numbers, strict=True):
            if not np.isfinite(values).all():
                wrong = block.names[int(np.argmin(np.isfinite(values)))]
                raise ValueError(f"RDKit's descriptor {wrong} isn't defined for this molecule")
        return np.concatenate(numbers)


def _morgan(
    radius: int = 2, bits: int = fingerprints.BITS, counts: bool = False, chirality: bool = False
) -> Block:
    return _environments("morgan", radius, bits, counts, chirality)


def _fcfp(
    radius: int = 2, bits: int = fingerprints.BITS, counts: bool = False, chirality: bool = False
) -> Block:
    return _environments("fcfp", radius, bits, counts, chirality)


def _environments(kind: str, radius: int, bits: int, counts: bool, chirality: bool) -> Block:
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    generator = fingerprints.morgan(radius, kind == "fcfp", bits, chirality)
    return Block(kind, bits, _numbers_of(generator, counts))


def _atom_pairs(
    bits: int = fingerprints.BITS,
    counts: bool = False,
    chirality: bool = False,
    max_distance: int = 30,
) -> Block:
    if max_distance < 1:
        raise ValueError(f"max_distance must be at least 1, got {max_distance}")
    generator = fingerprints.atom_pairs(max_distance, bits, chirality)
    return Block("atom_pairs", bits, _numbers_of(generator, counts))


def _topological(bits: int = fingerprints.BITS, counts: bool = False, max_path: int = 7) -> Block:
    if max_path < 1:
        raise ValueError(f"max_path must be at least 1, got {max_path}")
    return Block("topological", bits, _numbers_of(fingerprints.paths(bits, max_path), counts))


def _maccs() -> Block:
    return Block("maccs", 167, fingerprints.maccs)


def _descriptors(names: str | list[str] = "all") -> Block:
    if isinstance(names, str) and names != "all":
        raise ValueError(f'names must be a list of descriptors or "all", got {names!r}')
    known = descriptors()
    chosen = list(known) if isinstance(names, str) else names
    if not chosen:
        raise ValueError("names needs at least one descriptor")
    for name in chosen:
        check_descriptor(name)
    functions = [known[name] for name in chosen]
    return Block("descriptors", len(chosen), lambda mol: [f(mol) for f in functions], tuple(chosen))


# `type` of a block -> function of its options.
BLOCKS: dict[str, Callable[..., Block]] = {
    "morgan": _morgan,
    "fcfp": _fcfp,
    "atom_pairs": _atom_pairs,
    "topological": _topological,
    "maccs": _maccs,
    "descriptors": _descriptors,
}


def _numbers_of(generator: Any, counts: bool) -> Callable[[Chem.Mol], Any]:
    name = "GetCountFingerprintAsNumPy" if counts else "GetFingerprintAsNumPy"
    method: Callable[[Chem.Mol], Any] = getattr(generator, name)
    return method


def inputs_of(features: Features) -> Inputs:
    """The inputs that an option `features` asks for: a type, a table with a type and its options,
    or a list of these. Raises ValueError with one sentence."""
    parts: Sequence[str | dict[str, Any]]
    parts = features if isinstance(features, list) else [features]
    if not parts:
        raise ValueError("features needs at least one entry")
    tables = [{"type": part} if isinstance(part, str) else part for part in parts]
    if any(table.get("type") == SMILES for table in tables):
        if tables != [{"type": SMILES}]:
            raise ValueError('features = "smiles" has no options and stands alone')
        return Inputs(())
    return Inputs(tuple(map(_block, tables)))


def _block(table: Mapping[str, Any]) -> Block:
    kind = table.get("type")
    if not isinstance(kind, str):
        raise ValueError('an entry of features needs a type, such as { type = "morgan" }')
    if kind not in BLOCKS:
        raise ValueError(unknown("type of features:", kind, [*BLOCKS, SMILES]))
    options = {key: value for key, value in table.items() if key != "type"}
    make = BLOCKS[kind]
    check_options("features", kind, options, make, judges=False)
    if not 1 <= options.get("bits", 1) <= MOST_BITS:
        raise ValueError(f"bits of features {kind!r} must be from 1 to {MOST_BITS}")
    try:
        return make(**options)
    except ValueError as error:
        raise ValueError(f"features {kind!r}: {error}") from error
