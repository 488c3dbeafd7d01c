"""The interface of rewards and domains, which scorers call.

A reward takes sequences, and their tokens for per-step rewards, and returns `Scores`. An `Identity`
has the key by which equal sequences are recognised, or says why a sequence is invalid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from sequence_tutor.rewards.attachments import Attachment
from sequence_tutor.rewards.buckets import Compare, Grouping
from sequence_tutor.rewards.depiction import Depiction
from sequence_tutor.rewards.given_parts import Change, GivenParts, Start, Window
from sequence_tutor.rewards.ngrams import ngram_counts


class Status(IntEnum):
    """The outcome of scoring a sequence. Only OK and INVALID ones have a reward of their own."""

    OK = 0
    INVALID = 1
    TIMEOUT = 2
    CRASHED = 3
    FAILED = 4


@dataclass(frozen=True)
class Scores:
    """The scores of B sequences."""

    rewards: np.ndarray
    """float64 [B]; NaN for failures, unless the config pays them, and for INVALID ones that are
    worth the worst reward of a valid one (see `unpriced`)."""
    status: np.ndarray
    """int8 [B] of `Status`."""
    errors: list[str]
    """B texts, "" where nothing went wrong."""
    raw: dict[str, np.ndarray] = field(default_factory=dict)
    """Raw values by component, float64 [B] each, NaN where there is none."""
    transformed: dict[str, np.ndarray] = field(default_factory=dict)
    """Transformed values by component, float64 [B] each, NaN where there is none."""
    step_rewards: np.ndarray | None = None
    """float32 [B,T] rewards by the action, the terminal one included, so that a row sums to
    `rewards`; None where the reward pays at the end only."""
    step_raw: dict[str, np.ndarray] = field(default_factory=dict)
    """Values by the action of each component that judges by the step, float32 [B,T] each, NaN
    after the end."""
    seconds: np.ndarray | None = None
    """float32 [B] wall seconds spent on each sequence; None where the time wasn't measured."""
    files: list[tuple[Attachment, ...]] | None = None
    """What components have kept for each of the B sequences; None where they kept nothing."""

    def __len__(self) -> int:
        return len(self.errors)

    def select(self, rows: Sequence[int] | np.ndarray) -> Scores:
        """The given rows, in that order."""
        index = np.asarray(rows, dtype=np.int64)
        changes: dict[str, Any] = {"errors": [self.errors[i] for i in index.tolist()]}
        if self.files is not None:
            changes["files"] = [self.files[i] for i in index.tolist()]
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                changes[f.name] = value[index]
            elif isinstance(value, dict):
                changes[f.name] = {name: values[index] for name, values in value.items()}
        return replace(self, **changes)

    def row(self, i: int) -> Outcome:
        """One of them. Raises TypeError where the time wasn't measured."""
        assert self.seconds is not None
        return Outcome(
            float(self.rewards[i]),
            int(self.status[i]),
            float(self.seconds[i]),
            self.errors[i],
            {name: float(values[i]) for name, values in self.raw.items()},
        )


class Outcome(NamedTuple):
    """One row of `Scores`."""

    reward: float
    """NaN where there is none."""
    status: int
    """A `Status`."""
    seconds: float
    """Wall seconds spent scoring."""
    error: str
    """Empty where nothing went wrong."""
    raw: dict[str, float]
    """Raw value by component; empty where there is none."""


def scores_of(outcomes: Sequence[Outcome]) -> Scores:
    """The inverse of `Scores.row` for B rows; a component that a row lacks is NaN there."""
    names = dict.fromkeys(name for one in outcomes for name in one.raw)
    return Scores(
        rewards=np.array([one.reward for one in outcomes], np.float64),
        status=np.array([one.status for one in outcomes], np.int8),
        errors=[one.error for one in outcomes],
        raw={name: np.array([one.raw.get(name, np.nan) for one in outcomes]) for name in names},
        seconds=np.array([one.seconds for one in outcomes], np.float32),
    )


def merge_scores(batches: Sequence[Scores]) -> Scores:
    """Rewards, status, errors, raw values and seconds of batches one after the other; a component
    that a batch lacks is NaN there. No batches give no rows."""
    names = dict.fromkeys(name for batch in batches for name in batch.raw)
    none = scores_of([])
    several = [none, *batches]
    return Scores(
        rewards=np.concatenate([batch.rewards for batch in several]),
        status=np.concatenate([batch.status for batch in several]),
        errors=[text for batch in several for text in batch.errors],
        raw={
            name: np.concatenate([b.raw.get(name, np.full(len(b), np.nan)) for b in several])
            for name in names
        },
        seconds=np.concatenate([np.asarray(b.seconds, np.float32) for b in several]),
    )


@dataclass(frozen=True)
class Identity:
    """The canonical form of a sequence, or why it is invalid."""

    key: str | None
    """Canonical form, the same for all spellings of a thing; None for an invalid sequence."""
    reason: str = ""
    """Why the sequence is invalid, "" where it is valid."""
    lost: Status | None = None
    """INVALID where looking for the key crashed or hung a process, CRASHED where no process could
    look; None otherwise. A lost sequence isn't given to a reward."""


