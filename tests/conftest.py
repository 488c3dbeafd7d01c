"""Fixtures of all tests: a tiny prior, small runs of it, the command line, and Ray on demand.

Tests that take long, and vary what others test too, are marked `nightly` and run with -m nightly.
This module imports Ray and RLlib only for tests that need them; `tests/unit` runs without.
"""

from __future__ import annotations

import io
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

# before Ray is imported: a client in another mode than its cluster gets a bare ConnectionError
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
# before torch is imported: threads that spin starve the other processes of a small machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

if not torch.cuda.is_available():  # before Triton is imported: kernels then run in Python
    os.environ.setdefault("TRITON_INTERPRET", "1")

from filelock import FileLock  # noqa: E402
from rich.console import Console  # noqa: E402

from sequence_tutor.distributed.commands import cli, cli_pretrain, cli_records  # noqa: E402
from sequence_tutor.distributed.config import RunConfig  # noqa: E402
from sequence_tutor.distributed.config_file import parse_config  # noqa: E402
from sequence_tutor.distributed.report import summary  # noqa: E402
from sequence_tutor.distributed.stages import merged  # noqa: E402
from sequence_tutor.policies.encodings.smiles import SmilesEncoding  # noqa: E402
from sequence_tutor.policies.pretrain import Pretraining, PretrainSettings  # noqa: E402
from sequence_tutor.policies.prior import load_prior  # noqa: E402
from sequence_tutor.rewards.domains import domain_of  # noqa: E402

if TYPE_CHECKING:
    from sequence_tutor.distributed.algorithm import SequenceTutor

pytest_plugins = ("scored_fixtures", "s3_fixtures", "http_fixtures", "pages")

# Parts of SMILES that are valid in any order.
FRAGMENTS = ("C", "N", "O", "CC", "C(C)", "C(=O)", "C(N)", "C1CCCC1", "C(O)")

# Logical CPUs: the largest test run has 2 actors, 2 scorers and 2 learners.
CPUS = 8
# Settings of a small run, which starts and ends fast.
BASE: dict[str, Any] = {
    "seed": 1,
    "mode": "synchronous",
    "reward": {"component": [{"name": "logp"}]},
    "learner": {"batch": 16, "updates_per_call": 2, "temperature": 0.5, "threads": 1},
    "replay": {"min_rows": 16, "ratio": 2.0},
    "actors": {"batch": 32},
    "stop": {"scores": 100},
}


# Tests that start processes and wait for them take longest, so they come first.
LONGEST = ("faults", "cluster", "integration", "project")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "nightly: takes long; run with -m nightly")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "nightly" not in config.getoption("-m"):
        for item in items:
            if item.get_closest_marker("nightly"):
                item.add_marker(pytest.mark.skip(reason="takes long: -m nightly"))

    def place(item: pytest.Item) -> int:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        return LONGEST.index(room) if room in LONGEST else len(LONGEST)

    items.sort(key=place)


def tiny_corpus(n: int = 600) -> list[str]:
    """Valid molecules of two to six fragments."""
    rng = random.Random(0)
    return ["".join(rng.choices(FRAGMENTS, k=rng.randint(2, 6))) for _ in range(n)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def short_summaries() -> Iterator[None]:
    """Make summaries sample few sequences; otherwise they take longer than a small run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "SUMMARY_SAMPLES", 60)
        yield


@pytest.fixture(scope="session")
def tiny_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a prior that learned `tiny_corpus` in seconds."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # shared by all of pytest's processes
    directory = place / "tiny_prior"
    with FileLock(place / "tiny_prior.lock"):
        if not directory.exists():
            train_tiny_prior(tmp_path_factory.mktemp("prior")).rename(directory)
    return directory


def train_tiny_prior(directory: Path) -> Path:
    corpus = tiny_corpus()
    encoding = SmilesEncoding.fit(corpus, max_length=32)
    settings = PretrainSettings(
        cell="gru",
        embedding=16,
        hidden=32,
        layers=1,
        epochs=25,
        batch=32,
        learning_rate=0.01,
        warmup=20,
        dropout=0.0,
    )
    torch.set_num_threads(1)
    Pretraining(encoding, corpus, settings, "cpu").run(directory, lambda _: None)
    return directory


@pytest.fixture(scope="session")
def make_run(tiny_prior: Path) -> Callable[..., RunConfig]:
    """A small synchronous run of the tiny prior; keyword arguments change tables or keys."""

    def make(**changes: Any) -> RunConfig:
        return parse_config(merged(BASE | {"prior": str(tiny_prior)}, changes))

    return make


@contextmanager
def built(run: RunConfig, directory: Path) -> Iterator[SequenceTutor]:
    from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig

    algorithm = SequenceTutorConfig().tutor(run, directory).build_algo()
    try:
        yield algorithm
    finally:
        algorithm.stop()


@pytest.fixture(scope="session")
def build(local_ray: None) -> Callable[[RunConfig, Path], Any]:
    """A context manager: `with build(run, directory) as algorithm`."""
    return built


@pytest.fixture(scope="session")
def weights_of() -> Callable[[SequenceTutor], dict[str, np.ndarray]]:
    """The newest policy's parameters as arrays."""

    def take(algorithm: SequenceTutor) -> dict[str, np.ndarray]:
        return {k: v.numpy() for k, v in algorithm.policy().network.state_dict().items()}

    return take


@pytest.fixture(scope="session")
def prior_weights(tiny_prior: Path) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in load_prior(tiny_prior).network.state_dict().items()}


