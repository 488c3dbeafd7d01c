"""Domains by their encoding, and a domain that another package adds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from sequence_tutor.policies.encodings import registry as encodings_module
from sequence_tutor.policies.encodings.registry import encodings
from sequence_tutor.policies.encodings.tokens import CharacterEncoding
from sequence_tutor.rewards import domains as domains_module
from sequence_tutor.rewards.base import Domain, Identity
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_named, domain_of
from sequence_tutor.rewards.registry import component


class BitsEncoding(CharacterEncoding):
    name, alphabet, usual_length = "bits", "01", 8


class BitsDomain(Domain):
    """Valid are texts of zeros and ones."""

    name, encoding, example = "bit strings", BitsEncoding, "01"

    def identify(self, sequence: str) -> Identity:
        valid = bool(sequence) and set(sequence) <= {"0", "1"}
        return Identity(sequence if valid else None, "" if valid else "not of 0 and 1")


@component("ones", domain="bit strings")
def ones(bits: str) -> float:
    return bits.count("1")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs entry points: name="object of this module"."""
    sys.modules.setdefault("bits_package", sys.modules[__name__])

    def put(**objects: str) -> None:
        found = [
            EntryPoint(n, f"bits_package:{o}", domains_module.GROUP) for n, o in objects.items()
        ]
        for module in (domains_module, encodings_module):
            monkeypatch.setattr(module, "entry_points", lambda group: found)
        domains_module._classes.cache_clear()
        encodings.cache_clear()

    yield put
    domains_module._classes.cache_clear()
    encodings.cache_clear()


def test_another_package_brings_a_kind_of_sequence(install: Callable[..., None], tmp_path: Path):
    install(bits="BitsDomain")
    assert list(encodings()) == ["melody", "smiles", "selfies", "bits"]
    domain = domain_of("bits")
    assert domain.name == "bit strings" == domain_named("bit strings").name
    config = RewardConfig.model_validate({"component": [{"name": "ones"}]})
    scores = build_reward(config, "bit strings").score(["0110", "01x", "1"])
    assert scores.rewards[[0, 2]].tolist() == [2.0, 1.0]
    assert scores.errors == ["", "not of 0 and 1", ""]
    # defaults
    sample = ["01", "01", "x", "0110"]
    numbers = domain.metrics(sample, training={"01"})
    assert numbers == {"valid": 3 / 4, "distinct": 2 / 3, "mean_length": 9 / 4, "novel": 1 / 2}
    assert domain.rewrite("01", np.random.default_rng(0)) is None
    assert (
        domain.render(sample, tmp_path / "new")
        == f"3 sequences are in {tmp_path}/new/sequences.txt"
    )
    assert (tmp_path / "new" / "sequences.txt").read_text() == "01\n01\n0110\n"


def test_an_unknown_encoding_or_domain_raises_with_the_nearest_name():
    with pytest.raises(ValueError, match="unknown encoding 'smile', .* did you mean 'smiles'"):
        domain_of("smile")
    with pytest.raises(ValueError, match="unknown domain 'bit strings', allowed: melodies, mol"):
        domain_named("bit strings")


@pytest.mark.parametrize(
    ("name", "found", "message"),
    [
        ("smiles", "BitsDomain", "'smiles' of sequence_tutor.domains .* the name is taken already"),
        (
            "bits",
            "Nowhere",
            "'bits' of sequence_tutor.domains .*: AttributeError: .*Nowhere",
        ),
        ("bytes", "BitsDomain", "'bytes' of .* its encoding calls itself 'bits'"),
    ],
)
def test_a_wrong_entry_point_is_one_sentence(
    install: Callable[..., None], name: str, found: str, message: str
):
    install(**{name: found})
    with pytest.raises(ValueError, match=message):
        encodings()
    if name != "bytes":  # the scoring side doesn't look at the encoding
        with pytest.raises(ValueError, match=message):
            domain_of(name)
