"""The losses against exact enumeration: a prefix tree small enough to list every sequence.

V = 4 actions, 0 ends the sequence, at most 4 steps: 121 sequences, 40 states. The optimum is known
by backward recursion over the prefixes, which shares no code with the losses.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sequence_tutor.policies.kl_control import (
    KLControlSettings,
    Trajectories,
    g_loss,
    path_loss,
    policy_log_probs,
    polyak_update,
    psi_loss,
    q_loss,
)

V, T, END = 4, 4, 0
LOSSES = {"q": q_loss, "psi": psi_loss, "g": g_loss}


@dataclass
class Tree:
    """Every sequence [N,T], its states (row numbers of the tables), the tables [S,V]."""

    prefixes: list[tuple[int, ...]]
    actions: Tensor
    lengths: Tensor
    states: Tensor
    log_prior: Tensor
    rewards: Tensor

    def batch(self, rows: Tensor) -> Trajectories:
        states, actions = self.states[rows], self.actions[rows]
        real = torch.arange(T) < self.lengths[rows, None]
        rewards = self.rewards[states, actions] * real
        return Trajectories(actions, self.lengths[rows], rewards, self.log_prior[states])

    def log_probs(self, table: Tensor) -> Tensor:
        """Sum over real steps of table[state, action], for every sequence: [S,V] -> [N]."""
        real = torch.arange(T) < self.lengths[:, None]
        return (table[self.states, self.actions] * real).sum(1)

    def optimum(self) -> Tensor:
        """pi*(tau) = p(tau) exp(reward(tau)) / Z, for every sequence."""
        return self.log_probs(self.log_prior + self.rewards).softmax(0)

    def distance(self, log_policy: Tensor) -> float:
        """Total variation between the policy's sequences and pi*."""
        return float((self.log_probs(log_policy).exp() - self.optimum()).abs().sum() / 2)

    def backward(self, gamma: float, value) -> np.ndarray:
        """X(s,a) = log p + r + gamma value(X(s a)), deepest states first: float64 [S,V]."""
        index = {prefix: i for i, prefix in enumerate(self.prefixes)}
        table = (self.log_prior + self.rewards).double().numpy().copy()
        for prefix in reversed(self.prefixes):
            for action in range(V):
                child = index.get((*prefix, action)) if action != END else None
                if child is not None:
                    table[index[prefix], action] += gamma * value(table[child])
        return table


def make_tree(per_step: bool, seed: int = 0) -> Tree:
    """Random prior; random rewards at every step or at terminal steps alone."""
    rng = np.random.default_rng(seed)
    inner = range(1, V)
    prefixes = [p for n in range(T) for p in itertools.product(inner, repeat=n)]
    index = {prefix: i for i, prefix in enumerate(prefixes)}
    sequences = [(*p, END) for p in prefixes] + list(itertools.product(inner, repeat=T))
    actions = np.zeros((len(sequences), T), dtype=np.int64)
    states = np.zeros((len(sequences), T), dtype=np.int64)
    terminal = np.zeros((len(prefixes), V))
    for n, sequence in enumerate(sequences):
        actions[n, : len(sequence)] = sequence
        states[n, : len(sequence)] = [index[sequence[:t]] for t in range(len(sequence))]
        terminal[index[sequence[:-1]], sequence[-1]] = 1.0
    rewards = rng.normal(0, 1.5, (len(prefixes), V)) * (1.0 if per_step else terminal)
    log_prior = torch.from_numpy(rng.normal(0, 1, (len(prefixes), V))).log_softmax(-1)
    return Tree(
        prefixes,
        torch.from_numpy(actions),
        torch.tensor([len(s) for s in sequences]),
        torch.from_numpy(states),
        log_prior.float(),
        torch.from_numpy(rewards).float(),
    )


def off_policy_rows(tree: Tree, behaviour: str, seed: int = 1, batch: int = 128):
    """Endless batches of sequences that don't depend on the trained policy."""
    generator = torch.Generator().manual_seed(seed)
    if behaviour == "uniform":
        weights = torch.ones(len(tree.actions))
    else:  # another policy, random and fixed
        logits = torch.randn(tree.log_prior.shape, generator=generator)
        weights = tree.log_probs(logits.log_softmax(-1)).exp()
    while True:
        yield torch.multinomial(weights, batch, replacement=True, generator=generator)


