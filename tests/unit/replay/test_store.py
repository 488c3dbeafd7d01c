"""Parts on all kinds of file systems: a part is whole or missing."""

import os

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs
from records import read_record
from shards import open_shard

from sequence_tutor.distributed.replay.record.store import Part, PartStore, RecordError
from sequence_tutor.distributed.replay.record.writer import RecordWriter, read_table

PART = Part(3, 0, 1, "0123abcd")
TABLE = pa.table({"x": [1, 2, 3]})


@pytest.fixture(params=["path", "text", "uri", "local", "subtree", "memory", "memory uri"])
def place(request, tmp_path):
    """The same empty directory in each way to name it, and one in memory."""
    memory = fsspec.filesystem("memory")
    if request.param.startswith("memory"):
        memory.mkdirs("/test/run")
        request.addfinalizer(lambda: memory.rm("/test", recursive=True))
    parent = fs.SubTreeFileSystem(str(tmp_path.parent), fs.LocalFileSystem())
    return {
        "path": tmp_path,
        "text": str(tmp_path),
        "uri": tmp_path.as_uri(),
        "local": (fs.LocalFileSystem(), str(tmp_path)),
        "subtree": (parent, tmp_path.name),
        "memory": (fs.PyFileSystem(fs.FSSpecHandler(memory)), "/test/run"),
        "memory uri": "fsspec+memory://test/run",
    }[request.param]


def test_parts_read_back_as_written(place):
    store = PartStore(place)
    assert store.parts() == []
    later = PART._replace(sequence=10)
    store.write(later, TABLE.slice(1))
    store.write(PART, TABLE)
    assert store.parts() == [PART, later]
    assert store.read(PART) == TABLE
    with pytest.raises(RecordError, match="part-00000004"):
        store.read(PART._replace(sequence=4))
    wide = TABLE.append_column("raw.y", pa.array([1.0, 2.0, 3.0]))
    store.write(PART._replace(sequence=11), wide)
    some = store.read(PART._replace(sequence=11), lambda name: name.startswith("raw."))
    assert some.column_names == ["raw.y"]


def test_a_shard_works_on_any_file_system(place, make_scored, assert_same):
    scored = make_scored([f"key {i}" for i in range(30)])
    shard = open_shard(place)
    shard.add(scored.select(range(20)))
    shard.flush()
    again = open_shard(place)
    again.add(scored)
    assert again.stats().waiting_rows == 10
    again.flush()
    assert_same(read_record(place), scored)
    assert read_table(place).num_rows == 30


def test_a_missing_directory_raises_until_it_is_made(tmp_path):
    view = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    memory = fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem("memory")))
    for place in (tmp_path / "nowhere", (view, "some/where"), (memory, "/not/here")):
        with pytest.raises(RecordError, match="there is no record directory"):
            PartStore(place)
        PartStore.make(place)
        assert PartStore(place).parts() == []
    with pytest.raises(RecordError, match="nosuch"):
        PartStore("nosuch://bucket/run")


class Broken:
    """A file system of which one step fails."""

    def __init__(self, monkeypatch, kind: str, tmp_path) -> None:
        self.tmp_path = tmp_path
        if kind == "local":
            self.place = tmp_path
            fail = {"write": "fsync", "rename": "replace"}
            self.fail = lambda at: monkeypatch.setattr(os, fail[at], self._raise)
            self.names = lambda: os.listdir(tmp_path)
        else:
            handler = fs.FSSpecHandler(fsspec.filesystem("memory"))
            handler.fs.mkdirs("/broken/run", exist_ok=True)
            self.place = fs.PyFileSystem(handler), "/broken/run"
            self.fail = lambda at: monkeypatch.setattr(
                type(handler.fs), {"write": "_open", "rename": "mv"}[at], self._raise
            )
            self.names = lambda: [f.split("/")[-1] for f in handler.fs.find("/broken/run")]

    @staticmethod
    def _raise(*_, **__):
        raise OSError("no space left")


@pytest.mark.parametrize("step", ["write", "rename"])
@pytest.mark.parametrize("kind", ["local", "memory"])
def test_a_failed_write_leaves_no_part(tmp_path, make_scored, monkeypatch, kind, step):
    with monkeypatch.context() as patch:
        broken = Broken(patch, kind, tmp_path)
        writer = RecordWriter(broken.place, 0)
        writer.append(make_scored(["a", "b"]))
        broken.fail(step)
        with pytest.raises(OSError, match="no space"):
            writer.flush()
        assert writer.waiting == 2
    assert broken.names() == []
    writer.flush()
    assert read_record(broken.place).keys == ["a", "b"]
    if kind == "memory":
        fsspec.filesystem("memory").rm("/broken", recursive=True)


def test_temporary_files_of_a_killed_writer_are_not_read(tmp_path, make_scored):
    writer = RecordWriter(tmp_path, 0)
    writer.append(make_scored(["a"]))
    writer.flush()
    (name,) = os.listdir(tmp_path)
    unfinished = tmp_path / f"{name.replace('part-00000000', 'part-00000001')}.tmp"
    unfinished.write_bytes((tmp_path / name).read_bytes()[:100])
    assert read_record(tmp_path).keys == ["a"]
    assert PartStore(tmp_path).parts() == [Part.parse(name)]
    # other readers of the directory skip it as well
    assert [p.name for p in tmp_path.glob("*.parquet")] == [name]
    assert pq.read_table(sorted(tmp_path.glob("*.parquet"))).column("key").to_pylist() == ["a"]
