"""The prior that a run starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.given_parts import run_encoding
from sequence_tutor.policies.find_prior import encoding_of

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior


def check_prior(run: RunConfig) -> None:
    """Raises ValueError where the prior of a run is missing or has another encoding; doesn't load
    it."""
    encoding = encoding_of(run.prior)
    if encoding != run.encoding:
        raise ValueError(f"prior {run.prior} encodes {encoding}, but encoding = {run.encoding!r}")


def starting_prior(run: RunConfig) -> Prior:
    """The prior of a run, with the run's greatest length of an episode. Raises ValueError where the
    run can't start from it."""
    from sequence_tutor.policies.prior import load_prior

    check_prior(run)
    prior = load_prior(run.prior)
    if prior.base is not None:
        raise ValueError(
            f"{run.prior} was tuned with algorithm 'g', which leaves two networks; start from "
            "its own prior, or tune with another algorithm"
        )
    if run.max_length is not None:
        prior.encoding.max_length = run.max_length
    prior.encoding = run_encoding(run, prior)
    return prior
