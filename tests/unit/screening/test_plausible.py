"""Candidates that the prior's data would hardly contain are left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from sequence_tutor.distributed.generating.proposals import encoded
from sequence_tutor.distributed.screening.plausible import Plausibility
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.domains import domain_of


@pytest.fixture(scope="module")
def judge(tiny_prior: Path) -> Plausibility:
    return Plausibility(load_prior(tiny_prior), domain_of("smiles"), 0.9, seed=3)


def test_the_limit_is_a_quantile_of_the_priors_own_samples(judge: Plausibility, tiny_prior: Path):
    prior, domain = load_prior(tiny_prior), domain_of("smiles")
    found = [domain.key(text) for text in prior.sample(400, seed=11)]
    keys = list(encoded(prior.encoding, [key for key in found if key is not None]))
    _, nll = judge.judge(keys)
    share = float((nll <= judge.limit).mean())
    assert share == pytest.approx(0.9, abs=0.06)
    exact = -prior.log_prob(keys)
    assert nll == pytest.approx(exact, abs=0.3)


def test_a_molecule_that_the_vocabulary_lacks_is_not_plausible(judge: Plausibility):
    texts, nll = judge.judge(["CC", "CCBr"])
    assert texts == ["CC", "CCBr"]
    assert np.isfinite(nll[0]) and np.isinf(nll[1])


def test_the_shipped_prior_likes_stereocentres_to_be_stated():
    judge = Plausibility(load_prior("zinc250k"), domain_of("smiles"), 0.95, seed=0)
    flat = "CC(O)C(=O)N1CCCC1c1ccccc1"
    (text,), (nll,) = judge.judge([flat])
    assert "@" in text
    assert Chem.MolToSmiles(Chem.MolFromSmiles(text), isomericSmiles=False) == flat
    prior = load_prior("zinc250k")
    assert nll < -prior.log_prob([flat])[0] - 1
    # 95 % of the corpus are below 28.6 nats, and the samples are like the corpus
    assert 26 < judge.limit < 33
