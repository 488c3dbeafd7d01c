"""A user's function: named by its module or its file or, from Python, given as an object.

A given function is sent as a pickle in memory, only to processes of this run. Files never contain
the pickle, but a text that names the function.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import cloudpickle
from pydantic_core import CoreSchema, core_schema

from sequence_tutor.rewards.place import Place

# Name of a function in files, which can't contain the function.
_NAMED = re.compile(r"<function .* of .*>")


class GivenFunction:
    """A function pickled by cloudpickle, to be called in another process.

    name: its name in files, the same for functions with the same source, defaults and enclosed
    values, as far as these can be compared. Raises ValueError where it can't be pickled.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        kind = function if hasattr(function, "__qualname__") else type(function)
        plain = f"function {kind.__qualname__} of {function.__module__}"
        try:
            self._pickled = cloudpickle.dumps(function)
        except Exception as error:
            raise ValueError(
                f"the {plain} can't be sent to another process: {error}; put it into a file, "
                'my_module.py, and give "my_module:function"'
            ) from error
        # in this process the function itself, with what it encloses; a copy is loaded elsewhere
        self._function: Callable[..., Any] | None = function
        content = _content(function, self._pickled)
        self.name = f"<{plain}, {hashlib.blake2b(content, digest_size=8).hexdigest()}>"

    def load(self) -> Callable[..., Any]:
        """The function, unpickled in another process. Raises ValueError where it can't be loaded
        there."""
        if self._function is not None:
            return self._function
        try:
            return cloudpickle.loads(self._pickled)  # type: ignore[no-any-return]
        except Exception as error:
            raise ValueError(f"{self.name} can't be loaded in its own process: {error}") from error

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> CoreSchema:
        """An option may be of this type; see `options.check_options`."""
        return core_schema.is_instance_schema(cls)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_function": None}

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GivenFunction) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def _content(function: Callable[..., Any], pickled: bytes) -> bytes:
    """Source, enclosed values and defaults, which identify a function. The pickle only where there
    is no source, since it also contains line numbers."""
    try:
        source = inspect.getsource(function)
        closed = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        kept = closed, getattr(function, "__defaults__", None)
        return source.encode() + bytes(cloudpickle.dumps(kept))
    except Exception:
        return pickled


def is_named_only(function: object) -> bool:
    """Whether it is the text by which files name a function that was given from Python."""
    return isinstance(function, str) and _NAMED.fullmatch(function) is not None


def load(function: str | GivenFunction, place: Place) -> Callable[..., Any]:
    """Load the function that "module:function" or "path/to/file.py:function" names, or that was
    given. Raises ValueError, which says what is missing."""
    if isinstance(function, GivenFunction):
        return function.load()
    if is_named_only(function):
        raise ValueError(
            f"python function {function!r} was given from Python and is in no file: go on from "
            "Python, with the function, or put it into a file and write module:function"
        )
    source, _, name = function.rpartition(":")
    if not source or not name:
        raise ValueError(
            f'python function {function!r} must read "module:function" or '
            '"path/to/file.py:function"'
        )
    if source == "__main__":
        raise ValueError(
            f"python function {function!r}: another process has another __main__; put {name} into "
            f'a file, my_module.py, and write "my_module:{name}", or give the function itself, '
            "from Python"
        )
    what = "file" if source.endswith(".py") else "module"
    try:
        module = _of_file(source, place) if what == "file" else import_module(source)
    except _NoFileError as error:
        raise ValueError(f"python function {function!r}: {error}") from error
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}" if what == "file" else str(error)
        message = f"python function {function!r}: can't import {what} {source!r}: {said}"
        raise ValueError(message) from error
    found = getattr(module, name, None)
    if not callable(found):
        raise ValueError(
            f"python function {function!r}: {what} {source!r} has no function {name!r}"
        )
    return found  # type: ignore[no-any-return]


class _NoFileError(Exception):
    """There is no such file; the text says where it was looked for."""


def _of_file(source: str, place: Place) -> ModuleType:
    """The module of a file, which may import others beside it. The functions of a file share it,
    unless the file has changed."""
    path = place.find(source)
    if path is None or not path.is_file():
        raise _NoFileError(f"there is no file {source!r} in {place.directory}")
    path = path.resolve()
    version = f"{path} {path.stat().st_mtime_ns}"
    name = f"{path.stem}_{hashlib.blake2b(version.encode(), digest_size=8).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module  # as an import does: dataclasses and others look there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
