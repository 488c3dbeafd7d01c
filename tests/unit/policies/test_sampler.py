"""The sampler against enumeration of a tiny network's every sequence."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sequence_tutor.policies import sampler as module
from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary
from sequence_tutor.policies.kernels.device import autocast, bfloat16_is_fast
from sequence_tutor.policies.kernels.stepper import Stepper
from sequence_tutor.policies.kl_control import policy_log_probs
from sequence_tutor.policies.network import Architecture, RecurrentNetwork, step_mask
from sequence_tutor.policies.prior import load_prior, token_log_probs
from sequence_tutor.policies.sampler import Sampler

V = 4


def make_network(cell="lstm", layers=2, seed=0, scale=4.0, vocabulary=V) -> RecurrentNetwork:
    """Random weights, large enough that its distribution is far from uniform."""
    torch.manual_seed(seed)
    network = RecurrentNetwork(Architecture(cell, vocabulary, 6, 8, layers), dropout=0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale)
    return network


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def exact(monkeypatch):
    """float32 products, so that teacher forcing gives the same numbers."""
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda device_type: False)


def every_sequence(steps: int = 3) -> tuple[np.ndarray, np.ndarray]:
    inner = range(1, V)
    shorter = [(*p, 0) for n in range(steps) for p in itertools.product(inner, repeat=n)]
    limited = list(itertools.product(inner, repeat=steps))
    return pad([np.array(s, dtype=np.int16) for s in shorter + limited])


def counts(tokens: np.ndarray, every: np.ndarray) -> np.ndarray:
    """How often each row of `every` occurs in tokens."""
    width = every.shape[1]
    tokens = np.pad(tokens, ((0, 0), (0, width - tokens.shape[1])))
    digits = V ** np.arange(width)
    found = np.bincount(tokens @ digits, minlength=V**width)
    assert found[every @ digits].sum() == len(tokens), "a sequence that can't be"
    return found[every @ digits]


def chi_square(observed: np.ndarray, probabilities: np.ndarray) -> float:
    """Standard deviations by which the statistic exceeds its mean; rare sequences in one bin."""
    rare = probabilities * observed.sum() < 5
    o = np.append(observed[~rare], observed[rare].sum())
    e = np.append(probabilities[~rare], probabilities[rare].sum()) * observed.sum()
    o, e = o[e > 0], e[e > 0]
    freedom = len(o) - 1
    return float((((o - e) ** 2 / e).sum() - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_samples_follow_the_network(exact, encoding, cell: str, layers: int):
    network = make_network(cell, layers)
    episodes = Sampler(network, encoding).sample(20_000, rng(1))
    every, lengths = every_sequence()
    probabilities = np.exp(token_log_probs(network, every, lengths))
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    observed = counts(episodes.tokens, every)
    assert chi_square(observed, probabilities) < 4
    flatter = probabilities**0.9 / (probabilities**0.9).sum()
    assert chi_square(observed, flatter) > 6  # control


@pytest.mark.parametrize("with_prior", [False, True])
def test_bfloat16_log_probs_are_those_of_the_drawn_samples(monkeypatch, encoding, with_prior):
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda device_type: True)
    network, prior = make_network(), make_network("gru", seed=5) if with_prior else None
    episodes = Sampler(network, encoding, prior).sample(20_000, rng(2))
    every, _ = every_sequence()
    width = every.shape[1]
    stated = np.zeros(V**width)
    stated[episodes.tokens @ V ** np.arange(width)] = np.exp(episodes.log_probs)
    probabilities = stated[every @ V ** np.arange(width)]
    assert probabilities.sum() == pytest.approx(1, abs=0.01)
    assert chi_square(counts(episodes.tokens, every), probabilities) < 4


BFLOAT16 = pytest.mark.skipif(
    not bfloat16_is_fast("cpu"), reason="this processor has no bfloat16 products"
)


@BFLOAT16
@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_bfloat16_samples_follow_the_float32_network(encoding, cell):
    network = make_network(cell, scale=2.0)
    episodes = Sampler(network, encoding).sample(50_000, rng(2))
    every, lengths = every_sequence()
    probabilities = np.exp(token_log_probs(network, every, lengths))
    assert chi_square(counts(episodes.tokens, every), probabilities) < 4


@BFLOAT16
def test_bfloat16_log_probs_of_the_shipped_prior_are_near():
    """The bounds that docs/results/speed.md states."""
    prior = load_prior("zinc250k")
    episodes = Sampler(prior.network, prior.encoding).sample(256, rng(3))
    tokens, lengths = episodes.tokens, episodes.lengths
    forced = token_log_probs(prior.network, tokens, lengths)
    assert (np.abs(episodes.log_probs - forced) / lengths).max() < 0.01
    actions, ends = (torch.from_numpy(x.astype(np.int64)) for x in (tokens, lengths))
    mask = step_mask(ends, tokens.shape[1])
    with torch.no_grad():
        exact = prior.network(actions, ends)[mask].log_softmax(-1)
        with autocast("cpu"):
            near = prior.network(actions, ends)[mask].log_softmax(-1)
    taken = actions[mask].unsqueeze(1)
    errors = (near - exact).gather(1, taken).abs()
    assert 0 < errors.mean() < 2e-3 and errors.quantile(0.98) < 0.01
    assert (near.exp() * (near - exact)).sum(1).mean() < 1e-5  # KL a token


@pytest.mark.parametrize("scale", [2.0, 0.0])
def test_g_reweights_the_prior(exact, encoding, scale: float):
    """pi = p exp(G) / Z in every state; G = 0 is the prior."""
    g, prior = make_network("gru", 1, seed=3, scale=scale), make_network(seed=4)
    episodes = Sampler(g, encoding, prior).sample(20_000, rng(3))
    every, lengths = every_sequence()
    actions = torch.from_numpy(every.astype(np.int64))
    with torch.no_grad():
        log_prior = prior.eval()(actions).log_softmax(-1)
        log_policy = policy_log_probs("g", g.eval()(actions), log_prior)
    mask = step_mask(torch.from_numpy(lengths), every.shape[1])
    chosen = log_policy.gather(-1, actions[..., None])[..., 0] * mask
    probabilities = chosen.sum(1).double().exp().numpy()
    observed = counts(episodes.tokens, every)
    assert chi_square(observed, probabilities) < 4
    plain = np.exp(token_log_probs(prior, every, lengths))
    if scale:
        assert chi_square(observed, plain) > 6  # control: G does something
    else:
        np.testing.assert_allclose(probabilities, plain, rtol=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_each_row_keeps_its_tokens_length_and_log_prob(exact, cell: str):
    """Episodes end at many different steps, so rows change places as the batch shrinks."""
    encoding = SmilesEncoding(Vocabulary(("<end>", "C", "N", "O"), end_id=0), max_length=40)
    network = make_network(cell, scale=1.5)
    with torch.no_grad():
        network.head.bias[0] -= 1.0
    episodes = Sampler(network, encoding).sample(300, rng(4))
    tokens, lengths = episodes.tokens, episodes.lengths
    assert tokens.dtype == np.int16 and lengths.dtype == np.int32
    assert episodes.log_probs.dtype == np.float32
    assert tokens.shape == (300, lengths.max()) and len(set(lengths.tolist())) > 8
    for row, length in zip(tokens, lengths, strict=True):
        assert not row[length:].any() and row[: length - 1].all()
        assert row[length - 1] == 0 or length == 40
    forced = token_log_probs(network, tokens, lengths)
    np.testing.assert_allclose(episodes.log_probs, forced, atol=2e-4)
    assert np.abs(np.roll(episodes.log_probs, 1) - forced).max() > 1  # control


def test_without_an_end_token_episodes_have_the_longest_length(exact):
    encoding = SmilesEncoding(Vocabulary(("C", "N", "O", "S"), end_id=None), max_length=5)
    network = make_network()
    episodes = Sampler(network, encoding).sample(50, rng(5))
    assert episodes.tokens.shape == (50, 5) and (episodes.lengths == 5).all()
    forced = token_log_probs(network, episodes.tokens, episodes.lengths)
    np.testing.assert_allclose(episodes.log_probs, forced, atol=1e-4)


def test_the_seed_determines_the_samples(encoding):
    sampler = Sampler(make_network(), encoding)
    a, b, c = (sampler.sample(64, rng(seed)) for seed in (7, 7, 8))
    assert (a.tokens == b.tokens).all() and (a.log_probs == b.log_probs).all()
    assert a.tokens.shape != c.tokens.shape or (a.tokens != c.tokens).any()
    assert len(sampler.sample(1).tokens) == 1


def test_new_weights_are_used_from_the_next_call(exact, encoding):
    network = make_network()
    sampler = Sampler(network, encoding)
    sampler.sample(8, rng(1))
    network.load_state_dict(make_network(seed=9).state_dict())
    episodes = sampler.sample(200, rng(1))
    forced = token_log_probs(network, episodes.tokens, episodes.lengths)
    np.testing.assert_allclose(episodes.log_probs, forced, atol=1e-4)


def test_weights_that_are_not_finite_raise(encoding):
    network = make_network()
    with torch.no_grad():
        network.head.bias[1] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        Sampler(network, encoding).sample(4)


def test_actions_of_probability_0_are_never_drawn(monkeypatch):
    log_probs = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.3, 0.0, 0.7, 0.0]]).log()
    second = torch.ones(20_000, dtype=torch.int64)
    drawn = torch.bincount(module._draw(log_probs, second, rng(0)), minlength=5) / 20_000
    assert drawn[[0, 2, 4]].sum() == 0 and abs(drawn[1] - 0.3) < 0.015
    for extreme, action in ((0.0, 1), (1 - 2**-24, 3)):  # the ends of what torch.rand may give
        monkeypatch.setattr(torch, "rand", lambda *s, u=extreme, **_: torch.full(s, u))
        assert (module._draw(log_probs, second[:2], None) == action).all()


def test_each_distinct_prefix_is_stepped_once(exact, encoding, monkeypatch):
    stepped = []
    step = Stepper.step

    def counting(self, actions, state):
        stepped.append(len(actions))
        return step(self, actions, state)

    monkeypatch.setattr(Stepper, "step", counting)
    episodes = Sampler(make_network(), encoding).sample(500, rng(6))
    prefixes = [
        {tuple(row[:t]) for row, n in zip(episodes.tokens, episodes.lengths, strict=True) if n > t}
        for t in range(episodes.tokens.shape[1])
    ]
    assert stepped == [module._width(len(distinct), 500) for distinct in prefixes]
    assert sum(stepped) < episodes.lengths.sum() / 10


@pytest.mark.parametrize("batch", [1, 7, 64, 512, 2048, 5000])
def test_a_batch_has_few_widths(batch):
    widths = [module._width(n, batch) for n in range(1, batch + 1)]
    assert all(n <= w <= batch for n, w in enumerate(widths, 1)) and len(set(widths)) < 135
    wide = [(n, w) for n, w in enumerate(widths, 1) if n > 16]
    assert all(w - n < max(16, batch / 64) for n, w in wide)
