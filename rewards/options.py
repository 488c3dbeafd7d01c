"""Options of a function that a configuration names: its parameters, checked before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

from sequence_tutor.rewards.names import unknown


def signature_options(
    function: Callable[..., Any], judges: bool = True
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of a function's options, and of those without a default. If it `judges`, its first
    parameter is the sequence to judge and not an option.

    Raises TypeError where the signature can't be configured from a file.
    """
    parameters = list(inspect.signature(function).parameters.values())
    where = f"{function.__module__}.{function.__qualname__}"
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if judges and (not parameters or parameters[0].kind not in positional):
        raise TypeError(f"{where} needs a first positional parameter, the thing to judge")
    keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    options = parameters[1:] if judges else parameters
    for p in options:
        if p.kind not in keyword:
            raise TypeError(f"{where}: parameter {p.name!r} can't be set by name")
    required = frozenset(p.name for p in options if p.default is inspect.Parameter.empty)
    return tuple(p.name for p in options), required


def check_options(
    kind: str, name: str, given: Mapping[str, Any], function: Any, judges: bool = True
) -> None:
    """Raises ValueError naming an option that is unknown, missing or of the wrong type."""
    options, required = signature_options(function, judges)
    try:
        # of a class the hints of its constructor, not those of its attributes
        made_by = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
        hints = get_type_hints(made_by)
    except NameError:  # a plug-in may import its types for checkers alone
        hints = {}
    fields: dict[str, Any] = {
        option: (hints.get(option, Any), ... if option in required else None) for option in options
    }
    strict = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
    try:
        create_model("Options", __config__=strict, **fields).model_validate(dict(given))
    except ValidationError as error:
        problem = error.errors()[0]
        option = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            raise ValueError(unknown(f"option of {kind} {name!r}:", option, options)) from None
        if problem["type"] == "missing":
            raise ValueError(f"{kind} {name!r} needs the option {option!r}") from None
        message = f"option {option!r} of {kind} {name!r}: {problem['msg']}, got {given[option]!r}"
        raise ValueError(message) from None
