"""Fixtures of the policies tests: one thread, a tiny encoding."""

from __future__ import annotations

import pytest
import torch

from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoding() -> SmilesEncoding:
    """An encoding with four actions (the end token first) and sequences of at most 3."""
    return SmilesEncoding(Vocabulary(("<end>", "C", "N", "O"), end_id=0), max_length=3)
