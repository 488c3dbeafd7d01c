"""The time of melodies: their metre, and the grid of steps that their tokens stand on.

The text of a melody begins with a header that says it, unless it is 4/4 with four steps to a
quarter note:

    C4---D4---              4/4, grid 4
    3/4:C4---D4---          3/4, grid 4
    4/4@12:C4---D4---       4/4, grid 12: triplets and sixteenths
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_HEADER = re.compile(r"(\d+)/(\d+)(?:@(\d+))?:")
_METRE = re.compile(r"(\d{1,2})/(\d{1,2})")
# Metres of the same length that are read as one: alla breve is a way of counting 4/4.
SAME_AS = {"2/2": "4/4"}
MAX_NUMERATOR = 32
DENOMINATORS = (1, 2, 4, 8, 16, 32)
# Steps per quarter note that a grid may have, those of the rewards.
GRIDS = (1, 2, 3, 4, 6, 12)


@dataclass(frozen=True)
class Time:
    """A metre and a grid. Raises ValueError where a bar or a beat isn't a whole number of steps."""

    numerator: int = 4
    """Upper number of the metre."""
    denominator: int = 4
    """Lower number of the metre."""
    grid: int = 4
    """Steps per quarter note: 4 holds sixteenths, 6 eighths and their triplets, 12 all of these."""

    def __post_init__(self) -> None:
        known = self.denominator in DENOMINATORS and 1 <= self.numerator <= MAX_NUMERATOR
        if not known:
            raise ValueError(f"{self.metre} is not a metre: write 4/4, 3/4, 6/8 and so on")
        if self.metre in SAME_AS:
            same = SAME_AS[self.metre]
            raise ValueError(f"{self.metre} is read as {same}, whose bars are as long: use {same}")
        if self.grid not in GRIDS:
            known_grids = ", ".join(map(str, GRIDS))
            raise ValueError(f"a grid has {known_grids} steps per quarter note, not {self.grid}")
        for what, quarters in (("bar", self.bar_quarters), ("beat", self.beat_quarters)):
            steps = quarters * self.grid
            if steps.denominator != 1:
                raise ValueError(
                    f"a {what} of {self.metre} has {float(steps):g} steps with grid {self.grid}, "
                    "which isn't a whole number: choose another grid"
                )

    @classmethod
    def parse(cls, metre: str, grid: int = 4) -> Time:
        """The time of a metre such as "3/4". Raises ValueError."""
        match = _METRE.fullmatch(metre)
        if match is None:
            raise ValueError(f"{metre!r} is not a metre: write 4/4, 3/4, 6/8 and so on")
        return cls(int(match[1]), int(match[2]), grid)

    @property
    def metre(self) -> str:
        """The metre as text, "3/4"."""
        return f"{self.numerator}/{self.denominator}"

    @property
    def bar_quarters(self) -> Fraction:
        """Length of a bar in quarter notes."""
        return Fraction(4 * self.numerator, self.denominator)

    @property
    def beat_quarters(self) -> Fraction:
        """Length of a beat in quarter notes: 3/2 in 6/8, 9/8 and 12/8."""
        compound = self.denominator == 8 and self.numerator in (6, 9, 12)
        return Fraction(12 if compound else 4, self.denominator)

    @property
    def bar(self) -> int:
        """Steps of a bar."""
        return int(self.bar_quarters * self.grid)

    @property
    def beat(self) -> int:
        """Steps of a beat."""
        return int(self.beat_quarters * self.grid)

    @property
    def header(self) -> str:
        """What the text of each melody begins with; "" for 4/4 with grid 4."""
        if self == Time():
            return ""
        return f"{self.metre}:" if self.grid == 4 else f"{self.metre}@{self.grid}:"

    def without_header(self, melody: str) -> str:
        """The text without the header. Raises ValueError for a text whose header says another time,
        or that lacks one."""
        rest = melody.removeprefix(self.header)
        other = _HEADER.match(rest)
        if other is not None:
            found = f"{other[1]}/{other[2]}, grid {other[3] or 4}"
        elif self.header and rest == melody:
            found = f"without a header, so in {Time()}"
        else:
            return rest
        raise ValueError(f"{melody[:60]!r} is {found}, and the time of the prior is {self}")

    def __str__(self) -> str:
        return f"{self.metre}, grid {self.grid}"
