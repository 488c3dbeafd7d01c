"""The component `python`: a user's own function, with options and a state of each process."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from sequence_tutor.rewards import python_function
from sequence_tutor.rewards.names import unknown
from sequence_tutor.rewards.place import Place, TextJudge
from sequence_tutor.rewards.python_function import GivenFunction
from sequence_tutor.rewards.registry import EVERY, component

# The parameter by which a function gets what `initialise` has returned.
STATE = "state"


def _per_step(per_step: bool = False, **_: object) -> bool:
    return per_step


@component(
    "python",
    domain=EVERY,
    texts=True,
    steps_if=_per_step,
    example='function = "my_rewards.py:carbons"',
)
def python(
    place: Place,
    *,
    function: str | GivenFunction,
    batched: bool = False,
    options: dict[str, Any] | None = None,
    initialise: str | GivenFunction | None = None,
    per_step: bool = False,
) -> TextJudge:
    """What a function of yours returns for the sequence as a text.

    function: "path/to/file.py:function" or "module:function"; a path is relative to the directory
    where the run was started.
    batched: the function gets a list of sequences and returns as many numbers.
    options: keyword arguments of both functions; each gets those that it has a parameter for.
    initialise: another function, called once in each process that scores, at its first sequence;
    the function gets what it returns as the keyword argument `state`.
    per_step: the function returns a list or an array of numbers, one for each token of the sequence
    (each step of a melody), of which each is paid at its step; with `batched` as many of these as
    there are sequences. Their sum is the value.
    """
    call = python_function.load(function, place)
    signature = _Signature(f"python function {_name(function)!r}", call, judges=True)
    given = dict(options or {})
    if initialise is None:
        signature.check(given)
        if not given:
            return TextJudge(call, batched)
        return TextJudge(lambda sequence: call(sequence, **given), batched)
    state = _State(python_function.load(initialise, place), _name(initialise))
    first = _Signature(f"initialise = {_name(initialise)!r}", state.function, judges=False)
    if STATE in given:
        raise ValueError(f"options of {signature.said} can't have {STATE!r}: initialise makes it")
    if not signature.takes(STATE):
        raise ValueError(
            f"{signature.said} has no parameter {STATE!r}, by which it would get what initialise "
            "returns"
        )
    signature.check(given, STATE, also=first)
    first.check(given, also=signature)
    state.options = first.taken(given)
    taken = signature.taken(given)
    return TextJudge(lambda sequence: call(sequence, state=state.get(), **taken), batched)


def _name(function: str | GivenFunction) -> str:
    return function if isinstance(function, str) else function.name


class _State:
    """What a user's initialiser returns, made at the first call."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function, self._name = function, name
        self.options: dict[str, Any] = {}
        self._made: list[Any] = []

    def get(self) -> Any:
        """The state. Raises RuntimeError where it can't be made; the next call tries again."""
        if not self._made:
            try:
                self._made.append(self.function(**self.options))
            except MemoryError:
                raise
            except Exception as error:
                text = f"initialise = {self._name!r}: {type(error).__name__}: {error}"
                raise RuntimeError(text) from error
        return self._made[0]


class _Signature:
    """The keyword arguments that a user's function takes. said: the function in words; judges:
    whether its first argument is the sequence. Raises ValueError where it takes none."""

    def __init__(self, said: str, function: Callable[..., Any], judges: bool) -> None:
        self.said, self._any = said, False
        self._names: dict[str, bool] = {}  # with whether it must be given
        kinds = inspect.Parameter
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):  # of some functions in C it can't be read
            self._any = True
            return
        positional = (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD, kinds.VAR_POSITIONAL)
        if judges:
            if not parameters or parameters[0].kind not in positional:
                raise ValueError(f"{said} has no positional parameter for the sequence")
            parameters = parameters[parameters[0].kind != kinds.VAR_POSITIONAL :]
        for one in parameters:
            if one.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY):
                self._names[one.name] = one.default is kinds.empty
            elif one.kind == kinds.VAR_KEYWORD:
                self._any = True
            elif one.kind == kinds.POSITIONAL_ONLY and one.default is kinds.empty:
                raise ValueError(f"{said}: parameter {one.name!r} can't be given by name")

    def takes(self, name: str) -> bool:
        return self._any or name in self._names

    def taken(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options that it takes."""
        return {name: value for name, value in options.items() if self.takes(name)}

    def check(self, options: dict[str, Any], *others: str, also: _Signature | None = None) -> None:
        """Raises ValueError for an option that neither it nor `also` takes, and for one that it
        lacks; `others` are given too."""
        for name in options:
            if not self.takes(name) and not (also and also.takes(name)):
                allowed = {*self._names, *(also._names if also else ())} - {STATE}
                raise ValueError(unknown(f"option of {self.said}:", name, allowed))
        for name, required in self._names.items():
            if required and name not in options and name not in others:
                why = (
                    "initialise, which makes it"
                    if name == STATE
                    else f"the option {name!r}: options = {{ {name} = ... }}"
                )
                raise ValueError(f"{self.said} needs {why}")
