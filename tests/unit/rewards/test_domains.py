"""Domains by their encoding, and a domain that another package adds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.policies.encodings import registry as encodings_module
from sequence_tutor.policies.encodings.registry import encodings
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.rewards import domains as domains_module
from sequence_tutor.rewards.base import Identity
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_named, domain_of
from sequence_tutor.rewards.registry import component


class BitsEncoding(SmilesEncoding):
    """Texts of zeros and ones."""

    name = "bits"


class BitsDomain:
    """A domain whose valid sequences are texts of zeros and ones."""

    name, isolated, published = "bit strings", False, {}
    example, cheapest = "01", "ones"

    def load_components(self) -> None:
        pass

    def identify(self, sequence: str) -> Identity:
        valid = bool(sequence) and set(sequence) <= {"0", "1"}
        return Identity(sequence if valid else None, "" if valid else "not of 0 and 1")

    def key(self, sequence: str) -> str | None:
        return self.identify(sequence).key

    def split(self, sequence: str) -> list[str]:
        return list(sequence)

    def read(self, sequence: str, tokens: Any) -> str | None:
        return self.key(sequence)

    def gather(self, things: Any) -> Any:
        return things

    def quiet(self) -> Any:
        return nullcontext()

    def rewrite(self, sequence: str, random: np.random.Generator) -> str | None:
        return None

    def metrics(self, sequences: Any, training: Any = None) -> dict[str, float]:
        return {}

    def render(self, sequences: Any, directory: Path) -> str:
        return "nothing"


@component("ones", domain="bit strings")
def ones(bits: str) -> float:
    return bits.count("1")


@pytest.fixture
def bits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both classes as entry points of an installed package."""
    sys.modules.setdefault("bits_package", sys.modules[__name__])
    groups = {domains_module.GROUP: "BitsDomain", encodings_module.GROUP: "BitsEncoding"}

    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint("bits", f"bits_package:{groups[group]}", group)]

    for module in (domains_module, encodings_module):
        monkeypatch.setattr(module, "entry_points", entry_points)
    domains_module._classes.cache_clear()
    encodings.cache_clear()
    yield
    domains_module._classes.cache_clear()
    encodings.cache_clear()


def test_another_package_adds_a_domain(bits: None):
    assert list(encodings()) == ["melody", "smiles", "bits"]
    assert domain_of("bits").name == "bit strings" == domain_named("bit strings").name
    config = RewardConfig.model_validate({"component": [{"name": "ones"}]})
    scores = build_reward(config, "bit strings").score(["0110", "01x", "1"])
    assert scores.rewards[[0, 2]].tolist() == [2.0, 1.0]
    assert scores.errors == ["", "not of 0 and 1", ""]


def test_an_unknown_domain_is_one_sentence():
    with pytest.raises(ValueError, match="unknown encoding 'smile', .* did you mean 'smiles'"):
        domain_of("smile")
    with pytest.raises(ValueError, match="unknown domain 'bit strings', allowed: melodies, mol"):
        domain_named("bit strings")


def test_a_taken_name_is_one_sentence(bits: None, monkeypatch: pytest.MonkeyPatch):
    taken = [EntryPoint("smiles", "bits_package:BitsDomain", "any")]
    domains_module._classes.cache_clear()
    encodings.cache_clear()
    monkeypatch.setattr(domains_module, "entry_points", lambda group: taken)
    monkeypatch.setattr(encodings_module, "entry_points", lambda group: taken)
    with pytest.raises(ValueError, match="encoding 'smiles' has a domain already"):
        domain_of("melody")
    with pytest.raises(ValueError, match="the name 'smiles' is taken"):
        encodings()
