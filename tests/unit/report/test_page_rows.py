"""The rows of a record as a page holds them, and how they are packed."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pages import put_on_record, scored_rows

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.replay.record.retried import retry
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.report.page import rows as rows_module
from sequence_tutor.distributed.report.page.beside import read_beside
from sequence_tutor.distributed.report.page.pack import Packer
from sequence_tutor.distributed.report.page.rows import evenly, read_rows, run_parts
from sequence_tutor.rewards.base import Status


def test_failures_that_were_tried_again_count_once(
    make_run: Callable[..., RunConfig], tmp_path: Path
):
    run = make_run()
    failed = scored_rows(
        ["CCO", "CCN"], [0.1, np.nan], [Status.OK, Status.FAILED], ["", "no licence"]
    )
    place = put_on_record(tmp_path / "run", run, failed)
    assert len(read_rows(run_parts(place))) == 2
    retry(PartStore(place / "scores"), run.reward.identity(), failures=True)
    put_on_record(place, run, scored_rows(["CCN"], [0.7]))
    rows = read_rows(run_parts(place))
    assert sorted(rows.words["key"]) == ["CCN", "CCO"] and rows.valid.all()
    assert rows.keys(rows.best(1)) == ["CCN"]


def test_of_many_rows_the_best_and_an_even_sample_are_kept(
    make_run: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rows_module, "MOST_ROWS", 30)
    monkeypatch.setattr(rows_module, "BEST_ROWS", 10)
    rewards = np.random.default_rng(0).random(200)
    texts = [f"C{'N' * n}" for n in range(200)]
    place = put_on_record(tmp_path / "run", make_run(), scored_rows(texts, rewards.tolist()))
    rows = read_rows(run_parts(place))
    assert (len(rows), rows.total) == (30, 200)
    assert set(np.argsort(-rewards)[:10]) <= {len(key) - 1 for key in rows.words["key"]}
    order = rows.numbers["order"]
    assert (np.diff(order) > 0).all() and order[0] < 20 and order[-1] > 180


def test_a_run_without_rows_is_one_sentence(make_run: Callable[..., RunConfig], tmp_path: Path):
    place = put_on_record(tmp_path / "run", make_run(), scored_rows([], []))
    with pytest.raises(ConfigError, match="nothing is on record"):
        read_rows(run_parts(place))
    with pytest.raises(ConfigError, match="there is no config file"):
        run_parts(tmp_path / "none")


def test_a_prior_that_was_moved_is_said(make_run: Callable[..., RunConfig], tmp_path: Path):
    run = make_run().model_copy(update={"prior": str(tmp_path / "gone")})
    beside = read_beside(run, None)
    assert not beside.corpus and not beside.prior and len(beside.lacking) == 2
    assert all("no prior at" in text for text in beside.lacking)


def test_packed_data_are_read_back():
    packer = Packer()
    numbers = packer.numbers(np.array([1.5, np.nan]))
    words = packer.words(["a", "b", "a"])
    texts = packer.texts(["one\ntwo", "\ud800", ""])
    packed = packer.packed({"n": numbers, "w": words, "t": texts, "nan": float("inf")})
    raw = gzip.decompress(base64.b64decode(packed))
    length = struct.unpack("<I", raw[:4])[0]
    content = json.loads(raw[4 : 4 + length])
    assert content["nan"] is None and (4 + length) % 4 == 0

    def blob(name: str) -> bytes:
        start = 4 + length + content[name]["at"]
        return raw[start : start + content[name]["bytes"]]

    found = np.frombuffer(blob("n"), "<f4")
    assert found[0] == 1.5 and np.isnan(found[1])
    codes = np.frombuffer(blob("w"), "<u4")
    assert [content["w"]["names"][i] for i in codes] == ["a", "b", "a"]
    assert blob("t").decode().split("\n") == ["one two", "?", ""]


def test_evenly():
    assert evenly(3, 10).tolist() == [0, 1, 2]
    assert evenly(101, 3).tolist() == [0, 50, 100]
    assert evenly(0, 5).tolist() == []