def train(
    tree: Tree,
    name: str,
    settings: KLControlSettings,
    form: str = "",
    behaviour: str = "uniform",
    target: str = "polyak",
    steps: int = 350,
    corrupt=lambda batch: batch,
) -> Tensor:
    """Fit tables to off-policy batches; returns the outputs of every state, [S,V]."""
    online, slow, values = (nn.Embedding(len(tree.prefixes), n) for n in (V, V, 1))
    log_z = nn.Parameter(torch.zeros(()))
    for table in (online, slow, values):
        nn.init.zeros_(table.weight)
    parameters = [online.weight, values.weight, log_z]
    optimizer = torch.optim.Adam(parameters, lr=0.2, betas=(0.8, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, total_steps=steps, pct_start=0.05, cycle_momentum=False
    )
    rows = off_policy_rows(tree, behaviour)
    for step in range(steps):
        chosen = next(rows)
        states, batch = tree.states[chosen], corrupt(tree.batch(chosen))
        if name == "path":
            log_policy = policy_log_probs("path", online(states), batch.log_prior)
            loss, _ = path_loss(
                log_policy,
                batch,
                settings,
                values(states).squeeze(-1) if form == "values" else None,
                log_z if form == "log_z" else None,
            )
        else:
            loss, _ = LOSSES[name](online(states), slow(states), batch, settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if target == "polyak":
            polyak_update(slow, online, 0.2)
        elif step % 20 == 0:
            polyak_update(slow, online, 1.0)
    return online.weight.detach()


def test_control_the_tree_holds_every_sequence():
    tree = make_tree(per_step=True)
    assert len(tree.actions) == 121 and len(tree.prefixes) == 40
    assert torch.isclose(tree.log_probs(tree.log_prior).exp().sum(), torch.tensor(1.0))
    # backward recursion and enumeration agree on pi*, and pi* is far from where training starts
    psi = torch.from_numpy(tree.backward(1.0, np.logaddexp.reduce)).float()
    assert tree.distance(psi.log_softmax(-1)) < 1e-5
    assert tree.distance(tree.log_prior) > 0.1
    assert tree.distance(torch.zeros_like(psi).log_softmax(-1)) > 0.1


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("lam", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("name", ["psi", "g"])
def test_psi_and_g_reach_the_optimum(name: str, lam: float, per_step: bool):
    tree = make_tree(per_step)
    x = train(tree, name, KLControlSettings(lam=lam))
    assert tree.distance(policy_log_probs(name, x, tree.log_prior)) < 0.01


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize(
    ("form", "lam"), [("values", 0.0), ("values", 0.5), ("values", 1.0), ("log_z", 1), ("batch", 1)]
)
def test_path_reaches_the_optimum(form: str, lam: float, per_step: bool):
    tree = make_tree(per_step)
    x = train(tree, "path", KLControlSettings(lam=lam), form)
    assert tree.distance(policy_log_probs("path", x, tree.log_prior)) < 0.01


@pytest.mark.parametrize(
    ("name", "form"), [("psi", ""), ("g", ""), ("path", "values"), ("path", "batch")]
)
def test_another_policys_data_and_a_copied_target_reach_the_optimum(name: str, form: str):
    tree = make_tree(per_step=True, seed=3)
    x = train(
        tree, name, KLControlSettings(lam=0.9), form, "another policy", "periodic copy", steps=700
    )
    assert tree.distance(policy_log_probs(name, x, tree.log_prior)) < 0.01


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("lam", [0.0, 0.5, 0.9, 1.0])
def test_q_reaches_its_own_fixed_point(lam: float, per_step: bool):
    tree = make_tree(per_step)
    q = train(tree, "q", KLControlSettings(lam=lam), steps=500)
    exact = tree.backward(1.0, np.max)
    assert np.abs(q.numpy() - exact).max() < 0.02
    # the greedy path is the best of all sequences
    greedy: tuple[int, ...] = ()
    while len(greedy) < T and END not in greedy:
        greedy += (int(q[tree.prefixes.index(greedy)].argmax()),)
    best = int(tree.log_probs(tree.log_prior + tree.rewards).argmax())
    assert greedy == tuple(tree.actions[best, : tree.lengths[best]].tolist())


def test_control_fixed_points_of_q_and_psi_differ():
    """Control: the two fixed points differ by far more than the tests' tolerances."""
    tree = make_tree(per_step=True)
    q, psi = tree.backward(1.0, np.max), tree.backward(1.0, np.logaddexp.reduce)
    assert np.abs(q - psi).max() > 0.5
    assert tree.distance(torch.from_numpy(q).float().log_softmax(-1)) > 0.05


@pytest.mark.parametrize("lam", [0.0, 0.9])
def test_discounted_psi_and_g_solve_the_discounted_recursion(lam: float):
    tree, settings = make_tree(per_step=True), KLControlSettings(gamma=0.8, lam=lam)
    exact = tree.backward(0.8, np.logaddexp.reduce)
    psi = train(tree, "psi", settings, steps=500)
    assert np.abs(psi.numpy() - exact).max() < 0.02
    g = train(tree, "g", settings, steps=500)
    assert np.abs((g + tree.log_prior).numpy() - exact).max() < 0.02
    # control: gamma = 1 is another table
    assert np.abs(tree.backward(1.0, np.logaddexp.reduce) - exact).max() > 0.2


@pytest.mark.parametrize(("form", "lam"), [("values", 0.0), ("values", 1.0), ("log_z", 1.0)])
def test_discounted_path_solves_the_discounted_recursion(form: str, lam: float):
    tree, settings = make_tree(per_step=True), KLControlSettings(gamma=0.8, lam=lam)
    x = train(tree, "path", settings, form, steps=600)
    exact = torch.from_numpy(tree.backward(0.8, np.logaddexp.reduce)).log_softmax(-1).float()
    difference = tree.log_probs(x.log_softmax(-1)).exp() - tree.log_probs(exact).exp()
    assert difference.abs().sum() / 2 < 0.01
    assert tree.distance(exact) > 0.02  # control: the undiscounted optimum is elsewhere


@pytest.mark.parametrize(
    ("name", "form"), [("psi", ""), ("g", ""), ("path", "values"), ("path", "log_z")]
)
def test_control_value_past_the_end_spoils_the_optimum(name: str, form: str):
    """Without the terminal step the target includes a value beyond the end."""
    tree = make_tree(per_step=True)

    def hide_end(batch: Trajectories) -> Trajectories:
        return replace(batch, lengths=torch.full_like(batch.lengths, T))

    x = train(tree, name, KLControlSettings(lam=0.5), form, corrupt=hide_end)
    assert tree.distance(policy_log_probs(name, x, tree.log_prior)) > 0.05


@pytest.mark.parametrize("form", ["values", "log_z", "batch"])
def test_control_the_optimum_needs_the_prior_in_the_residual(form: str):
    tree = make_tree(per_step=False)

    def forget_prior(batch: Trajectories) -> Trajectories:
        return replace(batch, log_prior=torch.zeros_like(batch.log_prior))

    x = train(tree, "path", KLControlSettings(), form, corrupt=forget_prior)
    assert tree.distance(x.log_softmax(-1)) > 0.05
