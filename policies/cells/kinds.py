"""The kinds of cell by name."""

from __future__ import annotations

from collections.abc import Callable

from sequence_tutor.policies.cells.base import Layers
from sequence_tutor.policies.cells.gated import Gru, Lstm
from sequence_tutor.policies.cells.mingru import MinGru

# from the widths E and H, the number of layers, and the probability of dropout
CELLS: dict[str, Callable[[int, int, int, float], Layers]] = {
    "gru": Gru,
    "lstm": Lstm,
    "mingru": MinGru,
}
