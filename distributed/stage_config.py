"""What a run can be told of its end, and of its stages."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

from sequence_tutor.distributed.config_section import Positive, Rate, Section


class StopConfig(Section):
    """The run ends at the first of these limits."""

    scores: Positive | None = 10_000
    """Distinct valid sequences given to the reward. The updates that they have earned are made
    before the run ends."""
    updates: Positive | None = None
    """Updates of the policy."""
    seconds: Rate | None = None
    """Seconds of wall-clock time."""
    reward: Annotated[float | None, Field(allow_inf_nan=False)] = None
    """Mean reward of the best ten from which on the run has found enough."""
    plateau: Positive | None = None
    """Scores in a row after which the mean reward of the best ten hasn't risen by 0.1 %."""
    sequences: Positive | None = None
    """Sequences generated, by default 100 times `scores` and at least 10,000: the end of a run
    whose policy makes only invalid or known ones, which use no scores."""

    @property
    def most_sequences(self) -> int | None:
        """sequences, its default resolved; None where there is neither limit."""
        if self.sequences is None and self.scores is not None:
            return max(10_000, 100 * self.scores)
        return self.sequences

    def reached(
        self,
        scores: int,
        updates: int,
        seconds: float,
        sequences: int,
        best: float = math.nan,
        since_rise: int = 0,
    ) -> str:
        """The limit that is reached, such as "stop.scores"; "" while there is none. best: mean
        reward of the best ten, NaN without any; since_rise: scores since it rose."""
        limits: dict[str, tuple[float | None, float]] = {
            "stop.scores": (self.scores, scores),
            "stop.updates": (self.updates, updates),
            "stop.seconds": (self.seconds, seconds),
            "stop.sequences": (self.most_sequences, sequences),
            "stop.reward": (self.reward, best),
            "stop.plateau": (self.plateau, since_rise),
        }
        reached = (key for key, (most, used) in limits.items() if most is not None and used >= most)
        return next(reached, "")


class StageConfig(Section):
    """A stage of the run, see [series.md](series.md): what it changes of the whole config. Stages
    follow each other with one policy; each begins with the scores of the one before."""

    components: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None
    """The components of [reward] that count in this stage, by label or name; by default all."""
    rescore: Annotated[int, Field(ge=0)] = 0
    """Of the stage before, the best sequences for which components that it hadn't are called at
    the beginning, beyond `stop.scores`."""
    reward: dict[str, Any] = {}
    """Other keys of [reward]."""
    learner: dict[str, Any] = {}
    """Other keys of [learner], such as `temperature`."""
    stop: dict[str, Any] = {}
    """Other keys of [stop]; all stages but the last need `scores`, `updates` or `seconds`."""
    actors: dict[str, Any] = {}
    """Other keys of [actors]."""
    replay: dict[str, Any] = {}
    """Other keys of [replay]."""
    generate: dict[str, Any] = {}
    """Other keys of [generate]."""
    proposers: dict[str, Any] = {}
    """Other keys of [proposers]."""
    screen: dict[str, Any] = {}
    """Other keys of [screen]."""
    diversity: dict[str, Any] = {}
    """Other keys of [diversity]."""
    scorers: dict[str, Any] = {}
    """Other keys of [scorers]."""

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """The tables that it changes, by name."""
        names = [n for n in StageConfig.model_fields if n not in ("components", "rescore")]
        return {name: getattr(self, name) for name in names if getattr(self, name)}
