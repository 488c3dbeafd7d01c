"""What `ray up cluster/config.yaml` must find in an AWS account, made once by an administrator.

    python cluster/aws_setup.py --region us-west-2 --bucket YOUR-BUCKET --ssh-from 203.0.113.7/32

makes, or brings up to date,
  - a bucket for runs that can't be made public;
  - a security group: the cluster's machines reach each other, `--ssh-from` reaches port 22;
  - a role for the head (iam-head.json, iam-node.json) and one for the others (iam-node.json);
  - a group of IAM users who may start the cluster (iam-launcher.json).
Machines, keys and everything else that costs money or carries a secret is left to `ray up`.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

NAME = "sequence-tutor"
HERE = Path(__file__).parent
ASSUMED_BY_MACHINES = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def policy(name: str, places: dict[str, str]) -> str:
    """The text of `cluster/NAME.json` with REGION, ACCOUNT, BUCKET and GROUP filled in."""
    text = (HERE / f"{name}.json").read_text()
    for place, value in places.items():
        text = text.replace(place, value)
    return text


@contextmanager
def unless_made() -> Iterator[None]:
    """What is there already, from an earlier time, is as good."""
    try:
        yield
    except ClientError as error:
        # a profile takes one role; a second is one too many
        made = ("EntityAlreadyExists", "BucketAlreadyOwnedByYou", "LimitExceeded")
        if error.response["Error"]["Code"] not in made:
            raise


def make_bucket(s3: Any, bucket: str, region: str) -> None:
    """Raises ClientError where somebody else has a bucket of that name."""
    # the oldest region is the default and mustn't be named
    where = {} if region == "us-east-1" else {"LocationConstraint": region}
    with unless_made():
        s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {}))
    closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(closed, True)
    )


def make_group(ec2: Any, vpc: str | None, ssh_from: str) -> str:
    """The id of the security group; `vpc` is the account's default one if None."""
    if vpc is None:
        default = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not default:
            raise SystemExit("error: this region has no default VPC; name one with --vpc")
        vpc = default[0]["VpcId"]
    named = [{"Name": "group-name", "Values": [NAME]}, {"Name": "vpc-id", "Values": [vpc]}]
    found = ec2.describe_security_groups(Filters=named)["SecurityGroups"]
    if found:
        group, rules = found[0]["GroupId"], found[0]["IpPermissions"]
    else:
        group = ec2.create_security_group(
            GroupName=NAME, VpcId=vpc, Description="Sequence Tutor clusters, among themselves"
        )["GroupId"]
        rules = []
    if rules:  # an address that was let in last year shouldn't be for ever
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rules)
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]},
            {
                "IpProtocol": "tcp",
                "FromPort": 22,
                "ToPort": 22,
                "IpRanges": [{"CidrIp": ssh_from, "Description": "who starts clusters"}],
            },
        ],
    )
    return str(group)


def make_role(iam: Any, name: str, policies: dict[str, str]) -> None:
    """A role that machines may take, with exactly these policies of ours, and its profile."""
    assumed_by = json.dumps(ASSUMED_BY_MACHINES)
    with unless_made():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=assumed_by)
    with unless_made():
        iam.create_instance_profile(InstanceProfileName=name)
    with unless_made():
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    for policy_name, text in policies.items():
        iam.put_role_policy(RoleName=name, PolicyName=policy_name, PolicyDocument=text)


def make_launchers(iam: Any, text: str) -> None:
    """The group of users who may start clusters."""
    with unless_made():
        iam.create_group(GroupName=f"{NAME}-launchers")
    iam.put_group_policy(
        GroupName=f"{NAME}-launchers", PolicyName="iam-launcher", PolicyDocument=text
    )


def network(text: str) -> str:
    """An address range for --ssh-from. Raises ValueError for one that is no range or everybody."""
    if ipaddress.ip_network(text).prefixlen == 0:
        raise ValueError("everybody")
    return text


def set_up(region: str, bucket: str, ssh_from: str, vpc: str | None = None) -> str:
    """Make it all, or bring it up to date; the id of the security group."""
    account = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
    make_bucket(boto3.client("s3", region_name=region), bucket, region)
    group = make_group(boto3.client("ec2", region_name=region), vpc, ssh_from)
    places = {"REGION": region, "ACCOUNT": account, "BUCKET": bucket, "GROUP": group}
    head, node = policy("iam-head", places), policy("iam-node", places)
    iam = boto3.client("iam", region_name=region)
    make_role(iam, f"{NAME}-head", {"iam-head": head, "iam-node": node})
    make_role(iam, f"{NAME}-node", {"iam-node": node})
    make_launchers(iam, policy("iam-launcher", places))
    return group


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--region", required=True)
    parser.add_argument("--bucket", required=True, help="its name, unique in the world")
    parser.add_argument("--ssh-from", required=True, type=network, help="such as 203.0.113.7/32")
    parser.add_argument("--vpc", help="the network to put the security group into")
    arguments = parser.parse_args()
    group = set_up(arguments.region, arguments.bucket, arguments.ssh_from, arguments.vpc)
    print(f"In cluster/config.yaml: region: {arguments.region}, SecurityGroupIds: [{group}]")
    print(f"Runs go to --out s3://{arguments.bucket}/runs/NAME")
    print(f"Who may start clusters: the IAM users you add to the group {NAME}-launchers")


if __name__ == "__main__":
    main()
