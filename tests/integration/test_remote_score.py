"""A file in a bucket, scored into the bucket, stopped and resumed."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from sequence_tutor.distributed.bulk.lines import BulkError
from sequence_tutor.distributed.commands import score_file as module
from sequence_tutor.distributed.commands.score_file import score_file
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.policies.files.storage import Location


def test_a_file_in_a_bucket_is_scored_into_the_bucket(
    make_run: Callable[..., RunConfig],
    s3: Any,
    molecules: list[str],
    quiet: Console,
    monkeypatch: pytest.MonkeyPatch,
):
    bucket = Location(s3.bucket("scored"))
    lines = [*molecules[:300], "", "C(", *molecules[:20]]
    file = bucket / "file.smi.gz"
    file.write(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    run, out = make_run(), bucket / "result"

    def broken(*_: object) -> None:
        raise RuntimeError("assembling fails")

    with monkeypatch.context() as patch:
        patch.setattr(module, "assemble", broken)
        with pytest.raises(RuntimeError, match="assembling"):
            score_file(run, file, out, None, False, quiet, local=True)
    assert bucket.names() == ["file.smi.gz", "result.parts", "result.record"]
    with pytest.raises(BulkError, match="result.parts.* exists already"):
        score_file(run, file, out, None, False, quiet, local=True)
    done = (bucket / "result.parts").names()
    (bucket / "result.parts" / done[len(done) // 2]).remove()
    summary = score_file(run, file, out, None, True, quiet, local=True)
    assert summary.finished and summary.counts.sum() == len(lines)
    assert bucket.names() == ["file.smi.gz", "result.csv", "result.parquet", "result.record"]
    with (bucket / "result.parquet").open() as source:
        table = pq.read_table(source).to_pylist()
    assert [row["sequence"] for row in table] == lines
    text = (bucket / "result.csv").read().decode()
    assert [row["sequence"] for row in csv.DictReader(io.StringIO(text, newline=""))] == lines
    assert {row["status"] for row in table} == {"ok", "invalid"}
