"""The molecule of a text: its canonical form, or the reason why the text isn't valid.

Every part of the program decides here whether a SMILES is valid, so all agree. A canonical form can
be read back and is its own canonical form; equal molecules have equal ones. Rules for what a SMILES
may contain besides the molecule:

- White space isn't part of a sequence. The readers of files cut off names and CXSMILES extensions;
  a text that still has white space is invalid.
- Isotopes, charges and stereochemistry are part of the molecule. Atom map numbers are labels and
  aren't in the canonical form. `kept` changes either, see `same`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from rdkit import Chem, rdBase

from sequence_tutor.rewards.molecules.same import DEFAULT, reduced

# Limits of a molecule's size. RDKit's time grows with the square of the size or faster, and near
# 20,000 atoms its recursion overflows the stack; within these limits it needs less than 0.5 s.
MAX_ATOMS, MAX_RINGS, MAX_CHARACTERS = 1_000, 400, 10_000
# Times that a canonical form is read back in search of one that stays the same.
MAX_ROUNDS = 8
# How a text begins that stands for what has no SMILES; see `unreadable`.
_UNREADABLE = "unreadable:"
# Number of molecules cached between finding the key and scoring; about 10 kB each.
REMEMBERED = 1_024

_ATOM = re.compile(r"\[[^\[\]]*\]|Br|Cl|[BCNOPSFIbcnops*]")
_RING_END = re.compile(r"\[[^\[\]]*\]|(%\(\d+\)|%\d\d|\d)")
_MAPPED = re.compile(r":\d+\]")
_TIME = re.compile(r"^\[\d\d:\d\d:\d\d\]\s*")
_POSITION = re.compile(r"around position (\d+)")


@dataclass(frozen=True)
class Identified:
    """The molecule of a text and its key, or why the text is invalid."""

    mol: Chem.Mol | None
    """RDKit's sanitised molecule of the text as written; None where the text is invalid."""
    key: str | None
    """Canonical SMILES; None where the text is invalid."""
    reason: str = ""
    """Why the text is invalid, "" where it is valid."""


def identify(smiles: str, kept: tuple[str, ...] = DEFAULT) -> Identified:
    """Find the molecule of a text and its key, or why there is none. kept: what tells two molecules
    apart, as in `same`. Raises only MemoryError. The molecule is cached for later calls, so callers
    must not change it."""
    if reason := _refusal(smiles):
        return Identified(None, None, reason)
    return _identify(smiles, kept)


@lru_cache(maxsize=REMEMBERED)
def _identify(smiles: str, kept: tuple[str, ...]) -> Identified:
    mol, reason = read(smiles)
    if mol is None:
        return Identified(None, None, reason)
    # by default there is nothing to take away but labels, which few texts have
    whole = kept == DEFAULT and not _MAPPED.search(smiles)
    key, reason = _stable(mol, smiles, None if whole else kept)
    return Identified(None if key is None else mol, key, reason)


def read(smiles: str) -> tuple[Chem.Mol | None, str]:
    """The sanitised molecule of a text and "", or None and the reason. It may have no key: RDKit
    can't write or read back the canonical form of some molecules."""
    if reason := _refusal(smiles):
        return None, reason
    with rdBase.BlockLogs(), rdBase.CaptureErrorLog() as log:
        try:
            mol = Chem.MolFromSmiles(smiles)
        except MemoryError:
            raise
        except Exception as error:
            return None, _one_line(error)
        if mol is None:
            return None, first_reason(log.messages)
    return (mol, "") if mol.GetNumAtoms() else (None, "it has no atoms")


def unreadable(reason: str) -> str:
    """A text that is invalid for this reason, for a damaged record of a file. It has no white
    space, as the readers of files cut a sequence off there."""
    return _UNREADABLE + "_".join(reason.split())


def _refusal(smiles: str) -> str:
    """Why a text is refused before RDKit reads it; "" where it isn't."""
    if not smiles:
        return "it is empty"
    if smiles.startswith(_UNREADABLE):
        return smiles.removeprefix(_UNREADABLE).replace("_", " ")
    if len(smiles) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS:,} characters"
    if not smiles.isascii() or not smiles.isprintable() or " " in smiles:
        odd = next(c for c in smiles if not "!" <= c <= "~")
        name = "white space" if odd.isspace() else f"the character {odd!a}"
        return f"SMILES syntax error: it has {name} in it"
    if (atoms := sum(1 for _ in _ATOM.finditer(smiles))) > MAX_ATOMS:
        return f"{atoms:,} atoms, more than {MAX_ATOMS:,}"
    if (rings := sum(1 for ends in _RING_END.finditer(smiles) if ends[1]) // 2) > MAX_RINGS:
        return f"{rings:,} rings, more than {MAX_RINGS:,}"
    return ""


def _stable(mol: Chem.Mol, smiles: str, kept: tuple[str, ...] | None) -> tuple[str | None, str]:
    """A canonical form that is its own canonical form, without what isn't `kept`; None keeps all.
    If reading back leads to a cycle of several, the smallest of these; if it leads to none, None
    and the reason."""

    def form(mol: Chem.Mol) -> str:
        return str(Chem.MolToSmiles(mol if kept is None else reduced(mol, kept)))

    seen: list[str] = []
    try:
        key = form(mol)
        if key == smiles:
            return key, ""
        while key not in seen and len(seen) < MAX_ROUNDS:
            seen.append(key)
            again, reason = read(key)
            if again is None:
                return None, f"RDKit can't read its own canonical form {_cut(key)}: {reason}"
            key = form(again)
    except MemoryError:
        raise
    except Exception as error:
        return None, f"it has no canonical form: {_one_line(error)}"
    if key not in seen:
        return None, f"RDKit finds no stable canonical form in {MAX_ROUNDS} rounds"
    return min(seen[seen.index(key) :]), ""


def first_reason(messages: str) -> str:
    """RDKit's first complaint, without the time and without the text itself."""
    lines = [_TIME.sub("", line) for line in messages.splitlines()]
    first = next((line for line in lines if line), "RDKit gives no reason")
    if not first.startswith("SMILES Parse Error"):
        return " ".join(first.split())
    if position := _POSITION.search(messages):
        return f"SMILES syntax error at character {position[1]}"
    detail = first.removeprefix("SMILES Parse Error: ").split(" for input:")[0]
    detail = detail.split(" while parsing:")[0]
    return f"SMILES syntax error: {detail}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
