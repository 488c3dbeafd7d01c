"""cluster/config.yaml on a mock EC2: how Ray resolves it, and that the policies allow its calls.

The mock knows EC2's instance types, resolves keys, groups, roles and subnets, and keeps what was
launched; it doesn't look at permissions, so these are worked out here from the calls made.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import click
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private import commands
from ray.autoscaler._private.aws import config as ray_aws
from ray.autoscaler._private.aws import node_provider, utils
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME, TAG_RAY_USER_NODE_TYPE

CLUSTER = Path(__file__).parents[2] / "cluster"
REGION, ACCOUNT, BUCKET, ADDRESS = "us-west-2", "123456789012", "runs-of-ours", "203.0.113.7/32"


def load_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


setup = load_script(CLUSTER / "aws_setup.py")
Call = tuple[str, dict[str, Any]]


def shipped() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((CLUSTER / "config.yaml").read_text())
    return config


def forget() -> None:
    """Clear Ray's caches of clients and subnets, as this process uses many accounts."""
    for kept in (utils.resource_cache, utils.client_cache, ray_aws._get_subnets_or_die):
        kept.cache_clear()


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Call]]:
    """A new account; the list of all calls to it."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        calls: list[Call] = []
        session = boto3.Session()

        def note(params: dict[str, Any], model: Any, **_: Any) -> None:
            calls.append((f"{model.service_model.service_name}:{model.name}", deepcopy(params)))

        session.events.register("provide-client-params", note)
        patch.setattr(boto3, "DEFAULT_SESSION", session)
        # the mock takes half a minute to list EC2's 800 kinds of machine
        patch.setattr(node_provider, "list_ec2_instances", cache(node_provider.list_ec2_instances))
        forget()
        yield calls
        forget()


@pytest.fixture(scope="module")
def group(account: list[Call]) -> str:
    return str(setup.set_up(REGION, BUCKET, ADDRESS))


def look() -> Any:
    """A client whose calls aren't on the list."""
    return boto3.Session().client("ec2")


def with_group(group: str) -> dict[str, Any]:
    config = shipped()
    for kind in config["available_node_types"].values():
        kind["node_config"]["SecurityGroupIds"] = [group]
    return config


@pytest.fixture(scope="module")
def launched(account: list[Call], group: str) -> dict[str, Any]:
    """Launches a machine of each type, as `ray up` and then the head do. Returns the config as Ray
    resolved it and, by node type, the instance, its volumes and the calls made."""
    account.clear()
    config = commands._bootstrap_config(with_group(group), no_config_cache=True)
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    instances, volumes, calls = {}, {}, {}
    for name, kind in config["available_node_types"].items():
        tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_USER_NODE_TYPE: name}
        base = config["head_node"] if name == config["head_node_type"] else {}
        provider.create_node({**base, **kind["node_config"]}, tags | {TAG_RAY_NODE_NAME: name}, 1)
        (node,) = provider.non_terminated_nodes({TAG_RAY_USER_NODE_TYPE: name})
        provider.set_node_tags(node, {"ray-node-status": "up-to-date"})
        found = look().describe_instances(InstanceIds=[node])
        instances[name] = found["Reservations"][0]["Instances"][0]
        disks = [disk["Ebs"]["VolumeId"] for disk in instances[name]["BlockDeviceMappings"]]
        volumes[name] = look().describe_volumes(VolumeIds=disks)["Volumes"]
        provider.terminate_nodes([node])
        calls["launcher" if name == config["head_node_type"] else name] = account[:]
        account.clear()
    return {"config": config, "instances": instances, "volumes": volumes, "calls": calls}


def test_resources_in_the_file_are_those_of_the_machines(account: list[Call]):
    known = {kind["InstanceType"]: kind for kind in node_provider.list_ec2_instances(REGION, None)}
    for name, kind in shipped()["available_node_types"].items():
        machine = known[kind["node_config"]["InstanceType"]]
        gpus = sum(gpu["Count"] for gpu in machine.get("GpuInfo", {}).get("Gpus", []))
        assert kind["resources"].get("GPU", 0) == gpus, name
        if name == "head":
            assert kind["resources"]["CPU"] == 0
        else:
            assert kind["resources"]["CPU"] == machine["VCpuInfo"]["DefaultVCpus"], name


def test_ray_completes_the_machines_of_the_file(launched: dict[str, Any]):
    kinds = launched["config"]["available_node_types"]
    assert kinds["learner"]["resources"]["accelerator_type:L4"] == 1
    assert kinds["spot"]["resources"]["memory"] > 20 * 2**30
    for kind in kinds.values():
        assert kind["node_config"]["KeyName"] == "sequence-tutor"
        assert kind["node_config"]["SubnetIds"]
    key = Path(launched["config"]["auth"]["ssh_private_key"])
    assert key.name == "sequence-tutor.pem" and key.stat().st_mode & 0o077 == 0


