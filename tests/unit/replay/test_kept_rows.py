"""The rows that are kept whole, against a slow obvious reference."""

import numpy as np
import pytest

from sequence_tutor.distributed.replay.memory.columns import Columns
from sequence_tutor.distributed.replay.memory.kept_rows import TRAINABLE, VALID, KeptRows
from sequence_tutor.distributed.types import concatenate


def reference(rewards: np.ndarray, keep: int) -> list[int]:
    """Row by row: when a quarter too many are held, keep the newer half and the best others."""
    held: list[int] = []
    for row in range(len(rewards)):
        held.append(row)
        if len(held) == keep + max(1, keep // 4):
            newest = held[len(held) - (keep + 1) // 2 :]
            others = held[: len(held) - len(newest)]
            best = sorted(others, key=lambda i: (-rewards[i], -i))[: keep - len(newest)]
            held = sorted([*best, *newest])
    return held


@pytest.mark.parametrize("keep", [1, 2, 3, 10, 64])
@pytest.mark.parametrize("batch", [1, 7, 400])
def test_kept_rows_do_not_depend_on_the_batches(keep, batch):
    # few different rewards, so that ties are cut
    rewards = np.random.default_rng(keep).integers(0, 40, 400).astype(float)
    kept, content = KeptRows(keep), {}
    for at in range(0, 400, batch):
        part = rewards[at : at + batch]
        for rows, slots in kept.extend(part, np.full(len(part), TRAINABLE, np.int8)):
            for row, slot in zip(range(400)[at : at + batch][rows], slots, strict=True):
                content[int(slot)] = row
        assert [content[s] for s in kept.slots.tolist()] == reference(rewards[: at + batch], keep)
    assert max(content) < keep + max(1, keep // 4)  # slots are used again
    slots, values = kept.trainable()
    assert values.tolist() == [rewards[content[s]] for s in slots.tolist()]


def test_the_best_and_the_newest_stay():
    rewards = np.random.default_rng(0).permutation(10_000).astype(float)
    kept, content = KeptRows(100), {}
    for at in range(0, 10_000, 13):
        part = rewards[at : at + 13]
        for rows, slots in kept.extend(part, np.full(len(part), VALID | TRAINABLE, np.int8)):
            content.update(zip(slots.tolist(), part[rows], strict=True))
    held = [content[s] for s in kept.slots.tolist()]
    assert set(rewards[-50:]) <= set(held)
    assert set(range(9_950, 10_000)) <= set(held)
    assert [content[s] for s in kept.best(50)] == list(range(9_999, 9_949, -1))


def test_flags_select_trainable_and_valid_rows():
    kept = KeptRows(10)
    kept.extend(np.arange(4.0), np.array([TRAINABLE, VALID, TRAINABLE | VALID, 0], np.int8))
    assert kept.trainable()[1].tolist() == [0.0, 2.0]
    assert kept.best(9).tolist() == [2, 1]
    kept.extend(np.array([9.0]), np.array([TRAINABLE], np.int8))
    assert kept.trainable()[1].tolist() == [0.0, 2.0, 9.0]


@pytest.mark.parametrize("steps", [False, True])
def test_columns_read_the_last_row_of_a_slot(make_scored, assert_same, steps):
    columns = Columns()
    first = make_scored([f"a{i}" for i in range(1500)], steps=steps)
    columns.write(np.arange(1500), first)
    assert_same(columns.read(np.arange(1499, -1, -1)), first.select(range(1499, -1, -1)))
    before = columns.nbytes
    second = make_scored([f"b{i}" for i in range(100)], steps=steps, seed=1)
    columns.write(np.arange(0, 1000, 10), second)
    assert len(columns) == 1500
    assert abs(columns.nbytes - before) < 1000
    assert_same(columns.read(np.array([10, 11])), concatenate([second, first]).select([1, 111]))


def test_columns_fill_missing_values(make_scored):
    columns = Columns()
    plain, rich = make_scored(["a", "b"]), make_scored(["c"], steps=True)
    del plain.raw["qed"]
    columns.write(np.arange(2), plain)
    columns.write(np.array([2]), rich)
    rows = columns.read(np.array([0, 2]))
    assert rows.step_rewards[0].sum() == np.float32(plain.rewards[0])
    np.testing.assert_array_equal(rows.step_rewards[1].sum(), rich.step_rewards[0].sum())
    assert np.isnan(rows.raw["qed"][0]) and rows.raw["qed"][1] == rich.raw["qed"][0]
    columns.write(np.array([2]), plain.select([0]))  # the slot's last row is overwritten
    row = columns.read(np.array([2]))
    assert np.isnan(row.raw["qed"][0])
    assert row.step_rewards.sum() == np.float32(plain.rewards[0])
