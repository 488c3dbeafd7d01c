"""The table [learner] of a config."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from sequence_tutor.distributed.config_section import Positive, Rate, Resources, Section

# The KL that `temperature = "auto"` aims for, nats.
AUTO_KL = 10.0


class LearnerConfig(Section):
    """The KL-control updates, and the processes that make them."""

    algorithm: Literal["q", "psi", "g", "path"] = "path"
    """Which target: path consistency, or Q-, Psi- or G-learning."""
    temperature: float | Literal["auto"] = 0.05
    """c of pi* ~ p exp(r/c), in units of the reward: a smaller one goes further from the prior.
    "auto" finds c by itself, for rewards of any scale: the policy ends about 10 nats from the
    prior, or nearer where it would repeat itself or make invalid sequences."""
    kl: Rate | None = None
    """KL to the prior, in nats per sequence, that c is controlled for; `temperature` is left out or
    "auto"."""
    population: Annotated[tuple[Rate, ...], Field(min_length=1)] = (1.0,)
    """A policy for each number, with c of this multiple of the temperature. They learn in turn from
    one record; `kl` is that of the first, called "policy" on record, as "policy-2" is the next."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Discount per step."""
    lam: Annotated[float | None, Field(ge=0, le=1, alias="lambda")] = None
    """From one-step targets (0) to whole-path targets (1); by default 1 for `path` without a
    discount, else 0.9, since with a discount a whole-path target hardly weighs late steps."""
    log_z: Literal["learned", "batch"] = "learned"
    """How `path` with lambda = 1 knows log Z: as a parameter, or as the mean of a batch."""
    batch: Positive = 64
    """Trajectories per update."""
    learning_rate: Rate = 5e-4
    """Adam's step for the policy's network."""
    value_learning_rate: Rate = 3e-3
    """Adam's step for the head that gives V(s)."""
    level_learning_rate: Rate = 0.1
    """Adam's step for log Z, or for the constant part of V(s)."""
    huber: Rate | None = None
    """Residual in nats beyond which the loss grows linearly; by default it is quadratic."""
    max_grad_norm: Rate = 5.0
    """Largest norm of a gradient; a longer one is shortened to it."""
    target_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Polyak step of the target networks after each update, for `q`, `psi` and `g`."""
    value_warmup: Annotated[int, Field(ge=0)] = 50
    """First updates of `q`, `psi` and `g`, in which V(s) alone learns."""
    updates_per_call: Positive = 8
    """Updates that the learner is given at once, and so between two published policies."""
    count: Positive = 1
    """Learner processes, which share each update (DDP)."""
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """GPUs per learner; 0.5 leaves half of one to the actors."""
    threads: Positive = 2
    """CPU threads per learner."""
    resources: Resources = {}
    """Ray's custom resources that each learner asks for, such as {steady = 0.01}."""

    @model_validator(mode="before")
    @classmethod
    def _controlled(cls, data: Any) -> Any:
        """A KL that is asked for makes the temperature "auto" where none is given."""
        if isinstance(data, dict) and data.get("kl") is not None:
            return {"temperature": "auto"} | data
        return data

    @field_validator("temperature", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value == "auto" or (number and 0 < value < math.inf):
            return value
        raise ValueError(f'must be "auto" or a number greater than 0, not {value!r}')

    @model_validator(mode="after")
    def _one_rule(self) -> LearnerConfig:
        if self.kl is not None and self.temperature != "auto":
            raise ValueError(
                f"kl = {self.kl:g} controls the temperature, so temperature = {self.temperature:g} "
                "can't be fixed: leave one of them out, or set temperature = 'auto'"
            )
        return self

    @model_validator(mode="after")
    def _one_learner(self) -> LearnerConfig:
        if len(self.population) > 1 and self.count > 1:
            raise ValueError(
                f"a population of {len(self.population)} policies has one learner: set count = 1"
            )
        return self

    @property
    def asked_kl(self) -> float | None:
        """The KL that c is controlled for, nats; None with a fixed temperature."""
        if self.temperature != "auto":
            return None
        return AUTO_KL if self.kl is None else self.kl

    @property
    def mixing(self) -> float:
        """lambda, its default resolved."""
        if self.lam is not None:
            return self.lam
        return 1.0 if self.algorithm == "path" and self.gamma == 1 else 0.9
