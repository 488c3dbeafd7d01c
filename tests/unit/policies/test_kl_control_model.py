"""The learner's networks: they start at the prior and, as real networks, reach the optimum.

The oracle is enumeration: V = 4 actions, at most 3 of them, 40 sequences.
"""

from __future__ import annotations

import itertools

import pytest
import torch

from sequence_tutor.policies.kl_control import KLControlSettings, Trajectories, one_step_errors
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.network import (
    Architecture,
    RecurrentNetwork,
    action_log_probs,
    step_mask,
)

V, T, END = 4, 3, 0


@pytest.fixture
def prior(request: pytest.FixtureRequest) -> RecurrentNetwork:
    torch.manual_seed(0)
    cell = getattr(request, "param", "gru")
    network = RecurrentNetwork(Architecture(cell, V, 8, 24, 1))
    with torch.no_grad():  # far from uniform; mingru's hidden vectors are larger at first
        network.head.weight.mul_(1 if cell == "mingru" else 4)
        network.head.bias.normal_(0, 0.5)
    return network


@pytest.fixture
def every_sequence():
    """Every sequence: actions [N,T], lengths [N], rewards [N,T] paid at the end alone."""
    inner = range(1, V)
    whole = [(*p, END) for n in range(T) for p in itertools.product(inner, repeat=n)]
    whole += list(itertools.product(inner, repeat=T))
    actions, rewards = torch.zeros(len(whole), T, dtype=torch.int64), torch.zeros(len(whole), T)
    generator = torch.Generator().manual_seed(1)
    for i, sequence in enumerate(whole):
        actions[i, : len(sequence)] = torch.tensor(sequence)
        rewards[i, len(sequence) - 1] = 10 + 1.5 * torch.randn((), generator=generator)
    return actions, torch.tensor([len(s) for s in whole]), rewards


@torch.no_grad()
def log_probs(logits, actions, lengths):
    return (action_log_probs(logits, actions) * step_mask(lengths, T)).sum(1)


@torch.no_grad()
def policy_log_probs(model, actions, lengths):
    log_prior = model.prior(actions).log_softmax(-1)
    batch = Trajectories(actions, lengths, torch.zeros(actions.shape), log_prior)
    return log_probs(model.online.log_policy(batch), actions, lengths)


def test_control_the_enumeration_sums_to_one(prior, every_sequence):
    actions, lengths, _ = every_sequence
    total = log_probs(prior(actions), actions, lengths).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("algorithm", ["q", "psi", "g", "path"])
def test_the_first_policy_is_the_prior(algorithm, prior, every_sequence):
    actions, lengths, rewards = every_sequence
    model = KLControlModel(prior, algorithm, KLControlSettings(), target_rate=0.05)
    torch.testing.assert_close(
        policy_log_probs(model, actions, lengths),
        log_probs(prior(actions), actions, lengths),
        atol=0.05,
        rtol=0,  # bfloat16 products where the processor has them
    )
    model.loss(actions, lengths, rewards)
    # the level holds the tens of nats instead of the logits: with the prior as policy the residuals
    # of whole paths have mean zero
    if algorithm != "q":
        assert model.online.level.item() == pytest.approx(rewards.sum(1).mean().item(), abs=0.05)
    level = model.online.level.item()
    model.loss(actions, lengths, 2 * rewards)
    assert model.online.level.item() == level  # set only once


@pytest.mark.parametrize(
    ("algorithm", "lam", "learned", "prior"),
    [
        ("psi", 0.0, True, "gru"),
        pytest.param("psi", 0.9, True, "gru", marks=pytest.mark.nightly),
        ("g", 0.9, True, "gru"),
        ("path", 1.0, True, "gru"),
        ("path", 1.0, True, "mingru"),
        pytest.param("psi", 0.0, True, "mingru", marks=pytest.mark.nightly),
        pytest.param("path", 1.0, False, "gru", marks=pytest.mark.nightly),
        ("path", 0.5, True, "gru"),
    ],
    indirect=["prior"],
)
def test_networks_reach_the_optimum_off_policy(algorithm, lam, learned, prior, every_sequence):
    actions, lengths, rewards = every_sequence
    settings = KLControlSettings(lam=lam)
    model = KLControlModel(prior, algorithm, settings, learned, target_rate=0.5)
    online = model.online
    groups = [
        {"params": online.network.parameters(), "lr": 5e-3},
        {"params": [online.level], "lr": 5e-2},
    ]
    if online.value is not None:
        groups.append({"params": online.value.parameters(), "lr": 3e-2})
    optimizer = torch.optim.Adam(groups)
    optimum = (log_probs(prior(actions), actions, lengths) + rewards.sum(1)).softmax(0)

    def distance():
        return float((policy_log_probs(model, actions, lengths).exp() - optimum).abs().sum() / 2)

    before = distance()
    generator = torch.Generator().manual_seed(2)
    for i in range(700):
        for group, rate in zip(optimizer.param_groups, (5e-3, 5e-2, 3e-2), strict=False):
            group["lr"] = rate * min(1.0, 2 * (1 - i / 700))
        rows = torch.randint(len(actions), (64,), generator=generator)  # uniform, not a policy
        report = model.loss(actions[rows], lengths[rows], rewards[rows])
        optimizer.zero_grad()
        report.loss.backward()
        optimizer.step()
        model.after_update()
    assert before > 0.3
    assert distance() < 0.03


