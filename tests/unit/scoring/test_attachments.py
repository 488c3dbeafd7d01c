"""Files that components keep, in the storage of a run."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest

from sequence_tutor.distributed.config import ReplayConfig
from sequence_tutor.distributed.scoring.attachments import (
    PATIENCE_S,
    AttachmentStore,
    attachments_of,
)
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.attachments import Attachment

POSE = Attachment("docking", "poses", ".sdf", b"pose")
OTHER = Attachment("docking_2", "poses", ".sdf", b"other")


def test_files_are_written_by_key_and_component(tmp_path: Path) -> None:
    store = AttachmentStore(tmp_path)
    store.store(["CO", "CC", "CN"], [(POSE,), (), (POSE, OTHER)])
    found = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in tmp_path.rglob("*.sdf")}
    expected = {POSE.path("CO"): b"pose", POSE.path("CN"): b"pose", OTHER.path("CN"): b"other"}
    assert found == expected and len(found) == 3
    store.store(["CO"], [(POSE._replace(content=b"again"),)])
    assert (tmp_path / POSE.path("CO")).read_bytes() == b"again"


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A node that doesn't see the run's directory must not write to one of its own."""
    with pytest.raises(OSError, match="run"):
        AttachmentStore(tmp_path / "run").store(["CO"], [(POSE,)])
    assert not (tmp_path / "run").exists()


def test_storage_that_fails_for_a_while_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fs._MockFileSystem()
    memory.create_dir("run")
    waits: list[float] = []
    failures = [OSError("no answer")] * 3
    write = Location.write

    def fails_at_first(place: Location, content: bytes) -> None:
        if failures:
            raise failures.pop()
        write(place, content)

    monkeypatch.setattr(Location, "write", fails_at_first)
    directory = Location((memory, "run"))
    AttachmentStore(directory, sleep=waits.append).store(["CO"], [(POSE,)])
    assert (directory / POSE.path("CO")).read() == b"pose" and len(waits) == 3
    failures += [OSError("no answer")] * 1000
    with pytest.raises(OSError, match="no answer"):
        AttachmentStore(directory, sleep=waits.append).store(["CO"], [(POSE,)])
    assert PATIENCE_S <= sum(waits) < 2 * PATIENCE_S


def test_where_they_are(tmp_path: Path) -> None:
    attachments_of(ReplayConfig(), tmp_path, "1a").store(["CO"], [(POSE,)])
    assert (tmp_path / POSE.path("CO")).read_bytes() == b"pose"
    (tmp_path / "record").mkdir()
    pq.write_table(pa.table({"key": ["CO"]}), tmp_path / "record" / "part.parquet")
    elsewhere = ReplayConfig(record=str(tmp_path / "record"))
    attachments_of(elsewhere, tmp_path / "none", "1a").store(["CO"], [(POSE,)])
    assert (tmp_path / "record" / "_files-1a" / POSE.path("CO")).read_bytes() == b"pose"
    assert len(pq.read_table(tmp_path / "record")) == 1  # the record is read as before


def test_a_store_can_be_sent(tmp_path: Path) -> None:
    sent = pickle.loads(pickle.dumps(AttachmentStore(tmp_path, "a/")))
    sent.store(["CO"], [(POSE,)])
    assert (tmp_path / "a" / POSE.path("CO")).exists()
