"""KL-control losses as pure functions of tensors.

The aim is the policy that maximises E[sum of rewards] - KL(pi || p), rewards already divided by
the temperature; with gamma = 1 its sequences follow pi*(tau) ~ p(tau) exp(reward(tau)). Every loss
is off-policy and needs no importance weights: at its fixed point each one-step error is zero on
every path, whichever policy chose it, so any sum of errors along a path is zero too (path
consistency: Nachum et al. 2017, "Bridging the gap between value and policy based reinforcement
learning"; Harutyunyan et al. 2016, "Q(lambda) with off-policy corrections").

    q     Q(s,a)    max_a Q                     softmax(Q)          Jaques et al. 2017, 2016
    psi   Psi(s,a)  logsumexp_a Psi             softmax(Psi)        Jaques et al. 2017
    g     G(s,a)    logsumexp_a (log p + G)     p exp(G) / Z        Fox et al. 2016
    path  logits    its own, or log Z alone     softmax(logits)     Nachum et al. 2017, 2018
    name  learned   value of a state            policy

Shape legend: B trajectories, T steps, V vocabulary. The steps t < lengths[b] are real; the last
real one is terminal (end token or length limit), and nothing is bootstrapped past it. Values in
the padding must be finite and have no influence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss, pad

from sequence_tutor.policies.network import step_mask

Algorithm = Literal["q", "psi", "g", "path"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)


@dataclass(frozen=True)
class Trajectories:
    """A batch for the losses; tensors on the learner's device."""

    actions: Tensor
    """int64 [B,T]."""
    lengths: Tensor
    """int64 [B] actions of each trajectory, at least 1."""
    rewards: Tensor
    """float32 [B,T], divided by the temperature."""
    log_prior: Tensor
    """float32 [B,T,V] log p(a|s) of every action, normalised, in nats; or [B,T] of the actions
    taken, which is enough for `path_loss`."""


@dataclass(frozen=True)
class KLControlSettings:
    """Options of the losses. Raises ValueError for a value out of its range."""

    gamma: float = 1.0
    """Discount per step, in (0, 1]."""
    lam: float = 1.0
    """Lambda in [0, 1]: 0 for one-step targets, 1 for the rest of the path."""
    huber: float | None = None
    """Residual in nats beyond which the loss is linear; None for squared error throughout."""

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma must be in (0, 1], not {self.gamma}")
        if not 0 <= self.lam <= 1:
            raise ValueError(f"lam must be in [0, 1], not {self.lam}")
        if self.huber is not None and not self.huber > 0:
            raise ValueError(f"huber must be above 0 or None, not {self.huber}")


def one_step_errors(
    base: Tensor, taken: Tensor, values: Tensor, lengths: Tensor, gamma: float
) -> Tensor:
    """d_t = base_t + gamma V(s_{t+1}) - X(s_t,a_t): float32 [B,T] thrice, [B] -> [B,T].

    `base` is the reward of the step itself, `taken` is X of the chosen action, `values` is V(s_t).
    The terminal step has no next state: d = base - X. Zero in the padding.
    """
    steps = base.shape[1]
    following = pad(values[:, 1:], (0, 1)) * step_mask(lengths - 1, steps)
    return torch.where(step_mask(lengths, steps), base + gamma * following - taken, 0.0)


def accumulate(errors: Tensor, decay: float) -> Tensor:
    """e_t = errors_t + decay e_{t+1}, with e_T = 0: float32 [B,T] -> [B,T].

    By doubling: after the pass with reach k, e_t holds the first 2k terms of its sum, so T steps
    take about log2 T passes. With decay 0 the errors are returned as they are.
    """
    reach, total = 1, errors
    while decay > 0 and reach < errors.shape[1]:
        total = total + decay**reach * pad(total[:, reach:], (0, reach))
        reach *= 2
    return total


