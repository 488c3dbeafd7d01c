"""Tests that need a GPU; those of the kernels are in test_cuda_kernels.py."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.kernels.cuda_graph import CapturedByShape
from sequence_tutor.policies.kl_control import ALGORITHMS, Algorithm, KLControlSettings
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.network import (
    Architecture,
    RecurrentNetwork,
    action_log_probs,
    step_mask,
)
from sequence_tutor.policies.sampler import Sampler

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

ENCODING = SmilesEncoding.fit(["CCO", "c1ccccc1", "CC(=O)N"], max_length=30)


def make_network(cell: str, seed: int) -> RecurrentNetwork:
    torch.manual_seed(seed)
    size = ENCODING.vocabulary.size
    network = RecurrentNetwork(Architecture(cell, size, 16, 96, 2))  # type: ignore[arg-type]
    for parameter in network.parameters():
        parameter.data.mul_(3)
    return network.requires_grad_(False)


@torch.no_grad()
def log_probs(networks: list[RecurrentNetwork], actions: Tensor, lengths: Tensor) -> Tensor:
    """Log-probabilities computed on the CPU: float32 [B]."""
    outputs = [deepcopy(network).cpu()(actions) for network in networks]
    each = action_log_probs(sum(outputs[1:], outputs[0]), actions)
    return (each * step_mask(lengths, actions.shape[1])).sum(1)


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
@pytest.mark.parametrize("with_prior", [False, True])
def test_log_probs_are_those_of_the_sampled_distribution(cell: str, with_prior: bool):
    networks = [make_network(cell, seed).cuda() for seed in range(1 + with_prior)]
    sampler = Sampler(networks[0], ENCODING, *networks[1:])
    for seed in (10, 11):  # its weights change in place between calls
        networks[0].load_state_dict(make_network(cell, seed).state_dict())
        drawn = sampler.sample(500, torch.Generator().manual_seed(seed))
        again = sampler.sample(500, torch.Generator().manual_seed(seed))
        assert (drawn.tokens == again.tokens).all()
        lengths = torch.from_numpy(drawn.lengths).long()
        assert 1 < lengths.float().mean() < 30
        expected = log_probs(networks, torch.from_numpy(drawn.tokens).long(), lengths)
        assert ((torch.from_numpy(drawn.log_probs) - expected).abs() / lengths).max() < 0.01


def make_batch(rows: int, steps: int, seed: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {
        "actions": torch.randint(ENCODING.vocabulary.size, (rows, steps), generator=random),
        "lengths": torch.randint(1, steps + 1, (rows,), generator=random),
        "rewards": torch.randn(rows, steps, generator=random),
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_captured_updates_agree_with_plain_ones(algorithm: Algorithm):
    def learner() -> tuple[KLControlModel, torch.optim.Optimizer]:
        model = KLControlModel(
            make_network("lstm", 0), algorithm, KLControlSettings(), target_rate=0.05
        ).cuda()
        online = [p for p in model.online.parameters() if p.requires_grad]
        return model, torch.optim.Adam(online, lr=1e-3, fused=True, capturable=True)

    def update(model: KLControlModel, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]):
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss(**batch).loss
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        model.after_update()
        return loss.detach()

    mine, theirs = learner(), learner()
    captured = CapturedByShape(lambda batch: update(*mine, batch), torch.device("cuda"))
    for i in range(8):  # two shapes, one after the other
        batch = make_batch(32, 16 + 8 * (i % 2), seed=i)
        found = captured(batch)
        expected = update(*theirs, {name: tensor.cuda() for name, tensor in batch.items()})
        torch.testing.assert_close(found, expected, rtol=2e-2, atol=1e-3)
    for one, other in zip(mine[0].parameters(), theirs[0].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-3)
