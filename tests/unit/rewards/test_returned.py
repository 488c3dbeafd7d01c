"""Values that components may return as a number, and values that they may not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from sequence_tutor.rewards import python_function
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.returned import number_of, numbers_per_action

HALVES: list[Any] = [
    0.5,
    np.float64(0.5),
    np.float16(0.5),
    np.longdouble(0.5),
    Decimal("0.5"),
    Fraction(1, 2),
    np.array(0.5),
    np.array([0.5]),
    np.array([[0.5]], np.float32),
    np.array([0.5], object),
    np.array([Fraction(1, 2)]),
    np.ma.array([0.5]),
    [0.5],
    (0.5,),
    [[np.array([0.5])]],
    torch.tensor(0.5),
    torch.tensor([0.5]),
    torch.tensor([[0.5]], dtype=torch.bfloat16),
    torch.tensor([0.5], requires_grad=True),
    torch.nn.Parameter(torch.tensor(0.5)),
    [torch.tensor([0.5])],
    pd.Series([0.5], index=["CCO"]),
    pd.DataFrame({"score": [0.5]}),
]
ONES: list[Any] = [True, 1, np.bool_(True), np.int8(1), torch.tensor(True), torch.tensor([1]), [1]]


@pytest.mark.parametrize("value", HALVES, ids=lambda v: f"{type(v).__name__}-{v!r}"[:50])
def test_containers_of_one_number_give_that_number(value: Any) -> None:
    assert number_of(value) == (0.5, "")


@pytest.mark.parametrize("value", ONES, ids=lambda v: f"{type(v).__name__}-{v!r}"[:50])
def test_booleans_and_integers_are_numbers(value: Any) -> None:
    assert number_of(value) == (1.0, "")


class _Broken:
    shape = (1,)

    def item(self) -> float:
        raise RuntimeError("on a GPU that is gone")


NO_NUMBERS: list[tuple[Any, str]] = [
    (None, "returned NoneType, not a number"),
    ("0.5", "returned str, not a number"),
    (b"0.5", "returned bytes, not a number"),
    (np.str_("0.5"), "returned str_, not a number"),
    (np.array(["0.5"]), r"returned ndarray of shape \(1,\) with str, not a number"),
    (["0.5"], "returned list with str, not a number"),
    (1j, "returned complex, not a number"),
    (np.complex128(1), "returned complex128, not a number"),
    (np.array([1j]), "with complex, not a number"),
    (torch.tensor([1j]), "with complex, not a number"),
    (np.timedelta64(5, "s"), "returned timedelta64, not a number"),
    (pd.NA, "returned NAType, not a number"),
    ({"score": 0.5}, "returned dict, not a number"),
    ({0.5}, "returned set, not a number"),
    (len, "returned builtin_function_or_method, not a number"),
    ([], "returned list of 0, not one number"),
    ([0.5, 0.5], "returned list of 2, not one number"),
    ([[0.5, 0.5]], "not one number"),
    (np.zeros(0), r"returned ndarray of shape \(0,\), not one number"),
    (np.zeros((1, 3)), r"returned ndarray of shape \(1, 3\), not one number"),
    (torch.zeros(2), r"returned Tensor of shape \(2,\), not one number"),
    (pd.Series([0.5, 0.5]), r"returned Series of shape \(2,\), not one number"),
    (math.nan, "returned nan"),
    (Decimal("sNaN"), "returned Decimal: ValueError"),
    (np.array([np.inf]), "returned inf"),
    (torch.tensor([math.nan]), "returned nan"),
    (10**400, "too large for a float"),
    (Fraction(10**400), "too large for a float"),
    (np.ma.masked, "masked"),
    (_Broken(), "returned _Broken of shape .*: RuntimeError: on a GPU that is gone"),
    (torch.zeros(1, device="meta"), "returned Tensor of shape"),
    (ValueError("no pose"), "ValueError: no pose"),
]


@pytest.mark.parametrize(("value", "complaint"), NO_NUMBERS, ids=lambda v: repr(v)[:40])
def test_a_value_that_is_not_one_number_is_named(value: Any, complaint: str) -> None:
    number, said = number_of(value)
    assert math.isnan(number) and re.search(complaint, said), said


def test_a_list_that_contains_itself_is_no_number() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert math.isnan(number_of(endless)[0])


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """`call` is the user's function."""
    user = SimpleNamespace(call=lambda smiles: 0.0)
    monkeypatch.setattr(python_function, "load", lambda path, place: lambda given: user.call(given))
    yield user


