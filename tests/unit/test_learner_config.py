"""The temperature in the config: a number, "auto", or a KL that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, parse_config, read_toml, to_toml
from sequence_tutor.distributed.learner_config import AUTO_KL, LearnerConfig

REWARD = {"component": [{"name": "qed"}]}


def parsed(**tables: Any) -> RunConfig:
    return parse_config({"reward": REWARD, **tables}, "run.toml")


@pytest.mark.parametrize(
    ("learner", "temperature", "asked"),
    [
        ({}, 0.05, None),
        ({"temperature": 2}, 2.0, None),
        ({"temperature": "auto"}, "auto", AUTO_KL),
        ({"kl": 5.0}, "auto", 5.0),
        ({"kl": 5, "temperature": "auto"}, "auto", 5.0),
    ],
)
def test_ways_to_set_the_temperature(learner: dict[str, Any], temperature: Any, asked: Any):
    """What is saved with the run is read as the same."""
    run = parsed(learner=learner)
    assert (run.learner.temperature, run.learner.asked_kl) == (temperature, asked)
    assert parse_config(read_toml(to_toml(run).encode(), "")) == run
    assert LearnerConfig(**learner) == run.learner


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"learner": {"temperature": "warm"}}, ["learner.temperature:", '"auto"', "'warm'"]),
        ({"learner": {"temperature": 0}}, ["learner.temperature:", "greater than 0", "not 0"]),
        ({"learner": {"temperature": float("inf")}}, ["learner.temperature:", "inf"]),
        ({"learner": {"temperature": True}}, ["learner.temperature:", "True"]),
        ({"learner": {"kl": 0}}, ["learner.kl:", "greater than 0"]),
        ({"learner": {"kl": "much"}}, ["learner.kl:", "'much'"]),
        (
            {"learner": {"kl": 5, "temperature": 0.05}},
            ["learner: kl = 5", "temperature = 0.05", "leave one of them out"],
        ),
        (
            {"learner": {"kl": 5}, "actors": {"count": 0}, "stop": {"updates": 9}},
            ["learner.kl", "need actors", "actors.count"],
        ),
    ],
)
def test_a_wrong_temperature_is_one_sentence(tables: dict[str, Any], words: list[str]):
    with pytest.raises(ConfigError) as error:
        parsed(**tables)
    text = str(error.value)
    assert text.startswith("run.toml: ") and "\n" not in text
    assert all(word in text for word in words), text


def test_control_the_base_of_the_tests_has_a_fixed_temperature(
    make_run: Callable[..., RunConfig],
):
    assert make_run().learner.asked_kl is None
