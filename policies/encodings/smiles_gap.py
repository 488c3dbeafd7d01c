"""What may be written in a gap of a SMILES: a chain with branches and rings of its own.

A gap is a part of a text that the policy fills between given parts. What is written there must not
touch the given parts: every branch and ring that begins in the gap ends in it, and no bond closes
to an atom outside. Tokens that can't lead to a molecule are left out too, by the usual valences, so
that a policy isn't offered a fifth bond of carbon. The rules need the text alone, not RDKit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

_BRACKET = re.compile(r"\[\d*([A-Za-z][a-z]?)@{0,2}(H\d*)?([+-]+\d*)?(?::\d+)?\]")
_AROMATIC = ("b", "c", "n", "o", "p", "s", "se", "as", "te")
# Bonds that an atom of no charge has at most.
_VALENCE = {"B": 3, "C": 4, "N": 3, "O": 2, "F": 1, "Si": 4, "P": 5, "S": 6, "Cl": 1, "As": 5}
_VALENCE |= {"Se": 6, "Br": 1, "Te": 6, "I": 1}
# Elements that have a bond more with a positive charge, and one with a negative charge.
_MORE_IF_POSITIVE, _MORE_IF_NEGATIVE = ("N", "P", "O", "S", "Se", "As"), ("B",)
_ORDER = {"-": 1, "/": 1, "\\": 1, "=": 2, "#": 3}
# An age from which a ring bond may close: the atoms since it opened, so that a ring has three.
_RING_AGE = 2

Kind = Literal["atom", "bond", "open", "close", "ring", "other"]
# "yes"; "no", at the end of a gap: an aromatic nitrogen has room for a third bond in some rings
# alone; "even": with it an even number of bonds must be left, as sulfur has 2, 4 or 6 and
# phosphorus 3 or 5, or there would be a hydrogen at it that no text shows.
Joins = Literal["yes", "no", "even"]


@dataclass(frozen=True)
class Token:
    """What a token of a SMILES does."""

    kind: Kind
    """Its class; "other" for what no gap may hold, such as a dot or a wildcard."""
    number: int = 0
    """Of an atom its bonds, of a bond its order, of a ring bond its number."""
    joins: Joins = "yes"
    """Of an atom: what it takes for a bond to go on from it."""


def read_token(text: str) -> Token:
    """What a token does, by its text."""
    if text in _ORDER:
        return Token("bond", _ORDER[text])
    if text in ("(", ")"):
        return Token("open" if text == "(" else "close")
    if text.isdigit() or (text.startswith("%") and text[1:].isdigit()):
        return Token("ring", int(text.lstrip("%")))
    bonds = _bonds(text)
    if bonds is None:
        return Token("other")
    symbol = text.lstrip("[0123456789")
    if symbol.startswith(("n", "o", "p", "s")):
        return Token("atom", bonds, "no")
    return Token("atom", bonds, "even" if symbol in ("S", "P") else "yes")


def _bonds(text: str) -> int | None:
    """Bonds that an atom may have, hydrogens left out; None for what is no atom of known valence.
    The two aromatic bonds of an aromatic atom count one each."""
    found = _BRACKET.fullmatch(text)
    element, hydrogens, charge = (found[1], found[2], found[3]) if found else (text, None, None)
    aromatic = element in _AROMATIC
    element = element.capitalize() if aromatic else element
    if element not in _VALENCE:
        return None
    bonds = 2 if aromatic and element in ("O", "S", "Se", "Te") else _VALENCE[element]
    if hydrogens:
        bonds -= int(hydrogens[1:] or 1)
    if charge:
        size = int(charge.lstrip("+-") or len(charge))
        more = _MORE_IF_POSITIVE if charge[0] == "+" else _MORE_IF_NEGATIVE
        bonds += size if element in more else -size
    return max(0, bonds)


class GapState(NamedTuple):
    """Where the text of a gap stands."""

    last: Literal["start", "atom", "bond", "open", "close"]
    """What was written last; an atom's ring bonds count with it."""
    order: int
    """Order of the bond that waits for its atom, 0 where none was written."""
    opened: bool
    """Whether the next atom begins a branch."""
    rings: tuple[tuple[int, int], ...]
    """Number and age of each open ring bond: the atoms written since, at most _RING_AGE."""
    free: tuple[int, ...]
    """Bonds that are left to the atoms from which the text can go on: those with an open branch,
    from the outside, and the last one."""
    joins: tuple[Joins, ...]
    """Of these atoms, what it takes for a bond to go on from them."""


