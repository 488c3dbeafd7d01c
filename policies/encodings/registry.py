"""All encodings by name: the shipped ones and those of other packages.

Another package adds a class that implements `base.Encoding` as an entry point of the group
"sequence_tutor.encodings". Importing this doesn't import torch.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary

GROUP = "sequence_tutor.encodings"


@cache
def encodings() -> dict[str, type[Encoding]]:
    """Name -> class. Raises ValueError where a package takes a name that is there already."""
    found: dict[str, type[Encoding]] = {"melody": MelodyEncoding, "smiles": SmilesEncoding}
    for entry in entry_points(group=GROUP):
        if entry.name in found:
            raise ValueError(f"encoding {entry.value}: the name {entry.name!r} is taken")
        found[entry.name] = entry.load()
    return found


def encoding_from_metadata(metadata: dict[str, Any]) -> Encoding:
    """Build the encoding that a prior's metadata describes. Raises ValueError or KeyError."""
    name = metadata["encoding"]
    if name not in encodings():
        raise ValueError(f"unknown encoding {name!r}; there are: {', '.join(encodings())}")
    vocabulary = Vocabulary(tuple(metadata["vocabulary"]), metadata["end_id"])
    return encodings()[name](vocabulary, metadata["max_length"])


def encoding_to_metadata(encoding: Encoding) -> dict[str, Any]:
    """The inverse of `encoding_from_metadata`."""
    return {
        "encoding": encoding.name,
        "max_length": encoding.max_length,
        "end_id": encoding.vocabulary.end_id,
        "vocabulary": list(encoding.vocabulary.tokens),
    }
