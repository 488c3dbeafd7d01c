"""The recurrent network of priors and policies.

It reads the actions so far and returns one number per next action: log-probabilities up to a
constant for priors and `path`, action values for `q` and `psi`, a correction to the prior for `g`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sequence_tutor.policies.cells.base import Layers
from sequence_tutor.policies.cells.kinds import CELLS
from sequence_tutor.policies.kernels.device import product_dtype
from sequence_tutor.policies.kernels.prefix_tree import PrefixForest, PrefixTree
from sequence_tutor.policies.kernels.stepper import Stepper, stepper_of
from sequence_tutor.policies.kernels.threads import side_by_side

# Least number of episodes per thread: products of fewer rows are slow.
LEAST_EPISODES = 8
# Output of an action that isn't allowed: exp gives 0 in float32.
FORBIDDEN = -1e9


@dataclass(frozen=True)
class Architecture:
    """Kind and sizes of a network. Raises ValueError for a size below 1."""

    cell: str
    """Kind of recurrent layers: "gru", "lstm" or "mingru"."""
    vocabulary: int
    """Number of actions V; the start symbol is extra."""
    embedding: int
    """Width E of the vector that stands for an action."""
    hidden: int
    """Hidden units H per layer."""
    layers: int
    """Number of recurrent layers L."""

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}, not {self.cell!r}")
        if min(self.vocabulary, self.embedding, self.hidden, self.layers) < 1:
            raise ValueError(f"every size of a network must be at least 1: {self}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class RecurrentNetwork(nn.Module):
    """Embedding, recurrent layers, linear head. `dropout` acts on the layers' outputs, and only in
    training mode."""

    def __init__(self, architecture: Architecture, dropout: float = 0.0) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.embedding = nn.Embedding(a.vocabulary + 1, a.embedding)
        self.rnn: Layers = CELLS[a.cell](a.embedding, a.hidden, a.layers, dropout)
        self.drop = dropout
        self.head = nn.Linear(a.hidden, a.vocabulary)

    def features(self, actions: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Hidden vectors before each action: int [B,T] -> float [T,B,H], time first.

        Row t has read the start symbol and actions 0..t-1, so it may predict action t. With
        `lengths`, int64 [B], the steps after an episode's end are zero. On a CPU these steps then
        cost nothing, and a prefix that several episodes share is computed once.
        """
        if lengths is not None and self._as_a_tree(actions):
            forest = self._forest(actions, lengths)
            return forest.unpack(self._forest_features(forest)).transpose(0, 1)
        output = self.rnn.padded(self.embedding.weight, self._reads(actions))
        if lengths is not None:
            output = output * step_mask(lengths, actions.shape[1]).t().unsqueeze(-1)
        return output

    def forward(self, actions: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs before each action: int64 [B,T] -> float32 [B,T,V].

        With `lengths` the outputs after an episode's end are undefined; see `features`.
        """
        if lengths is not None and self._as_a_tree(actions):
            forest = self._forest(actions, lengths)
            return forest.unpack(self.outputs(self._forest_features(forest)))
        return self.outputs(self.features(actions)).transpose(0, 1)

    def draw_dropout(self, steps: int, episodes: int) -> Tensor | None:
        """Draw the factors of each layer's outputs, float32 [L,T,B,H]: 0, or 1 over the share that
        dropout keeps. None where nothing is dropped."""
        if not (self.training and self.drop > 0):
            return None
        shape = self.architecture.layers, steps, episodes, self.architecture.hidden
        kept = self.head.weight.new_empty(shape)
        for layer in kept:
            layer.bernoulli_(1 - self.drop).div_(1 - self.drop)
        return kept

    def forward_with(self, dropout: Tensor, actions: Tensor) -> Tensor:
        """Like `forward`, with the factors of `draw_dropout` for these episodes. Several threads
        may call it at a time."""
        reads = self._reads(actions)
        features = self.rnn.with_dropout(self.embedding.weight, reads, dropout)
        return self.outputs(features).transpose(0, 1)

    def outputs(self, features: Tensor) -> Tensor:
        """[..,H] -> float32 [..,V]. In float32, since bfloat16 would round a logit of 20 by up to a
        twentieth of a nat."""
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float())  # type: ignore[no-any-return]

    def _reads(self, actions: Tensor) -> Tensor:
        """What is read before each action: int64 [B,T] -> [T,B], the start symbol first."""
        start = actions.new_full((1, actions.shape[0]), self.architecture.vocabulary)
        return torch.cat((start, actions.t()[:-1]))

    def _forest(self, actions: Tensor, lengths: Tensor) -> PrefixForest:
        trees = max(1, min(torch.get_num_threads(), len(actions) // LEAST_EPISODES))
        return PrefixForest(actions, lengths, self.architecture.vocabulary, trees)

    def _forest_features(self, forest: PrefixForest) -> Tensor:
        """[N,H] hidden vectors of every node."""
        dtype = product_dtype("cpu")
        if torch.is_grad_enabled() or self.rnn.reads_at_once:
            return self.rnn.over_trees(self.embedding.weight, forest.trees, dtype)
        stepper = stepper_of(self, dtype)
        read = [partial(_read_tree, stepper, tree) for tree in forest.trees]
        return torch.cat(side_by_side(read))

    def _as_a_tree(self, actions: Tensor) -> bool:
        """Whether to read a tree of prefixes. A GPU reads padded batches; and with dropout each
        episode needs its own masks, or episodes with shared prefixes would share their noise."""
        return actions.device.type == "cpu" and not (self.training and self.drop > 0)


def _read_tree(stepper: Stepper, tree: PrefixTree) -> Tensor:
    """Hidden vectors of the last layer [N,H] of all nodes, computed block by block."""
    state, found = stepper.start(), []
    for t, (i, j) in enumerate(pairwise(tree.blocks)):
        if t:
            above = tree.above(t) - tree.blocks[t - 1]
            state = [part.index_select(0, above) for part in state]
        hidden, state = stepper.step(tree.reads[i:j], state)
        found.append(hidden)
    return torch.cat(found)


def allowed_only(logits: Tensor, allowed: Tensor | None) -> Tensor:
    """Outputs with those of actions that aren't allowed so low that their probability is 0: float
    [..,V], bool [..,V] or None for all -> float [..,V]. They stay finite, so that differences of
    them are numbers too."""
    return logits if allowed is None else logits.masked_fill(~allowed, FORBIDDEN)


def action_log_probs(logits: Tensor, actions: Tensor) -> Tensor:
    """log softmax(logits)[action]: [B,T,V], int64 [B,T] -> float32 [B,T] in nats."""
    chosen = logits.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def step_mask(lengths: Tensor, steps: int) -> Tensor:
    """True where a step belongs to the episode: lengths [B] -> bool [B,T]."""
    return torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)
