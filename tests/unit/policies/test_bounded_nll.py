"""NLL as far as a bound, against PyTorch's own layers read without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sequence_tutor.policies.bounded_nll import bounded_nll
from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.template import Template, TemplateEncoding
from sequence_tutor.policies.kernels.stepper import Stepper
from sequence_tutor.policies.network import Architecture, RecurrentNetwork
from sequence_tutor.policies.prior import load_prior

EPISODES = ["CCO", "CCO", "CCN", "C", "CCCCO", "CCOC", "N", "OCC"]


def letters(text: str) -> np.ndarray:
    return np.array(["CNO".index(letter) + 1 for letter in text] + [0], np.int16)


def by_torch(network: RecurrentNetwork, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """NLL of each episode by itself, as the formula has it: float64 [B]."""
    found = []
    for row, length in zip(tokens, lengths, strict=True):
        actions = torch.from_numpy(row[:length].astype(np.int64))[None]
        with torch.no_grad():
            log_probs = network(actions).log_softmax(-1)[0]
        found.append(-float(log_probs[torch.arange(length), actions[0]].double().sum()))
    return np.array(found)


@pytest.fixture(params=["lstm", "gru", "mingru"])
def network(request: pytest.FixtureRequest) -> RecurrentNetwork:
    torch.manual_seed(1)
    network = RecurrentNetwork(Architecture(request.param, 4, 6, 8, 2)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(4.0)
    return network


def test_without_a_bound_it_is_the_nll(network: RecurrentNetwork):
    tokens, lengths = pad([letters(text) for text in EPISODES])
    found = bounded_nll(network, tokens, lengths, np.full(len(tokens), np.inf))
    np.testing.assert_allclose(found, by_torch(network, tokens, lengths), rtol=1e-4)


def test_each_episode_has_its_own_bound(network: RecurrentNetwork):
    """Also equal ones, and those that end before others."""
    tokens, lengths = pad([letters(text) for text in EPISODES])
    whole = by_torch(network, tokens, lengths)
    most = whole + np.where(np.arange(len(whole)) % 2, 0.01, -0.01)
    found = bounded_nll(network, tokens, lengths, most)
    assert np.isinf(found[::2]).all()
    np.testing.assert_allclose(found[1::2], whole[1::2], rtol=1e-4)
    assert np.isinf(bounded_nll(network, tokens, lengths, np.zeros(len(tokens)))).all()


def test_no_episodes(network: RecurrentNetwork):
    none = np.zeros((0, 3), np.int16), np.zeros(0, np.int64), np.zeros(0)
    assert bounded_nll(network, *none).shape == (0,)


def test_reading_stops_where_all_are_beyond_their_bounds(
    network: RecurrentNetwork, monkeypatch: pytest.MonkeyPatch
):
    rows: list[int] = []
    step = Stepper.step

    def counted(self, actions, state):
        rows.append(len(actions))
        return step(self, actions, state)

    monkeypatch.setattr(Stepper, "step", counted)
    tokens, lengths = pad([letters(text) for text in EPISODES])
    bounded_nll(network, tokens, lengths, np.full(len(tokens), np.inf))
    # the start; C, N and O; CC and OC
    assert rows[:3] == [1, 3, 2] and len(rows) == int(lengths.max())
    rows.clear()
    bounded_nll(network, tokens, lengths, np.zeros(len(tokens)))
    assert rows == [1]


def test_given_parts_are_certain(tiny_prior: Path):
    """With a constraint, as `Prior.log_prob` has it."""
    prior = load_prior(tiny_prior)
    assert isinstance(prior.encoding, SmilesEncoding)
    prior.encoding = TemplateEncoding(prior.encoding, Template(("CC(=O)N", ""), ("rest",)))
    texts = ["CC(=O)NCC", "CC(=O)NCCO"]
    tokens, lengths = pad([prior.encoding.encode(text) for text in texts])
    found = bounded_nll(
        prior.network, tokens, lengths, np.full(2, np.inf), prior.encoding.constraint
    )
    np.testing.assert_allclose(found, -prior.log_prob(texts), rtol=1e-4)
    assert (found < bounded_nll(prior.network, tokens, lengths, np.full(2, np.inf))).all()
