"""The layers of "mingru" against their equations, step by step, with autograd's gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sequence_tutor.policies import network as module
from sequence_tutor.policies.cells.mingru import PERIODS
from sequence_tutor.policies.network import (
    Architecture,
    RecurrentNetwork,
    action_log_probs,
    step_mask,
)

V, H, LAYERS = 5, 8, 3


def make(drop: float = 0.0) -> RecurrentNetwork:
    torch.manual_seed(0)
    network = RecurrentNetwork(Architecture("mingru", V, 6, H, LAYERS), drop)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.normal_(0, 0.3) if "clock" in name else parameter.mul_(1.5)
    return network


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randint(3, (6, 9)), torch.tensor([9, 1, 4, 5, 9, 2])


def by_equations(network: RecurrentNetwork, actions: Tensor, kept: Tensor) -> Tensor:
    """Hidden vectors float64 [B,T,H], as `mingru.py` has them, one episode and step at a time.
    kept: the factors of dropout [L,T,B,H]."""
    own = {name: p.double() for name, p in network.named_parameters()}

    def norm(x: Tensor) -> Tensor:
        return x / (x.square().mean() + 1e-6).sqrt()

    def linear(name: str, x: Tensor) -> Tensor:
        bias = own.get(f"rnn.{name}.bias")
        product = own[f"rnn.{name}.weight"] @ x
        return product if bias is None else product + bias

    episodes = []
    for b, row in enumerate(actions.tolist()):
        state, found = [torch.zeros(2 * H).double() for _ in range(LAYERS)], []
        for t, read in enumerate([V, *row[:-1]]):
            angles = [2 * math.pi * t / period for period in PERIODS]
            clock = [*map(math.sin, angles), *map(math.cos, angles)]
            x = linear("read", own["embedding.weight"][read])
            x = x + linear("clock", torch.tensor(clock).double())
            for i in range(LAYERS):
                f, c, g = linear(f"layers.{i}.inner", norm(x)).split(2 * H)
                f = torch.sigmoid(f)
                state[i] = f * state[i] + (1 - f) * c
                added = linear(f"layers.{i}.outer", state[i] * g * torch.sigmoid(g))
                x = x + added * kept[i, t, b]
            found.append(norm(x))
        episodes.append(torch.stack(found))
    return torch.stack(episodes)


def compared(network: RecurrentNetwork, found: list[Tensor], expected: list[Tensor]) -> None:
    """Whether values and the gradients of a sum of them agree."""
    torch.manual_seed(2)
    weights = [torch.randn(value.shape) for value in expected]
    gradients = []
    for values in (found, expected):
        network.zero_grad()
        sum((v * w).sum() for v, w in zip(values, weights, strict=True)).backward()  # type: ignore[union-attr]
        gradients.append([p.grad.clone() for p in network.parameters()])
    for mine, theirs in zip([*found, *gradients[0]], [*expected, *gradients[1]], strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(mine, theirs.float(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("trees", [0, 1, 3])
def test_values_and_gradients_are_those_of_the_equations(
    trees: int, monkeypatch: pytest.MonkeyPatch
):
    """For padded batches (0 trees) and for trees of prefixes."""
    monkeypatch.setattr(module, "LEAST_EPISODES", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: trees)
    network, (actions, ends) = make(), batch()
    given, mask = (ends if trees else None), step_mask(ends, actions.shape[1])
    features = network.features(actions, given).transpose(0, 1)
    log_probs = action_log_probs(network(actions, given), actions)
    expected = by_equations(network, actions, torch.ones(LAYERS, 9, 6, 1))
    head = network.head.weight.double(), network.head.bias.double()
    of_all = torch.nn.functional.linear(expected, *head).log_softmax(-1)
    chosen = of_all.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    compared(network, [features[mask], log_probs[mask]], [expected[mask], chosen[mask]])
    with torch.no_grad():
        again = network.features(actions, given).transpose(0, 1)
    torch.testing.assert_close(again[mask], features[mask].detach())


def test_dropout_acts_on_what_each_layer_adds():
    network, (actions, _) = make(0.5), batch()
    kept = network.draw_dropout(9, 6)
    assert kept is not None and kept.shape == (LAYERS, 9, 6, H)
    assert sorted(kept.unique().tolist()) == [0.0, 2.0]
    expected = by_equations(network, actions, kept)
    outputs = torch.nn.functional.linear(
        expected, network.head.weight.double(), network.head.bias.double()
    )
    compared(network, [network.forward_with(kept, actions)], [outputs])
    torch.manual_seed(3)
    drawn = [network.features(actions) for _ in range(2)]
    assert (drawn[0] - drawn[1]).abs().max() > 0.01
    # where nothing of the layers is kept, only the last action and the time count
    none = network.forward_with(torch.zeros_like(kept), actions).detach()
    reads = network._reads(actions).t()
    for b, other, t in [
        (0, 1, 0),
        *((i, j, t) for i in range(6) for j in range(6) for t in (1, 7)),
    ]:
        same = torch.equal(none[b, t], none[other, t])
        assert same == bool(reads[b, t] == reads[other, t])


def test_the_future_is_not_read():
    network, (actions, _) = make(), batch()
    other = actions.clone()
    other[:, 5:] = 2 - other[:, 5:]
    here, there = network.features(actions), network.features(other)
    assert torch.equal(here[:6], there[:6]) and not torch.equal(here[6:], there[6:])


def test_long_episodes_keep_their_gradients():
    """Neither values nor gradients overflow where the gates are as open as they can be."""
    network = make()
    with torch.no_grad():
        for layer in network.rnn.layers:  # type: ignore[attr-defined]
            layer.inner.bias[: 2 * H] = 30.0
            layer.inner.weight[: 2 * H] = 0.0
    actions = torch.zeros(2, 2000, dtype=torch.int64)
    features = network.features(actions, torch.tensor([2000, 1500]))
    features.square().sum().backward()  # type: ignore[no-untyped-call]
    assert features.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.rnn.parameters())
