"""The NLL of sequences as far as a bound: reading stops where a sequence is too unlikely.

A sequence's NLL only grows while it is read, so one that has passed its bound stays beyond it.
"""

from __future__ import annotations

import numpy as np
import torch

from sequence_tutor.policies.encodings.constraint import Constraint
from sequence_tutor.policies.kernels.device import product_dtype
from sequence_tutor.policies.kernels.stepper import stepper_of
from sequence_tutor.policies.kernels.threads import unshared_operations
from sequence_tutor.policies.network import RecurrentNetwork, allowed_only


def bounded_nll(
    network: RecurrentNetwork,
    tokens: np.ndarray,
    lengths: np.ndarray,
    most: np.ndarray,
    constraint: Constraint | None = None,
) -> np.ndarray:
    """NLL in nats of each of B episodes, float64 [B]; inf for those above their bound.

    tokens: int16 [B,T]; lengths: int64 [B], at least 1; most: float64 [B], the bounds in nats.
    With `constraint` only the actions that it allows have a probability above 0. On a CPU, on one
    thread; what an episode shares with others from its start on is read once.
    """
    # rows with the same actions so far are neighbours, also after some of them are left out
    alive = np.lexsort(tokens.T[::-1])
    masks = None if constraint is None else constraint.masks(tokens, lengths)
    nll = np.zeros(len(tokens))
    stepper = stepper_of(network, product_dtype("cpu"))
    state, read = stepper.start(), np.array([network.architecture.vocabulary])
    group = np.zeros(len(alive), np.int64)  # of each row, its place in the state
    with torch.no_grad(), unshared_operations():
        for t in range(int(lengths.max(initial=0))):
            hidden, state = stepper.step(torch.from_numpy(read), state)
            outputs = stepper.outputs(hidden)
            if masks is not None:
                of_group = alive[np.searchsorted(group, np.arange(len(read)))]
                outputs = allowed_only(outputs, torch.from_numpy(masks[of_group, t]))
            log_probs = outputs.log_softmax(-1).numpy()
            actions = tokens[alive, t].astype(np.int64)
            nll[alive] -= log_probs[group, actions]
            goes_on = (nll[alive] <= most[alive]) & (lengths[alive] > t + 1)
            alive, group, actions = alive[goes_on], group[goes_on], actions[goes_on]
            if not len(alive):
                break
            new = np.append(True, (group[1:] != group[:-1]) | (actions[1:] != actions[:-1]))
            first = np.flatnonzero(new)
            state = [part.index_select(0, torch.from_numpy(group[first])) for part in state]
            read, group = actions[first], np.cumsum(new) - 1
    return np.where(nll <= most, nll, np.inf)
