from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sequence_tutor.policies.find_prior import (
    METADATA_FILE,
    PriorError,
    encoding_of,
    shipped_priors,
)
from sequence_tutor.policies.network import Architecture, RecurrentNetwork
from sequence_tutor.policies.prior import (
    HELD_OUT_FILE,
    TRAINING_FILE,
    WEIGHTS_FILE,
    Data,
    Prior,
    load_prior,
    token_log_probs,
)


@pytest.fixture
def prior(encoding, request: pytest.FixtureRequest) -> Prior:
    torch.manual_seed(0)
    cell = getattr(request, "param", "gru")
    network = RecurrentNetwork(Architecture(cell, encoding.vocabulary.size, 5, 8, 2), dropout=0.5)
    return Prior(encoding, network, {"data": "made up"})


@pytest.mark.parametrize("prior", ["lstm", "gru", "mingru"], indirect=True)
def test_round_trip_keeps_everything_to_bfloat16(prior: Prior, tmp_path: Path):
    prior.save(tmp_path / "p")
    loaded = load_prior(tmp_path / "p")
    assert loaded.card == prior.card and loaded.architecture == prior.architecture
    assert loaded.encoding.vocabulary == prior.encoding.vocabulary
    assert loaded.encoding.max_length == prior.encoding.max_length
    assert not loaded.network.training
    for name, weight in prior.network.state_dict().items():
        stored = loaded.network.state_dict()[name]
        assert stored.dtype == torch.float32
        assert torch.equal(stored, weight.bfloat16().float())
    assert any(  # control: bfloat16 did round
        not torch.equal(w, w.bfloat16().float()) for w in prior.network.state_dict().values()
    )
    sequences = ["", "C", "NO"]
    np.testing.assert_allclose(loaded.log_prob(sequences), prior.log_prob(sequences), atol=0.05)
    # rounding twice changes nothing
    loaded.save(tmp_path / "q")
    again = load_prior(tmp_path / "q")
    np.testing.assert_array_equal(again.log_prob(sequences), loaded.log_prob(sequences))
    files = sorted(p.name for p in (tmp_path / "q").iterdir())
    assert files == sorted([METADATA_FILE, WEIGHTS_FILE])


