"""The metre of a melody and its grid, which begin its text: `3/4:C4---D4---`, `6/8@12:...`.

A text without them is in 4/4 on a grid of sixteenths. Lengths are in steps of the grid. The same
times are those of encodings (`policies/melody_time.py`), but for 2/2, which they read as 4/4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

SIXTEENTHS = 4  # steps of a quarter note on the usual grid
# Steps of a quarter note that a grid may have, as notes are written in twelfths of a quarter: 4
# holds sixteenths, 6 eighths and their triplets, 12 all of these.
GRIDS = (1, 2, 3, 4, 6, 12)
_HEADER = re.compile(r"(\d{1,2})/(\d{1,2})(?:@(\d{1,2}))?:")


@dataclass(frozen=True)
class Time:
    """A metre on a grid. Raises ValueError where a bar isn't a whole number of beats and steps."""

    count: int = 4
    """The upper number of the metre, 1 to 32."""
    unit: int = 4
    """The lower number of the metre: 1, 2, 4, 8 or 16."""
    grid: int = SIXTEENTHS
    """Steps of a quarter note, one of `GRIDS`."""

    def __post_init__(self) -> None:
        metre = f"{self.count}/{self.unit}"
        if not 1 <= self.count <= 32 or self.unit not in (1, 2, 4, 8, 16):
            raise ValueError(f"{metre} is not a metre, such as 4/4, 3/4 or 6/8")
        if self.grid not in GRIDS:
            raise ValueError(f"a grid has 1, 2, 3, 4, 6 or 12 steps a quarter, not {self.grid}")
        if 4 * self.grid % self.unit:
            raise ValueError(f"a grid of {self.grid} steps a quarter note can't hold {metre}")

    @cached_property
    def bar(self) -> int:
        """Steps of a bar."""
        return self.count * (4 * self.grid // self.unit)

    @cached_property
    def beat(self) -> int:
        """Steps of a beat: three units in 6/8, 9/8 and 12/8, else one."""
        return (3 if self.is_compound else 1) * (4 * self.grid // self.unit)

    @cached_property
    def phrase(self) -> int:
        """Steps of the shortest part of a melody that can be a motif: two beats, or a bar that
        can't be divided into such."""
        return 2 * self.beat if self.bar % (2 * self.beat) == 0 else self.bar

    @property
    def is_compound(self) -> bool:
        """Whether a beat is three units."""
        return self.unit == 8 and self.count in (6, 9, 12)

    @property
    def metre(self) -> str:
        """Such as "3/4"."""
        return f"{self.count}/{self.unit}"

    @property
    def header(self) -> str:
        """What the text of a melody in this time begins with; "" for 4/4 in sixteenths."""
        if self == COMMON:
            return ""
        return self.metre + (f"@{self.grid}" if self.grid != SIXTEENTHS else "") + ":"


COMMON = Time()


def split_header(text: str) -> tuple[Time, str]:
    """The time of a melody's text, and the text of its tokens. Raises ValueError for a header that
    can't be, or that is written where 4/4 in sixteenths needs none."""
    match = _HEADER.match(text)
    if match is None:
        return COMMON, text
    count, unit, grid = match.groups()
    time = Time(int(count), int(unit), SIXTEENTHS if grid is None else int(grid))
    if time.header != match.group():  # one melody has one text
        raise ValueError(f"{match.group()} is written {time.header or 'without it'}")
    return time, text[match.end() :]
