"""Every file of cluster/ that starts a cluster: it fits its schema and opens no port to the world.

onprem.yaml, config.yaml and gcp.yaml against Ray's schema, and gcp.yaml's machines against Google's
description of its API. test_aws.py launches config.yaml on a mock EC2; test_configs_kubernetes.py
has Kubernetes' schemas.
"""

from __future__ import annotations

import json
import re
import tomllib
from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
(RAY,) = re.findall(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
WHEEL = f"sequence_tutor-{VERSION}-py3-none-any.whl"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


LAUNCHED = sorted(p for p in CLUSTER.glob("*.yaml") if "provider" in documents(p)[0])
APPLIED = sorted(p for p in CLUSTER.glob("*.yaml") if "apiVersion" in documents(p)[0])
SCRIPTS = sorted(CLUSTER.glob("*.sh"))


def named(path: Path) -> str:
    return path.name


def test_every_file_is_checked_by_some_test():
    assert {p.name for p in LAUNCHED} >= {"config.yaml", "gcp.yaml"}
    assert {p.name for p in APPLIED} == {"raycluster.yaml", "rayjob.yaml"}
    assert {p.name for p in SCRIPTS} == {"slurm.sh"}
    elsewhere = {"Dockerfile", "README.md", "aws_setup.py", "grafana.json"}
    checked = {p.name for p in [*LAUNCHED, *APPLIED, *SCRIPTS, *CLUSTER.glob("iam-*.json")]}
    here = {p.name for p in CLUSTER.iterdir() if p.suffix != ".pyc" and p.is_file()}
    assert here - checked == elsewhere


# --- closed --------------------------------------------------------------------------------------


def starts(path: Path) -> list[str]:
    """Every `ray start` of a file with the variables set before it, as one line each."""
    if path in SCRIPTS:
        text = path.read_text().replace("\\\n", " ")
        exported = " ".join(re.findall(r"^export (.*)$", text, re.MULTILINE))
        return [f"{exported} {line}" for line in text.splitlines() if " ray start " in line]
    config = documents(path)[0]
    both = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    return [" ".join(command.split()) for command in both if "ray start" in command]


@pytest.mark.parametrize("path", [*LAUNCHED, *SCRIPTS], ids=named)
def test_ray_starts_with_a_token_and_a_private_dashboard(path: Path):
    commands = starts(path)
    heads = [command for command in commands if "--head" in command]
    assert len(heads) == 1 and len(commands) == 2
    for command in commands:
        assert "RAY_AUTH_MODE=token" in command.partition("ray start")[0], command
    private = ("--dashboard-host=127.0.0.1", "--include-dashboard=false")
    assert any(option in heads[0] for option in private)
    if path in LAUNCHED:
        assert documents(path)[0]["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def open_lines(text: str) -> list[str]:
    """Lines that open a port to all addresses or listen on all; without comments."""
    lines = [line.partition("#")[0] for line in text.splitlines()]
    return [line for line in lines if re.search(r"0\.0\.0\.0|::/0|hostNetwork|LoadBalancer", line)]


def test_no_file_opens_a_port_to_all_addresses():
    found = {p.name: open_lines(p.read_text()) for p in CLUSTER.iterdir() if p.is_file()}
    explained = {"rayjob.yaml": ["        dashboard-host: 0.0.0.0"]}
    assert {name: lines for name, lines in found.items() if lines} == explained
    assert open_lines("a: 1  # 0.0.0.0/0\nb: [0.0.0.0/0]") == ["b: [0.0.0.0/0]"]


def test_versions_are_those_of_the_tests():
    for path in APPLIED:
        images = set(re.findall(r"image: (?:&\w+ )?(\S+/\S+)", path.read_text()))
        assert {image.rpartition(":")[2].removesuffix("-gpu") for image in images} == {
            f"{VERSION}-ray{RAY}"
        }
        assert re.findall(r"rayVersion: (.*)", path.read_text()) == [RAY]
    assert re.search(rf"^ARG RAY={RAY}-py311$", (CLUSTER / "Dockerfile").read_text(), re.MULTILINE)
    wheels = {
        wheel
        for path in CLUSTER.iterdir()
        if path.is_file()
        for wheel in re.findall(r"sequence_tutor-[\w.]+-py3-none-any\.whl", path.read_text())
    }
    assert wheels == {WHEEL}


# --- Ray's schema --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LAUNCHED, ids=named)
def test_a_file_fits_rays_schema(path: Path):
    validate_config(prepare_config(documents(path)[0]))


def test_control_wrong_fields_break_rays_schema():
    config = documents(CLUSTER / "gcp.yaml")[0]
    for change in (
        {"idle_timeout_minute": 5},
        {"head_node_type": "brain"},
        {"max_workers": "many"},
    ):
        with pytest.raises((jsonschema.ValidationError, ValueError)):
            validate_config(prepare_config(deepcopy(config) | change))


@pytest.mark.parametrize("path", [p for p in LAUNCHED if "onprem" not in p.name], ids=named)
def test_paid_machines_start_on_demand(path: Path):
    config = documents(path)[0]
    kinds = dict(config["available_node_types"])
    head = kinds.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0, "steady": 1000}
    assert {kind["min_workers"] for kind in kinds.values()} == {0}
    assert sum(kind["max_workers"] for kind in kinds.values()) <= config["max_workers"] + 1
    assert 0 < config["idle_timeout_minutes"] <= 10
    for name, kind in kinds.items():
        label = "spot" if name.startswith("spot") else "steady"
        assert kind["resources"].keys() - {"CPU", "GPU"} == {label}


# --- Google's description of its API -------------------------------------------------------------


def unknown(value: Any, schema: dict[str, Any], schemas: dict[str, Any], at: str) -> list[str]:
    """Mistakes in a request body by a discovery document's schema: unknown fields, and values of
    another type or outside an enumeration."""
    if "$ref" in schema:
        return unknown(value, schemas[schema["$ref"]], schemas, at)
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    # 64-bit integers are strings there; the API takes numbers for them
    expected = int if schema.get("format") == "int64" else kinds[schema["type"]]
    if not isinstance(value, expected):
        return [f"{at}: {value!r} is no {schema['type']}"]
    if isinstance(value, list):
        inner = [(f"{at}[{i}]", one, schema["items"]) for i, one in enumerate(value)]
        return [e for where, one, its in inner for e in unknown(one, its, schemas, where)]
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        return [
            e
            for key, one in value.items()
            for e in (
                unknown(one, fields[key], schemas, f"{at}.{key}")
                if key in fields
                else [f"{at}.{key} is unknown"]
            )
        ]
    return [] if value in schema.get("enum", [value]) else [f"{at}: {value!r} isn't known"]


def compute_schemas() -> dict[str, Any]:
    documents = files("googleapiclient") / "discovery_cache" / "documents"
    schemas: dict[str, Any] = json.loads((documents / "compute.v1.json").read_text())["schemas"]
    return schemas


def test_gcp_machines_fit_googles_schema():
    schemas = compute_schemas()
    config = documents(CLUSTER / "gcp.yaml")[0]
    for name, kind in config["available_node_types"].items():
        machine = kind["node_config"]
        assert unknown(machine, {"$ref": "Instance"}, schemas, name) == []
        assert all("accessConfigs" not in n for n in machine["networkInterfaces"])  # no public IP
        # as their names say: g2-standard-4 has 4 vCPUs
        assert kind["resources"]["CPU"] in (0, int(machine["machineType"].rpartition("-")[2]))
        spot = machine.get("scheduling", {}).get("provisioningModel") == "SPOT"
        assert spot == (name == "spot")


def test_control_wrong_fields_break_googles_schema():
    machine = {
        "machineType": 4,
        "scheduling": [{"preemptible": True}],
        "disk": [],
        "disks": [{"type": "LENT"}],
    }
    assert unknown(machine, {"$ref": "Instance"}, compute_schemas(), "m") == [
        "m.machineType: 4 is no string",
        "m.scheduling: [{'preemptible': True}] is no object",
        "m.disk is unknown",
        "m.disks[0].type: 'LENT' isn't known",
    ]
