"""What a run starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sequence_tutor.distributed.config import RunConfig

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior


def starting_prior(run: RunConfig) -> Prior:
    """The prior of a run, its episodes as long as the run wants them. Raises ValueError where it
    can't start the run."""
    from sequence_tutor.policies.prior import load_prior

    prior = load_prior(run.prior)
    if prior.encoding.name != run.encoding:
        raise ValueError(
            f"prior {run.prior} encodes {prior.encoding.name}, but encoding = {run.encoding!r}"
        )
    if prior.base is not None:
        raise ValueError(
            f"{run.prior} was tuned with algorithm 'g', which leaves two networks; start from "
            "its own prior, or tune with another algorithm"
        )
    if run.max_length is not None:
        prior.encoding.max_length = run.max_length
    return prior
