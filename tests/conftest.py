"""What all tests share."""

import os
from collections.abc import Iterator

import pytest

# before Ray is imported: a client in another mode than its cluster gets a bare ConnectionError
os.environ.setdefault("RAY_AUTH_MODE", "disabled")


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A real Ray of two CPUs on this machine, one for all tests of the session."""
    import ray

    # "local", or what a crashed cluster left behind would be joined
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
