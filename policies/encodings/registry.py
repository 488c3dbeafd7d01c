"""All encodings by name: the shipped ones and those of other packages' domains.

Another package's domain is an entry point of the group "sequence_tutor.domains" (see
`rewards.base.Domain`); its `encoding` is the class. Importing this doesn't import torch.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.encodings.selfies import SelfiesEncoding
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.template import Template, TemplateEncoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary

GROUP = "sequence_tutor.domains"
_SHIPPED: dict[str, type[Encoding]] = {
    "melody": MelodyEncoding,
    "smiles": SmilesEncoding,
    "selfies": SelfiesEncoding,
}


@cache
def encodings() -> dict[str, type[Encoding]]:
    """Name -> class. Raises ValueError where an entry point is broken or takes a shipped name."""
    found = dict(_SHIPPED)
    for entry in entry_points(group=GROUP):
        where = f"entry point {entry.name!r} of {GROUP} ({entry.value})"
        if entry.name in found:
            raise ValueError(f"{where}: the name is taken already")
        try:
            encoding = entry.load().encoding
        except Exception as error:
            raise ValueError(f"{where} failed: {type(error).__name__}: {error}") from error
        if encoding.name != entry.name:
            raise ValueError(f"{where}: its encoding calls itself {encoding.name!r}")
        found[entry.name] = encoding
    return found


def encoding_from_metadata(metadata: dict[str, Any]) -> Encoding:
    """Build the encoding that a prior's metadata describes. Raises ValueError or KeyError."""
    name = metadata["encoding"]
    if name not in encodings():
        raise ValueError(f"unknown encoding {name!r}; there are: {', '.join(encodings())}")
    vocabulary = Vocabulary(tuple(metadata["vocabulary"]), metadata["end_id"])
    kind = encodings()[name]
    options = {option: metadata[option] for option in kind.option_names if option in metadata}
    encoding = kind(vocabulary, metadata["max_length"], **options)
    if "template" not in metadata:
        return encoding
    return TemplateEncoding(encoding, Template.from_metadata(metadata["template"]))


def encoding_to_metadata(encoding: Encoding) -> dict[str, Any]:
    """The inverse of `encoding_from_metadata`."""
    found: dict[str, Any] = {
        "encoding": encoding.name,
        "max_length": encoding.max_length,
        "end_id": encoding.vocabulary.end_id,
        "vocabulary": list(encoding.vocabulary.tokens),
        **encoding.options,
    }
    if isinstance(encoding, TemplateEncoding):
        found["template"] = encoding.template.metadata()
    return found
