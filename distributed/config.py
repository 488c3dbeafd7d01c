"""What a run can be told: one knob, one name, one default. The file is read by `config_file`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from sequence_tutor.distributed.config_section import Positive, Rate, Resources, Section, Share
from sequence_tutor.distributed.learner_config import LearnerConfig
from sequence_tutor.distributed.search_config import (
    DiversityConfig,
    GenerateConfig,
    ProposersConfig,
    ScreenConfig,
)
from sequence_tutor.distributed.stage_config import StageConfig, StopConfig
from sequence_tutor.policies.encodings.registry import encodings
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of, name_of
from sequence_tutor.rewards.given_parts import Window
from sequence_tutor.rewards.names import unknown
from sequence_tutor.rewards.pinned import pinned


class ReplayConfig(Section):
    """The memory of all scores, and what the learner is given of it."""

    shards: Positive = 2
    """Processes that keep the replay and put batches together; a fast GPU needs more."""
    ratio: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 8.0
    """Samples that the learner consumes per row inserted; with 0 nothing is learned."""
    sampling: Literal["rank", "uniform"] = "rank"
    """How rows are drawn: by the rank of their reward, or all alike."""
    top: Positive = 1024
    """Of rank: only this number of best rows is drawn from."""
    rank_k: Rate = 0.01
    """Of rank: k in a row's weight 1 / (k N + rank); a smaller k prefers the best more."""
    fresh: Share = 0.25
    """Share of a batch that is drawn uniformly from the newest rows."""
    fresh_window: Positive = 1024
    """Number of newest rows that `fresh` draws from."""
    rewrite: Share = 0.5
    """Share of sampled valid sequences that get another spelling."""
    min_rows: Positive = 64
    """Rows collected before the first update."""
    memory_rows: Annotated[int, Field(ge=1024)] = 100_000
    """Rows that a shard holds whole, the best and the newest; of others it knows key and score."""
    record: str | None = None
    """Where the scores go: a path or a URI such as s3://bucket/folder; by default RUN/scores."""
    flush_s: Rate = 10.0
    """Seconds until a score is on record, at the latest."""
    lease_s: Rate = 10.0
    """Seconds of silence after which a scorer counts as dead and its sequences go to others."""
    resources: Resources = {}
    """Ray's custom resources that each shard asks for."""


class ActorsConfig(Section):
    """The processes that generate."""

    count: Annotated[int, Field(ge=0)] = 1
    """Actors; with 0 nothing is generated, and the learner has what the record and a warm start
    hold."""
    min: Positive | None = None
    """Fewest actors, by default `count`. Below it, there are as many as keep the learner busy,
    decided after the first minute and then every minute."""
    batch: Positive = 64
    """Episodes that an actor generates at a time."""
    max_batch: Positive | None = None
    """Most episodes at a time, by default `batch`. Above it, an actor makes batches of two seconds:
    they cost less per episode, but the policy moves on meanwhile."""
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """GPUs per actor."""
    threads: Positive = 1
    """CPU threads per actor."""
    resources: Resources = {}
    """Ray's custom resources that each actor asks for."""

    @property
    def least(self) -> int:
        """min, its default resolved."""
        return self.count if self.min is None else self.min

    @property
    def largest_batch(self) -> int:
        """max_batch, its default resolved."""
        return self.batch if self.max_batch is None else self.max_batch


class ScorersConfig(Section):
    """The processes that call the reward."""

    count: Positive = 1
    """Scorers."""
    min: Positive | None = None
    """Fewest scorers, by default `count`. Below it, there are as many as have work, so that an
    autoscaler adds and removes their nodes."""
    idle_s: Rate = 60.0
    """Seconds without work after which a scorer beyond `min` ends."""
    resources: Resources = {}
    """Ray's custom resources that each scorer asks for."""

    @property
    def least(self) -> int:
        """min, its default resolved."""
        return self.count if self.min is None else self.min


