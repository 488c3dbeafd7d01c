"""The error text for a name that isn't known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """An error text: the unknown name, the allowed ones, and the nearest of these."""
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"unknown {kind} {name!r}, allowed: {', '.join(names) or 'none'}{hint}"
