"""What the shipped proposers propose, and proposers of other packages."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, parse_config
from sequence_tutor.distributed.generating import proposers as proposers_module
from sequence_tutor.distributed.generating.data import DataProposer
from sequence_tutor.distributed.generating.genetic import GeneticProposer
from sequence_tutor.distributed.generating.proposers import (
    GROUP,
    build_proposer,
    check_proposers,
)
from sequence_tutor.distributed.replay.messages import RecordView
from sequence_tutor.distributed.search_config import (
    DataConfig,
    GeneticConfig,
    OtherProposerConfig,
)
from sequence_tutor.policies.files.table_reader import CorpusError
from sequence_tutor.rewards.base import Domain, Identity
from sequence_tutor.rewards.domains import domain_of

SMILES = domain_of("smiles")


def view_of(keys: list[str], best: int) -> RecordView:
    n = len(keys)
    rewards = np.linspace(1.0, 0.0, n)
    return RecordView(keys, list(keys), ["policy"] * n, rewards, best, {}, np.arange(n) >= best)


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


class Numbers(Domain):
    """Whole numbers. A child of two is their sum, a mutant one more; keeps its parents."""

    name, encoding, example, breeds = "numbers", "numbers", "1", True

    def __init__(self) -> None:
        self.parents: list[str] = []

    def identify(self, sequence: str) -> Identity:
        return Identity(sequence)

    def mutate(self, sequence: str, random: np.random.Generator) -> str | None:
        self.parents.append(sequence)
        return str(int(sequence) + 1)

    def cross(self, first: str, second: str, random: np.random.Generator) -> str | None:
        self.parents += [first, second]
        return None if first == second else str(int(first) + int(second))


def test_children_are_new_valid_and_different(molecules: list[str]):
    keys = [str(SMILES.key(text)) for text in molecules[:80]]
    proposer = GeneticProposer(GeneticConfig(parents=50), SMILES)
    assert proposer.wants == (50, 0) and proposer.canonical
    found = proposer.propose(40, view_of(keys, 50), seeded(1))
    assert len(found) == len(set(found)) == 40
    assert not set(found) & set(keys)
    assert [SMILES.key(child) for child in found] == found
    assert proposer.propose(40, view_of(keys, 50), seeded(1)) == found
    assert proposer.propose(40, view_of(keys, 50), seeded(2)) != found


def test_parents_are_the_best_rows_by_rank():
    domain = Numbers()
    proposer = GeneticProposer(GeneticConfig(rank_k=0.01, crossover=0.0), domain)
    view = view_of([str(10 * i) for i in range(1, 41)], best=10)
    for seed in range(200):
        proposer.propose(4, view, seeded(seed))
    drawn = Counter(int(parent) // 10 for parent in domain.parents)
    assert set(drawn) == set(range(1, 11))
    weights = 1 / (0.01 * 10 + np.arange(10))
    shares = np.array([drawn[i] for i in range(1, 11)]) / drawn.total()
    # a child that is there already is drawn again, which favours the others a little
    assert abs(shares - weights / weights.sum()).max() < 0.15 and shares.argmax() == 0


@pytest.mark.parametrize("crossover", [0.0, 1.0])
def test_children_have_one_parent_or_two(crossover: float):
    domain = Numbers()
    config = GeneticConfig(crossover=crossover, mutate_crossed=0.0)
    found = GeneticProposer(config, domain).propose(20, view_of(["100", "7"], 2), seeded(0))
    assert found == (["107"] if crossover else ["101", "8"])


def test_without_parents_there_are_no_children():
    proposer = GeneticProposer(GeneticConfig(), SMILES)
    assert proposer.propose(5, view_of([], 0), seeded(0)) == []
    assert proposer.propose(0, view_of(["CCO"], 1), seeded(0)) == []


def test_a_domain_without_operators_can_not_breed():
    class Plain(Numbers):
        breeds = False

    with pytest.raises(ValueError, match="'numbers' can't cross and mutate"):
        GeneticProposer(GeneticConfig(), Plain())


def test_data_are_drawn_from_a_file(tmp_path: Path):
    file = tmp_path / "data.csv"
    file.write_text("id,smiles\n" + "".join(f"{i},{'C' * i}\n" for i in range(1, 31)))
    proposer = DataProposer(DataConfig(file=str(file), column="smiles"), SMILES)
    found = proposer.propose(12, view_of([], 0), seeded(0))
    assert len(set(found)) == 12 and set(found) <= {"C" * i for i in range(1, 31)}
    assert proposer.propose(12, view_of([], 0), seeded(0)) == found
    assert proposer.propose(12, view_of([], 0), seeded(1)) != found
    assert len(set(proposer.propose(99, view_of([], 0), seeded(0)))) == 30


def test_data_without_sequences_are_an_error(tmp_path: Path):
    (tmp_path / "empty.smi").write_text("\n")
    with pytest.raises(CorpusError, match=r"empty\.smi"):
        DataProposer(DataConfig(file=str(tmp_path / "empty.smi")), SMILES)


class Homologues:
    """A proposer of another package: chains of carbon atoms."""

    canonical, wants = True, (3, 2)

    def __init__(self, domain: Domain, longest: int = 10) -> None:
        self.longest = longest

    def propose(self, n: int, view: RecordView, random: np.random.Generator) -> list[str]:
        return ["C" * int(length) for length in random.integers(1, self.longest + 1, n)]


class Careless(Homologues):
    wants = 3  # type: ignore[assignment]


class Unclear(Homologues):
    canonical = None  # type: ignore[assignment]


class Speechless:
    canonical, wants = True, (3, 2)

    def __init__(self, domain: Domain) -> None: ...


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs entry points: name="object of this module"."""
    monkeypatch.setitem(sys.modules, "chains_package", sys.modules[__name__])

    def put(**objects: str) -> None:
        found = [EntryPoint(n, f"chains_package:{o}", GROUP) for n, o in objects.items()]
        monkeypatch.setattr(proposers_module, "entry_points", lambda group: found)

    yield put


