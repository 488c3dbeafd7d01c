"""Packed layers against PyTorch's own on padded batches: outputs and every gradient."""

from __future__ import annotations

import pytest
import torch

from sequence_tutor.policies import device
from sequence_tutor.policies.network import Architecture, RecurrentNetwork, step_mask
from sequence_tutor.policies.packed import Packing

LENGTHS = [[3, 7, 1, 5, 7, 2, 5], [1, 1], [6], [4, 4, 4]]


def make(cell: str, layers: int = 2) -> RecurrentNetwork:
    torch.manual_seed(0)
    return RecurrentNetwork(Architecture(cell, 5, 6, 8, layers))


def batch(lengths: list[int], steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randint(5, (len(lengths), steps)), torch.tensor(lengths)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_packing_is_by_step_and_longest_first(lengths):
    steps = max(lengths) + 2
    packing = Packing(torch.tensor(lengths), steps)
    places = torch.arange(len(lengths) * steps).view(len(lengths), steps)
    packed = packing.pack(places)
    longest_first = sorted(range(len(lengths)), key=lambda b: (-lengths[b], b))
    expected = [(t, b) for t in range(max(lengths)) for b in longest_first if lengths[b] > t]
    assert packed.tolist() == [b * steps + t for t, b in expected]
    assert packing.size == sum(lengths)
    blocks = [sum(t < at for t, _ in expected) for at in range(max(lengths) + 1)]
    assert packing.blocks == blocks
    before = [expected.index((t - 1, b)) for t, b in expected if t]
    assert packing.before.tolist() == before
    assert torch.equal(packing.unpack(packed), places * step_mask(torch.tensor(lengths), steps))


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_outputs_and_gradients_are_those_of_pytorch(cell, layers, lengths):
    network = make(cell, layers)
    actions, ends = batch(lengths, max(lengths) + 1)
    mask = step_mask(ends, actions.shape[1]).unsqueeze(-1)
    weight = torch.randn(len(lengths), actions.shape[1], 5)
    results = []
    for given in (None, ends):
        network.zero_grad()
        out = network(actions, given) * mask
        features = network.features(actions, given).transpose(0, 1) * mask
        ((out * weight).sum() + features.square().sum()).backward()
        gradients = {name: p.grad.clone() for name, p in network.named_parameters()}
        results.append({"out": out.detach(), "features": features.detach(), **gradients})
    ours, theirs = results[1], results[0]
    for name, values in theirs.items():
        torch.testing.assert_close(ours[name], values, rtol=1e-4, atol=1e-5, msg=name)
        assert values.abs().max() > 0 or ("weight_hh" in name and max(lengths) == 1), name


def test_the_padding_is_neither_read_nor_written():
    network = make("lstm")
    actions, ends = batch([2, 5], 5)
    other = actions.clone()
    other[0, 2:] = 4 - other[0, 2:]
    out = network(actions, ends)
    assert torch.equal(out, network(other, ends)) and not out[0, 2:].any()


def test_dropout_acts_between_layers_and_at_the_end():
    torch.manual_seed(0)
    network = RecurrentNetwork(Architecture("gru", 5, 6, 64, 2), dropout=0.5)
    actions, ends = batch([9, 4], 9)
    features = network.features(actions, ends)
    dropped = (features[:4] == 0).float().mean()
    assert 0.4 < dropped < 0.6
    network.dropout.p = 0.0  # what is left is between the layers
    a, b = network.features(actions, ends), network.features(actions, ends)
    assert (a[:4] != 0).all() and not torch.equal(a, b)
    network.eval()
    assert torch.equal(network.features(actions, ends), network.features(actions, ends))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_bfloat16_products_stay_near(cell, monkeypatch):
    network = make(cell)
    actions, ends = batch(LENGTHS[0], 7)
    exact = network(actions, ends)
    monkeypatch.setattr(device, "bfloat16_is_fast", lambda device_type: True)
    with device.autocast("cpu"):
        out = network(actions, ends)
    assert out.dtype == torch.float32
    assert 0 < (out - exact).abs().max() < 0.02
    out.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
