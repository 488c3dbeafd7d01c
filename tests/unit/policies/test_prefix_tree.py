"""Layers over a tree of prefixes against PyTorch's own on padded batches, gradients included."""

from __future__ import annotations

import pytest
import torch

from sequence_tutor.policies import network as module
from sequence_tutor.policies.kernels import device
from sequence_tutor.policies.kernels.prefix_tree import PrefixForest
from sequence_tutor.policies.network import Architecture, RecurrentNetwork, step_mask

LENGTHS = [[3, 7, 1, 5, 7, 2, 5], [1, 1], [6], [4, 4, 4]]


def make(cell: str, layers: int = 2) -> RecurrentNetwork:
    torch.manual_seed(0)
    return RecurrentNetwork(Architecture(cell, 5, 6, 8, layers))


def batch(lengths: list[int], steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randint(3, (len(lengths), steps)), torch.tensor(lengths)


@pytest.mark.parametrize("trees", [1, 2])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_each_distinct_prefix_is_one_node_below_its_own(lengths, trees):
    actions, ends = batch(lengths, max(lengths) + 2)
    forest = PrefixForest(actions, ends, 9, trees)
    assert len(forest.trees) == min(trees, len(lengths))
    found: list[tuple[int, ...]] = []  # the nodes' prefixes, from their tokens and parents
    for tree in forest.trees:
        own: list[tuple[int, ...]] = [()]
        for parent, read in zip(tree.parents.tolist(), tree.reads[1:].tolist(), strict=True):
            own.append((*own[parent], read))
        assert tree.reads[0] == 9 and len(own) == len(set(own)) == tree.size
        depths = [len(prefix) for prefix in own]
        assert depths == sorted(depths)
        assert tree.blocks == [sum(d < t for d in depths) for t in range(max(depths) + 2)]
        for t in range(1, max(depths) + 1):
            nodes = range(tree.blocks[t], tree.blocks[t + 1])
            assert tree.above(t).tolist() == [own.index(own[n][:-1]) for n in nodes]
        found += own
    prefixes = {
        tuple(row[:t].tolist()) for row, n in zip(actions, ends, strict=True) for t in range(n)
    }
    assert set(found) == prefixes and forest.size == len(found)
    # each step of each episode gets the node of its prefix
    unpacked = forest.unpack(torch.arange(1, forest.size + 1))
    for row, n, nodes in zip(actions, ends.tolist(), unpacked, strict=True):
        assert [found[node - 1] for node in nodes[:n]] == [
            tuple(row[:t].tolist()) for t in range(n)
        ]
        assert not nodes[n:].any()


def test_equal_episodes_share_their_nodes():
    actions = torch.randint(5, (1, 8)).expand(4, -1)
    assert PrefixForest(actions, torch.tensor([8, 8, 3, 8]), start=5).size == 8


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
@pytest.mark.parametrize("trees", [1, 3])
def test_outputs_and_gradients_agree_with_pytorch(cell, layers, lengths, trees, monkeypatch):
    monkeypatch.setattr(module, "LEAST_EPISODES", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: trees)
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
    other[0, 2:] = 2 - other[0, 2:]
    out = network(actions, ends)
    assert torch.equal(out, network(other, ends)) and not out[0, 2:].any()


def test_each_episode_has_its_own_dropout_masks():
    torch.manual_seed(0)
    network = RecurrentNetwork(Architecture("gru", 5, 6, 64, 2), dropout=0.5)
    actions, ends = torch.zeros(2, 9, dtype=torch.int64), torch.tensor([9, 4])
    features = network.features(actions, ends)
    assert 0.4 < (features[:4] == 0).float().mean() < 0.6 and not features[4:, 1].any()
    assert not torch.equal(features[:4, 0], features[:4, 1])
    network.eval()
    features = network.features(actions, ends)
    assert torch.equal(features[:4, 0], features[:4, 1]) and not features[4:, 1].any()


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_bfloat16_outputs_are_near_float32_ones(cell, monkeypatch):
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