START = GapState("start", 0, False, (), (), ())


def _fits(state: GapState, order: int) -> bool:
    """Whether the last atom may end with one more bond of this order."""
    return state.joins[-1] != "even" or (state.free[-1] - order) % 2 == 0


class SmilesGap:
    """The rules of one gap.

    tokens: of the vocabulary, in order; taken: numbers of ring bonds of the given parts that are
    open around the gap; goes_on: whether a given part is bonded to the last atom of the gap.
    """

    start = START

    def __init__(self, tokens: Sequence[str], taken: frozenset[int], goes_on: bool) -> None:
        self._tokens = [read_token(text) for text in tokens]
        self._taken, self._goes_on = taken, goes_on

    def complete(self, state: GapState) -> bool:
        """Whether the gap may end here."""
        done = state.last in ("atom", "close") and not state.rings and len(state.free) == 1
        if not done or not self._goes_on:
            return done
        return state.joins[0] != "no" and state.free[0] > 0 and _fits(state, 1)

    def needed(self, state: GapState) -> int:
        """The number of tokens with which the gap can be completed, or a few more."""
        waits = state.last in ("start", "bond", "open")
        depth = max(0, len(state.free) - 1) + state.opened
        return depth + 2 * len(state.rings) + waits

    def after(self, state: GapState, action: int) -> GapState | None:
        """The state after a token; None where it isn't allowed."""
        token = self._tokens[action]
        step = {
            "atom": self._atom,
            "bond": self._bond,
            "open": self._open,
            "close": self._close,
            "ring": self._ring,
        }.get(token.kind)
        found = None if step is None else step(state, token)
        return found if found is not None and self._alive(found) else None

    def _alive(self, state: GapState) -> bool:
        """Whether the gap can still be completed: something must bond to what follows, and open
        ring bonds need an atom to close at."""
        if state.last in ("bond", "open"):
            return True
        if self._goes_on and state.free[0] < 1:
            return False
        return not state.rings or any(free > 0 for free in state.free)

    def _atom(self, state: GapState, token: Token) -> GapState | None:
        order, bonds = state.order or 1, token.number
        before = state.free
        if bonds < order or (before and before[-1] < order):
            return None
        if before and not state.opened and not _fits(state, order):
            return None
        rings = tuple((number, min(age + 1, _RING_AGE)) for number, age in state.rings)
        if state.opened:
            free = (*before[:-1], before[-1] - order, bonds - order)
            return GapState("atom", 0, False, rings, free, (*state.joins, token.joins))
        free = (*before[:-1], bonds - order)
        return GapState("atom", 0, False, rings, free, (*state.joins[:-1], token.joins))

    def _bond(self, state: GapState, token: Token) -> GapState | None:
        if state.last not in ("atom", "close", "open"):
            return None
        if state.free[-1] - self._reserved(state) * state.opened < token.number:
            return None
        return state._replace(last="bond", order=token.number)

    def _open(self, state: GapState, _: Token) -> GapState | None:
        if state.last not in ("atom", "close") or state.free[-1] - self._reserved(state) < 1:
            return None
        return state._replace(last="open", opened=True)

    def _close(self, state: GapState, _: Token) -> GapState | None:
        if state.last not in ("atom", "close") or len(state.free) < 2:
            return None
        return state._replace(last="close", free=state.free[:-1], joins=state.joins[:-1])

    def _ring(self, state: GapState, token: Token) -> GapState | None:
        number = token.number
        bonded = state.last == "bond" and not state.opened
        if state.last != "atom" and not bonded:
            return None
        order = state.order or 1
        if state.free[-1] - self._reserved(state) < order:
            return None
        ages = dict(state.rings)
        if number in ages:
            if ages.pop(number) < _RING_AGE:
                return None
        elif number in self._taken:
            return None
        else:
            ages[number] = 0
        free = (*state.free[:-1], state.free[-1] - order)
        return GapState("atom", 0, False, tuple(sorted(ages.items())), free, state.joins)

    def _reserved(self, state: GapState) -> int:
        """The bond that the chain needs to go on to the given part, where branches and rings would
        use it up."""
        return int(self._goes_on and len(state.free) == 1)
