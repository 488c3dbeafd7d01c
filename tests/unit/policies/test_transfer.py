"""Priors that get the tokens of new data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.template import Template, TemplateEncoding
from sequence_tutor.policies.find_prior import PriorError
from sequence_tutor.policies.network import Architecture, RecurrentNetwork
from sequence_tutor.policies.pretrain import Pretraining, PretrainSettings
from sequence_tutor.policies.prior import Prior, load_prior
from sequence_tutor.policies.transfer import grown

SETTINGS = PretrainSettings(
    cell="gru", embedding=6, hidden=16, layers=2, epochs=3, batch=8, warmup=1, learning_rate=0.01,
    dropout=0.0, validation=0.2, patience=9,
)  # fmt: skip
OLD = ["CCO", "CCN", "c1ccccc1", "CC(=O)O"]
NEW = ["C[Se]CC", "CC[Si](C)C", "C[Se]c1ccccc1", "C[Si](C)CO"] * 5


@pytest.fixture
def prior() -> Prior:
    torch.manual_seed(1)
    encoding = SmilesEncoding.fit(OLD, 30)
    architecture = Architecture("gru", encoding.vocabulary.size, 6, 16, 2)
    network = RecurrentNetwork(architecture)
    for weight in network.parameters():
        torch.nn.init.uniform_(weight, -0.7, 0.7)
    return Prior(encoding, network.eval(), {"data": "old.smi"})


def test_new_tokens_follow_the_old_ones(prior: Prior):
    more, size = grown(prior, NEW), prior.encoding.vocabulary.size
    tokens = more.encoding.vocabulary.tokens
    assert tokens[:size] == prior.encoding.vocabulary.tokens
    assert tokens[size:] == ("[Se]", "[Si]") and more.encoding.vocabulary.end_id == 0
    assert more.network.architecture.vocabulary == size + 2
    assert prior.network.architecture.vocabulary == size  # the prior stays as it is
    with pytest.raises(ValueError, match=r"\[Se\]"):
        prior.log_prob(NEW)
    assert np.isfinite(more.log_prob(NEW)).all()
    same = grown(prior, OLD)
    np.testing.assert_array_equal(same.log_prob(OLD), prior.log_prob(OLD))


def test_old_sequences_lose_little_to_new_tokens(prior: Prior):
    """Each step loses ln(1 + 2 p), and p is the geometric mean of the old probabilities."""
    more, size = grown(prior, NEW), prior.encoding.vocabulary.size
    actions = torch.from_numpy(prior.encoding.encode("CC(=O)O").astype(np.int64))[None]
    with torch.no_grad():
        before = prior.network(actions).log_softmax(-1)[0]
        after = more.network(actions).log_softmax(-1)[0]
    mean = before.mean(-1, keepdim=True)
    torch.testing.assert_close(after[:, size:] - after[:, :1], (mean - before[:, :1]).repeat(1, 2))
    lost = (prior.log_prob(OLD) - more.log_prob(OLD)) / [len(prior.encoding.encode(s)) for s in OLD]
    assert (lost > 0).all() and (lost < np.log1p(2 / size)).all()


def test_training_goes_on_from_it_and_never_ends_worse(prior: Prior, tmp_path: Path):
    more = grown(prior, NEW)
    before = -more.log_prob(NEW).mean()
    origin = {"from": {"prior": "old"}}
    training = Pretraining(more.encoding, NEW, SETTINGS, "cpu", start=more.network, origin=origin)
    assert training.validation_nll() == pytest.approx(-more.log_prob(training.data.held_out).mean())
    training.run(tmp_path / "a", lambda _: None)
    tuned = load_prior(tmp_path / "a")
    assert -tuned.log_prob(NEW).mean() < before - 2 and tuned.card["from"] == {"prior": "old"}
    # a learning rate that only harms leaves the prior that it began with
    bad = Pretraining(
        more.encoding, NEW, SETTINGS.__class__(**vars(SETTINGS) | {"learning_rate": 50.0}), "cpu",
        start=tuned.network,
    )  # fmt: skip
    bad.run(tmp_path / "b", lambda _: None)
    kept = load_prior(tmp_path / "b")
    np.testing.assert_allclose(kept.log_prob(NEW), tuned.log_prob(NEW), atol=1e-6)


def test_a_training_is_resumed_with_the_prior_that_it_began_with(prior: Prior, tmp_path: Path):
    more = grown(prior, NEW)
    first = Pretraining(more.encoding, NEW, SETTINGS, "cpu", start=more.network)
    first.run(tmp_path, lambda _: None)
    again = Pretraining(more.encoding, NEW, SETTINGS, "cpu", start=more.network)
    again.restore(tmp_path)
    assert again.best_nll == first.best_nll
    with pytest.raises(ValueError, match="needs the --from"):
        Pretraining(more.encoding, NEW, SETTINGS, "cpu").restore(tmp_path)


def test_two_networks_are_refused(prior: Prior):
    prior.base = prior.network
    with pytest.raises(ValueError, match="two networks"):
        grown(prior, NEW)


def test_a_policy_with_given_parts_is_refused(prior: Prior):
    prior.encoding = TemplateEncoding(prior.encoding, Template(("CC", ""), ("rest",)))
    with pytest.raises(PriorError, match="tuned with given parts"):
        grown(prior, ["CCO"])