def test_control_an_unknown_machine_raises(account: list[Call]):
    config = shipped()
    config["available_node_types"]["spot"]["node_config"]["InstanceType"] = "c99.huge"
    with pytest.raises(ValueError, match="c99.huge is not available"):
        AWSNodeProvider.fillout_available_node_types_resources(config)


def test_machines_are_launched_as_the_file_says(launched: dict[str, Any], group: str):
    for name, machine in launched["instances"].items():
        role = "head" if name == "head" else "node"
        assert [g["GroupId"] for g in machine["SecurityGroups"]] == [group]
        assert machine["IamInstanceProfile"]["Arn"].endswith(
            f":instance-profile/sequence-tutor-{role}"
        )
        assert machine["MetadataOptions"]["HttpTokens"] == "required"
        assert machine["KeyName"] == "sequence-tutor"
        tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
        assert tags["ray-cluster-name"] == tags["project"] == "sequence-tutor"
        assert (machine.get("InstanceLifecycle") == "spot") == name.startswith("spot")
        (volume,) = launched["volumes"][name]
        assert volume["Encrypted"] and volume["VolumeType"] == "gp3"


def open_ranges(group: str) -> dict[tuple[str, int | None], list[str]]:
    """Address ranges that may enter a group, by protocol and first port."""
    (found,) = look().describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return {
        (rule["IpProtocol"], rule.get("FromPort")): [r["CidrIp"] for r in rule["IpRanges"]]
        for rule in found["IpPermissions"]
    }


def test_only_ssh_from_one_address_is_open(launched: dict[str, Any], group: str):
    ranges = open_ranges(group)
    assert ranges.pop(("tcp", 22)) == [ADDRESS]
    ((protocol, _), within), *more = ranges.items()
    assert protocol == "-1" and within == [] and not more


def test_control_without_a_group_ray_opens_ssh_to_all(launched: dict[str, Any]):
    config = shipped()
    config["cluster_name"] = "careless"
    for kind in config["available_node_types"].values():
        del kind["node_config"]["SecurityGroupIds"]
    resolved = commands._bootstrap_config(config, no_config_cache=True)
    (made,) = resolved["available_node_types"]["head"]["node_config"]["SecurityGroupIds"]
    assert open_ranges(made)["tcp", 22] == ["0.0.0.0/0"]


def test_the_shipped_file_starts_no_machine(launched: dict[str, Any]):
    with pytest.raises((click.ClickException, AssertionError)):
        commands._bootstrap_config(shipped(), no_config_cache=True)


def test_setting_up_again_opens_only_the_new_address(account: list[Call], group: str):
    assert setup.set_up(REGION, BUCKET, "198.51.100.0/24") == group
    assert open_ranges(group)["tcp", 22] == ["198.51.100.0/24"]
    setup.set_up(REGION, BUCKET, ADDRESS)


def test_the_bucket_is_private_and_roles_have_their_policies(group: str):
    blocked = boto3.client("s3").get_public_access_block(Bucket=BUCKET)
    assert set(blocked["PublicAccessBlockConfiguration"].values()) == {True}
    iam = boto3.client("iam")
    for role, policies in (("head", ["iam-head", "iam-node"]), ("node", ["iam-node"])):
        name = f"sequence-tutor-{role}"
        assert sorted(iam.list_role_policies(RoleName=name)["PolicyNames"]) == policies
        assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []


@pytest.mark.parametrize("all_addresses", ["0.0.0.0/0", "::/0"])
def test_opening_ssh_to_all_addresses_raises(all_addresses: str):
    assert setup.network(ADDRESS) == ADDRESS
    with pytest.raises(ValueError):
        setup.network(all_addresses)


# --- permissions ---------------------------------------------------------------------------------

Request = tuple[str, str, dict[str, str]]  # action, ARN, context keys of conditions


def arn(kind: str, name: str = "any") -> str:
    return f"arn:aws:ec2:{REGION}:{'' if kind == 'image' else ACCOUNT}:{kind}/{name}"


def tags_of(params: dict[str, Any]) -> dict[str, str]:
    for specification in params["TagSpecifications"]:
        if specification["ResourceType"] == "instance":
            return {t["Key"]: t["Value"] for t in specification["Tags"]}
    return {}


