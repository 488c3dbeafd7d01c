"""The finite set of actions that a policy may take, and their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


class UnknownTokenError(ValueError):
    """A sequence holds a token that the vocabulary lacks."""

    def __init__(self, token: str, sequence: str) -> None:
        super().__init__(f"token {token!r} of {sequence!r} is not in the vocabulary")
        self.token = token


@dataclass(frozen=True)
class Vocabulary:
    """V actions, numbered 0..V-1.

    The network's first input is `start_id` = V, one past the last action: the network reads it and
    never generates it. No token may occur twice.
    """

    tokens: tuple[str, ...]
    """Texts of the V actions; a token's place is its id, 0..V-1."""
    end_id: int | None = None
    """The action that ends an episode, or None where every episode has a fixed length."""
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {token: i for i, token in enumerate(self.tokens)}
        if len(ids) != len(self.tokens):
            raise ValueError("a vocabulary must not list a token twice")
        object.__setattr__(self, "_ids", ids)

    @property
    def size(self) -> int:
        """Number of actions, V."""
        return len(self.tokens)

    @property
    def start_id(self) -> int:
        """The network's input before the first action."""
        return len(self.tokens)

    def encode(self, tokens: Sequence[str], sequence: str) -> list[int]:
        """Return the ids of tokens. Raises UnknownTokenError, which names `sequence`."""
        try:
            return [self._ids[token] for token in tokens]
        except KeyError as error:
            raise UnknownTokenError(str(error.args[0]), sequence) from None

    def decode(self, ids: Iterable[int]) -> list[str]:
        return [self.tokens[i] for i in ids]
