"""A plain implementation: the peer that the benchmarks of speed measure against.

Sampling steps PyTorch's own layers until the last sequence of the batch is over, as REINVENT4
does; an update pads its batch to the longest; scoring calls RDKit once for each component. The
network is the product's, so both do the same work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

import numpy as np
import torch
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import QED, Crippen, Descriptors, rdFingerprintGenerator
from torch import Tensor

from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.network import RecurrentNetwork


@torch.no_grad()
def sample(
    network: RecurrentNetwork, encoding: Encoding, batch: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """int64 tokens [B,T], lengths [B], float32 log-probabilities [B]."""
    vocabulary, device = encoding.vocabulary, network.head.weight.device
    last = torch.full((batch,), vocabulary.start_id, device=device)
    over = torch.zeros(batch, dtype=torch.bool, device=device)
    total = torch.zeros(batch, device=device)
    lengths = torch.zeros(batch, dtype=torch.int64, device=device)
    state, tokens = None, []
    for _ in range(encoding.max_length):
        output, state = network.rnn(network.embedding(last).unsqueeze(0), state)
        logits = network.head(output[0])
        last = torch.multinomial(logits.softmax(-1), 1).squeeze(1)
        chosen = logits.log_softmax(-1).gather(1, last.unsqueeze(1)).squeeze(1)
        last = last.masked_fill(over, 0)
        total += chosen.masked_fill(over, 0.0)
        lengths += ~over
        tokens.append(last)
        if vocabulary.end_id is not None:
            over |= last == vocabulary.end_id
        if over.all():
            break
    return torch.stack(tokens, 1).cpu().numpy(), lengths.cpu().numpy(), total.cpu().numpy()


def log_probs(network: RecurrentNetwork, actions: Tensor, mask: Tensor) -> Tensor:
    """log p(sequence): int64 [B,T], bool [B,T] -> float32 [B]."""
    start = actions.new_full((1, len(actions)), network.architecture.vocabulary)
    output, _ = network.rnn(network.embedding(torch.cat((start, actions.t()[:-1]))))
    logits = network.head(output).transpose(0, 1)
    chosen = logits.log_softmax(-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    return (chosen * mask).sum(1)


class Learner:
    """Path consistency with a learned log Z, and Adam with its defaults."""

    def __init__(self, prior: RecurrentNetwork, policy: RecurrentNetwork, rate: float) -> None:
        self.prior, self.policy = prior, policy
        self.device = policy.head.weight.device
        self.log_z = torch.zeros((), requires_grad=True, device=self.device)
        groups = [{"params": [*policy.parameters()]}, {"params": [self.log_z], "lr": 0.1}]
        self.optimizer = torch.optim.Adam(groups, lr=rate)

    def update(self, tokens: np.ndarray, lengths: np.ndarray, returns: np.ndarray) -> float:
        """tokens [B,T], lengths [B], rewards over the temperature [B] -> the loss."""
        actions = torch.from_numpy(tokens.astype(np.int64)).to(self.device)
        ends = torch.from_numpy(lengths).to(self.device).unsqueeze(1)
        mask = torch.arange(actions.shape[1], device=self.device) < ends
        with torch.no_grad():
            log_prior = log_probs(self.prior, actions, mask)
        paid = torch.from_numpy(returns.astype(np.float32)).to(self.device)
        aim = log_prior + paid - self.log_z
        loss = (aim - log_probs(self.policy, actions, mask)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 10.0)
        self.optimizer.step()
        return float(loss.detach())


def _sa(mol: Chem.Mol) -> float:
    return float(import_module("rdkit.Contrib.SA_Score.sascorer").calculateScore(mol))


def _ring_penalty(mol: Chem.Mol) -> float:
    return float(min(0, 6 - max(map(len, mol.GetRingInfo().AtomRings()), default=0)))


def _similarity(mol: Chem.Mol, to: str) -> float:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    first = generator.GetSparseCountFingerprint(mol)
    second = generator.GetSparseCountFingerprint(Chem.MolFromSmiles(to))
    return float(DataStructs.TanimotoSimilarity(first, second))


# functions by component name; arguments after the molecule are the component's options
COMPONENTS: Mapping[str, Callable[..., float]] = {
    "logp": Crippen.MolLogP,  # type: ignore[attr-defined]
    "qed": QED.qed,
    "sa": _sa,
    "ring_penalty": _ring_penalty,
    "molecular_weight": Descriptors.MolWt,  # type: ignore[attr-defined]
    "similarity": _similarity,
}


def score(smiles: list[str], components: Mapping[str, tuple[str, ...]]) -> np.ndarray:
    """Scores float64 [B,C], NaN for invalid SMILES; each component parses the SMILES again."""
    out = np.full((len(smiles), len(components)), np.nan)
    with rdBase.BlockLogs():
        for column, (name, options) in enumerate(components.items()):
            for row, text in enumerate(smiles):
                mol = Chem.MolFromSmiles(text)
                if mol is not None and mol.GetNumAtoms():
                    out[row, column] = COMPONENTS[name](mol, *options)
    return out
