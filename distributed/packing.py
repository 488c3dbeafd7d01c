"""What is given to the constructor of a Ray actor that Ray may restart, as bytes.

Ray prints an error about each such actor whose arguments are in its object store, as they could get
lost: plain references and handles, and whatever is too large to travel with the call. As bytes they
travel with it, and the driver keeps what they refer to.
"""

from __future__ import annotations

from typing import Any

import ray

# Bytes of an argument that travels with a call; Ray's limit is 100 KiB, with what it adds.
TRAVELS = 90_000


def packed(references: Any) -> bytes:
    """Object references or actor handles as bytes."""
    return ray.cloudpickle.dumps(references)  # type: ignore[no-any-return]


def unpacked(references: bytes) -> Any:
    """The inverse of `packed`."""
    return ray.cloudpickle.loads(references)


def is_large(value: Any) -> bool:
    """Whether a value is too large to travel with a call."""
    return len(ray.cloudpickle.dumps(value)) > TRAVELS


def sent(value: Any) -> bytes:
    """A value of any size as bytes: itself or, where it is large, a reference to it, which lasts as
    long as this process."""
    data: bytes = ray.cloudpickle.dumps(value)
    return data if len(data) <= TRAVELS else packed(ray.put(value))


def received(data: bytes) -> Any:
    """The inverse of `sent`, in any process of the cluster."""
    value = ray.cloudpickle.loads(data)
    return ray.get(value) if isinstance(value, ray.ObjectRef) else value