def lambda_returns(
    base: Tensor, taken: Tensor, values: Tensor, lengths: Tensor, settings: KLControlSettings
) -> Tensor:
    """y_t = X(s_t,a_t) + sum_{k>=0} (gamma lambda)^k d_{t+k}: float32 [B,T] thrice -> [B,T].

    lambda = 0 is the one-step target base_t + gamma V(s_{t+1}); lambda = 1 adds the errors of all
    later steps of the path. For d see `one_step_errors`.
    Source: Harutyunyan et al. 2016.
    """
    errors = one_step_errors(base, taken, values, lengths, settings.gamma)
    return taken + accumulate(errors, settings.gamma * settings.lam)


def q_loss(
    q: Tensor, q_target: Tensor, batch: Trajectories, settings: KLControlSettings
) -> tuple[Tensor, Tensor]:
    """Q-learning on the prior-augmented reward.

    y_t = log p(a_t|s_t) + r_t + gamma max_a Q'(s_{t+1},a), in its lambda form, Q' detached.
    q, q_target float32 [B,T,V] -> scalar mean over real steps of (y - Q)^2, residuals y - Q
    [B,T] detached and zero in the padding. At its fixed point the greedy path maximises
    log p + reward; the policy isn't pi*. Source: Jaques et al. 2017, "Sequence Tutor".
    """
    return _action_value_loss("q", q, q_target, batch, settings)


def psi_loss(
    psi: Tensor, psi_target: Tensor, batch: Trajectories, settings: KLControlSettings
) -> tuple[Tensor, Tensor]:
    """Psi-learning.

    y_t = log p(a_t|s_t) + r_t + gamma logsumexp_a Psi'(s_{t+1},a), in its lambda form, Psi'
    detached. psi, psi_target float32 [B,T,V] -> scalar mean over real steps of (y - Psi)^2,
    residuals y - Psi [B,T] detached and zero in the padding. Softmax(Psi) becomes pi*.
    Source: Jaques et al. 2017, "Sequence Tutor"; Rawlik et al. 2012.
    """
    return _action_value_loss("psi", psi, psi_target, batch, settings)


def g_loss(
    g: Tensor, g_target: Tensor, batch: Trajectories, settings: KLControlSettings
) -> tuple[Tensor, Tensor]:
    """G-learning.

    y_t = r_t + gamma logsumexp_a (log p(a|s_{t+1}) + G'(s_{t+1},a)), in its lambda form, G'
    detached. g, g_target float32 [B,T,V] -> scalar mean over real steps of (y - G)^2, residuals
    y - G [B,T] detached and zero in the padding. p exp(G) / Z becomes pi*, and G = 0 is the
    prior. Source: Fox et al. 2016, "Taming the noise in reinforcement learning".
    """
    return _action_value_loss("g", g, g_target, batch, settings)


