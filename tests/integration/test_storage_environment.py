"""The storage variables that other nodes get."""

from __future__ import annotations

import json

from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray.runtime_env.runtime_env import _merge_runtime_env

from sequence_tutor.distributed.ray_cluster.storage_environment import storage_environment

HERE = {"AWS_ACCESS_KEY_ID": "a", "AWS_ENDPOINT_URL": "http://here:9000", "HOME": "/root"}


def test_nodes_get_the_variables_that_the_job_lacks():
    assert storage_environment({"HOME": "/root"}) == {}
    expected = {"AWS_ACCESS_KEY_ID": "a", "AWS_ENDPOINT_URL": "http://here:9000"}
    assert storage_environment(HERE) == expected
    job = {"env_vars": {"AWS_ACCESS_KEY_ID": "a", "OTHER": "1"}}
    submitted = HERE | {RAY_JOB_CONFIG_JSON_ENV_VAR: json.dumps({"runtime_env": job})}
    rest = storage_environment(submitted)
    assert rest == {"AWS_ENDPOINT_URL": "http://here:9000"}
    assert _merge_runtime_env(job, {"env_vars": rest}) is not None
    assert _merge_runtime_env(job, {"env_vars": expected}) is None  # control: Ray refuses
    for nothing in ("{}", '{"runtime_env": null}', '{"runtime_env": {}}'):
        assert storage_environment(HERE | {RAY_JOB_CONFIG_JSON_ENV_VAR: nothing}) == expected
