"""The TOML file of a run: one knob, one name, one default, and a sentence for every mistake."""

from __future__ import annotations

import codecs
import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from sequence_tutor.policies.encodings.registry import ENCODINGS
from sequence_tutor.rewards.config import RewardConfig

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Resources = dict[str, Rate]


class ConfigError(ValueError):
    """A config that can't be run; the message names the file, the key and what is allowed."""


class Section(BaseModel):
    """A table of the file; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class LearnerConfig(Section):
    """`temperature` is c of pi* ~ p exp(r/c), in units of the reward. `lambda` mixes one-step (0)
    and whole-path (1) targets; by default 0.9, and 1 for path without a discount (with one, a whole
    path says next to nothing of its later steps). `updates_per_call`
    is how many updates go to the learner at once, and so between two published versions."""

    algorithm: Literal["q", "psi", "g", "path"] = "path"
    temperature: Rate = 0.05
    gamma: Annotated[float, Field(gt=0, le=1)] = 1.0
    lam: Annotated[float | None, Field(ge=0, le=1, alias="lambda")] = None
    log_z: Literal["learned", "batch"] = "learned"
    batch: Positive = 64
    learning_rate: Rate = 5e-4
    value_learning_rate: Rate = 3e-3
    level_learning_rate: Rate = 0.1
    huber: Rate | None = None
    max_grad_norm: Rate = 5.0
    target_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    value_warmup: Annotated[int, Field(ge=0)] = 50
    updates_per_call: Positive = 8
    count: Positive = 1
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    threads: Positive = 2
    resources: Resources = {}

    @property
    def mixing(self) -> float:
        """lambda, its default resolved."""
        if self.lam is not None:
            return self.lam
        return 1.0 if self.algorithm == "path" and self.gamma == 1 else 0.9


class ReplayConfig(Section):
    """`ratio` is samples consumed per sample inserted; `fresh` the share of a batch drawn from the
    newest `fresh_window` rows, the rest by `sampling`; `rewrite` the share of sampled valid
    sequences that are spelled anew; `min_rows` are collected before the first update. A shard holds
    `memory_rows` rows whole, the best and the newest, and of all others what tells that they are
    scored. `record` is where the scores go if not under the run directory, a path or a URI
    (s3://bucket/folder); they are on record after `flush_s` at the latest. A scorer that isn't
    heard of for `lease_s` is taken for dead, and what it was scoring is given to others."""

    shards: Positive = 2
    ratio: Rate = 8.0
    sampling: Literal["rank", "uniform"] = "rank"
    top: Positive = 1024
    rank_k: Rate = 0.01
    fresh: Share = 0.25
    fresh_window: Positive = 1024
    rewrite: Share = 0.5
    min_rows: Positive = 64
    memory_rows: Annotated[int, Field(ge=1024)] = 100_000
    record: str | None = None
    flush_s: Rate = 10.0
    lease_s: Rate = 10.0
    resources: Resources = {}


class ActorsConfig(Section):
    """`batch` episodes are generated at a time; with a `max_batch` above it as many, up to that, as
    an actor generates in two seconds. `threads` is CPU threads per actor. With a `min` below
    `count` there are as many actors as keep the learner busy, decided from the first minute's work
    and then every minute. With `count` 0 nothing is generated: the learner has what the record and
    a warm start hold."""

    count: Annotated[int, Field(ge=0)] = 1
    min: Positive | None = None
    batch: Positive = 64
    max_batch: Positive | None = None
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    threads: Positive = 1
    resources: Resources = {}

    @property
    def least(self) -> int:
        """min, its default resolved."""
        return self.count if self.min is None else self.min

    @property
    def largest_batch(self) -> int:
        """max_batch, its default resolved."""
        return self.batch if self.max_batch is None else self.max_batch


class ScorersConfig(Section):
    """`count` processes that judge sequences. With a `min` below it there are as many as have work,
    so that an autoscaler adds nodes for them, and takes the nodes of those that had none for
    `idle_s` seconds."""

    count: Positive = 1
    min: Positive | None = None
    idle_s: Rate = 60.0
    resources: Resources = {}

    @property
    def least(self) -> int:
        """min, its default resolved."""
        return self.count if self.min is None else self.min


class StopConfig(Section):
    """The run ends at the first of these: distinct valid sequences scored, updates, seconds,
    sequences generated. The last is for policies that make nothing but invalid or known sequences,
    which are never scored."""

    scores: Positive | None = 10_000
    updates: Positive | None = None
    seconds: Rate | None = None
    sequences: Positive | None = None

    @property
    def most_sequences(self) -> int | None:
        """sequences, its default resolved: 100 for each of `scores`, 10,000 at the least; None
        where there is neither."""
        if self.sequences is None and self.scores is not None:
            return max(10_000, 100 * self.scores)
        return self.sequences

    def reached(self, scores: int, updates: int, seconds: float, sequences: int) -> str:
        """The limit that is reached, such as "stop.scores"; "" while there is none."""
        limits: dict[str, tuple[float | None, float]] = {
            "stop.scores": (self.scores, scores),
            "stop.updates": (self.updates, updates),
            "stop.seconds": (self.seconds, seconds),
            "stop.sequences": (self.most_sequences, sequences),
        }
        reached = (key for key, (most, used) in limits.items() if most is not None and used >= most)
        return next(reached, "")


class CheckpointConfig(Section):
    """Every `updates` updates or `seconds` seconds, whichever is first, and at the end; the last
    `keep` stay."""

    updates: Positive = 1000
    seconds: Rate = 300.0
    keep: Positive = 2


class RunConfig(Section):
    """A whole run. `max_length` is the longest episode in actions, by default the prior's.

    On a cluster that others use, or that has yet to add nodes, the run waits `wait_s` seconds for
    its place. The `resources` of learner, actors, scorers and replay are Ray's custom resources
    that each process asks for beside its CPU, such as {steady = 0.01}: so it goes to a node that
    offers them.
    """

    encoding: str = "smiles"
    prior: str = "zinc250k"
    max_length: Annotated[int | None, Field(ge=2)] = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    mode: Literal["asynchronous", "synchronous"] = "asynchronous"
    wait_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 600.0
    reward: RewardConfig
    learner: LearnerConfig = LearnerConfig()
    replay: ReplayConfig = ReplayConfig()
    actors: ActorsConfig = ActorsConfig()
    scorers: ScorersConfig = ScorersConfig()
    stop: StopConfig = StopConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ENCODINGS:
            raise ValueError(f"unknown encoding {value!r}; there are: {', '.join(ENCODINGS)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> RunConfig:
        stop = self.stop
        if stop.updates is None and stop.seconds is None and stop.most_sequences is None:
            raise ValueError("stop: give at least one of scores, updates, seconds, sequences")
        if not self.actors.count and stop.updates is None and stop.seconds is None:
            raise ValueError(
                "actors.count = 0 scores nothing new, so stop.scores never comes: "
                "give stop.updates or stop.seconds"
            )
        if self.learner.log_z == "batch" and self.learner.mixing < 1:
            raise ValueError("learner.log_z = 'batch' needs learner.lambda = 1")
        if self.mode == "synchronous" and self.learner.gpus:
            raise ValueError("mode = 'synchronous' needs learner.gpus = 0 to be repeatable")
        scorers, actors = self.scorers, self.actors
        if actors.least > actors.count:
            raise ValueError("actors.min can't be more than actors.count")
        if actors.largest_batch < actors.batch:
            raise ValueError("actors.max_batch can't be less than actors.batch")
        automatic = actors.least < actors.count or actors.batch < actors.largest_batch
        if self.mode == "synchronous" and automatic:
            raise ValueError(
                "mode = 'synchronous' has a fixed number of actors and episodes: no actors.min, no "
                "actors.max_batch"
            )
        if scorers.least > scorers.count:
            raise ValueError("scorers.min can't be more than scorers.count")
        if scorers.least < scorers.count:
            if self.mode == "synchronous":
                raise ValueError(
                    "mode = 'synchronous' has a fixed number of scorers: no scorers.min"
                )
            # an idle scorer still vouches for rows that aren't on record yet
            if scorers.idle_s < self.replay.flush_s:
                raise ValueError("scorers.idle_s can't be less than replay.flush_s")
        return self

    @property
    def updates_per_iteration(self) -> int:
        """Updates that keep the replay ratio for one round of all actors (synchronous mode), or
        without actors as many as the learner is given at once."""
        if not self.actors.count:
            return self.learner.updates_per_call
        inserted = self.actors.count * self.actors.batch
        return max(
            1, round(self.replay.ratio * inserted / (self.learner.batch * self.learner.count))
        )


# What a text begins with that is in another encoding than UTF-8, or in UTF-8 and says so. UTF-32
# first: its mark begins as that of UTF-16 does.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def load_config(path: str | Path, overrides: list[str] | None = None) -> RunConfig:
    """Read and check a TOML file; `overrides` are "table.key=value" in TOML. Raises ConfigError."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"there is no config file {path}")
    data = read_toml(path.read_bytes(), str(path))
    for override in overrides or []:
        _apply(data, override)
    return parse_config(data, str(path))


def read_toml(content: bytes, origin: str) -> dict[str, Any]:
    """The tables of a TOML file in UTF-8, or in what its byte order mark says: Windows writes such.
    Raises ConfigError."""
    encoding = next((e for mark, e in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{origin} is not text in UTF-8, as TOML is (line {line} isn't); save it as UTF-8"
        ) from error
    if "\0" in text:
        raise ConfigError(f"{origin} is not text in UTF-8, as TOML is; save it as UTF-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin} is not valid TOML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{origin} is not valid TOML: it is nested too deeply") from None


def parse_config(data: dict[str, Any], origin: str = "config") -> RunConfig:
    """Check a config given as nested dicts. Raises ConfigError naming the first wrong key."""
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {_sentence(error)}") from error


def synchronous(run: RunConfig) -> RunConfig:
    """The same run in synchronous mode. Raises ConfigError where it can't be."""
    fields = {name: getattr(run, name) for name in RunConfig.model_fields}
    try:
        return RunConfig(**fields | {"mode": "synchronous"})
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from error


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: write it as table.key=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = value  # a bare word is a string, so that shells need no double quoting
    *tables, last = key.strip().split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override!r}: {table} is not a table")
    data[last] = parsed


def _sentence(error: ValidationError) -> str:
    """The first problem as one sentence: the key, what is wrong, what is allowed."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the file"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        allowed = _allowed_keys(problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), allowed, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"unknown key {where}{hint} (allowed: {', '.join(allowed)})"
    if problem["type"] == "missing":
        return f"{where} is missing"
    if problem["type"].startswith("value_error"):
        return message if where == "the file" else f"{where}: {message}"
    return f"{where}: {message} (got {problem['input']!r})"


def _allowed_keys(tables: tuple[int | str, ...]) -> list[str]:
    model: Any = RunConfig
    for table in tables:
        field = getattr(model, "model_fields", {}).get(table)
        annotation = getattr(field, "annotation", None)
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [f.alias or name for name, f in model.model_fields.items()]


def to_toml(config: RunConfig) -> str:
    """The resolved config as TOML; values that are None are left out."""
    return tomli_w.dumps(config.model_dump(by_alias=True, mode="json", exclude_none=True))
