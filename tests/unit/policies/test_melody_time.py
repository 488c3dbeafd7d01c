from __future__ import annotations

from fractions import Fraction

import pytest

from sequence_tutor.policies.melody_time import Time


@pytest.mark.parametrize(
    ("metre", "grid", "bar", "beat", "header"),
    [
        ("4/4", 4, 16, 4, ""),
        ("4/4", 12, 48, 12, "4/4@12:"),
        ("3/4", 4, 12, 4, "3/4:"),
        ("2/4", 4, 8, 4, "2/4:"),
        ("6/8", 4, 12, 6, "6/8:"),
        ("6/8", 6, 18, 9, "6/8@6:"),
        ("9/8", 4, 18, 6, "9/8:"),
        ("12/8", 2, 12, 3, "12/8@2:"),
        ("3/8", 4, 6, 2, "3/8:"),
        ("5/8", 4, 10, 2, "5/8:"),
        ("3/2", 4, 24, 8, "3/2:"),
        ("7/16", 4, 7, 1, "7/16:"),
    ],
)
def test_bars_beats_and_headers(metre: str, grid: int, bar: int, beat: int, header: str):
    time = Time.parse(metre, grid)
    assert (time.bar, time.beat, time.header, time.metre) == (bar, beat, header, metre)
    assert time.bar_quarters == Fraction(bar, grid)
    assert time.without_header(header + "C4---") == "C4---"


@pytest.mark.parametrize(
    ("metre", "grid", "message"),
    [
        ("waltz", 4, "'waltz' is not a metre: write 4/4"),
        ("4/5", 4, "4/5 is not a metre"),
        ("0/4", 4, "0/4 is not a metre"),
        ("4/0", 4, "4/0 is not a metre"),
        ("33/4", 4, "33/4 is not a metre"),
        ("2/2", 4, "2/2 is read as 4/4, whose bars are as long: use 4/4"),
        ("4/4", 0, "a grid has 1, 2, 3, 4, 6, 12 steps per quarter note, not 0"),
        ("4/4", 25, "not 25"),
        ("4/4", 8, "not 8"),
        ("3/8", 1, "a bar of 3/8 has 1.5 steps with grid 1, which isn't a whole number"),
        ("6/8", 1, "a beat of 6/8 has 1.5 steps"),
        ("2/8", 1, "a beat of 2/8 has 0.5 steps"),
    ],
)
def test_times_that_cannot_be(metre: str, grid: int, message: str):
    with pytest.raises(ValueError, match=message):
        Time.parse(metre, grid)


@pytest.mark.parametrize(
    ("time", "melody", "message"),
    [
        (Time(), "3/4:C4", "'3/4:C4' is 3/4, grid 4, and the time of the prior is 4/4, grid 4"),
        (Time(), "4/4@12:C4", "is 4/4, grid 12, and the time of the prior is 4/4, grid 4"),
        (Time(3, 4), "C4--", "is without a header, so in 4/4, grid 4, and .* is 3/4, grid 4"),
        (Time(3, 4), "6/8:C4", "is 6/8, grid 4, and the time of the prior is 3/4, grid 4"),
        (Time(3, 4), "3/4@12:C4", "is 3/4, grid 12, and the time of the prior is 3/4, grid 4"),
        (Time(3, 4), "3/4:3/4:C4", "the time of the prior is 3/4, grid 4"),
    ],
)
def test_another_header_says_what_the_time_of_the_prior_is(time: Time, melody: str, message: str):
    with pytest.raises(ValueError, match=message):
        time.without_header(melody)