@pytest.fixture
def quiet() -> Console:
    """A console that prints to memory; its text is in `quiet.file.getvalue()`."""
    return Console(file=io.StringIO(), width=200)


@dataclass(frozen=True)
class Done:
    """Exit code, standard output and standard error of a command."""

    code: int
    out: str
    err: str

    def refused(self, *parts: str) -> None:
        """Assert exit code 2 and one sentence with these parts, without a traceback."""
        assert self.code == 2, self
        assert self.err.startswith("error: ") and self.err.count("\n") == 1, self.err
        for part in parts:
            assert part in self.err


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run `sequence-tutor ARGUMENTS` in this process, on a wide screen."""
    for module in (cli, cli_pretrain, cli_records):
        monkeypatch.setattr(module, "console", Console(width=300))

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["sequence-tutor", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            cli.main()
        code = caught.value.code
        assert code is None or isinstance(code, int)
        captured = capsys.readouterr()
        return Done(code or 0, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def plugins() -> Path:
    """A directory of users' functions that this process and all Ray workers can import from."""
    directory = Path(__file__).parent / "plugins"
    sys.path.append(str(directory))
    return directory


@dataclass(frozen=True)
class Outside:
    """Files of the functions in `counted_rewards`: `counter` has a line for each call, and `mended`
    decides which calls work."""

    counter: Path
    mended: Path

    def calls(self) -> list[str]:
        """The arguments of all calls since the last time."""
        lines = self.counter.read_text().split() if self.counter.exists() else []
        self.counter.unlink(missing_ok=True)
        return lines


@pytest.fixture(scope="session")
def outside_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    directory = tmp_path_factory.mktemp("outside")
    files = Outside(directory / "counter", directory / "mended")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTER", str(files.counter))
        patch.setenv("MENDED", str(files.mended))
        yield files


@pytest.fixture
def outside(outside_of_session: Outside) -> Outside:
    """The files before the first call, without `mended`."""
    outside_of_session.calls()
    outside_of_session.mended.unlink(missing_ok=True)
    return outside_of_session


@pytest.fixture(scope="session")
def local_ray(plugins: Path, outside_of_session: Outside) -> Iterator[None]:
    """A real Ray on this machine, one for all tests of the session."""
    import ray

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(plugins), before]))
    # "local", so that Ray doesn't join the remains of a crashed cluster
    ray.init(
        address="local",
        num_cpus=CPUS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a free TCP port outside the ranges that Ray and the system assign."""

    def find() -> int:
        for port in random.SystemRandom().sample(range(32000, 32768), 768):
            with suppress(OSError), socket.socket() as listener:
                listener.bind(("", port))
                return port
        raise RuntimeError("no port is free")

    return find


@pytest.fixture(scope="session")
def molecules() -> list[str]:
    """Small molecules, no two spellings of the same."""
    key = domain_of("smiles").key
    return list({key(smiles): smiles for smiles in tiny_corpus(2000)}.values())
