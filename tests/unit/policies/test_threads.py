"""Calls shared among threads: the results don't change, and a call itself has one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.kernels.device import bfloat16_is_fast
from sequence_tutor.policies.kernels.stepper import Stepper
from sequence_tutor.policies.kernels.threads import share, unshared_operations
from sequence_tutor.policies.network import Architecture, RecurrentNetwork
from sequence_tutor.policies.pretrain import LEAST_ROWS, Pretraining, PretrainSettings
from sequence_tutor.policies.prior import SAMPLED_AT_ONCE, Prior, load_prior
from sequence_tutor.policies.sampler import Sampler

CORPUS = ["C" * n + "O" * m for n in range(1, 13) for m in range(1, 13)]
SETTINGS = PretrainSettings(
    embedding=8, hidden=24, layers=2, epochs=2, batch=2 * LEAST_ROWS + 6, learning_rate=0.01
)


@pytest.fixture
def threads() -> Iterator[None]:
    """A caller whose operations have three threads."""
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def prior() -> Prior:
    """A prior with random weights; its sequences have 1 to 20 tokens."""
    torch.manual_seed(5)
    encoding = SmilesEncoding.fit(CORPUS, max_length=20)
    sizes = Architecture("lstm", encoding.vocabulary.size, 8, 16, 2)
    return Prior(encoding, RecurrentNetwork(sizes).eval())


def test_shared_calls_keep_their_order(threads: None):
    barrier = threading.Barrier(3, timeout=20)

    def call(i: int) -> tuple[int, int]:
        barrier.wait()  # raises if fewer than three run at a time
        return i, torch.get_num_threads()

    with unshared_operations() as count:
        assert (count, torch.get_num_threads()) == (3, 1)
        found = share([partial(call, i) for i in range(9)], count)
    assert found == [(i, 1) for i in range(9)]
    assert torch.get_num_threads() == 3


def test_an_error_propagates_and_restores_the_threads(threads: None):
    def call(i: int) -> float:
        return 1 / i

    with pytest.raises(ZeroDivisionError), unshared_operations() as count:
        share([partial(call, i) for i in (1, 0, 2)], count)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("n", [SAMPLED_AT_ONCE - 1, 2 * SAMPLED_AT_ONCE + 40])
def test_samples_do_not_depend_on_the_number_of_threads(prior: Prior, n: int):
    alone = prior.sample(n, seed=3)
    torch.set_num_threads(2)
    together = prior.sample(n, seed=3)
    torch.set_num_threads(1)
    assert together == alone and len(alone) == n
    assert prior.sample(n, seed=4) != alone
    # the first batch is what one generator of that seed gives
    first = Sampler(prior.network, prior.encoding).sample(
        min(n, SAMPLED_AT_ONCE), torch.Generator().manual_seed(3)
    )
    assert alone[: len(first.tokens)] == [prior.encoding.decode(row) for row in first.tokens]
    # and the other batches have generators of their own
    assert alone[:40] != alone[-40:]


def test_without_a_seed_samples_differ(prior: Prior):
    assert prior.sample(600) != prior.sample(600)
    assert len(prior.sample(600, seed=-1)) == 600


def test_log_probs_do_not_depend_on_the_number_of_threads(prior: Prior):
    sequences = [s for s in prior.sample(700, seed=1) if len(s) < 20]
    alone = prior.log_prob(sequences)
    torch.set_num_threads(2)
    together = prior.log_prob(sequences)
    torch.set_num_threads(1)
    np.testing.assert_array_equal(together, alone)
    one_by_one = [prior.log_prob([s])[0] for s in sequences[:20]]
    np.testing.assert_allclose(alone[:20], one_by_one, atol=1e-5)


def test_steps_of_shared_calls_have_one_thread(
    prior: Prior, threads: None, monkeypatch: pytest.MonkeyPatch
):
    seen = []

    def step(self: Stepper, *arguments, _step=Stepper.step):
        seen.append(torch.get_num_threads())
        return _step(self, *arguments)

    monkeypatch.setattr(Stepper, "step", step)
    for n in (50, 1200):  # one batch, and several
        prior.log_prob([s for s in prior.sample(n, seed=1) if len(s) < 20])
    assert set(seen) == {1}
    # control: a step outside of shared calls has the caller's threads
    Sampler(prior.network, prior.encoding).sample(5)
    assert 3 in seen


def test_fast_log_probs_are_near_the_exact_ones():
    prior = load_prior("zinc250k")
    sequences = prior.sample(300, seed=1)
    exact, fast = prior.log_prob(sequences), prior.log_prob(sequences, exact=False)
    off = np.abs(fast - exact)
    assert off.max() < 0.25 and abs((fast - exact).mean()) < 0.01
    assert (off.max() > 0) == bfloat16_is_fast("cpu")


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_training_does_not_depend_on_the_number_of_threads(
    tmp_path: Path, cell: str, dropout: float
):
    settings = replace(SETTINGS, cell=cell, dropout=dropout)
    trained = []
    for threads, seed in ((1, 0), (2, 0), (2, 0), (2, 1)):
        torch.set_num_threads(threads)
        training = Pretraining(
            SmilesEncoding.fit(CORPUS), CORPUS, replace(settings, seed=seed), "cpu"
        )
        training.run(tmp_path, lambda _: None)
        trained.append(torch.cat([p.detach().flatten() for p in training.network.parameters()]))
    torch.set_num_threads(1)
    alone, together, again, other = trained
    torch.testing.assert_close(together, alone, atol=0.02, rtol=0)
    assert torch.equal(together, again)
    assert (other - alone).abs().max() > 0.1


@pytest.mark.parametrize("cell", ["lstm", "gru"])  # "mingru": test_mingru.py
def test_drawn_dropout_masks_act_as_dropout(cell: str):
    torch.manual_seed(0)
    network = RecurrentNetwork(Architecture(cell, 5, 4, 200, 3), dropout=0.25)  # type: ignore[arg-type]
    actions = torch.randint(0, 5, (6, 9))
    drawn = network.draw_dropout(9, 6)
    assert drawn is not None and drawn.shape == (3, 9, 6, 200)
    for layer in drawn:
        assert sorted(layer.unique().tolist()) == pytest.approx([0.0, 1 / 0.75])
        assert (layer == 0).float().mean() == pytest.approx(0.25, abs=0.02)
    kept_all = torch.ones_like(drawn)
    whole = network.eval()(actions)
    assert network.draw_dropout(9, 6) is None
    torch.testing.assert_close(network.forward_with(kept_all, actions), whole)
    assert (network.forward_with(drawn, actions) - whole).abs().max() > 0.01
    # with all outputs of the first layer dropped, the actions have no influence
    kept_all[0] = 0
    other = (actions + 1) % 5
    same = network.forward_with(kept_all, actions), network.forward_with(kept_all, other)
    torch.testing.assert_close(*same)
