"""Storage variables of the driver's environment, for Ray processes on other nodes.

A Ray process has the environment of its node and of the job, not the driver's. It needs none of
these variables where its machine has access by itself (an instance profile, a service account), or
where the runtime environment of the job sets them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

NAMES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_EC2_METADATA_DISABLED",
)


def storage_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environment` for `ray.init(runtime_env={"env_vars": ...})`, without those
    that the job's runtime environment has: Ray would refuse them."""
    job = json.loads(environment.get(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}"))
    given = (job.get("runtime_env") or {}).get("env_vars") or {}
    return {n: environment[n] for n in NAMES if n in environment and n not in given}
