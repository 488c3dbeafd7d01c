"""The learner's networks, and how the four losses use their outputs.

Every algorithm starts at the prior. Action values are split into a state value and an advantage,
X(s,a) = V(s) + A(s,a), where A comes from the policy's logits and V from a small head on the
frozen prior's features (the dueling form of Wang et al. 2016, with an exact identity instead of a
mean):

    q, psi  A = log pi(a|s)                 so V(s) = logsumexp_a X(s,a)
    g       A = log pi(a|s) - log p(a|s)    so V(s) = logsumexp_a [log p(a|s) + G(s,a)]

The mean of the return, tens of nats, is then learned by V and not by the logits of single tokens,
where one nat matters. And where V is wrong the error multiplies grad log pi, whose mean under pi
is zero: it costs variance, not bias. V itself is a learned scalar level, set from the first batch,
plus the head.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sequence_tutor.policies.encodings.constraint import Constraint
from sequence_tutor.policies.kernels.device import autocast
from sequence_tutor.policies.kl_control import (
    ALGORITHMS,
    Algorithm,
    KLControlSettings,
    Trajectories,
    g_loss,
    one_step_errors,
    path_loss,
    policy_log_probs,
    polyak_update,
    psi_loss,
    q_loss,
    state_values,
    taken_log_prior,
)
from sequence_tutor.policies.network import (
    RecurrentNetwork,
    action_log_probs,
    allowed_only,
    step_mask,
)


@dataclass(frozen=True)
class LossReport:
    """The loss of one batch, and two statistics of it, detached."""

    loss: Tensor
    """Scalar to minimise, with gradients."""
    residual: Tensor
    """Scalar, mean |residual|, nats."""
    start_value: Tensor
    """Scalar, mean V(s) of the first states, nats."""


class ValueHead(nn.Module):
    """V(s) - level from the prior's features: float [.., H] -> float32 [..]; zero at first.

    The features are normalised, so that their scale, which the prior sets, doesn't change how fast
    the head learns.
    """

    def __init__(self, hidden: int, width: int = 256) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden, elementwise_affine=False)
        self.inner = nn.Linear(hidden, width)
        self.outer = nn.Linear(width, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, features: Tensor) -> Tensor:
        hidden = torch.tanh(self.inner(self.norm(features.float())))
        return self.outer(hidden).squeeze(-1)  # type: ignore[no-any-return]


class Online(nn.Module):
    """The parameters that are learned: the policy's network, the value head and the level."""

    def __init__(self, prior: RecurrentNetwork, algorithm: Algorithm, with_values: bool) -> None:
        super().__init__()
        self.algorithm = algorithm
        # training mode, since cuDNN needs it for gradients; a loaded prior has no dropout
        self.network = deepcopy(prior).requires_grad_(True).train()
        if algorithm == "g":  # the policy is p exp(G): G must start at exactly zero
            nn.init.zeros_(self.network.head.weight)
            nn.init.zeros_(self.network.head.bias)
        self.value = ValueHead(prior.architecture.hidden) if with_values else None
        self.level = nn.Parameter(torch.zeros(()))

    def log_policy(self, batch: Trajectories, allowed: Tensor | None = None) -> Tensor:
        """log pi(a|s), float32 [B,T,V]; allowed: bool [B,T,V] or None for all."""
        with autocast(batch.actions.device.type):
            out = self.network(batch.actions, batch.lengths)
        if allowed is not None and self.algorithm == "g":  # log p has the low numbers already
            out = out.masked_fill(~allowed, 0.0)
        else:
            out = allowed_only(out, allowed)
        return policy_log_probs(self.algorithm, out, batch.log_prior)

    def values(self, features: Tensor) -> Tensor:
        """V(s), float32 [B,T], from the prior's features [B,T,H]."""
        assert self.value is not None
        return self.level + self.value(features)  # type: ignore[no-any-return]

    def advantages(self, log_policy: Tensor, log_prior: Tensor) -> Tensor:
        """A(s,a), float32 [B,T,V]."""
        return log_policy - log_prior if self.algorithm == "g" else log_policy


