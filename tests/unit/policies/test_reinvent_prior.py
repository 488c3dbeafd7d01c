"""Priors from REINVENT's files."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reinvent_files import TOKENS, classes, read_step_by_step, reinvent_file

from sequence_tutor.policies.find_prior import PriorError, encoding_of
from sequence_tutor.policies.prior import load_prior

# Their tokens of 20 SMILES.
SMILES = [
    ["C"], ["c", "1", "c", "c", "c", "c", "c", "1"], ["C", "Cl"], ["Br", "C", "Br"],
    ["C", "#", "N"],
    ["C", "C", "(", "=", "O", ")", "O"], ["c", "1", "c", "c", "[nH]", "c", "1"],
    ["C", "[N+]", "(", "C", ")", "(", "C", ")", "C"], ["C", "%10", "C", "C", "C", "%10"],
    ["C", "%10", "2", "C", "C", "C", "2", "C", "%10"], ["O", "=", "S", "=", "O"], ["N", "#", "N"],
    ["F", "C", "(", "F", ")", "F"], ["n", "1", "c", "c", "c", "c", "1"], ["C", "-", "C"], ["N"],
    ["o", "1", "c", "c", "c", "c", "1"], ["s", "1", "c", "c", "c", "c", "1"], ["Cl", "Cl"], ["O"],
]  # fmt: skip


@pytest.mark.parametrize(("version", "cell"), [(4, "lstm"), (4, "gru"), (3, "lstm"), (3, "gru")])
def test_the_nll_equals_a_plain_reading_of_the_weights(version: int, cell: str, tmp_path: Path):
    network = reinvent_file(tmp_path / "x.prior", version, cell)
    prior = load_prior(tmp_path / "x.prior")
    texts = ["".join(tokens) for tokens in SMILES]
    nll = -prior.log_prob(texts)
    expected = np.array([read_step_by_step(network, tokens, TOKENS) for tokens in SMILES])
    np.testing.assert_allclose(nll, expected, atol=1e-4)
    assert len(SMILES) == 20 and np.ptp(expected) > 10
    assert np.abs(nll - expected[::-1]).max() > 1  # control
    assert prior.encoding.max_length == 59 and encoding_of(tmp_path / "x.prior") == "smiles"
    for text, tokens in zip(texts, SMILES, strict=True):
        assert len(prior.encoding.encode(text)) == len(tokens) + 1
        assert prior.encoding.decode(prior.encoding.encode(text)) == text


def test_the_start_token_is_an_action_that_spells_no_molecule(tmp_path: Path):
    reinvent_file(tmp_path / "x.prior")
    prior = load_prior(tmp_path / "x.prior")
    samples = prior.sample(300, seed=0)
    assert any("^" in sample for sample in samples)  # with random weights, so the NLLs are theirs
    with pytest.raises(ValueError, match="character 2"):
        prior.encoding.encode("C^C")
    with pytest.raises(ValueError, match="character 2"):  # "$" is a bond, and no end of a molecule
        prior.encoding.encode("C!C")
    with pytest.raises(ValueError, match="'\\$'"):
        prior.encoding.encode("C$C")


def test_a_checkpoint_with_other_objects_of_theirs_is_read(tmp_path: Path):
    module = "reinvent.runmodes.RL.memories.scaffold_memory"
    with classes(module) as made:
        memory = made.Vocabulary()
        memory.scaffolds = {"c1ccccc1": 3}
        network = reinvent_file(tmp_path / "stage1.chkpt", staged_learning={"memory": memory})
    prior = load_prior(tmp_path / "stage1.chkpt")
    assert -prior.log_prob(["C"])[0] == pytest.approx(read_step_by_step(network, ["C"], TOKENS))
    assert module not in sys.modules


def test_it_is_saved_as_a_prior_of_ours(tmp_path: Path):
    reinvent_file(tmp_path / "x.prior")
    prior = load_prior(tmp_path / "x.prior")
    prior.save(tmp_path / "ours")
    again = load_prior(tmp_path / "ours")
    assert again.card["metadata"]["comments"] == ["made up"]
    np.testing.assert_allclose(again.log_prob(["CCO"]), prior.log_prob(["CCO"]), atol=0.2)


class Hostile:
    """Runs a command when it is unpickled without care."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def test_a_hostile_file_is_refused_by_name_and_runs_nothing(tmp_path: Path, command: Any):
    mark, file = tmp_path / "ran", tmp_path / "evil.prior"
    reinvent_file(file, tokenizer=Hostile(f"touch {mark}"))
    with pytest.raises(PriorError, match="posix.system") as caught:
        load_prior(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)
    command("sample", file, "-n", 1).refused("evil.prior", "posix.system", "nothing of it was run")
    file.write_bytes(pickle.dumps(Hostile(f"touch {mark}"), protocol=2))  # no archive of torch
    command("sample", file, "-n", 1).refused("evil.prior")
    assert not mark.exists()
    pickle.loads(pickle.dumps(Hostile(f"touch {mark}")))  # control: it does run otherwise
    assert mark.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "Libinvent"}, "kind 'Libinvent'"),
        ({"network_params": {"layer_normalization": True}}, "layer_normalization"),
        ({"tokens": ["$", "^", "C", "Si"]}, "token 'Si'.*another tokeniser"),
        ({"tokens": ["^", "C"]}, r"no '\$'"),
        ({"vocabulary": {"tokens": {"$": 0, "^": 2}}}, "without a gap"),
        ({"vocabulary": {"tokens": {"$": 0, "^": 1}}}, "2 tokens, but a network for 25"),
        ({"vocabulary": None}, "no vocabulary"),
        ({"network": {"_attention.weight": torch.zeros(1)}}, "_attention.weight"),
        ({"network": {"_embedding.weight": torch.zeros(3, 2)}}, "isn't whole"),
        ({"max_sequence_length": "long"}, "max_sequence_length"),
        ({"metadata": {"by": torch.nn.Linear(1, 1)}}, "torch.nn.modules.linear.Linear"),
    ],
)
def test_what_does_not_fit_is_one_sentence(changes: dict[str, Any], words: str, tmp_path: Path):
    reinvent_file(tmp_path / "x.prior", **changes)
    with pytest.raises(PriorError, match=words) as caught:
        load_prior(tmp_path / "x.prior")
    assert "\n" not in str(caught.value) and str(tmp_path / "x.prior") in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"[1]"])
def test_another_file_is_one_sentence(content: bytes, tmp_path: Path):
    file = tmp_path / "x.prior"
    file.write_bytes(content)
    with pytest.raises(PriorError, match="x.prior") as caught:
        load_prior(file)
    assert "\n" not in str(caught.value)
    whole = io.BytesIO()
    torch.save([1, 2], whole)
    file.write_bytes(whole.getvalue())
    with pytest.raises(PriorError, match="holds no table"):
        load_prior(file)
