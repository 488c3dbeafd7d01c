"""What the driver's environment says of storage, for the Ray processes on other nodes.

A Ray process has the environment of its node and of the job, not the driver's. Machines that may
use the storage by themselves (an instance profile, a service account) need nothing of this; a job
that was submitted with these variables in its runtime environment has given them to all already.
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
    """Of `environment`, what `ray.init(runtime_env={"env_vars": ...})` should be given: Ray refuses
    variables that the job's runtime environment has."""
    job = json.loads(environment.get(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}"))
    given = (job.get("runtime_env") or {}).get("env_vars") or {}
    return {n: environment[n] for n in NAMES if n in environment and n not in given}