@pytest.mark.parametrize("algorithm", ["q", "psi", "g"])
def test_a_discounted_level_starts_where_one_step_errors_have_mean_zero(
    algorithm, prior, every_sequence
):
    actions, lengths, _ = every_sequence
    rewards = torch.where(step_mask(lengths, T), 7.0, 0.0)
    settings = KLControlSettings(gamma=0.5, lam=0.0)
    model = KLControlModel(prior, algorithm, settings, target_rate=0.05)
    log_prior = prior(actions).log_softmax(-1)
    batch = Trajectories(actions, lengths, rewards, log_prior)
    model.loss(actions, lengths, rewards)
    x = model.online.values(model.prior.features(actions).transpose(0, 1)).unsqueeze(-1)
    x = x + model.online.advantages(model.online.log_policy(batch), log_prior)
    values = x.amax(-1) if algorithm == "q" else model.online.level.expand(actions.shape)
    taken = x.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    paid = rewards if algorithm == "g" else rewards + action_log_probs(log_prior, actions)
    errors = one_step_errors(paid, taken, values, lengths, settings.gamma)
    assert errors.sum().item() == pytest.approx(0, abs=0.05 * len(actions))
    assert model.online.level.item() > 7


@pytest.mark.parametrize("algorithm", ["q", "psi", "g"])
def test_a_frozen_policy_has_no_gradient_while_values_learn(algorithm, prior, every_sequence):
    model = KLControlModel(prior, algorithm, KLControlSettings(lam=0.9), target_rate=0.05)
    model.loss(*every_sequence, freeze_policy=True).loss.backward()
    assert all(p.grad.abs().max() == 0 for p in model.online.network.parameters())
    assert model.online.value.outer.weight.grad.abs().max() > 0
    model.zero_grad()
    model.loss(*every_sequence).loss.backward()
    assert max(p.grad.abs().max() for p in model.online.network.parameters()) > 0


def test_only_after_update_moves_the_target(prior, every_sequence):
    model = KLControlModel(prior, "psi", KLControlSettings(), target_rate=0.25)
    model.loss(*every_sequence).loss.backward()
    assert all(p.grad is None for p in model.target.parameters())
    assert all(p.grad is None for p in model.prior.parameters())
    with torch.no_grad():
        model.online.level.add_(4.0)
    before = model.target.level.item()
    model.after_update()
    assert model.target.level.item() == pytest.approx(before + 1.0, abs=1e-4)


def test_an_unknown_algorithm_raises_with_its_name(prior):
    with pytest.raises(ValueError, match="one of q, psi, g, path.*, not 'sarsa'"):
        KLControlModel(prior, "sarsa", KLControlSettings(), target_rate=0.05)


@pytest.mark.parametrize("learned", [True, False])
def test_cached_log_probs_of_the_prior_give_the_same_loss(learned, prior, every_sequence):
    actions, lengths, rewards = every_sequence
    losses = []
    for known in (False, True):
        model = KLControlModel(prior, "path", KLControlSettings(), learned, target_rate=0.05)
        log_prior = model.prior_of_actions(actions, lengths) if known else None
        report = model.loss(actions, lengths, rewards, log_prior=log_prior)
        report.loss.backward()
        grad = model.online.network.head.weight.grad
        losses.append((report.loss.detach(), report.residual, model.online.level.detach(), grad))
    for own, given in zip(*losses, strict=True):
        torch.testing.assert_close(own, given)
    with_values = KLControlModel(prior, "path", KLControlSettings(lam=0.5), target_rate=0.05)
    assert not with_values.actions_suffice
    assert not KLControlModel(prior, "psi", KLControlSettings(), target_rate=0.05).actions_suffice
    with pytest.raises(ValueError, match="every action"):
        with_values.loss(actions, lengths, rewards, log_prior=log_prior)


@pytest.mark.parametrize("algorithm", ["q", "psi", "g", "path"])
@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_the_level_follows_a_change_of_the_temperature(algorithm, gamma, prior, every_sequence):
    """Rewards of ten, whose returns grow by ten nats where c is halved; without the change of the
    level all residuals would be wrong by that."""
    actions, lengths, rewards = every_sequence
    settings = KLControlSettings(gamma, lam=1.0)
    model = KLControlModel(prior, algorithm, settings, target_rate=0.05)
    model.change_returns(100.0, 2.0)  # there is no level yet: nothing happens
    assert model.online.level.item() == 0
    before = model.loss(actions, lengths, rewards).loss.item()
    left_behind = model.loss(actions, lengths, 2 * rewards).loss.item()
    model.change_returns(rewards.sum(1).mean().item(), lengths.float().mean().item())
    followed = model.loss(actions, lengths, 2 * rewards).loss.item()
    if algorithm != "q":  # the values of q have no mean residual of zero to keep
        assert followed < 6 * before + 10 < left_behind
    assert followed < left_behind - 10
    if model.target is not None:
        assert model.target.level.item() == model.online.level.item()