def test_a_prior_saves_its_data(prior: Prior, tmp_path: Path):
    prior.save(tmp_path / "without")
    assert load_prior(tmp_path / "without").data is None
    prior.data = Data(["CNO", "C", "NN"], ["ON"])
    prior.save(tmp_path / "a")
    loaded = load_prior(tmp_path / "a")
    assert loaded.data == prior.data
    loaded.save(tmp_path / "b")
    for name in (TRAINING_FILE, HELD_OUT_FILE):
        packed = (tmp_path / "a" / name).read_bytes()
        assert packed == (tmp_path / "b" / name).read_bytes()
        assert packed[4:8] == bytes(4)  # no time of writing
    text = gzip.decompress((tmp_path / "a" / TRAINING_FILE).read_bytes()).decode()
    assert text == "CNO\nC\nNN\n"  # plain text
    prior.data = Data(["CNO", "C", "NO"], ["ON"])
    prior.save(tmp_path / "a")
    assert load_prior(tmp_path / "a").data == prior.data != loaded.data


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: (p / TRAINING_FILE).write_bytes((p / TRAINING_FILE).read_bytes()[:-9]),
        lambda p: (p / TRAINING_FILE).write_bytes(
            (p / TRAINING_FILE).read_bytes()[:10] + b"\xff" * 20
        ),
        lambda p: (p / TRAINING_FILE).write_text("CNO\n"),
        lambda p: (p / TRAINING_FILE).write_bytes(gzip.compress(b"\xff\xfe")),
        lambda p: (p / HELD_OUT_FILE).unlink(),
    ],
    ids=["cut", "garbled", "not packed", "not text", "no held-out data"],
)
def test_damaged_data_raises_with_its_path(prior: Prior, tmp_path: Path, damage):
    prior.data = Data(["CNO", "C"] * 50, ["ON"])
    prior.save(tmp_path)
    load_prior(tmp_path)
    damage(tmp_path)
    with pytest.raises(PriorError, match="is not a whole prior") as caught:
        load_prior(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_runs_policy_is_a_prior(prior: Prior, tmp_path: Path):
    prior.save(tmp_path / "policy")
    assert load_prior(tmp_path).card == prior.card


def test_probabilities_of_all_sequences_sum_to_one(prior: Prior):
    names = ["", *"CNO"] + [a + b for a in "CNO" for b in "CNO"]
    limited = [a + b + c for a in "CNO" for b in "CNO" for c in "CNO"]
    rows = [prior.encoding.encode(s)[:3] for s in limited]
    whole = token_log_probs(prior.network, np.stack(rows), np.full(len(rows), 3))
    total = np.exp(prior.log_prob(names)).sum() + np.exp(whole).sum()
    assert total == pytest.approx(1, abs=1e-5)
    assert prior.network.training  # dropout was off for log_prob, and is on again


def test_log_prob_does_not_depend_on_the_batch(prior: Prior):
    together = prior.log_prob(["NO", "", "C"])
    alone = [prior.log_prob([s])[0] for s in ("NO", "", "C")]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    with pytest.raises(ValueError, match="'Br'"):
        prior.log_prob(["Br"])


def test_samples_are_text_and_repeat_with_the_seed(prior: Prior):
    samples = prior.sample(40, seed=1)
    assert len(samples) == 40 and all(set(s) <= set("CNO") and len(s) <= 3 for s in samples)
    assert prior.sample(40, seed=1) == samples != prior.sample(40, seed=2)


def test_an_unknown_name_lists_the_shipped_priors(tmp_path: Path):
    with pytest.raises(PriorError, match="no prior at 'nowhere'") as caught:
        load_prior("nowhere")
    assert all(name in str(caught.value) for name in shipped_priors())
    with pytest.raises(PriorError, match="no prior at"):
        load_prior(tmp_path)


@pytest.mark.parametrize("name", shipped_priors())
def test_every_shipped_prior_loads(name: str):
    assert load_prior(name).card


def _edit(path: Path, **changes) -> None:
    metadata = json.loads((path / METADATA_FILE).read_text()) | changes
    (path / METADATA_FILE).write_text(json.dumps(metadata))


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: (p / METADATA_FILE).write_text("{"),
        lambda p: (p / METADATA_FILE).write_text("[]"),
        lambda p: (p / METADATA_FILE).write_text("{}"),
        lambda p: (p / METADATA_FILE).write_bytes(b"\xff\xfe"),
        lambda p: (p / WEIGHTS_FILE).unlink(),
        lambda p: (p / WEIGHTS_FILE).write_bytes(b"not weights"),
        lambda p: (p / WEIGHTS_FILE).write_bytes((p / WEIGHTS_FILE).read_bytes()[:-50]),
        lambda p: _edit(p, encoding="braille"),
        lambda p: _edit(p, vocabulary=["C", "C"]),
        lambda p: _edit(p, vocabulary=["<end>", "C"]),
        lambda p: _edit(
            p, architecture=Architecture("lstm", 4, 5, 8, 2).to_dict()
        ),
    ],
    ids=[
        "cut metadata", "list", "empty", "not text", "no weights", "not weights", "cut weights",
        "encoding", "token twice", "fewer tokens", "other network",
    ],
)  # fmt: skip
def test_a_damaged_prior_raises_with_its_path(prior: Prior, tmp_path: Path, damage):
    path = tmp_path / "p"
    prior.save(path)
    load_prior(path)
    damage(path)
    with pytest.raises(PriorError) as caught:
        load_prior(path)
    assert str(path) in str(caught.value) or "braille" in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"\xff\xfe"])
def test_the_encoding_is_read_without_the_weights(prior: Prior, tmp_path: Path, content):
    prior.save(tmp_path / "p")
    (tmp_path / "p" / WEIGHTS_FILE).unlink()
    assert (encoding_of(tmp_path / "p"), encoding_of("lieder")) == ("smiles", "melody")
    (tmp_path / "p" / METADATA_FILE).write_bytes(content)
    with pytest.raises(PriorError, match="not a whole prior"):
        encoding_of(tmp_path / "p")
