"""The index and the outcomes against a dict."""

import numpy as np
import pytest

from sequence_tutor.distributed.replay.memory import outcome_index as module
from sequence_tutor.distributed.replay.memory.key_index import KeyIndex, digests
from sequence_tutor.distributed.replay.memory.outcome_index import OutcomeIndex
from sequence_tutor.rewards.base import Scores


def test_digests_are_the_same_in_every_release():
    assert digests(["", "CCO"]).tolist() == [
        [4665148505410102986, 8103847710287220046],
        [15332362344926283276, 16226537365577603003],
    ]
    assert digests([]).shape == (0, 2)


@pytest.mark.parametrize("batch", [1, 37, 5000])
def test_the_index_agrees_with_a_dict_at_every_size(batch):
    index, reference = KeyIndex(), {}
    random = np.random.default_rng(0)
    for at in range(0, 20 * batch if batch < 5000 else 20_000, batch):
        new = [f"key {i}" for i in range(at, at + batch)]
        rows = np.arange(at, at + batch)
        index.insert(digests(new), rows)
        reference.update(zip(new, rows.tolist(), strict=True))
        # also while a table is being moved
        asked = [f"key {i}" for i in random.integers(0, 2 * len(reference), 50)]
        assert index.find(digests(asked)).tolist() == [reference.get(k, -1) for k in asked]
    assert len(index) == len(reference)
    assert index.find(digests(list(reference))).tolist() == list(reference.values())
    assert 20 * len(index) < index.nbytes < 20 * max(1024, 3.1 * len(index)) * 1.5


def test_keys_with_the_same_slot_are_all_found():
    index = KeyIndex()
    same = np.zeros((300, 2), np.uint64)
    same[:, 0] = 1023  # the last slot of the smallest table, so that they go round
    same[:, 1] = np.arange(300)
    index.insert(same, np.arange(300))
    assert index.find(same[::-1]).tolist() == list(range(299, -1, -1))
    same[:, 1] += np.uint64(300)
    assert (index.find(same) == -1).all()


def test_growing_moves_a_few_keys_per_insert():
    index = KeyIndex()
    index.insert(digests([f"key {i}" for i in range(40_000)]), np.arange(40_000))
    while index._old is not None:
        index.insert(digests([f"more {len(index)}"]), np.array([len(index)]))
    used = len(index)
    index.insert(digests([f"b {i}" for i in range(4_000)]), used + np.arange(4_000))
    assert index._old is not None and 0 < index._moved < len(index._old)
    for _ in range(60):
        index.insert(digests([f"c {len(index)}"]), np.array([len(index)]))
    assert index._old is None
    found = index.find(digests([f"key {i}" for i in range(40_000)]))
    assert found.tolist() == list(range(40_000))


def outcomes(rows: int, seed: int, names: tuple[str, ...]) -> Scores:
    random = np.random.default_rng(seed)
    return Scores(
        rewards=random.normal(size=rows),
        status=random.integers(0, 5, rows).astype(np.int8),
        seconds=random.random(rows).astype(np.float32),
        errors=[f"error {i % 3}" if i % 5 == 0 else "" for i in range(rows)],
        raw={name: random.random(rows) for name in names},
    )


def test_outcomes_read_back_as_written(monkeypatch):
    monkeypatch.setattr(module, "_BITS", 6)  # many blocks
    monkeypatch.setattr(module, "BLOCK_ROWS", 64)
    index = OutcomeIndex()
    batches = [
        outcomes(50, 0, ("a",)),
        outcomes(200, 1, ()),
        outcomes(7, 2, ("b", "a")),  # a new component in the middle of a block
        outcomes(100, 3, ("b",)),
    ]
    for number, batch in enumerate(batches):
        keys = [f"{number} {i}" for i in range(len(batch))]
        index.extend(digests(keys), batch)
    assert len(index) == 357
    rows = np.random.default_rng(0).permutation(357)[:300]
    found = index.read(rows)
    for name in ("rewards", "status", "seconds"):
        values = np.concatenate([getattr(b, name) for b in batches])
        assert getattr(found, name).dtype == values.dtype
        np.testing.assert_array_equal(getattr(found, name), values[rows])
    for name in ("a", "b"):
        values = np.concatenate([b.raw.get(name, np.full(len(b), np.nan)) for b in batches])
        np.testing.assert_array_equal(found.raw[name], values[rows])
    texts = [text for b in batches for text in b.errors]
    assert found.errors == [texts[i] for i in rows]
    assert index.find(digests(["2 3", "none", "0 0"])).tolist() == [253, -1, 0]


def test_a_row_takes_tens_of_bytes():
    index = OutcomeIndex()
    for at in range(0, 120_000, 5000):
        batch = outcomes(5000, at, ("a", "b", "c"))
        batch.errors[:] = [""] * 5000
        index.extend(digests([f"{at} {i}" for i in range(5000)]), batch)
    assert 60 < index.nbytes / len(index) < 110
