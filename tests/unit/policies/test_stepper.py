"""Steps against PyTorch's own layers, and when a network's stepper is reused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sequence_tutor.policies.kernels import packed_linear as module
from sequence_tutor.policies.kernels.device import bfloat16_is_fast
from sequence_tutor.policies.kernels.packed_linear import Product, tanh_
from sequence_tutor.policies.kernels.stepper import Stepper, stepper_of
from sequence_tutor.policies.network import Architecture, RecurrentNetwork

DTYPES = [
    torch.float32,
    pytest.param(
        torch.bfloat16,
        marks=pytest.mark.skipif(
            not bfloat16_is_fast("cpu"), reason="this processor has no bfloat16 products"
        ),
    ),
]


@pytest.fixture(params=[True, False])
def one_dnn(request, monkeypatch):
    """With oneDNN's kernels if this machine has them, and without."""
    if not request.param:
        monkeypatch.setattr(module, "one_dnn", lambda dtype: False)
        monkeypatch.setattr("sequence_tutor.policies.cells.gated.one_dnn", lambda dtype: False)


def make(cell: str = "lstm", layers: int = 2) -> RecurrentNetwork:
    torch.manual_seed(0)
    return RecurrentNetwork(Architecture(cell, 5, 6, 48, layers)).eval()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_steps_agree_with_pytorch(one_dnn, cell, layers, dtype):
    network = make(cell, layers)
    actions = torch.randint(5, (20, 9))
    read = torch.cat((torch.full((20, 1), 5), actions[:, :-1]), 1)
    stepper = Stepper(network, dtype)
    state = [part.expand(20, -1).clone() for part in stepper.start()]
    outputs = []
    for t in range(9):
        hidden, state = stepper.step(read[:, t], state)
        outputs.append(stepper.outputs(hidden))
    with torch.no_grad():
        expected = network(actions)
    near = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0, "atol": 0.02}
    torch.testing.assert_close(torch.stack(outputs, 1), expected, **near)
    # control: the state matters
    other = stepper.outputs(stepper.step(read[:, 8], [torch.zeros_like(s) for s in state])[0])
    assert not torch.allclose(other, expected[:, 8], atol=0.02)


@pytest.mark.parametrize("rows", [1, 7, 64, 300])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_agree_with_linear(one_dnn, dtype, rows):
    torch.manual_seed(rows)
    weight, bias, x = torch.randn(40, 24), torch.randn(40), torch.randn(rows, 24)
    expected = torch.nn.functional.linear(x, weight, bias)
    near = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.1}
    with torch.no_grad():
        product = Product(weight.to(dtype), bias.to(dtype))(x.to(dtype))
        # a transposed weight isn't contiguous
        other = Product(weight.t().contiguous().t().to(dtype))(x.to(dtype))
    torch.testing.assert_close(product.float(), expected, **near)
    torch.testing.assert_close(other.float(), expected - bias, **near)


def test_tanh_agrees_with_numpy():
    x = torch.linspace(-100, 100, 10_001)
    np.testing.assert_allclose(tanh_(x.clone()), x.double().tanh(), atol=3e-7)


def test_a_stepper_is_reused_until_the_weights_change():
    network = make().requires_grad_(False)
    first = stepper_of(network, torch.float32)
    assert stepper_of(network, torch.float32) is first
    network.load_state_dict(make().state_dict())
    assert stepper_of(network, torch.float32) is not first


def test_a_fused_optimizer_step_makes_a_new_stepper():
    """PyTorch's fused optimizers don't raise the version counter of a weight."""
    network = make()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    before = stepper_of(network, torch.float32)
    network(torch.zeros(1, 2, dtype=torch.int64)).sum().backward()
    optimizer.step()
    after = stepper_of(network, torch.float32)
    action = torch.tensor([5])
    outputs = [s.outputs(s.step(action, s.start())[0]) for s in (before, after)]
    assert not torch.allclose(*outputs)