def run_with(**proposers: object) -> RunConfig:
    return parse_config({"reward": {"component": [{"name": "qed"}]}, "proposers": proposers})


def test_another_package_brings_a_proposer(install: Callable[..., None]):
    install(chains="Homologues")
    run = run_with(chains={"batch": 7, "options": {"longest": 4}})
    check_proposers(run)
    config = run.proposers.all["chains"]
    assert isinstance(config, OtherProposerConfig) and config.batch == 7
    proposer = build_proposer("chains", config, SMILES)
    found = proposer.propose(30, view_of([], 0), seeded(0))
    assert set(found) == {"C", "CC", "CCC", "CCCC"}


@pytest.mark.parametrize(
    ("proposers", "message"),
    [
        ({"chain": {}}, r"proposers\.chain: unknown proposer 'chain', .* did you mean 'chains'"),
        ({"genetik": {}}, "unknown proposer 'genetik', .*did you mean 'genetic'"),
        ({"chains": {"options": {"longst": 3}}}, "'longst', .*did you mean 'longest'"),
        ({"chains": {"options": {"longest": "x"}}}, "option 'longest' of proposer 'chains': .*'x'"),
        ({"careless": {}}, r"proposers\.careless: its `wants` must be two numbers of rows, is 3"),
        ({"unclear": {}}, "its `canonical` must be True or False"),
        ({"speechless": {}}, "it has no method `propose`"),
        ({"nowhere": {}}, r"proposers\.nowhere: .*Nowhere"),
        ({"warm-start": {}}, "the name 'warm-start' is taken"),
        ({"policy-2": {}}, "the name 'policy-2' is taken"),
        ({"data": {"file": "/none/such.smi"}}, r"proposers\.data: .*such\.smi"),
    ],
)
def test_a_wrong_proposer_is_one_sentence(
    install: Callable[..., None], proposers: dict[str, object], message: str
):
    install(
        chains="Homologues",
        careless="Careless",
        unclear="Unclear",
        speechless="Speechless",
        nowhere="Nowhere",
    )
    with pytest.raises(ConfigError, match=message) as caught:
        check_proposers(run_with(**proposers))
    assert "\n" not in str(caught.value)