def requests(call: Call) -> list[Request]:
    """The permissions that AWS checks for a call, by its service authorization reference. Raises
    KeyError for a call that isn't listed here."""
    action, params = call
    ours = {"aws:ResourceTag/ray-cluster-name": "sequence-tutor"}
    if action.startswith("ec2:Describe"):
        return [(action, "*", {"aws:RequestedRegion": REGION})]
    if action == "ec2:RunInstances":
        asked = {f"aws:RequestTag/{key}": value for key, value in tags_of(params).items()}
        parts = [
            arn("image"),
            arn("key-pair", params["KeyName"]),
            arn("network-interface"),
            arn("subnet"),
            arn("volume"),
            *(arn("security-group", one) for one in params["SecurityGroupIds"]),
            *([arn("spot-instances-request")] if "InstanceMarketOptions" in params else []),
        ]
        made = {"ec2:CreateAction": "RunInstances"}
        tagged = [s["ResourceType"] for s in params["TagSpecifications"]]
        role = params["IamInstanceProfile"]["Name"]
        image = params["ImageId"].removeprefix("resolve:ssm:")
        return [
            (action, arn("instance"), asked),
            *((action, part, {}) for part in parts),
            *(("ec2:CreateTags", arn(kind), made) for kind in tagged),
            (
                "iam:PassRole",
                f"arn:aws:iam::{ACCOUNT}:role/{role}",
                {"iam:PassedToService": "ec2.amazonaws.com"},
            ),
            ("ssm:GetParameters", f"arn:aws:ssm:{REGION}::parameter{image}", {}),
        ]
    return {
        "ec2:CreateKeyPair": [(action, arn("key-pair", params.get("KeyName", "")), {})],
        "ec2:CreateTags": [(action, arn("instance"), ours)],
        "ec2:TerminateInstances": [(action, arn("instance"), ours)],
    }[action]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allows(policy: dict[str, Any], request: Request) -> bool:
    action, resource, context = request
    return any(
        action in statement["Action"]
        and any(fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        and all(
            context.get(key) == value
            for key, value in statement.get("Condition", {}).get("StringEquals", {}).items()
        )
        for statement in policy["Statement"]
    )


@pytest.fixture
def policies(group: str) -> Callable[[str], dict[str, Any]]:
    places = {"REGION": REGION, "ACCOUNT": ACCOUNT, "BUCKET": BUCKET, "GROUP": group}
    return lambda name: json.loads(setup.policy(name, places))


def test_the_policies_allow_all_calls(
    launched: dict[str, Any], policies: Callable[[str], dict[str, Any]]
):
    for caller, calls in launched["calls"].items():
        policy = policies("iam-launcher" if caller == "launcher" else "iam-head")
        assert {"ec2:RunInstances", "ec2:TerminateInstances"} <= {name for name, _ in calls}
        refused = [r for call in calls for r in requests(call) if not allows(policy, r)]
        assert refused == [], caller


def test_control_calls_the_head_must_not_make(launched: dict[str, Any], policies: Any, group: str):
    policy = policies("iam-head")
    (run,) = (c for c in launched["calls"]["spot"] if c[0] == "ec2:RunInstances")
    for change in (
        {"SecurityGroupIds": ["sg-another"]},
        {"IamInstanceProfile": {"Name": "administrator"}},
        {"IamInstanceProfile": {"Name": "sequence-tutor-head"}},
        {"KeyName": "another"},
        {"ImageId": "resolve:ssm:/our/secrets"},
        {"TagSpecifications": []},
    ):
        assert not all(allows(policy, r) for r in requests((run[0], run[1] | change))), change
    others = {"aws:ResourceTag/ray-cluster-name": "another"}
    assert not allows(policy, ("ec2:TerminateInstances", arn("instance"), others))
    assert not allows(policy, ("ec2:AuthorizeSecurityGroupIngress", arn("security-group"), {}))
    assert not allows(policy, ("s3:PutObject", "arn:aws:s3:::another/x", {}))


@pytest.mark.parametrize("name", ["iam-head", "iam-launcher", "iam-node"])
def test_policies_name_actions_and_resources(name: str):
    text = (CLUSTER / f"{name}.json").read_text()
    policy = json.loads(text)
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow"
        assert not [a for a in statement["Action"] if "*" in a], statement["Sid"]
        if statement["Resource"] == "*":  # describing can't be narrowed to resources
            assert all(a.startswith("ec2:Describe") for a in statement["Action"])
            assert statement["Condition"]["StringEquals"]["aws:RequestedRegion"] == "REGION"
    assert len(text) < 6144  # AWS's limit for a policy


def test_machines_write_to_one_bucket(policies: Callable[[str], dict[str, Any]]):
    policy = policies("iam-node")
    assert allows(policy, ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/runs/first/x", {}))
    assert allows(policy, ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}", {}))
    assert not allows(policy, ("s3:PutObject", "arn:aws:s3:::another/x", {}))
    assert not allows(policy, ("s3:PutBucketPolicy", f"arn:aws:s3:::{BUCKET}", {}))