def path_loss(
    log_policy: Tensor,
    batch: Trajectories,
    settings: KLControlSettings,
    values: Tensor | None = None,
    log_z: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Path consistency: log_policy float32 [B,T,V], normalised -> scalar, residuals [B,T].

    With b_t = r_t + log p(a_t|s_t) - log pi(a_t|s_t), in one of three forms:

    - `values` float32 [B,T]: e_i = sum_{t>=i} (gamma lambda)^(t-i) (b_t + gamma V(s_{t+1}) -
      V(s_t)), mean over real steps of e^2; gradients flow through log pi and every V. lambda = 1
      makes it sum_{t>=i} gamma^(t-i) b_t - V(s_i).
    - `log_z` scalar: sum_t gamma^t b_t - log Z, squared, mean over trajectories. lambda unused.
    - neither: the same, with the batch's mean of sum_t gamma^t b_t as log Z, detached. A batch of
      one trajectory then has loss 0.

    The residuals are detached and zero in the padding; the last two forms have one residual per
    trajectory, at step 0. Source: Nachum et al. 2017 and 2018 ("Trust-PCL"); the second is
    trajectory balance (Malkin et al. 2022) against a prior, the third VarGrad (Richter et al.
    2020, "VarGrad: a low-variance gradient estimator for variational inference").
    """
    if values is not None and log_z is not None:
        raise ValueError("path_loss takes values or log_z, not both")
    mask = step_mask(batch.lengths, batch.actions.shape[1])
    paid = batch.rewards + taken_log_prior(batch) - _chosen(log_policy, batch)
    if values is not None:
        errors = one_step_errors(paid, values, values, batch.lengths, settings.gamma)
        residuals = accumulate(errors, settings.gamma * settings.lam)
        return _mean_loss(residuals, mask, settings), residuals.detach()
    whole = accumulate(torch.where(mask, paid, 0.0), settings.gamma)[:, :1]
    residuals = whole - (whole.detach().mean() if log_z is None else log_z)
    loss = _mean_loss(residuals, torch.ones_like(residuals, dtype=torch.bool), settings)
    return loss, pad(residuals.detach(), (0, mask.shape[1] - 1))


def taken_log_prior(batch: Trajectories) -> Tensor:
    """log p(a_t|s_t) of the actions taken: float32 [B,T]."""
    return batch.log_prior if batch.log_prior.dim() == 2 else _chosen(batch.log_prior, batch)


def state_values(algorithm: Algorithm, x: Tensor, log_prior: Tensor) -> Tensor:
    """V(s) of `q`, `psi` and `g` (table above): float32 [B,T,V] twice -> [B,T].

    Raises ValueError for `path`, which learns values separately or has none.
    """
    if algorithm == "q":
        return x.amax(-1)
    if algorithm == "psi":
        return x.logsumexp(-1)
    if algorithm == "g":
        return (log_prior + x).logsumexp(-1)
    raise ValueError(f"the outputs of {algorithm!r} don't determine the value of a state")


def policy_log_probs(algorithm: Algorithm, x: Tensor, log_prior: Tensor) -> Tensor:
    """log pi(a|s): outputs x and log p(a|s), float32 [B,T,V] twice -> [B,T,V], normalised.

    softmax(x), and for `g` softmax(log p + x) = p exp(G) / Z.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {algorithm!r}; there are: {', '.join(ALGORITHMS)}")
    return (log_prior + x if algorithm == "g" else x).log_softmax(-1)


@torch.no_grad()
def polyak_update(target: nn.Module, online: nn.Module, eta: float) -> None:
    """target <- (1 - eta) target + eta online, in place; eta = 1 copies. Buffers are copied."""
    for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
        slow.lerp_(fast, eta)
    for old, new in zip(target.buffers(), online.buffers(), strict=True):
        old.copy_(new)


def _action_value_loss(
    algorithm: Algorithm,
    x: Tensor,
    x_target: Tensor,
    batch: Trajectories,
    settings: KLControlSettings,
) -> tuple[Tensor, Tensor]:
    """The loss of `q`, `psi` and `g`, which differ in V(s) and in whether log p is a reward."""
    x_target = x_target.detach()
    base = batch.rewards
    if algorithm != "g":
        base = base + _chosen(batch.log_prior, batch)
    values = state_values(algorithm, x_target, batch.log_prior)
    returns = lambda_returns(base, _chosen(x_target, batch), values, batch.lengths, settings)
    mask = step_mask(batch.lengths, batch.actions.shape[1])
    residuals = torch.where(mask, returns - _chosen(x, batch), 0.0)
    return _mean_loss(residuals, mask, settings), residuals.detach()


def _chosen(x: Tensor, batch: Trajectories) -> Tensor:
    """x of the actions taken: [B,T,V] -> [B,T]."""
    return x.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)


def _mean_loss(residuals: Tensor, mask: Tensor, settings: KLControlSettings) -> Tensor:
    """Mean over the mask of e^2, or of h (2|e| - h) where |e| > h = settings.huber."""
    if settings.huber is None:
        losses = residuals.square()
    else:
        zero = torch.zeros_like(residuals)
        losses = 2 * huber_loss(residuals, zero, reduction="none", delta=settings.huber)
    return torch.where(mask, losses, 0.0).sum() / mask.sum()