class KLControlModel(nn.Module):
    """Prior, online and target networks of one learner.

    `target_rate` is the Polyak step of the target networks after each update; `path` has no target.
    `constraint` is what prior and policy may do at each step, for those that call `loss`.
    """

    def __init__(
        self,
        prior: RecurrentNetwork,
        algorithm: Algorithm,
        settings: KLControlSettings,
        learned_log_z: bool = True,
        *,
        target_rate: float,
        constraint: Constraint | None = None,
    ) -> None:
        super().__init__()
        if algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, not {algorithm!r}")
        self.algorithm, self.settings = algorithm, settings
        self.learned_log_z, self.target_rate = learned_log_z, target_rate
        self.constraint = constraint
        self.prior = deepcopy(prior).requires_grad_(False)
        with_values = algorithm != "path" or settings.lam < 1
        self.online = Online(self.prior, algorithm, with_values)
        self.target = None
        if algorithm != "path":
            self.target = deepcopy(self.online).requires_grad_(False)
        self.level_known: Tensor
        self.register_buffer("level_known", torch.tensor(False))
        self._level_found = False  # the same on the CPU, so that reading it needs no transfer

    @property
    def policy(self) -> RecurrentNetwork:
        """The network to sample from; with `g` it corrects the prior."""
        return self.online.network

    @property
    def actions_suffice(self) -> bool:
        """Whether the loss needs only log p of the actions taken from the prior."""
        return self.algorithm == "path" and self.online.value is None

    @torch.no_grad()
    def prior_of_actions(
        self, actions: Tensor, lengths: Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        """log p(a_t|s_t) of the actions taken: int64 [B,T], [B] -> float32 [B,T]. allowed: bool
        [B,T,V] or None for all."""
        with autocast(actions.device.type):
            logits = self.prior(actions, lengths)
        return action_log_probs(allowed_only(logits, allowed), actions)

    def loss(
        self,
        actions: Tensor,
        lengths: Tensor,
        rewards: Tensor,
        freeze_policy: bool = False,
        log_prior: Tensor | None = None,
        allowed: Tensor | None = None,
    ) -> LossReport:
        """The algorithm's loss on B trajectories.

        actions int64 [B,T], lengths int64 [B], rewards float32 [B,T] divided by the temperature;
        log_prior float32 [B,T] of the actions taken, or None to compute it here. With
        `freeze_policy` only the values learn. allowed: bool [B,T,V], the actions that the policy
        and the prior may take, or None for all. Raises ValueError for a `log_prior` where the loss
        needs that of every action.
        """
        features = None
        if log_prior is None:
            log_prior, features = self._prior_of_all(actions, lengths, allowed)
        elif not self.actions_suffice:
            raise ValueError("this loss needs the prior's log-probability of every action")
        batch = Trajectories(actions, lengths, rewards, log_prior)
        log_policy = self.online.log_policy(batch, allowed)
        if freeze_policy:  # a zero gradient, not None: DDP waits for every parameter
            log_policy = log_policy.detach() + 0 * log_policy
        mask = step_mask(lengths, actions.shape[1])
        self._find_level(log_policy, batch)
        if self.algorithm == "path":
            loss, residual, start = self._path(log_policy, features, batch)
        else:
            assert features is not None
            loss, residual, start = self._action_values(log_policy, features, batch, allowed)
        counted = mask if self.online.value is not None else mask[:, :1]
        mean_residual = residual.abs().sum() / counted.sum()
        return LossReport(loss, mean_residual, start.detach())

    @torch.no_grad()
    def _prior_of_all(
        self, actions: Tensor, lengths: Tensor, allowed: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """log p(a|s) of every action [B,T,V], and the prior's features [B,T,H]."""
        with autocast(actions.device.type):
            features = self.prior.features(actions, lengths).transpose(0, 1)
            outputs = allowed_only(self.prior.outputs(features), allowed)
            return outputs.log_softmax(-1), features

    def _path(
        self, log_policy: Tensor, features: Tensor | None, batch: Trajectories
    ) -> tuple[Tensor, Tensor, Tensor]:
        values = None
        if self.online.value is not None:
            assert features is not None
            values = self.online.values(features)
        log_z = self.online.level if self.learned_log_z and values is None else None
        loss, residual = path_loss(log_policy, batch, self.settings, values, log_z)
        start = self.online.level if values is None else values[:, 0].mean()
        if log_z is None and values is None:
            loss = loss + 0 * self.online.level
        return loss, residual, start

    def _action_values(
        self, log_policy: Tensor, features: Tensor, batch: Trajectories, allowed: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        assert self.target is not None
        losses = {"q": q_loss, "psi": psi_loss, "g": g_loss}
        values = self.online.values(features)
        x = values.unsqueeze(-1) + self.online.advantages(log_policy, batch.log_prior)
        with torch.no_grad():
            target_policy = self.target.log_policy(batch, allowed)
            target = self.target.values(features).unsqueeze(-1)
            target = target + self.target.advantages(target_policy, batch.log_prior)
        loss, residual = losses[self.algorithm](x, target, batch, self.settings)
        return loss, residual, values[:, 0].mean()

    @torch.no_grad()
    def _find_level(self, log_policy: Tensor, batch: Trajectories) -> None:
        """Set V's level, the same in all states, so that the first batch's one-step errors have
        mean zero. A level of 1 lowers the error of the last step by 1, that of each other step by
        1 - gamma."""
        self._level_found = self._level_found or bool(self.level_known)
        if self._level_found:
            return
        x = self.online.advantages(log_policy, batch.log_prior)
        taken = x.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
        paid = batch.rewards
        if self.algorithm != "g":
            paid = paid + taken_log_prior(batch)
        if self.algorithm == "path":  # V(s) = log Z there, and X is log pi
            values = torch.zeros_like(taken)
        else:
            values = state_values(self.algorithm, x, batch.log_prior)
        gamma = self.settings.gamma
        errors = one_step_errors(paid, taken, values, batch.lengths, gamma).sum(1)
        level = errors.mean() / (1 + (1 - gamma) * (batch.lengths - 1)).float().mean()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(level)
            level = level / torch.distributed.get_world_size()
        self.online.level.copy_(level)
        if self.target is not None:
            self.target.level.copy_(level)
        self.level_known.fill_(True)
        self._level_found = True

    @torch.no_grad()
    def change_returns(self, change: float, length: float) -> None:
        """Have V's level follow a change of the rewards that changes the return of a trajectory by
        `change` nats on average; length: the mean number of actions. With several learners it
        follows the mean of their changes. Before the first loss nothing is done."""
        self._level_found = self._level_found or bool(self.level_known)
        if not self._level_found:
            return
        level = self.online.level
        moved = torch.full_like(level, change / (1 + (1 - self.settings.gamma) * (length - 1)))
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(moved)
            moved = moved / torch.distributed.get_world_size()
        level.add_(moved)
        if self.target is not None:
            self.target.level.add_(moved)

    @torch.no_grad()
    def after_update(self) -> None:
        """Move the target networks towards the online ones."""
        if self.target is not None:
            polyak_update(self.target, self.online, self.target_rate)
