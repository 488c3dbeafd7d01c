"""The prior under a constraint and the optimum of KL-control for it, by enumeration."""

from __future__ import annotations

import numpy as np
import torch

from sequence_tutor.policies.encodings.base import Encoding, pad
from sequence_tutor.policies.kl_control import KLControlSettings
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.network import RecurrentNetwork, action_log_probs


@torch.no_grad()
def conditioned(network: RecurrentNetwork, episodes: list[tuple[int, ...]]) -> np.ndarray:
    """log p of each episode, float64 [N], normalised over the tree of all of them at each step."""
    begins: dict[tuple[int, ...], set[int]] = {}
    for episode in episodes:
        for t, action in enumerate(episode):
            begins.setdefault(episode[:t], set()).add(action)
    found = np.zeros(len(episodes))
    for i, episode in enumerate(episodes):
        logits = network(torch.tensor([episode]))[0].double()
        for t, action in enumerate(episode):
            allowed = sorted(begins[episode[:t]])
            found[i] += float(logits[t, action] - logits[t, allowed].logsumexp(0))
    return found


def distances_to_optimum(
    algorithm: str,
    network: RecurrentNetwork,
    encoding: Encoding,
    every: list[tuple[int, ...]],
    steps: int = 1000,
) -> tuple[float, float]:
    """Total variation between the policy and pi* ~ p exp(r), over all episodes, before and after
    `steps` updates with episodes drawn uniformly; with random rewards and c = 1."""
    tokens, lengths = pad([np.array(e, np.int16) for e in every])
    worth = 1.5 * np.random.default_rng(1).standard_normal(len(every))
    optimum = torch.tensor(conditioned(network, every) + worth).softmax(0)
    actions, ends = torch.from_numpy(tokens.astype(np.int64)), torch.from_numpy(lengths).long()
    rewards = torch.zeros(actions.shape)
    rewards[torch.arange(len(every)), ends - 1] = torch.tensor(worth, dtype=torch.float32)
    assert encoding.constraint is not None
    masks = torch.from_numpy(encoding.constraint.masks(tokens, lengths))
    settings = KLControlSettings(lam=1.0 if algorithm == "path" else 0.9)
    model = KLControlModel(network, algorithm, settings, target_rate=0.5)
    online = model.online
    groups = [
        {"params": online.network.parameters(), "lr": 5e-3},
        {"params": [online.level], "lr": 5e-2},
    ]
    if online.value is not None:
        groups.append({"params": online.value.parameters(), "lr": 3e-2})
    optimizer, starts = torch.optim.Adam(groups), [group["lr"] for group in groups]

    @torch.no_grad()
    def distance() -> float:
        out = online.network(actions)
        if algorithm == "g":
            out = out + network(actions)
        log_probs = action_log_probs(out.masked_fill(~masks, -1e9), actions)
        real = torch.arange(actions.shape[1]) < ends[:, None]
        return float(((log_probs * real).sum(1).exp() - optimum).abs().sum() / 2)

    before = distance()
    generator = torch.Generator().manual_seed(2)
    for i in range(steps):
        for group, rate in zip(optimizer.param_groups, starts, strict=True):
            group["lr"] = rate * min(1.0, 2 * (1 - i / steps))
        rows = torch.randint(len(every), (64,), generator=generator)  # uniform, not a policy
        report = model.loss(actions[rows], ends[rows], rewards[rows], allowed=masks[rows])
        optimizer.zero_grad()
        report.loss.backward()
        optimizer.step()
        model.after_update()
    return before, distance()
