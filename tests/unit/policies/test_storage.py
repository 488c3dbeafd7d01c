"""Locations on all kinds of storage, S3 by a real server: whole files, and errors that say why."""

from __future__ import annotations

import gzip
import os
import pickle
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from sequence_tutor.policies.files import storage
from sequence_tutor.policies.files.storage import Location, StorageError
from sequence_tutor.policies.files.table_reader import count_rows, read_sequences
from sequence_tutor.policies.prior import load_prior


@pytest.fixture(params=["local", "s3", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, s3: Any) -> Location:
    """An empty directory."""
    if request.param == "local":
        return Location(tmp_path / "run")
    if request.param == "s3":
        return Location(s3.bucket(f"b{uuid.uuid4().hex}")) / "some" / "run"
    memory = fsspec.filesystem("memory")
    request.addfinalizer(lambda: memory.rm("/place", recursive=True))
    return Location((fs.PyFileSystem(fs.FSSpecHandler(memory)), "/place/run"))


def test_files_are_written_read_listed_and_removed(place: Location):
    place.make()
    file = place / "a.b.txt"
    assert not file.exists() and place.names() == [] and not place.is_taken()
    place.check_writable()
    assert not place.is_taken()
    file.write("före")
    file.write("after")
    assert (file.read(), file.size(), file.name) == (b"after", 5, "a.b.txt")
    assert file.is_file() and not file.is_dir() and place.is_dir()
    assert file.is_taken() and place.is_taken()
    assert file.suffixes == [".b", ".txt"]
    with file.stream() as stream:
        assert stream.read(2) == b"af"
    with file.open() as stream:
        stream.seek(3)
        assert stream.read() == b"er"
    below = place / "below"
    below.make()
    (below / "c").write(b"")
    assert place.names() == ["a.b.txt", "below"] and below.names() == ["c"]
    beside = file.with_name("d")
    with beside.writer() as stream:
        stream.write(b"1")
        stream.write(b"2")
    assert beside == place / "d" and beside.read() == b"12"
    with pytest.raises(FileNotFoundError, match="there is no .*run/none"):
        (place / "none").read()
    with place.fetched() as copy:
        assert (copy / "below" / "c").read_bytes() == b""
        assert (copy / "a.b.txt").read_text() == "after"
    below.remove()
    file.remove()
    file.remove()
    assert place.names() == ["d"]


def test_a_write_that_fails_leaves_no_file(place: Location):
    place.make()
    with pytest.raises(ValueError, match="enough"), (place / "a").writer() as stream:
        stream.write(b"half")
        raise ValueError("enough")
    assert place.names() == []


def test_a_small_object_is_one_request(s3: Any):
    file = Location(s3.bucket("one-request")) / "run" / "a"
    s3.requests.clear()
    file.write(b"x" * 100_000)
    assert s3.requests == ["PUT /one-request/run/a"]
    with file.writer() as stream:
        stream.write(b"x" * 12_000_000)
    assert "POST /one-request/run/a?uploads" in s3.requests  # control: a large one isn't
    assert file.size() == 12_000_000


def test_secrets_are_in_no_text_or_error(s3: Any):
    place = Location(s3.bucket("secrets")) / "run"
    assert str(place) == f"s3://secrets/run?endpoint_override={s3.endpoint}&scheme=http"
    assert "secret@" not in repr(place) and "secret@" in place.uri
    (place / "a").write(b"1")
    assert (pickle.loads(pickle.dumps(place)) / "a").read() == b"1"
    s3.refuses = lambda request: True
    with pytest.raises(StorageError) as caught:
        (place / "a").write(b"2")
    assert "can't write s3://secrets/run/a" in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_a_storage_error_is_one_sentence_within_30_s(s3: Any):
    with pytest.raises(StorageError, match="there is no bucket none"):
        Location(s3.uri("none/run")).check_writable()
    s3.bucket("readable")
    s3.refuses = lambda request: request.startswith("PUT")
    with pytest.raises(StorageError, match="can't write s3://readable/run/.*ACCESS_DENIED"):
        Location(s3.uri("readable/run")).check_writable()
    with pytest.raises(StorageError, match="can't use nosuch://bucket"):
        Location("nosuch://bucket")
    with socket.create_server(("127.0.0.1", 0)) as free:
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(StorageError, match="Could not connect") as caught:
        Location(f"s3://b/run?endpoint_override={endpoint}&scheme=http").check_writable()
    assert time.monotonic() - started < 30 and "\n" not in str(caught.value)


def test_a_server_that_never_answers_times_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storage, "ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        place = Location(f"s3://b/run?endpoint_override={endpoint}&scheme=http")
        with pytest.raises(StorageError, match="no answer within 0.5 s"):
            place.check_reachable()


@pytest.mark.parametrize("name", ["a.smi", "a.smi.gz", "a.csv", "a.parquet"])
def test_rows_are_read_from_s3_as_from_disk(s3: Any, tmp_path: Path, name: str):
    wanted = [f"{'C' * (i % 50 + 1)}O" for i in range(20_000)]
    text = "".join(f"{line}\n" for line in (["smiles"] if "csv" in name else []) + wanted)
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.table({"smiles": wanted}), path)
    else:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    far = Location(s3.bucket(f"rows-{name}")) / name
    far.write(path.read_bytes())
    for place in (path, str(far.uri), far):
        assert [sequence for _, sequence in read_sequences(place)] == wanted
        assert count_rows(place) == len(wanted)


def test_priors_are_saved_and_loaded_anywhere(
    s3: Any, tiny_prior: Path, command: Callable[..., Any]
):
    far = Location(s3.bucket("priors")) / "mine"
    prior = load_prior(tiny_prior)
    prior.save(far)
    assert load_prior(far.uri).sample(5, seed=1) == prior.sample(5, seed=1)
    done = command("sample", far.uri, "-n", 5, "--seed", 1)
    assert done.out.split() == prior.sample(5, seed=1)
    command("sample", (far / "none").uri).refused("no prior at 's3://priors/mine/none")


def test_credentials_and_endpoint_come_from_the_environment(s3: Any, tiny_prior: Path):
    load_prior(tiny_prior).save(Location(s3.bucket("environment")) / "mine")
    command = [sys.executable, "-m", "sequence_tutor.distributed.commands.cli", "sample"]
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "from-the-environment",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://{s3.endpoint}",
    }
    done = subprocess.run(
        [*command, "s3://environment/mine", "-n", "3"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,  # a process with connections ends
    )
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3, done.stderr
    assert any("from-the-environment" in key for key in s3.signed)
