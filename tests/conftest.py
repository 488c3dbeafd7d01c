"""What all tests share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# before Ray is imported: a client in another mode than its cluster gets a bare ConnectionError
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
# before torch is imported: threads that spin starve the other processes of a small machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Logical CPUs: the largest test run has 2 actors, 2 scorers and 2 learners.
CPUS = 8


@pytest.fixture(scope="session")
def plugins() -> Path:
    """A directory of users' functions that this process and all Ray workers can import from."""
    directory = Path(__file__).parent / "plugins"
    sys.path.append(str(directory))
    return directory


@pytest.fixture(scope="session")
def local_ray(plugins: Path) -> Iterator[None]:
    """A real Ray on this machine, one for all tests of the session."""
    import ray

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(plugins), before]))
    # "local", or what a crashed cluster left behind would be joined
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