def unpriced(rewards: np.ndarray, status: np.ndarray) -> np.ndarray:
    """bool [B]: which of B sequences are invalid and get the worst reward of a valid sequence. That
    reward is known only after many sequences, so replay fills it in."""
    rows: np.ndarray = np.isnan(rewards) & (status == int(Status.INVALID))
    return rows


class Reward(Protocol):
    """A compiled objective. Implemented by `LocalReward` and `IsolatedReward`."""

    def score(
        self,
        sequences: Sequence[str],
        tokens: Sequence[Sequence[str]] | None = None,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> Scores:
        """Score B sequences; a failure of one doesn't raise but becomes its status.

        `tokens` are the texts of each sequence's actions, without the end token; per-step rewards
        need them. known: raw values by component, float64 [B], NaN where there is none: the others
        aren't called for. Of a component that judges by the step they are float32 [B,T], NaN after
        the end; sums alone are ignored.
        """

    def identify(self, sequences: Sequence[str]) -> Sequence[Identity]:
        """The identity of each sequence, without calling the reward's components."""


class Domain(ABC):
    """A kind of sequence: its encoding, its scoring side and how people see it.

    Another package brings one as an entry point of the group "sequence_tutor.domains", named as its
    encoding (docs/domains.md). Only `identify` has no default.
    """

    name: ClassVar[str]
    """The domain that components are registered for."""
    encoding: ClassVar[Any]
    """The class of its `policies.encodings.base.Encoding`; of shipped ones the name, since scoring
    needs no encoding."""
    example: ClassVar[str]
    """A valid sequence, scored once at a start so that components load their tables."""
    isolated: ClassVar[bool] = False
    """Whether parsing a sequence may crash or hang the process; see `rewards.isolation`."""
    structure_file: ClassVar[str] = ""
    """Ending of the files that `structure` makes records of, such as "sdf"; "" for none."""
    cheapest: ClassVar[str] = ""
    """A component that costs next to nothing, for processes that only find keys; needed where
    `isolated`."""
    standardizes: ClassVar[bool] = False
    """Whether sequences have a standard form, see `standardize`."""
    breeds: ClassVar[bool] = False
    """Whether `mutate` and `cross` make something."""
    shows_plausible: ClassVar[bool] = False
    """Whether the best that a run shows are judged by reward and likelihood, since rewards alone
    prefer what people don't like."""
    parts: ClassVar[Mapping[str, Callable[[Any], GivenParts]]] = {"start": Start}
    """What every sequence may be made to have, by key of [generate], from the key's value."""
    groupings: ClassVar[Mapping[str, Grouping]] = {}
    """What `[diversity]` may count, by name; see `group`."""
    published: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    """Published results by the name of their column, under the keys of `metrics`."""
    of_papers: ClassVar[frozenset[str]] = frozenset()
    """Keys of `metrics` that are shown beside published results alone."""
    row_notes: ClassVar[Mapping[str, str]] = {}
    """What the names of `metrics` leave open, by key: by which of several rules they count."""

    def features_apart(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """The features that tell two things apart, each once and in a fixed order; None where they
        are the default. Raises ValueError for a name that isn't one, and by default always."""
        raise ValueError(f"{self.name} have no choice of what tells two of them apart")

    def telling_apart(self, features: tuple[str, ...] | None) -> Domain:
        """The domain in which these `features_apart` tell two things apart."""
        return self

    def within(self, window: Window | None) -> Domain:
        """The domain in which sequences outside of a window are invalid; None for the whole. Raises
        ValueError for leads that it can't compare, and by default for every window."""
        if window is not None:
            raise ValueError(f"{self.name} have no similarity to a lead")
        return self

    def changes(self, leads: Sequence[str], sequences: Sequence[str]) -> list[Change]:
        """Each of N valid sequences beside the nearest lead; only called where `within` takes
        windows."""
        raise NotImplementedError(f"{self.name} have no similarity to a lead")

    def given_parts(self, **given: Any) -> GivenParts:
        """What every sequence must have: the value of one key of `parts`. Raises ValueError with
        one sentence for parts that can't be."""
        ((key, value),) = given.items()
        if key not in self.parts:
            *others, last = self.parts
            known = f"{', '.join(others)} or {last}" if others else last
            raise ValueError(f"{self.name} have no {key}; give {known}")
        return self.parts[key](value)

    def keeping(self, given: Mapping[str, Any]) -> Domain:
        """The domain whose children keep given parts, where they can; by default itself."""
        return self

    @abstractmethod
    def identify(self, sequence: str) -> Identity:
        """The canonical form of a sequence, or why it has none."""

    def key(self, sequence: str) -> str | None:
        """The canonical form alone; None for an invalid sequence."""
        return self.identify(sequence).key

    def load_components(self) -> None:
        """Import the modules that register this domain's own components; by default the domain's
        own module, which is there already."""
        import_module(type(self).__module__)

    def split(self, sequence: str) -> list[str]:
        """The text of each action of a sequence; by default its characters."""
        return list(sequence)

    def read(self, sequence: str, tokens: Sequence[str]) -> Any | None:
        """What components judge, by default the canonical form; None for an invalid sequence.
        `tokens`: texts of the actions."""
        return self.key(sequence)

    def gather(self, things: Sequence[Any]) -> Any:
        """What components that judge by the step are given: all that was read of a batch."""
        return list(things)

    def quiet(self) -> AbstractContextManager[Any]:
        """A context in which libraries print nothing about invalid sequences."""
        return nullcontext()

    def standardize(self, sequence: str) -> str:
        """The standard form of a sequence, for `reward.standardize`; one that is invalid or has
        none gives an invalid text. Only called where `standardizes`."""
        return sequence

    def rewrite(self, sequence: str, random: np.random.Generator) -> str | None:
        """Another spelling of the same thing; None where there is none."""
        return None

    def mutate(self, sequence: str, random: np.random.Generator) -> str | None:
        """A valid sequence that differs a little from this valid one, as its key; None where the
        change made none. The arguments and the generator's state alone determine it."""
        return None

    def cross(self, first: str, second: str, random: np.random.Generator) -> str | None:
        """A valid sequence of parts of both, as its key; None where the parts made none. The
        arguments and the generator's state alone determine it."""
        return None

    def variants(self, sequence: str, most: int) -> list[str]:
        """Up to `most` valid sequences that state what this valid one leaves open, such as its
        stereochemistry, each as its key. By default nothing is left open."""
        return []

    def practical(self, sequence: str) -> bool:
        """Whether people would make this valid sequence, by the usual filters of the field. By
        default they would."""
        return True

    def group(self, key: str, kind: str) -> str:
        """The group that a valid sequence, given by its key, belongs to, for a kind of
        `groupings`."""
        raise NotImplementedError(f"{self.name} have no groups")

    def compare(self, kind: str) -> Compare:
        """How similar groups are, for a kind of `groupings` that is `similar`. What it returns may
        remember groups."""
        raise NotImplementedError(f"{self.name} have no similar groups")

    def features(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """Counts by which a model compares B valid sequences: K blocks, each uint8 [B,F], the
        same in every process. By default one block, [B,2048], of runs of 1 to 3 actions."""
        return [ngram_counts([self.split(sequence) for sequence in sequences])]

    def metrics(
        self, sequences: Sequence[str], training: Collection[str] | None = None
    ) -> dict[str, float]:
        """Numbers that describe a sample: by default shares of valid sequences, of distinct ones
        among these, and with `training` (keys of data) of novel ones among those; mean length in
        actions. NaN where there is nothing to average."""
        keys = [key for sequence in sequences if (key := self.key(sequence)) is not None]
        distinct = set(keys)
        numbers = {
            "valid": _share(len(keys), len(sequences)),
            "distinct": _share(len(distinct), len(keys)),
            "mean_length": _share(sum(len(self.split(s)) for s in sequences), len(sequences)),
        }
        if training is not None:
            numbers["novel"] = _share(len(distinct - set(training)), len(distinct))
        return numbers

    def depict(self, sequence: str) -> Depiction:
        """What a report shows of a valid sequence; by default nothing but its text."""
        return Depiction()

    def structure(self, sequence: str) -> str:
        """The record of a valid sequence in a file of the kind `structure_file`, without fields; by
        default there is none."""
        return ""

    def properties(self, sequences: Sequence[str]) -> dict[str, np.ndarray]:
        """Numbers that people in the field know a sequence by, float64 [B] each, NaN for a sequence
        that isn't valid; names have their unit. By default the number of actions."""
        lengths = [
            float("nan") if self.key(sequence) is None else float(len(self.split(sequence)))
            for sequence in sequences
        ]
        return {"length, actions": np.array(lengths)}

    def nearest(
        self, sequences: Sequence[str], corpus: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of B valid sequences the most similar of a corpus of valid ones: its number there, int64
        [B], -1 where there is none, and their similarity, float64 [B], 0 to 1. By default the
        Tanimoto coefficient of the first block of `features`: shared counts over all counts."""
        if not corpus:
            return np.full(len(sequences), -1, np.int64), np.full(len(sequences), np.nan)
        known, own = (self.features(some)[0].astype(np.int32) for some in (corpus, sequences))
        totals = known.sum(1)
        rows, values = [], []
        for counts in own:
            shared = np.minimum(known, counts).sum(1)
            found = shared / np.maximum(totals + counts.sum() - shared, 1)
            rows.append(int(found.argmax()))
            values.append(float(found.max()))
        return np.array(rows, np.int64), np.array(values, np.float64)

    def render(self, sequences: Sequence[str], directory: Path, **style: Any) -> str:
        """Write what shows the valid sequences to people, by default a text file; returns a
        sentence on the files. style: how, in the domain's own words. Raises ValueError for one
        that it doesn't have, and by default for every one."""
        if style:
            raise ValueError(f"{self.name} have no {', '.join(style)}")
        valid = [sequence for sequence in sequences if self.key(sequence) is not None]
        if not valid:
            return "no valid sequence to show"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "sequences.txt"
        path.write_text("".join(f"{sequence}\n" for sequence in valid), encoding="utf-8")
        return f"{len(valid)} sequences are in {path}"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
