"""All encodings by name. Importing this doesn't import torch."""

from __future__ import annotations

from typing import Any

from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary

ENCODINGS: dict[str, type[Encoding]] = {"melody": MelodyEncoding, "smiles": SmilesEncoding}


def encoding_from_metadata(metadata: dict[str, Any]) -> Encoding:
    """Build the encoding that a prior's metadata describes. Raises ValueError or KeyError."""
    name = metadata["encoding"]
    if name not in ENCODINGS:
        raise ValueError(f"unknown encoding {name!r}; there are: {', '.join(ENCODINGS)}")
    vocabulary = Vocabulary(tuple(metadata["vocabulary"]), metadata["end_id"])
    return ENCODINGS[name](vocabulary, metadata["max_length"])


def encoding_to_metadata(encoding: Encoding) -> dict[str, Any]:
    """The inverse of `encoding_from_metadata`."""
    return {
        "encoding": encoding.name,
        "max_length": encoding.max_length,
        "end_id": encoding.vocabulary.end_id,
        "vocabulary": list(encoding.vocabulary.tokens),
    }
