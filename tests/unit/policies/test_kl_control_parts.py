"""The recursion and the losses against slow NumPy loops, and their edge cases."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sequence_tutor.distributed.learner_config import LearnerConfig
from sequence_tutor.policies.kl_control import (
    ALGORITHMS,
    KLControlSettings,
    Trajectories,
    accumulate,
    g_loss,
    lambda_returns,
    one_step_errors,
    path_loss,
    policy_log_probs,
    polyak_update,
    psi_loss,
    q_loss,
    state_values,
)

B, T, V = 5, 7, 3
LOSSES = {"q": q_loss, "psi": psi_loss, "g": g_loss}
CASES = [(1.0, 0.0), (1.0, 1.0), (0.9, 0.0), (0.9, 0.7), (0.8, 1.0)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def batch() -> Trajectories:
    return Trajectories(
        actions=torch.randint(0, V, (B, T), generator=torch.Generator().manual_seed(1)),
        lengths=torch.tensor([7, 1, 4, 6, 2]),
        rewards=random(B, T, seed=2),
        log_prior=random(B, T, V, seed=3).log_softmax(-1),
    )


def slow_errors(base, taken, values, lengths, gamma, decay):
    """d_t and sum_k decay^k d_{t+k}, written out term by term: float64 [B,T] each."""
    d, e = np.zeros(base.shape), np.zeros(base.shape)
    for b, length in enumerate(lengths):
        for t in range(length):
            terminal = t == length - 1
            d[b, t] = base[b, t] - taken[b, t]
            if not terminal:
                d[b, t] += gamma * values[b, t + 1]
        for t in range(length):
            for k in range(length - t):
                e[b, t] += decay**k * d[b, t + k]
    return d, e


def slow_log_sum_exp(row):
    return np.log(sum(np.exp(x) for x in row))


@pytest.mark.parametrize(("gamma", "lam"), CASES)
def test_recursion_agrees_with_loops(batch: Trajectories, gamma: float, lam: float):
    base, taken, values = (random(B, T, seed=s) for s in (4, 5, 6))
    arrays = [x.double().numpy() for x in (base, taken, values)]
    d, e = slow_errors(*arrays, batch.lengths.tolist(), gamma, gamma * lam)
    errors = one_step_errors(base, taken, values, batch.lengths, gamma)
    np.testing.assert_allclose(errors, d, atol=1e-5)
    np.testing.assert_allclose(accumulate(errors, gamma * lam), e, atol=1e-5)
    settings = KLControlSettings(gamma, lam)
    returns = lambda_returns(base, taken, values, batch.lengths, settings)
    np.testing.assert_allclose(returns, arrays[1] + e, atol=1e-5)
    wrong_end = one_step_errors(base, taken, values, torch.full((B,), T), gamma)
    assert (wrong_end - errors).abs().max() > 0.1  # control: the terminal step matters


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 9])
def test_accumulate_agrees_with_a_loop_for_any_length(steps: int):
    errors = random(2, steps)
    expected, after = torch.zeros(2, steps), torch.zeros(2)
    for t in reversed(range(steps)):
        after = expected[:, t] = errors[:, t] + 0.6 * after
    torch.testing.assert_close(accumulate(errors, 0.6), expected)


@pytest.mark.parametrize(("gamma", "lam"), CASES)
@pytest.mark.parametrize("name", list(LOSSES))
def test_value_losses_agree_with_loops(batch: Trajectories, name: str, gamma: float, lam: float):
    x, slow = random(B, T, V, seed=7).requires_grad_(), random(B, T, V, seed=8).requires_grad_()
    prior, target = batch.log_prior.double().numpy(), slow.detach().double().numpy()
    base, values = batch.rewards.double().numpy().copy(), np.zeros((B, T))
    taken, online = np.zeros((B, T)), np.zeros((B, T))
    for b in range(B):
        for t in range(T):
            a = batch.actions[b, t]
            taken[b, t], online[b, t] = target[b, t, a], x[b, t, a].item()
            if name != "g":
                base[b, t] += prior[b, t, a]
            values[b, t] = {
                "q": max(target[b, t]),
                "psi": slow_log_sum_exp(target[b, t]),
                "g": slow_log_sum_exp(prior[b, t] + target[b, t]),
            }[name]
    lengths = batch.lengths.tolist()
    _, e = slow_errors(base, taken, values, lengths, gamma, gamma * lam)
    real = np.arange(T) < np.array(lengths)[:, None]
    expected = (taken + e - online)[real]
    loss, residuals = LOSSES[name](x, slow, batch, KLControlSettings(gamma, lam))
    np.testing.assert_allclose(residuals[torch.from_numpy(real)], expected, rtol=1e-4, atol=1e-4)
    assert not residuals[~torch.from_numpy(real)].any() and not residuals.requires_grad
    assert loss.item() == pytest.approx((expected**2).mean(), rel=1e-4)
    loss.backward()
    assert slow.grad is None
    # the gradient moves only the values of the chosen actions, towards the target
    chosen = torch.zeros(B, T, V).scatter_(-1, batch.actions[..., None], 1.0)
    expected_gradient = -2 * residuals[..., None] * chosen / int(real.sum())
    torch.testing.assert_close(x.grad, expected_gradient)


@pytest.mark.parametrize(("gamma", "lam"), CASES)
@pytest.mark.parametrize("form", ["values", "log_z", "batch"])
def test_path_loss_agrees_with_loops(batch: Trajectories, form: str, gamma: float, lam: float):
    log_policy, values = random(B, T, V, seed=7).log_softmax(-1), random(B, T, seed=8)
    log_z = torch.tensor(0.3, requires_grad=True)
    paid = np.zeros((B, T))
    for b in range(B):
        for t in range(T):
            a = batch.actions[b, t]
            paid[b, t] = batch.rewards[b, t] + batch.log_prior[b, t, a] - log_policy[b, t, a]
    lengths = batch.lengths.tolist()
    settings = KLControlSettings(gamma, lam)
    if form == "values":
        v = values.double().numpy()
        _, e = slow_errors(paid, v, v, lengths, gamma, gamma * lam)
        if lam == 1:  # the telescoped form: what the path pays, against the value at its start
            whole = [sum(gamma**t * paid[0, t] for t in range(lengths[0])) - v[0, 0]]
            np.testing.assert_allclose(e[0, 0], whole[0])
        loss, residuals = path_loss(log_policy, batch, settings, values=values)
        expected = e[np.arange(T) < np.array(lengths)[:, None]]
        np.testing.assert_allclose(residuals, e, atol=1e-4)
    else:
        whole = [sum(gamma**t * paid[b, t] for t in range(n)) for b, n in enumerate(lengths)]
        expected = np.array(whole) - (0.3 if form == "log_z" else np.mean(whole))
        loss, residuals = path_loss(
            log_policy, batch, settings, log_z=log_z if form == "log_z" else None
        )
        np.testing.assert_allclose(residuals[:, 0], expected, atol=1e-4)
        assert not residuals[:, 1:].any()
    assert residuals.shape == (B, T) and not residuals.requires_grad
    assert loss.item() == pytest.approx((expected**2).mean(), rel=1e-4)
    if form == "log_z":
        loss.backward()
        assert log_z.grad.item() == pytest.approx(-2 * expected.mean(), rel=1e-4, abs=1e-5)


def losses_of(x: Tensor, values: Tensor, batch: Trajectories, settings: KLControlSettings):
    """All losses by name."""
    log_policy = x.log_softmax(-1)
    return {name: loss(x, 0.5 * x, batch, settings)[0] for name, loss in LOSSES.items()} | {
        "values": path_loss(log_policy, batch, settings, values=values)[0],
        "log_z": path_loss(log_policy, batch, settings, log_z=torch.tensor(0.2))[0],
        "batch": path_loss(log_policy, batch, settings)[0],
    }


def test_padding_has_no_influence(batch: Trajectories):
    x, values, settings = random(B, T, V), random(B, T), KLControlSettings(0.9, 0.7)
    before = losses_of(x, values, batch, settings)

    def spoil(t: Tensor, real: bool) -> Tensor:
        mask = (torch.arange(T) < batch.lengths[:, None]) == real
        return torch.where(mask.view(B, T, *[1] * (t.ndim - 2)), t.flip(0) + 1, t)

    def spoiled_losses(real: bool):
        changed = replace(
            batch,
            actions=spoil(batch.actions, real) % V,
            rewards=spoil(batch.rewards, real),
            log_prior=spoil(batch.log_prior, real),
        )
        return losses_of(spoil(x, real), spoil(values, real), changed, settings)

    after, control = spoiled_losses(real=False), spoiled_losses(real=True)
    for name in before:
        assert torch.equal(before[name], after[name]), name
        assert not torch.isclose(before[name], control[name]), name


def test_huber_bounds_the_gradient_and_equals_the_square_inside(batch: Trajectories):
    x = (100 * random(B, T, V)).requires_grad_()
    loss, _ = psi_loss(x, torch.zeros(B, T, V), batch, KLControlSettings(huber=0.5))
    loss.backward()
    steps = int(batch.lengths.sum())
    assert x.grad.abs().max().item() == pytest.approx(2 * 0.5 / steps)
    values = random(B, T)
    wide = losses_of(x.detach(), values, batch, KLControlSettings(huber=1e6))
    square = losses_of(x.detach(), values, batch, KLControlSettings())
    narrow = losses_of(x.detach(), values, batch, KLControlSettings(huber=0.5))
    for name in square:
        torch.testing.assert_close(wide[name], square[name], rtol=1e-4, atol=0)
        assert narrow[name] < square[name] / 2


def test_one_trajectory_without_log_z_has_no_loss(batch: Trajectories):
    one = Trajectories(*(t[:1] for t in vars(batch).values()))
    loss, residuals = path_loss(random(1, T, V).log_softmax(-1), one, KLControlSettings())
    assert loss == 0 and not residuals.any()


def test_values_and_policies_follow_their_formulas(batch: Trajectories):
    x, prior = random(B, T, V), batch.log_prior
    torch.testing.assert_close(state_values("q", x, prior), x.max(-1).values)
    torch.testing.assert_close(state_values("psi", x, prior), x.exp().sum(-1).log())
    torch.testing.assert_close(state_values("g", x, prior), (prior.exp() * x.exp()).sum(-1).log())
    for name in ("q", "psi", "path"):
        torch.testing.assert_close(policy_log_probs(name, x, prior).exp(), x.softmax(-1))
    weights = prior.exp() * x.exp()
    expected = weights / weights.sum(-1, keepdim=True)
    torch.testing.assert_close(policy_log_probs("g", x, prior).exp(), expected)
    # G = 0 is the prior; G and Psi = log p + G are one policy with one value
    torch.testing.assert_close(policy_log_probs("g", torch.zeros_like(x), prior), prior)
    torch.testing.assert_close(state_values("g", x, prior), state_values("psi", prior + x, prior))


def test_wrong_algorithms_and_settings_raise(batch: Trajectories):
    x = random(B, T, V)
    assert get_args(LearnerConfig.model_fields["algorithm"].annotation) == ALGORITHMS
    with pytest.raises(ValueError, match="path"):
        state_values("path", x, batch.log_prior)
    with pytest.raises(ValueError, match="unknown algorithm 'x'"):
        policy_log_probs("x", x, batch.log_prior)
    with pytest.raises(ValueError, match="not both"):
        path_loss(x, batch, KLControlSettings(), values=x[..., 0], log_z=torch.tensor(0.0))
    for wrong in ({"gamma": 0.0}, {"gamma": 1.1}, {"lam": -0.1}, {"lam": 2.0}, {"huber": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            KLControlSettings(**wrong)


def test_polyak_update_moves_only_the_target():
    online, target = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(online.weight, 3.0)
    online.running_mean.fill_(5.0)
    polyak_update(target, online, 0.25)
    assert target.weight.tolist() == [1.5, 1.5] and target.running_mean.tolist() == [5.0, 5.0]
    assert online.weight.tolist() == [3.0, 3.0]
    polyak_update(target, online, 1.0)
    assert target.weight.tolist() == [3.0, 3.0]
    with pytest.raises(ValueError):
        polyak_update(target, nn.Sequential(online, nn.Linear(2, 2)), 0.5)
