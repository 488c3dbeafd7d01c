"""The `python` component: anybody's function of a sequence, by import path."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def load(path: str) -> Callable[..., Any]:
    """The function that "module:function" names. Raises ValueError saying what is missing."""
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise ValueError(f'python function {path!r} must read "module:function"')
    try:
        module = import_module(module_name)
    except Exception as error:
        message = f"python function {path!r}: can't import module {module_name!r}: {error}"
        raise ValueError(message) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ValueError(
            f"python function {path!r}: module {module_name!r} has no function {name!r}"
        )
    return function  # type: ignore[no-any-return]


def settings(sequence: str, *, function: str, batched: bool = False) -> None:
    """The options of `python`, in the form that the registry checks."""
