"""The [reward] section of a configuration file.

Field names and types are checked here. Component names and options depend on the domain, so they
are checked when the reward is built.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from sequence_tutor.rewards.aggregate import AGGREGATES
from sequence_tutor.rewards.given_parts import Window
from sequence_tutor.rewards.names import unknown
from sequence_tutor.rewards.python_function import GivenFunction
from sequence_tutor.rewards.transforms import TRANSFORMS, Transform, Values, check

# Version of the rule for the default reward of an invalid sequence; part of the config's identity,
# since another rule gives other scores.
_WORTH_OF_INVALID = 2

# Options of `python` that may be functions.
_FUNCTIONS = ("function", "initialise")
# Options of components that limit how they work, and don't change what they give.
LIMITS = {"rest": ("batch", "rate", "retries", "timeout_s")}

Finite = Annotated[float, Field(allow_inf_nan=False)]


class TransformConfig(BaseModel):
    """transform = { type = "...", ... }: a transform and its options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    """Name of the transform, a key of TRANSFORMS."""

    @property
    def options(self) -> dict[str, Any]:
        """The transform's own options."""
        return dict(self.model_extra or {})

    @property
    def transform(self) -> Transform:
        """The transform of that `type`."""
        return TRANSFORMS[self.type]

    def __call__(self, values: Values) -> Values:
        """float64 [B] -> [B]."""
        return self.transform.function(values, **self.options)

    @model_validator(mode="after")
    def _check(self) -> TransformConfig:
        check(self.type, self.options)
        return self


class ComponentConfig(BaseModel):
    """One [[reward.component]]; a key that isn't a field here is an option of the component."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    """Name of a registered component or bundle, or "python"."""
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Weight in the aggregate, at least 0."""
    transform: TransformConfig | None = None
    """Applied to the raw values before the aggregate; None for none."""
    label: str | None = None
    """Name of the component in results; None for `name`."""
    role: Literal["score", "filter", "penalty"] = "score"
    """A score is part of the aggregate; a filter, 0 or 1, and a penalty, 0 to 1, multiply it."""

    @model_validator(mode="after")
    def _check_role(self) -> ComponentConfig:
        if self.role != "score" and self.weight != 1:
            raise ValueError(
                f"the {self.role} {self.name!r} multiplies the reward and has no weight: leave "
                "weight out"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _take_function(cls, data: Any) -> Any:
        """From Python, `function` and `initialise` may be functions; they are kept as
        `GivenFunction`."""
        if isinstance(data, dict) and data.get("name") == "python":
            for key in _FUNCTIONS:
                function = data.get(key)
                if callable(function) and not isinstance(function, GivenFunction):
                    data = data | {key: GivenFunction(function)}
        return data

    @model_serializer(mode="wrap")
    def _name_function(self, dump: Any, info: SerializationInfo) -> dict[str, Any]:
        """In JSON, and so in every file, a function is replaced by its name."""
        given = {k: v for k, v in self.options.items() if isinstance(v, GivenFunction)}
        if not given:
            return dict(dump(self))
        names = {key: function.name for key, function in given.items()}
        named = self.__class__.model_construct(**(dict(self) | names))
        return dict(dump(named)) | ({} if info.mode == "json" else given)

    @property
    def options(self) -> dict[str, Any]:
        """The component's own options."""
        return dict(self.model_extra or {})


def without_limits(component: dict[str, Any]) -> dict[str, Any]:
    """A component's table without the options that only limit how it works."""
    limits = LIMITS.get(component["name"], ())
    return {key: value for key, value in component.items() if key not in limits}


class RewardConfig(BaseModel):
    """The [reward] section: components, their aggregate, and the limits of a scoring process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aggregate: str = "arithmetic_mean"
    """How components become one reward: a key of AGGREGATES."""
    invalid: Finite | None = None
    """Reward of an invalid sequence; for None see `bounds.worth_of_invalid`."""
    component: Annotated[list[ComponentConfig], Field(min_length=1)]
    """The components, at least one."""
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    """Seconds that a sequence may take."""
    memory_mb: Annotated[int, Field(gt=0)] = 4096
    """MiB that the reward's process may allocate in addition to its memory at the start."""
    retries: Annotated[int, Field(ge=0)] = 0
    """How often a sequence that failed, crashed or timed out is tried again."""
    failed: Finite | None = None
    """Reward of such a sequence in training; None: nothing is learned from it."""
    waiting: Annotated[int, Field(ge=0)] = 8
    """Number of sequences that may hang while others are scored."""
    standardize: bool = False
    """Whether `score` brings each sequence to its standard form first; see `Domain.standardize`."""
    _told_apart: tuple[str, ...] | None = PrivateAttr(None)
    _window: Window | None = PrivateAttr(None)

    @property
    def told_apart(self) -> tuple[str, ...] | None:
        """What tells two sequences apart, None for the domain's default. It is a setting of the
        domain, but scores depend on it; see `Domain.telling_apart`."""
        return self._told_apart

    @property
    def window(self) -> Window | None:
        """Which sequences are near enough to a lead, None for all. It is a setting of the domain,
        but what is valid depends on it; see `Domain.within`."""
        return self._window

    def within(self, window: Window | None) -> RewardConfig:
        """The same reward of the sequences in this window."""
        changed = self.model_copy()
        changed._window = window
        return changed

    def telling_apart(self, features: tuple[str, ...] | None) -> RewardConfig:
        """The same reward of sequences that these features tell apart."""
        changed = self.model_copy()
        changed._told_apart = features
        return changed

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise ValueError(unknown("key of [reward]:", str(key), cls.model_fields))
        return data

    @field_validator("aggregate")
    @classmethod
    def _check_aggregate(cls, value: str) -> str:
        if value not in AGGREGATES:
            raise ValueError(unknown("aggregate", value, AGGREGATES))
        return value

    @model_validator(mode="after")
    def _check_weights(self) -> RewardConfig:
        if not any(c.weight > 0 for c in self.component if c.role == "score"):
            raise ValueError("at least one reward.component needs a weight above 0, as a score")
        return self

    def identity(self) -> str:
        """16 hexadecimal characters, the same for configs that give the same scores: limits of time
        and memory, and the reward of failures, don't count."""
        judged = self.model_dump(include={"aggregate", "invalid", "component"})
        judged["component"] = [without_limits(one) for one in judged["component"]]
        for component in judged["component"]:  # as before there were roles
            if component["role"] == "score":
                del component["role"]
        if self.invalid is None:
            judged["worth of invalid"] = _WORTH_OF_INVALID
        if self.standardize:
            judged["standardize"] = True
        if self.told_apart is not None:
            judged["told apart"] = self.told_apart
        if self.window is not None:
            judged["near"] = [self.window.leads, self.window.low, self.window.high]
        text = json.dumps(judged, sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
