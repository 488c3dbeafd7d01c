"""Step values stay with their rows: selected, concatenated, to Arrow and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from sequence_tutor.distributed.arrow_schema import from_table, to_table
from sequence_tutor.distributed.types import Scored, concatenate
from sequence_tutor.rewards.base import Status

NAN = np.nan


def scored(keys: str, lengths: list[int], **step_raw: list[list[float]]) -> Scored:
    """A row for each letter, as wide as the longest; columns that no test reads are zero."""
    rows = len(keys)
    width = max(lengths, default=1)
    inside = np.arange(width) < np.array(lengths, dtype=np.int32)[:, None]
    return Scored(
        tokens=inside.astype(np.int16),
        lengths=np.array(lengths, dtype=np.int32),
        log_probs=np.zeros(rows, np.float32),
        rewards=np.arange(1, rows + 1, dtype=float),
        step_rewards=None,
        status=np.full(rows, Status.OK, dtype=np.int8),
        versions=np.zeros(rows, np.int32),
        scored_at=np.zeros(rows),
        seconds=np.zeros(rows, np.float32),
        sequences=list(keys),
        keys=list(keys),
        errors=[""] * rows,
        sources=["policy"] * rows,
        actors=["actor"] * rows,
        raw={k: np.nansum(v, axis=1) for k, v in step_raw.items()},
        transformed={},
        step_raw={k: np.array(v, dtype=np.float32) for k, v in step_raw.items()},
    )


@pytest.fixture
def three() -> Scored:
    """A short row, a failed one and a whole one."""
    return scored(
        "abc",
        [2, 3, 4],
        key=[[-1, 0, NAN, NAN], [NAN, NAN, NAN, NAN], [0, -1, 0, -1]],
        leaps=[[5, 0, NAN, NAN], [0, -8, 0, NAN], [0, 0, 0, 5]],
    )


def check(found: Scored, expected: dict[str, list[list[float]]]) -> None:
    assert found.step_raw.keys() == expected.keys()
    for name, values in expected.items():
        assert found.step_raw[name].dtype == np.float32
        np.testing.assert_array_equal(found.step_raw[name], values, name)


def lists(three: Scored) -> dict[str, list[list[float]]]:
    return {name: values.tolist() for name, values in three.step_raw.items()}


def test_step_values_round_trip_through_a_table(three: Scored):
    table = to_table(three)
    assert table.schema.field("steps.key").type == pa.list_(pa.float32())
    assert table.column("steps.leaps").to_pylist() == [[5, 0], [0, -8, 0], [0, 0, 0, 5]]
    check(from_table(table), lists(three))
    check(from_table(table.slice(1)), {k: v[1:] for k, v in lists(three).items()})
    check(from_table(table.slice(0, 1)), {"key": [[-1, 0]], "leaps": [[5, 0]]})
    assert len(from_table(to_table(three.select([]))).step_raw["key"]) == 0


def test_rows_are_selected_in_the_given_order(three: Scored):
    found = three.select([2, 0, 2])
    assert found.keys == ["c", "a", "c"]
    check(found, {k: [v[2], v[0], v[2]] for k, v in lists(three).items()})


def test_batches_of_different_widths_are_concatenated(three: Scored):
    narrow = scored("d", [1], key=[[-1]], leaps=[[2]])
    both = concatenate([narrow, three])
    wanted = {
        "key": [[-1, NAN, NAN, NAN], *lists(three)["key"]],
        "leaps": [[2, NAN, NAN, NAN], *lists(three)["leaps"]],
    }
    check(both, wanted)
    check(from_table(to_table(both)), wanted)
    np.testing.assert_array_equal(both.raw["leaps"], [2, 5, -8, 5])


def test_step_values_are_as_wide_as_the_tokens(three: Scored):
    lacking = scored("d", [9], key=[[0] * 9])
    parts = [to_table(three), to_table(lacking)]
    found = from_table(pa.concat_tables(parts, promote_options="default"))
    assert found.step_raw["leaps"].shape == found.tokens.shape == (4, 9)
    assert to_table(found).num_rows == 4


@pytest.mark.parametrize("length", [1, 4, 6])
def test_a_component_missing_in_a_batch_is_nan(three: Scored, length: int):
    """For batches with episodes of any length."""
    lacking = scored("de", [length, length], key=[[0] * length] * 2)
    both = concatenate([three, lacking])
    width = max(4, length)
    assert both.tokens.shape == (5, width)
    for found in (both, from_table(to_table(both))):
        leaps = found.step_raw["leaps"]
        assert leaps.shape == (5, width)
        np.testing.assert_array_equal(leaps[:3, :4], three.step_raw["leaps"])
        assert np.isnan(leaps[3:]).all() and np.isnan(found.raw["leaps"][3:]).all()
        assert not found.step_raw["key"][3:, :length].any()
