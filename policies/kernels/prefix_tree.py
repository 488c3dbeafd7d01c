"""The tree of a batch's prefixes: each distinct prefix is one node, and there is no padding.

Episodes with the same first actions are in the same states until their actions differ. Nodes are
ordered by depth; block t holds the nodes that have read t actions:

    C C O <end>                block 0   block 1   block 2   block 3
    C C N C <end>              [start]   C         CC  CN    CCO  CCN  CNC     (then CCNC)
    C N C                                          (a node reads the last action of its prefix)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class PrefixTree:
    """The N distinct prefixes of B sorted episodes of at most T actions, S steps together.

    actions: int64 [B,T] in lexicographic order; lengths: int64 [B], at least 1; start: the token
    that is read before the first action.
    reads: int64 [N], the action that each node reads; parents: int64 [N - 1], the parent of each
    node but the first; blocks: bounds of the blocks, T' + 1 numbers for a longest episode of T'
    actions. rows, steps, nodes: int64 [S], each step's episode, time and node.
    """

    def __init__(self, actions: np.ndarray, lengths: np.ndarray, start: int) -> None:
        # new_prefix[i,t]: row i has another prefix of t actions than the row above it
        new_prefix = np.zeros(actions.shape, dtype=bool)
        differ = actions[1:, :-1] != actions[:-1, :-1]
        new_prefix[1:, 1:] = np.logical_or.accumulate(differ, axis=1)
        groups = new_prefix.cumsum(0)
        self.steps, self.rows = (np.arange(actions.shape[1])[:, None] < lengths).nonzero()
        codes, first, self.nodes = np.unique(
            self.steps * len(actions) + groups[self.rows, self.steps],
            return_index=True,
            return_inverse=True,
        )
        depth, row = self.steps[first], self.rows[first]
        self.size = len(codes)
        self.blocks: list[int] = np.searchsorted(depth, np.arange(lengths.max() + 1)).tolist()
        before = np.concatenate((np.full((len(actions), 1), start), actions[:, :-1]), axis=1)
        self.reads = torch.from_numpy(before[row, depth])
        node_at = np.zeros(actions.shape, dtype=np.int64)
        node_at[self.rows, self.steps] = self.nodes
        self.parents = torch.from_numpy(node_at[row[1:], depth[1:] - 1])

    def above(self, block: int) -> Tensor:
        """int64 parents of a block's nodes, for all blocks but the first."""
        return self.parents[self.blocks[block] - 1 : self.blocks[block + 1] - 1]


class PrefixForest:
    """The trees of a batch's episodes: one, or several for threads to process in parallel.

    actions: int64 [B,T]; lengths: int64 [B], on the CPU. The trees' nodes are numbered one tree
    after the other.
    """

    def __init__(self, actions: Tensor, lengths: Tensor, start: int, trees: int = 1) -> None:
        self.shape = actions.shape
        texts = actions.numpy().astype(">u4")  # big-endian numbers sort as their bytes do
        order = np.array(sorted(range(len(texts)), key=lambda row: texts[row].tobytes()))
        total = lengths.numpy()[order].cumsum()
        # about the same number of steps for each tree
        shares = np.searchsorted(total, total[-1] * np.arange(1, trees) / trees, side="right")
        parts = [part for part in np.split(order, shares) if len(part)]
        self.trees = [PrefixTree(actions.numpy()[p], lengths.numpy()[p], start) for p in parts]
        sizes = [tree.size for tree in self.trees]
        self.size = sum(sizes)
        offsets = np.cumsum([0, *sizes[:-1]])
        nodes = [tree.nodes + offset for tree, offset in zip(self.trees, offsets, strict=True)]
        places = [
            part[tree.rows] * self.shape[1] + tree.steps
            for part, tree in zip(parts, self.trees, strict=True)
        ]
        self._nodes = torch.from_numpy(np.concatenate(nodes))
        self._places = torch.from_numpy(np.concatenate(places))

    def unpack(self, nodes: Tensor) -> Tensor:
        """Values of all trees' nodes [N,...] -> values of each episode's steps [B,T,...], zero in
        the padding."""
        episodes, steps = self.shape
        empty = nodes.new_zeros((episodes * steps, *nodes.shape[1:]))
        filled = empty.index_copy(0, self._places, nodes[self._nodes])
        return filled.view(episodes, steps, *nodes.shape[1:])
