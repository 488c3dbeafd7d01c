"""What a run can be told of the search: what proposes beside the policy, and the screening."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from sequence_tutor.distributed.config_section import Positive, Rate, Resources, Section, Share


class ProposerConfig(Section):
    """A proposer beside the policy."""

    batch: Positive = 320
    """Sequences that a process proposes at a time. In a round of synchronous mode each process
    proposes once; in asynchronous mode `batch` sets a proposer's share among all."""
    processes: Positive = 1
    """Processes, each with a CPU of its own."""
    resources: Resources = {}
    """Ray's custom resources that each process asks for."""


class GeneticConfig(ProposerConfig):
    """Crosses and mutates the best sequences on record."""

    parents: Positive = 1024
    """The best rows that parents are drawn from."""
    rank_k: Rate = 0.01
    """k in a parent's weight 1 / (k N + rank); a smaller k prefers the best more."""
    crossover: Share = 0.67
    """Share of the children that have two parents; the others are mutants of one."""
    mutate_crossed: Share = 0.33
    """Share of the crossed children that are mutated too."""


class DataConfig(ProposerConfig):
    """Proposes sequences drawn at random from a file; those on record already are left out."""

    batch: Positive = 64
    """Sequences that a process proposes at a time; see `genetic`."""
    file: str
    """A file of sequences: a path that all nodes see, or a URI."""
    column: str | None = None
    """The column of a table that has the sequences."""


class OtherProposerConfig(ProposerConfig):
    """A proposer of another package, by the name of its entry point."""

    options: dict[str, Any] = {}
    """Its options, by name."""


class ProposersConfig(Section):
    """What proposes sequences beside the policy. An empty table [proposers.genetic] is enough."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, OtherProposerConfig] = Field(init=False)

    adaptive: bool = False
    """Whether a proposer's batches grow with its part of the best 100 on record, at the expense of
    the others; each keeps at least a quarter of its `batch`."""
    genetic: GeneticConfig | None = None
    """See GeneticConfig."""
    data: DataConfig | None = None
    """See DataConfig."""

    @property
    def all(self) -> dict[str, ProposerConfig]:
        """The proposers that are configured, by name, in a fixed order."""
        shipped = {"data": self.data, "genetic": self.genetic}
        others = sorted((self.__pydantic_extra__ or {}).items())
        return {k: v for k, v in [*shipped.items(), *others] if v is not None}

    @property
    def per_round(self) -> int:
        """Sequences that all processes propose in a round."""
        return sum(one.batch * one.processes for one in self.all.values())


class ScreenConfig(Section):
    """Predicts what proposed sequences are worth and gives only the most promising to the reward.
    An empty table [screen] is enough."""

    batch: Positive = 32
    """Sequences chosen at a time, for the reward."""
    random: Share = 0.03
    """Share of these that is drawn at random, so that the prediction learns where it is wrong."""
    start: Positive = 64
    """Valid rows on record before screening begins; until then candidates are drawn at random."""
    best: Positive = 1000
    """Best rows on record that the prediction learns from."""
    newest: Positive = 500
    """Newest rows on record that it learns from too."""
    learns: Literal["reward", "components"] = "reward"
    """What is predicted: the reward, or each component, from which the reward then follows."""
    generations: Annotated[int, Field(ge=0)] = 1
    """How often the most promising candidates are crossed and mutated, and their children join the
    candidates. Needs [proposers.genetic] for its settings; 0 without it."""
    children: Positive = 320
    """Children of each such generation."""
    explore: tuple[Rate, Rate] = (0.01, 0.5)
    """Candidates are chosen by mean + b deviations, with b drawn anew for each choice,
    log-uniformly between these two."""
    plausible: Annotated[float | None, Field(gt=0, le=1)] = None
    """Leaves out candidates that are less likely under the prior than this share of its own
    samples, such as 0.95; by default none is left out."""
    filters: bool = False
    """Whether to leave out what doesn't pass the usual filters of the field; of molecules alerts,
    weight and large rings."""
    practical_share: Share = 1.0
    """Share of each batch that `plausible` and `filters` apply to; the others are chosen from all
    candidates, for rewards that ask for what the data hardly has."""
    processes: Positive = 1
    """Processes that screen, each with a CPU of its own; synchronous mode uses one."""
    resources: Resources = {}
    """Ray's custom resources that each process asks for."""

    @model_validator(mode="after")
    def _ordered(self) -> ScreenConfig:
        if self.explore[0] > self.explore[1]:
            raise ValueError("explore: the first number can't be more than the second")
        if self.start > self.best:
            raise ValueError("start can't be more than best, or screening never begins")
        return self