class CheckpointConfig(Section):
    """When the state of the run is saved, beside at its end."""

    updates: Positive = 1000
    """Updates between two checkpoints, if `seconds` doesn't come first."""
    seconds: Rate = 300.0
    """Seconds between two checkpoints, if `updates` doesn't come first."""
    keep: Positive = 2
    """Number of checkpoints that stay, the newest."""


class TrackingConfig(Section):
    """Where the metrics go, beside metrics.jsonl, TensorBoard and Prometheus."""

    mlflow: str | None = None
    """MLflow's tracking URI, such as sqlite:///mlflow.db or http://server:5000."""
    wandb: str | None = None
    """Project of Weights & Biases: PROJECT or ENTITY/PROJECT."""


class KindConfig(Section):
    """The table named after the kind of sequences (KIND), such as `[molecules]`."""

    identity: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None
    """What tells two of them apart; of those that differ in nothing else one is scored. See
    rewards.md for the names and the default."""


class RunConfig(Section):
    """A whole run."""

    encoding: str = "smiles"
    """How sequences become tokens: smiles, selfies, melody, or what another package brings."""
    prior: str = "zinc250k"
    """A shipped prior's name, a prior's or run's directory, or a file of REINVENT's (.prior)."""
    max_length: Annotated[int | None, Field(ge=2)] = None
    """Longest episode in tokens, by default the prior's; for melodies, their length."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """One seed makes a synchronous run repeatable, bit for bit."""
    mode: Literal["asynchronous", "synchronous"] = "asynchronous"
    """Whether all work at once, or in rounds in a fixed order."""
    wait_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 600.0
    """On a cluster: seconds to wait for room, and for nodes to be added."""
    kind: KindConfig = KindConfig()
    """See KindConfig; in the file the table has the name of the kind."""
    reward: RewardConfig
    """What is optimised; see rewards.md."""
    learner: LearnerConfig = LearnerConfig()
    """See LearnerConfig."""
    replay: ReplayConfig = ReplayConfig()
    """See ReplayConfig."""
    actors: ActorsConfig = ActorsConfig()
    """See ActorsConfig."""
    generate: GenerateConfig | None = None
    """See GenerateConfig; without the table nothing is given."""
    proposers: ProposersConfig = ProposersConfig()
    """See ProposersConfig."""
    screen: ScreenConfig | None = None
    """See ScreenConfig; without the table there is no screening."""
    diversity: DiversityConfig | None = None
    """See DiversityConfig; without the table every reward counts in full."""
    scorers: ScorersConfig = ScorersConfig()
    """See ScorersConfig."""
    stop: StopConfig = StopConfig()
    """See StopConfig."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """See CheckpointConfig."""
    tracking: TrackingConfig = TrackingConfig()
    """See TrackingConfig."""
    stage: tuple[StageConfig, ...] = ()
    """See StageConfig; without any the run is one stage."""

    def with_pins(self) -> RunConfig:
        """The run with the content of its reward's files pinned, see `rewards.pinned`. Raises
        ValueError with one sentence."""
        reward = pinned(self.reward, domain_of(self.encoding).name)
        return self.model_copy(update={"reward": reward})

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in encodings():
            raise ValueError(f"unknown encoding {value!r}; there are: {', '.join(encodings())}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _named_table(cls, data: Any) -> Any:
        """The table of the kind of sequences, by its name."""
        if not isinstance(data, dict) or isinstance(data.get("kind"), KindConfig):
            return data
        encoding = data.get("encoding", cls.model_fields["encoding"].default)
        name = name_of(encoding) if encoding in encodings() else "kind"
        if "kind" in data:
            raise ValueError(f"unknown key 'kind': the table of {name} is [{name}]")
        for key in data[name] if isinstance(data.get(name), dict) else ():
            if key not in KindConfig.model_fields:
                raise ValueError(unknown(f"key of [{name}]:", str(key), KindConfig.model_fields))
        rest = {key: value for key, value in data.items() if key != name}
        return rest | ({"kind": data[name]} if name in data else {})

    @model_serializer(mode="wrap")
    def _dump(self, dump: Any, info: SerializationInfo) -> dict[str, Any]:
        tables: dict[str, Any] = dump(self)
        kind = tables.pop("kind")
        return tables if self.kind.identity is None else {name_of(self.encoding): kind, **tables}

    @model_validator(mode="after")
    def _told_apart(self) -> RunConfig:
        """Tells the reward what tells sequences apart, where that isn't the default."""
        if self.kind.identity is not None:
            try:
                features = domain_of(self.encoding).features_apart(self.kind.identity)
            except ValueError as error:
                raise ValueError(f"{name_of(self.encoding)}.identity: {error}") from None
            self.__dict__["reward"] = self.reward.telling_apart(features)
        return self

    @model_validator(mode="after")
    def _near_leads(self) -> RunConfig:
        """Tells the reward which sequences are near enough to a lead."""
        near = None if self.generate is None else self.generate.near
        if near is not None:
            window = Window(near.leads, near.from_, near.to)
            try:
                self.domain.within(window)
            except ValueError as error:
                raise ValueError(f"generate.near: {error}") from None
            self.__dict__["reward"] = self.reward.within(window)
        return self

    @property
    def domain(self) -> Domain:
        """The kind of its sequences."""
        told_apart, window = self.reward.told_apart, self.reward.window
        domain = domain_of(self.encoding).telling_apart(told_apart).within(window)
        return domain if self.generate is None else domain.keeping(self.generate.parts)

    @model_validator(mode="after")
    def _fits(self) -> RunConfig:
        stop = self.stop
        if stop.updates is None and stop.seconds is None and stop.most_sequences is None:
            raise ValueError("stop: give at least one of scores, updates, seconds, sequences")
        if not self.generates and stop.updates is None and stop.seconds is None:
            raise ValueError(
                "actors.count = 0 scores nothing new, so stop.scores never comes: "
                "give stop.updates or stop.seconds, or a proposer"
            )
        if not self.generates and not self.replay.ratio:
            raise ValueError("replay.ratio = 0 and actors.count = 0: there is nothing to do")
        parts = self.generate is not None and self.generate.parts
        if parts and self.actors.gpus:
            raise ValueError("[generate] needs actors.gpus = 0: given parts are kept on CPUs")
        if parts and "start" in parts and self.proposers.genetic is not None:
            raise ValueError(
                "generate.start is for the policy alone, as children of [proposers.genetic] begin "
                "otherwise: leave the proposer out, or give generate.scaffold or generate.fill"
            )
        if self.screen is not None and not self.generates:
            raise ValueError("[screen] needs something that proposes: actors, or a proposer")
        if self.learner.asked_kl is not None and not self.actors.count:
            raise ValueError(
                "learner.kl and learner.temperature = 'auto' need actors, whose sequences tell the "
                "KL: set actors.count to 1 or more, or learner.temperature to a number"
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
    def generates(self) -> bool:
        """Whether anything is proposed and scored."""
        return bool(self.actors.count or self.proposers.all)

    @property
    def searches(self) -> bool:
        """Whether there is more than the policy: other proposers, or a screen."""
        return self.screen is not None or bool(self.proposers.all)

    @property
    def largest_insert(self) -> int:
        """Most rows that are inserted at a time."""
        if self.screen is not None:
            return self.screen.batch
        others = [one.batch for one in self.proposers.all.values()]
        return max([self.actors.largest_batch, *others])

    @property
    def candidates_per_round(self) -> int:
        """Sequences that the actors and the other proposers make in a round."""
        return self.actors.count * self.actors.batch + self.proposers.per_round

    @property
    def updates_per_iteration(self) -> int:
        """Updates that keep the replay ratio for one round of all proposers (synchronous mode), or
        without any as many as the learner is given at once."""
        if not self.generates:
            return self.learner.updates_per_call
        if not self.replay.ratio:
            return 0
        inserted = self.candidates_per_round if self.screen is None else self.screen.batch
        return max(
            1, round(self.replay.ratio * inserted / (self.learner.batch * self.learner.count))
        )
