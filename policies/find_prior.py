"""Finding a prior and reading its metadata, without importing PyTorch, which takes a second."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Any

from sequence_tutor.policies.files.storage import Location, Where

METADATA_FILE = "prior.json"
# Files of a prior's data, a sequence a line: all that it was trained on and validated with, or, in
# the last, some of it.
TRAINING_FILE, HELD_OUT_FILE, SAMPLE_FILE = "training.txt.gz", "held_out.txt.gz", "sample.txt.gz"
# How files of REINVENT's models end; see `reinvent_prior`.
REINVENT_ENDINGS = (".prior", ".chkpt", ".model")


class PriorError(ValueError):
    """A prior can't be found or doesn't fit; the message says which file and what to do."""


def shipped_priors() -> list[str]:
    """Names of the priors that come with the package."""
    root = files("sequence_tutor.policies") / "priors"
    return sorted(p.name for p in root.iterdir() if (p / METADATA_FILE).is_file())


def is_reinvent(path: Location) -> bool:
    """Whether a place is a file of REINVENT's, by its ending."""
    return path.name.endswith(REINVENT_ENDINGS) and path.is_file()


@contextmanager
def found_prior(name_or_where: Where) -> Iterator[Location]:
    """Yield the directory of a prior, a shipped one by its name or any other, or REINVENT's file.
    Raises PriorError."""
    name = str(name_or_where)
    if name in shipped_priors():
        with as_file(files("sequence_tutor.policies") / "priors" / name) as shipped:
            yield Location(shipped)
        return
    path = Location(name_or_where)
    if is_reinvent(path):
        yield path
        return
    if (path / "policy" / METADATA_FILE).is_file():
        path = path / "policy"
    if (path / "config.toml").is_file() and not (path / METADATA_FILE).is_file():
        raise PriorError(
            f"{path} is a run that has not finished: it has no policy yet; let it end, or go on "
            f"with it: optimize --resume --out {path}"
        )
    if not (path / METADATA_FILE).is_file():
        raise PriorError(
            f"no prior at {str(path)!r}: give a directory with {METADATA_FILE}, "
            f"a finished run, a file of REINVENT's ({', '.join(REINVENT_ENDINGS)}), or one of: "
            f"{', '.join(shipped_priors())}"
        )
    yield path


def encoding_of(name_or_where: Where) -> str:
    """The name of a prior's encoding. Raises PriorError."""
    return str(metadata_of(name_or_where)["encoding"])


def metadata_of(name_or_where: Where) -> dict[str, Any]:
    """What a prior's metadata say of its encoding, at least its name. Raises PriorError."""
    with found_prior(name_or_where) as path:
        if is_reinvent(path):
            return {"encoding": "smiles"}
        try:
            found: dict[str, Any] = json.loads((path / METADATA_FILE).read())
            return found | {"encoding": str(found["encoding"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PriorError(f"{path} is not a whole prior: {error}") from error


def example_data(name_or_where: Where) -> list[str]:
    """Sequences of the data of a prior, all or some; empty where none come with it. Raises
    PriorError."""
    with found_prior(name_or_where) as path:
        for name in (TRAINING_FILE, SAMPLE_FILE):
            file = path / name
            if not is_reinvent(path) and file.is_file():
                try:
                    return gzip.decompress(file.read()).decode().split()
                except (OSError, EOFError, ValueError, zlib.error) as error:
                    raise PriorError(f"{file} can't be read: {error}") from error
    return []