class NearConfig(Section):
    """A window of similarity to leads, outside of which nothing is scored."""

    smiles: str | tuple[str, ...]
    """The lead, or several; the similarity to the nearest counts."""
    from_: Share = Field(0.4, alias="from")
    """Least similarity, such as 0.4."""
    to: Share = 1.0
    """Greatest similarity; below 1 the lead itself is left out."""

    @property
    def leads(self) -> tuple[str, ...]:
        """smiles, also where there is one."""
        return (self.smiles,) if isinstance(self.smiles, str) else self.smiles

    @model_validator(mode="after")
    def _ordered(self) -> NearConfig:
        if self.from_ > self.to:
            raise ValueError("from can't be more than to, or nothing is ever near enough")
        if not self.leads:
            raise ValueError("smiles needs a lead")
        return self


# Keys of given parts, of which a run has one. `bars` goes with `fill`.
PARTS = ("scaffold", "fragments", "start", "fill", "bars", "rhythm", "contour")


def check_one(given: Mapping[str, Any]) -> None:
    """Raises ValueError where given parts, by their key, are more than one."""
    keys = [key for key in given if key != "bars"]
    if len(keys) > 1:
        raise ValueError(f"give one of {' and '.join(keys)}: each says what all have")
    if "bars" in given and "fill" not in given:
        raise ValueError("bars are those of fill: give it too")


class GenerateConfig(Section):
    """What every sequence must have, see [series.md](series.md). The policy and the prior are under
    the same constraint, so the KL between them is that of what is free."""

    scaffold: str | None = None
    """Of molecules: a SMILES with attachment points such as `[*:1]`; each gets a substituent."""
    fragments: tuple[str, ...] | None = None
    """Of molecules: two SMILES with an attachment point each, to be linked."""
    start: str | None = None
    """A text that every sequence begins with: the beginning of a SMILES, or a melody to go on. Of
    melodies also a MIDI, MusicXML or ABC file, whose melody is taken as it is."""
    fill: str | None = None
    """A melody to complete: `_` is a step that the policy writes, and the others stay. Or a file,
    with `bars`."""
    bars: int | str | None = None
    """The bars of `fill` that are a gap, counted from 1: `3`, `"3-4"` or `"1, 3-4"`."""
    rhythm: str | None = None
    """A melody, or a file of one, whose rhythm all have; X may stand for a note."""
    contour: str | None = None
    """A melody, or a file of one, whose rhythm all have, and whose notes rise, fall and repeat as
    theirs; X ^ v = may stand for a note, and one that is higher, lower or the same."""
    near: NearConfig | None = None
    """See NearConfig."""

    @property
    def parts(self) -> dict[str, Any]:
        """The given parts, by key."""
        given = {key: getattr(self, key) for key in PARTS}
        return {key: value for key, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _one(self) -> GenerateConfig:
        check_one(self.parts)
        if not self.parts and self.near is None:
            raise ValueError(
                "[generate] is empty: give scaffold, fragments, start, near, fill, rhythm or "
                "contour"
            )
        return self


class DiversityConfig(Section):
    """Lowers, in training and for proposers and the screen, the reward of what there is enough of.
    Rewards on record stay as they are."""

    type: str
    """What is counted, see [diversity.md](diversity.md): of molecules `murcko_scaffold`,
    `topological_scaffold`, `similar_scaffold`, `similar_molecule` or `same_molecule`, of melodies
    `incipit`."""
    bucket_size: Positive | None = None
    """How many sequences that share it keep their reward, the best; by default 25, and 1 of
    `same_molecule`."""
    min_score: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """A lower reward isn't counted and stays as it is; by default 0.4, and 0 of `same_molecule`."""
    min_similarity: Share | None = None
    """Of `similar_scaffold` and `similar_molecule`: from this similarity on they count as the same;
    by default 0.4."""
    penalty_multiplier: Share | None = None
    """What the reward of the others is multiplied by; by default 0, and 0.5 of `same_molecule`."""
