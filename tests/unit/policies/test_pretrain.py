from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.pretrain import Pretraining, PretrainSettings, Progress
from sequence_tutor.policies.prior import load_prior

CORPUS = ["CCO", "CCN", "CCCl", "c1ccccc1", "CC(=O)O", "OCCO"] * 20
SETTINGS = PretrainSettings(
    embedding=8, hidden=16, layers=2, epochs=4, batch=16, learning_rate=0.02, dropout=0.2,
    warmup=2, validation=0.1, patience=9,
)  # fmt: skip


def make(settings: PretrainSettings = SETTINGS) -> Pretraining:
    return Pretraining(SmilesEncoding.fit(CORPUS), CORPUS, settings, "cpu")


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_nll_falls_and_the_best_prior_is_saved(tmp_path: Path):
    training, reports = make(), []
    before = training.validation_nll()
    prior = training.run(tmp_path, reports.append)
    assert training.best_nll < 0.6 * before
    assert [h["epoch"] for h in training.history] == [1, 2, 3, 4]
    assert reports[-1].validation_nll == training.history[-1]["validation_nll"]
    assert reports[-1].sequences_per_s > 0
    saved = load_prior(tmp_path)
    assert saved.encoding.vocabulary.tokens == prior.encoding.vocabulary.tokens
    assert set(saved.encoding.vocabulary.tokens) >= {"<end>", "Cl", "c", "1", "(", "="}
    assert saved.card["training"]["hidden"] == 16
    # a training sequence is more probable than another one
    assert saved.log_prob(["CCO"])[0] > saved.log_prob(["OC1"])[0] + 2


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, cell: str):
    settings = replace(SETTINGS, cell=cell)
    whole = make(settings)
    whole.run(tmp_path / "whole", lambda _: None)

    class Interrupt(Exception):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.epoch >= 3:
            raise Interrupt

    with pytest.raises(Interrupt):
        make(settings).run(tmp_path / "parts", interrupt)
    torch.manual_seed(99)  # only the checkpoint may carry state over
    resumed = make(settings)
    torch.manual_seed(99)
    resumed.restore(tmp_path / "parts")
    assert resumed.epoch == 2 and not same(resumed.network, whole.network)
    resumed.run(tmp_path / "parts", lambda _: None)
    assert same(resumed.network, whole.network) and resumed.history == whole.history


def test_another_seed_trains_another_network(tmp_path: Path):
    one_epoch = replace(SETTINGS, epochs=1)
    trained = []
    for seed in (0, 0, 1):
        trained.append(make(replace(one_epoch, seed=seed)))
        trained[-1].run(tmp_path, lambda _: None)
    a, b, c = trained
    assert same(a.network, b.network) and not same(a.network, c.network)


def test_training_ends_after_patience_epochs(tmp_path: Path):
    training = make(replace(SETTINGS, learning_rate=0.0, patience=2, epochs=50))
    training.run(tmp_path, lambda _: None)
    assert training.epoch <= 4


def test_the_learning_rate_warms_up_and_falls_to_zero():
    training = make(replace(SETTINGS, epochs=10, warmup=4, decay_share=0.5))
    n = training.total_steps
    rates = [training.learning_rate(step) / 0.02 for step in range(n + 1)]
    assert rates[0] == pytest.approx(0.25) and rates[3] == 1 == rates[n // 2]
    assert rates[n] == 0 and rates[3 * n // 4] == pytest.approx(0.5, abs=0.02)


def test_whole_pieces_are_held_out():
    corpus = ["C" * n for n in range(1, 91)]
    pieces = [i // 9 for i in range(90)]  # ten of nine sequences
    of = dict(zip(corpus, pieces, strict=True))
    encoding = SmilesEncoding.fit(corpus)
    chosen = set()
    for seed in range(3):
        settings = replace(SETTINGS, validation=0.3, seed=seed)
        training = Pretraining(encoding, corpus, settings, "cpu", pieces)
        out, kept = training.data.held_out, training.data.training
        assert len(out) == 27 and sorted(out + kept) == sorted(corpus)
        assert not {of[s] for s in out} & {of[s] for s in kept}
        assert training.validation[1].tolist() == [len(s) + 1 for s in out]
        assert training.train[1].tolist() == [len(s) + 1 for s in kept]
        chosen.add(frozenset(of[s] for s in out))
    assert len(chosen) > 1
    # control: without pieces the held-out sequences come from all of them
    scattered = Pretraining(encoding, corpus, settings, "cpu").data
    assert len(scattered.held_out) == 27
    assert {of[s] for s in scattered.held_out} & {of[s] for s in scattered.training}


def test_given_sequences_validate_and_never_train(tmp_path: Path):
    held_out = ["O" * n for n in (1, 2, 3)]
    encoding = SmilesEncoding.fit(CORPUS + held_out)
    settings = replace(SETTINGS, validation=0.5, epochs=2)
    training = Pretraining(encoding, CORPUS, settings, "cpu", range(len(CORPUS)), held_out)
    assert training.data.training == CORPUS and training.data.held_out == held_out
    assert len(training.train[0]) == len(CORPUS)
    assert training.validation[1].tolist() == [2, 3, 4]
    prior = training.run(tmp_path, lambda _: None)
    judged = -prior.log_prob(held_out).mean()
    assert training.history[-1]["validation_nll"] == pytest.approx(judged, abs=1e-4)


def test_too_little_data_and_a_missing_checkpoint_raise(tmp_path: Path):
    with pytest.raises(ValueError, match="at least two sequences"):
        Pretraining(SmilesEncoding.fit(["C"]), ["C"], SETTINGS, "cpu")
    with pytest.raises(ValueError, match="of two pieces"):
        Pretraining(SmilesEncoding.fit(CORPUS), CORPUS, SETTINGS, "cpu", [0] * len(CORPUS))
    with pytest.raises(ValueError, match="no training to resume"):
        make().restore(tmp_path)
