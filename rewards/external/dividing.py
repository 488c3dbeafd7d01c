"""A batch that failed as a whole is tried again in halves, so that only what causes it is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sequence_tutor.rewards.returned import Complaint

Values = list[float | Complaint]


class BatchComplaint(Complaint):
    """The failure of a batch that one of its sequences may have caused."""


def divided(call: Callable[[Sequence[str]], Values], texts: Sequence[str]) -> Values:
    """The values of B texts from `call`, which takes any number of them.

    A batch for which it raises BatchComplaint is halved until what causes it is alone. That takes
    2 log2(B) more calls for one text. After twice as many, the rest fails with the last complaint:
    the cause isn't a text.
    """
    values: Values = [Complaint("")] * len(texts)
    left = [(0, len(texts))]
    calls = 1 + 4 * math.ceil(math.log2(max(1, len(texts))))
    said = Complaint("")
    while left:
        first, end = left.pop()
        try:
            if calls < 1:
                raise said
            calls -= 1
            values[first:end] = call(texts[first:end])
        except Complaint as complaint:
            said = complaint
            if isinstance(complaint, BatchComplaint) and end - first > 1 and calls > 0:
                middle = (first + end) // 2
                left += [(middle, end), (first, middle)]
            else:
                values[first:end] = [complaint] * (end - first)
    return values
