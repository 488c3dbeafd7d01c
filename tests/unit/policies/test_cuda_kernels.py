"""The sampler's kernels against PyTorch's own cells; without a GPU, in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.network import (
    Architecture,
    RecurrentNetwork,
    action_log_probs,
    step_mask,
)

pytest.importorskip("triton", reason="Triton has no build for this machine")

from sequence_tutor.policies.cuda_sampler import CudaSampler  # noqa: E402
from sequence_tutor.policies.kernels.cuda_kernels import Progress, draw, step_layer  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ROWS, HIDDEN = 20, 40  # neither is a whole number of tiles


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


@torch.no_grad()
@pytest.mark.parametrize("first", [False, True])
def test_an_lstm_step_agrees_with_pytorch(first: bool):
    torch.manual_seed(0)
    cell = nn.LSTMCell(HIDDEN, HIDDEN).to(DEVICE)
    inputs = random(5, HIDDEN)
    reads = torch.arange(ROWS, device=DEVICE) % 5
    hidden, state = random(ROWS, HIDDEN, seed=1), random(ROWS, HIDDEN, seed=2)
    expected = cell(inputs[reads], (hidden, state))
    bias = cell.bias_ih + cell.bias_hh
    out = torch.empty_like(hidden)
    added = inputs @ cell.weight_ih.t() + bias if first else bias[None]
    below = None if first else inputs[reads].contiguous()
    w_in = None if first else cell.weight_ih
    step_layer(reads, below, hidden, state, (w_in, cell.weight_hh, added), out)
    torch.testing.assert_close((out, state), expected, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("first", [False, True])
def test_a_gru_step_agrees_with_pytorch(first: bool):
    torch.manual_seed(0)
    cell = nn.GRUCell(HIDDEN, HIDDEN).to(DEVICE)
    inputs = random(5, HIDDEN)
    reads = torch.arange(ROWS, device=DEVICE) % 5
    state = random(ROWS, HIDDEN, seed=1)
    hidden, out = state.clone(), torch.empty_like(state)
    expected = cell(inputs[reads], hidden)
    gates = 2 * HIDDEN
    own = cell.bias_ih[None] if not first else inputs @ cell.weight_ih.t() + cell.bias_ih
    past = cell.bias_hh[gates:].expand(len(own), HIDDEN)
    added = torch.cat((own[:, :gates] + cell.bias_hh[:gates], own[:, gates:], past), 1)
    below = None if first else inputs[reads].contiguous()
    w_in = None if first else cell.weight_ih
    step_layer(reads, below, hidden, state, (w_in, cell.weight_hh, added), out)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(state, expected, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("networks", [1, 2])
def test_draw_inverts_the_cumulative_distribution(networks: int):
    vocabulary, steps, end_id = 7, 4, 3
    hidden = [random(ROWS, HIDDEN, seed=i) for i in range(networks)]
    heads = [(random(vocabulary, HIDDEN, seed=9), random(vocabulary, seed=8))] * networks
    progress = Progress.empty(steps, ROWS, DEVICE)
    progress.going_on[:-1] = 1  # the last one is over
    progress.episodes[:] = torch.arange(ROWS - 1, -1, -1)  # not in the order of the rows
    progress.lengths[:] = 2
    progress.lengths[5] = steps - 1
    progress.totals[:] = -1.5
    uniform = torch.rand(steps, ROWS, generator=torch.Generator().manual_seed(3)).to(DEVICE)
    uniform[2, :3], uniform[2, 3:6] = 1 - 2**-24, 0.0  # both ends of torch.rand
    draw(hidden, heads, uniform, progress, end_id)

    logits = sum(h.double() @ w.double().t() + b for h, (w, b) in zip(hidden, heads, strict=True))
    probabilities = logits.softmax(-1).cpu().numpy()
    found = progress.tokens.cpu().numpy()
    for row in range(ROWS):
        episode = ROWS - 1 - row
        t = steps - 1 if episode == 5 else 2
        if row == ROWS - 1:
            assert progress.lengths[episode] == 2 and progress.totals[episode] == -1.5
            continue
        action = int(np.searchsorted(probabilities[row].cumsum(), float(uniform[t, episode])))
        assert found[t, episode] == action == progress.last[row]
        assert progress.lengths[episode] == t + 1
        expected = -1.5 + np.log(probabilities[row, action])
        assert float(progress.totals[episode]) == pytest.approx(expected, abs=1e-5)
        assert bool(progress.going_on[row]) == (action != end_id and t + 1 < steps)
    assert (progress.going_on == 0).sum() > 2  # some episodes ended with the end token


@torch.no_grad()
@pytest.mark.parametrize("cell", [pytest.param("lstm", marks=pytest.mark.nightly), "gru"])
def test_episodes_keep_their_states_when_others_end(cell: str):
    encoding = SmilesEncoding.fit(["CCO", "CN"], max_length=20)
    torch.manual_seed(1)
    size = encoding.vocabulary.size
    networks = [
        RecurrentNetwork(Architecture(cell, size, 6, 16, layers), dropout=0.5).eval()  # type: ignore[arg-type]
        for layers in (2, 1)
    ]
    for parameter in (*networks[0].parameters(), *networks[1].parameters()):
        parameter.data.mul_(2)
    networks[0].head.bias.data[encoding.vocabulary.end_id] -= 0.5
    sampler = CudaSampler([n.to(DEVICE) for n in networks], encoding, torch.float32)
    drawn = sampler.sample(65, torch.Generator().manual_seed(1))  # a little more than half of 128
    assert (drawn.lengths > 8).any() and (drawn.lengths <= 8).any()
    actions, lengths = (torch.from_numpy(x).long() for x in (drawn.tokens, drawn.lengths))
    outputs = [deepcopy(network).cpu()(actions) for network in networks]  # cuDNN's are in TF32
    each = action_log_probs((outputs[0] + outputs[1]).log_softmax(-1), actions)
    expected = (each * step_mask(lengths, actions.shape[1])).sum(1)
    torch.testing.assert_close(torch.from_numpy(drawn.log_probs), expected, rtol=0, atol=1e-4)
    with pytest.raises(FloatingPointError, match="not finite"):
        networks[0].head.bias.data[0] = torch.nan
        sampler.sample(3)


def test_the_kernels_compile_for_a_gpu(tmp_path: Path):
    """Code that the interpreter runs may not compile; Triton's compiler needs no GPU."""
    script = Path(__file__).with_name("compile_kernels.py")
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("compiled") == 6
