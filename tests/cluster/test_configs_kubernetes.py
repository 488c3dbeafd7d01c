"""raycluster.yaml and rayjob.yaml: their fields are valid and other pods can't reach theirs.

Kubernetes' own schemas check pods, policies and config maps. No package has KubeRay's schemas, so
its fields are listed here. Neither file was applied to a cluster.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from sequence_tutor.distributed.config_file import parse_config

CLUSTER = Path(__file__).parents[2] / "cluster"
FILES = [CLUSTER / "raycluster.yaml", CLUSTER / "rayjob.yaml"]
# KubeRay's own fields and their types, as of version 1.5.
FIELDS: dict[str, dict[str, type]] = {
    "job": {
        "entrypoint": str,
        "backoffLimit": int,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "submitterConfig": dict,
        "submitterPodTemplate": dict,
        "rayClusterSpec": dict,
    },
    "cluster": {
        "rayVersion": str,
        "authOptions": dict,
        "enableInTreeAutoscaling": bool,
        "autoscalerOptions": dict,
        "headGroupSpec": dict,
        "workerGroupSpecs": list,
    },
    "autoscaler": {
        "version": str,
        "idleTimeoutSeconds": int,
        "env": list,
        "resources": dict,
        "securityContext": dict,
    },
    "head": {"serviceType": str, "rayStartParams": dict, "template": dict},
    "group": {
        "groupName": str,
        "replicas": int,
        "minReplicas": int,
        "maxReplicas": int,
        "rayStartParams": dict,
        "template": dict,
    },
}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def named(path: Path) -> str:
    return path.name


def clusters(path: Path) -> list[dict[str, Any]]:
    """The RayCluster specs in a file."""
    return [
        d["spec"].get("rayClusterSpec", d["spec"])
        for d in documents(path)
        if d["apiVersion"] == "ray.io/v1"
    ]


def templates(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod template in a file, with the name of its role."""
    for document in documents(path):
        if document["kind"] == "RayJob":
            yield "submitter", document["spec"]["submitterPodTemplate"]
    for spec in clusters(path):
        yield "head", spec["headGroupSpec"]["template"]
        for group in spec["workerGroupSpecs"]:
            yield group["groupName"], group["template"]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_pods_have_a_token_and_a_network_policy(path: Path):
    (spec,) = clusters(path)
    token = {"name": "RAY_AUTH_MODE", "value": "token"}
    assert spec["authOptions"] == {"mode": "token"}
    assert token in spec["autoscalerOptions"]["env"]
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    # a job's operator and submitter come from other pods, and the policy below lets them in
    host = "0.0.0.0" if path.name == "rayjob.yaml" else "127.0.0.1"
    assert spec["headGroupSpec"]["rayStartParams"]["dashboard-host"] == host
    (policy,) = (d for d in documents(path) if d["kind"] == "NetworkPolicy")
    ours = policy["spec"]["podSelector"]["matchLabels"]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    for rule in policy["spec"]["ingress"]:
        (source,) = rule["from"]
        operator = {"app.kubernetes.io/name": "kuberay-operator"}
        assert source["podSelector"]["matchLabels"] in (ours, operator)
        assert rule.get("ports") == ([{"port": 8265}] if "namespaceSelector" in source else None)
    for name, template in templates(path):
        assert ours.items() <= template["metadata"]["labels"].items(), name
        assert token in template["spec"]["containers"][0]["env"], name


@pytest.mark.parametrize("path", FILES, ids=named)
def test_pods_are_unprivileged_and_have_limits(path: Path):
    for name, template in templates(path):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        # only the head asks Kubernetes for pods; pods that run rewards needn't
        assert pod.get("automountServiceAccountToken", True) == (name == "head")
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"] == container["resources"]["requests"]
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


def check_fields(what: str, value: dict[str, Any]) -> None:
    wrong = {k: v for k, v in value.items() if type(v) is not FIELDS[what].get(k)}
    assert not wrong, f"{what}: {wrong}"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_field_is_one_of_kuberay(path: Path):
    for document in documents(path):
        if document["kind"] == "RayJob":
            check_fields("job", document["spec"])
    for spec in clusters(path):
        check_fields("cluster", spec)
        check_fields("autoscaler", spec["autoscalerOptions"])
        check_fields("head", spec["headGroupSpec"])
        for group in spec["workerGroupSpecs"]:
            check_fields("group", group)
            assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]
        for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
            parameters = group["rayStartParams"]
            assert {type(v) for v in parameters.values()} == {str}
            # KubeRay wants JSON, quoted for the shell
            assert sum(json.loads(json.loads(parameters["resources"])).values()) == 1000


@pytest.mark.parametrize("path", FILES, ids=named)
def test_pods_and_policies_fit_kubernetes_schema(path: Path):
    version = kubernetes_validate.latest_version()
    for name, template in templates(path):
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        pod["metadata"] = {"name": name, **template["metadata"]}
        kubernetes_validate.validate(pod, version, strict=True)
    for document in documents(path):
        if document["apiVersion"] != "ray.io/v1":
            kubernetes_validate.validate(document, version, strict=True)


def test_control_a_wrong_field_breaks_kubernetes_schema():
    pod = dict(templates(CLUSTER / "rayjob.yaml"))["head"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod["spec"]}
    pod["spec"]["runAsNonRoot"] = True  # belongs into securityContext
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)


def test_a_job_starts_or_resumes_its_run(tmp_path: Path):
    (config,) = (d for d in documents(CLUSTER / "rayjob.yaml") if d["kind"] == "ConfigMap")
    (job,) = (d for d in documents(CLUSTER / "rayjob.yaml") if d["kind"] == "RayJob")
    shell, script, place = job["spec"]["entrypoint"].split()
    assert shell == "sh" and place.startswith("s3://")
    (tmp_path / "start.sh").write_text(config["data"][Path(script).name])
    calls = tmp_path / "calls"
    fake = tmp_path / "sequence-tutor"
    for code_of_resume, code, made in ((0, 0, 1), (1, 1, 1), (2, 0, 2)):
        calls.unlink(missing_ok=True)
        fake.write_text(
            f'#!/bin/sh\necho "$@" >> {calls}\n'
            f'case "$*" in *--resume) exit {code_of_resume};; esac\n'
        )
        fake.chmod(0o755)
        done = subprocess.run(
            ["sh", str(tmp_path / "start.sh"), place], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
        )
        assert done.returncode == code
        lines = calls.read_text().splitlines()
        assert len(lines) == made
        assert all(f"--out {place}" in line for line in lines)


def test_the_config_of_a_job_is_valid():
    (config,) = (d for d in documents(CLUSTER / "rayjob.yaml") if d["kind"] == "ConfigMap")
    run = parse_config(tomllib.loads(config["data"]["run.toml"]))
    assert run.learner.resources == run.replay.resources == {"steady": 0.01}