def _rewards(sequences: list[str], **options: Any) -> Any:
    part = {"name": "python", "function": "a:b", **options}
    config = RewardConfig.model_validate({"component": [part], "invalid": -1})
    return build_reward(config).score(sequences)


@pytest.mark.parametrize(
    "returned",
    [
        lambda s: [0.25 * len(x) for x in s],
        lambda s: (0.25 * len(x) for x in s),
        lambda s: np.array([[0.25 * len(x)] for x in s]),
        lambda s: np.array([0.25 * len(x) for x in s], np.float32),
        lambda s: [np.array([0.25 * len(x)]) for x in s],
        lambda s: torch.tensor([0.25 * len(x) for x in s], requires_grad=True),
        lambda s: torch.tensor([[0.25 * len(x)] for x in s], requires_grad=True),
        lambda s: torch.tensor([[0.25 * len(x)] for x in s]).squeeze(),
        lambda s: pd.Series([0.25 * len(x) for x in s], index=s[::-1]),
        lambda s: pd.DataFrame({0: [0.25 * len(x) for x in s]}),
        lambda s: [Decimal(len(x)) / 4 for x in s],
    ],
)
@pytest.mark.parametrize("sequences", [["CCO", "C1", "C"], ["CC"], []])
def test_batched_functions_may_return_arrays_and_tensors(
    returned: Any, sequences: list[str], function: SimpleNamespace
) -> None:
    function.call = returned
    expected = [-1 if s == "C1" else 0.25 * len(s) for s in sequences]
    assert _rewards(sequences, batched=True).rewards.tolist() == expected


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        (lambda s: {x: 1.0 for x in s}, "returned dict, not a list or an array"),
        (lambda s: {i: 1.0 for i in range(len(s))}, "returned dict, not a list or an array"),
        (lambda s: {1.0, 2.0}, "returned set"),
        (lambda s: "12", "returned str"),
        (lambda s: 0.5, "not iterable"),
        (lambda s: None, "not iterable"),
        (lambda s: torch.tensor(0.5), "0-d tensor"),
        (lambda s: np.zeros((2, 3)), r"returned ndarray of shape \(3,\), not one number"),
        (lambda s: torch.zeros(1, 2), "returned 1 values for 2 sequences"),
        (lambda s: pd.DataFrame({0: [1, 2], 1: [3, 4]}), r"shape \(2,\), not one number"),
    ],
)
def test_a_wrong_batch_fails_every_sequence(
    returned: Any, complaint: str, function: SimpleNamespace
) -> None:
    function.call = returned
    scores = _rewards(["CCO", "C"], batched=True)
    assert scores.status.tolist() == [Status.FAILED] * 2
    assert all(re.search(complaint, error) for error in scores.errors), scores.errors


def test_a_function_of_one_sequence_may_return_a_tensor(function: SimpleNamespace) -> None:
    function.call = lambda smiles: torch.tensor([float(len(smiles))], requires_grad=True)
    assert _rewards(["CCO", "C"]).rewards.tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    "value",
    [
        np.array([1.0, 2.0]),
        np.array([1, 2], np.int64),
        np.array([[1.0], [2.0]]),
        [1.0, 2.0],
        [[1.0], np.array([2])],
        torch.tensor([1.0, 2.0], requires_grad=True),
        torch.tensor([[1.0], [2.0]], dtype=torch.bfloat16),
        pd.Series([1.0, 2.0]),
    ],
)
def test_values_per_action_are_read(value: Any) -> None:
    values, complaint = numbers_per_action(value, 2)
    assert complaint == "" and values.dtype == np.float64 and values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "not one number per action"),
        ("12", "not one number per action"),
        (["1", "2"], "returned str, not a number"),
        (np.array(["1", "2"]), "not one number per action"),
        (np.array([1j, 2]), "not one number per action"),
        ([1.0, None], "returned NoneType"),
        ([1.0, math.nan], "returned nan"),
        (np.array([1.0, math.inf]), "not finite"),
        ([1.0], "returned 1 numbers for 2 actions"),
        (np.zeros((1, 2)), r"shape \(1, 2\) for 2 actions"),
        (torch.zeros(2, 3), r"shape \(3,\), not one number"),
        (torch.tensor(1.0), "not one number per action"),
        ({0: 1.0, 1: 2.0}, "not one number per action"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), "not one number per action"),
    ],
)
def test_wrong_values_per_action_are_named(value: Any, complaint: str) -> None:
    values, said = numbers_per_action(value, 2)
    assert np.isnan(values).all() and re.search(complaint, said), said
