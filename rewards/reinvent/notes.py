"""What a conversion has to say: what is the same by another name, and what isn't there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class ConversionError(ValueError):
    """A file that can't be converted; the message is one sentence."""


@dataclass
class Notes:
    """The sentences of one conversion, in order."""

    changed: list[str] = field(default_factory=list)
    """What is said in another way, and how."""
    left_out: list[str] = field(default_factory=list)
    """What isn't in the new config, and why."""

    def change(self, text: str) -> None:
        if text not in self.changed:
            self.changed.append(text)

    def leave_out(self, text: str) -> None:
        if text not in self.left_out:
            self.left_out.append(text)


def plain(name: str) -> str:
    """A name as REINVENT4 compares it: small letters, without "-" and "_"."""
    return name.lower().replace("-", "").replace("_", "")


def table(value: Any, name: str) -> dict[str, Any]:
    """A value that must be a table. Raises ConversionError naming it."""
    if not isinstance(value, dict):
        raise ConversionError(f"{name} must be a table, not {value!r}")
    return value


def number(value: Any, name: str) -> float:
    """A value that must be a number. Raises ConversionError naming it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConversionError(f"{name} must be a number, not {value!r}")
    return value
