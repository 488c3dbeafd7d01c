"""SMILES of mol blocks, which are the molecules of SD files.

A mol block that can't be read gives a text that no SMILES begins with, and `identity` finds the
reason in it, so that the row of the molecule is invalid and says why.
"""

from __future__ import annotations

import re

from rdkit import Chem, rdBase

from sequence_tutor.rewards.molecules.identity import (
    MAX_ATOMS,
    MAX_RINGS,
    first_reason,
    unreadable,
)

# Lines of a mol block below which it can't have too many atoms or rings for RDKit.
_FEW_LINES = MAX_RINGS
_COUNTS = re.compile(r"V30\s*COUNTS(.*)", re.I)
_CONTINUED = re.compile(r"-[ \t]*\n[ \t]*M  V30 ?")
_NUMBER = re.compile(r"\d+")
_CUT_OFF = "it is cut off, or its counts don't fit its atoms and bonds"
_ELEMENT = re.compile(r"Element '.*' not found")


def smiles_of(block: str, fault: str = "") -> str:
    """The canonical SMILES of a mol block, V2000 or V3000, with its stereochemistry.

    Explicit hydrogens become implicit, as in a SMILES. Where there is no molecule, or `fault` says
    what is wrong, a text with the reason. Neither has white space. Raises only MemoryError.
    """
    if fault:
        return _unreadable(fault)
    with rdBase.BlockLogs(), rdBase.CaptureErrorLog() as log:
        try:
            if fault := _too_large(block):
                return _unreadable(fault)
            mol = Chem.MolFromMolBlock(block)
            if mol is None:
                return _unreadable(_reason(log.messages))
            if not mol.GetNumAtoms():
                return _unreadable("it has no atoms")
            return str(Chem.MolToSmiles(mol))
        except MemoryError:
            raise
        except Exception as error:  # RDKit raises for some damaged blocks instead of returning None
            return _unreadable(str(error) or type(error).__name__)


def _too_large(block: str) -> str:
    """Why RDKit would need too much memory or time to read a block; "" where it wouldn't."""
    lines = block.count("\n")
    # a line may go on in the next one, and RDKit makes room for as many atoms as a V3000 block says
    for counts in _COUNTS.findall(_CONTINUED.sub("", block)):
        if any(int(number) > lines for number in _NUMBER.findall(counts)):
            return _CUT_OFF
    if lines <= _FEW_LINES:
        return ""
    mol = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
    if mol is None:
        return ""  # read again, for the reason
    atoms = mol.GetNumHeavyAtoms()
    if atoms > MAX_ATOMS:
        return f"{atoms:,} atoms, more than {MAX_ATOMS:,}"
    rings = mol.GetNumBonds() - mol.GetNumAtoms() + 1
    return f"{rings:,} rings, more than {MAX_RINGS:,}" if rings > MAX_RINGS else ""


def _reason(messages: str) -> str:
    """RDKit's complaint in words: it gives none where a block ends too early, and where it finds
    the fault by an assertion of its own, it prints the line of its code and a stack."""
    if not messages.strip():
        return _CUT_OFF
    if "Violation occurred" not in messages:
        return first_reason(messages)
    element = _ELEMENT.search(messages)
    return element[0] if element else "one of its atoms or bonds is damaged"


def _unreadable(reason: str) -> str:
    return unreadable(f"mol block: {reason}")
