"""`ray up cluster/config.yaml` from a laptop to a pretend EC2: machines start on demand, one is
lost during the work, idle ones end, and `ray down` leaves none.

Ray's launcher and autoscaler, boto3 and the file are what a user has, except for SETTINGS below.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cloud import Cloud, cloud
from machines import Machine, Unavailable, room

ROOT = Path(__file__).parents[2]
ACTIVATED = "cd ~/checkout && . ~/sequence-tutor/bin/activate && export RAY_AUTH_MODE=token && "
# One task a CPU, so 20 of them need two spot machines; each returns its address.
WORK = """
import ray, time

@ray.remote(num_cpus=1, resources={"spot": 0.01}, max_retries=-1)
def work(number):
    time.sleep(25)
    return number, ray.util.get_node_ip_address()

ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
print("asked", flush=True)
done = ray.get([work.remote(i) for i in range(20)])
assert [number for number, _ in done] == list(range(20))
print("machines", len({address for _, address in done}))
"""


@pytest.fixture(scope="module")
def ec2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    try:
        # the addresses of a default VPC
        with room(tmp_path_factory.mktemp("cloud") / "room", "cloud", "172.31.0.0/16") as opened:
            with cloud(opened) as found:
                yield found
    except Unavailable as error:
        pytest.skip(str(error))


def lay_out(ec2: Cloud, wheel: Path) -> Machine:
    """A laptop with a checkout, as far as `ray up` needs one, in an account that is set up."""
    laptop = ec2.room.machine("laptop", "172.31.255.10")
    laptop.power_on()
    checkout = laptop.on_disk("/root") / "checkout"
    (checkout / "cluster").mkdir(parents=True)
    (checkout / "dist").mkdir()
    shutil.copy(wheel, checkout / "dist")
    shutil.copy(ROOT / "constraints.txt", checkout)
    for file in ("aws_setup.py", "iam-head.json", "iam-node.json", "iam-launcher.json"):
        shutil.copy(ROOT / "cluster" / file, checkout / "cluster")
    ec2.introduce(laptop)
    said = laptop.ask(
        ACTIVATED + "ray get-auth-token --generate >/dev/null && python cluster/aws_setup.py "
        "--region us-west-2 --bucket runs-of-ours --ssh-from 172.31.255.10/32"
    )
    group = said.split("SecurityGroupIds: [")[1].split("]")[0]
    config = yaml.safe_load((ROOT / "cluster" / "config.yaml").read_text())
    for kind in config["available_node_types"].values():
        kind["node_config"]["SecurityGroupIds"] = [group]
    # SETTINGS: bodies have no public addresses, one user, and an image with everything installed
    config["provider"]["use_internal_ips"] = True
    config["auth"]["ssh_user"] = "root"
    config["initialization_commands"] = []
    config["setup_commands"] = [c for c in config["setup_commands"] if "pip" not in c]
    config["head_setup_commands"] = []
    config["idle_timeout_minutes"] = 0.5
    (checkout / "cluster" / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return laptop


@pytest.mark.nightly
def test_machines_start_are_lost_and_end(ec2: Cloud, wheel: Path):
    laptop = lay_out(ec2, wheel)
    laptop.ask(ACTIVATED + "ray up -y cluster/config.yaml", 400)
    assert ec2.kinds() == ["head"]
    (head,) = ec2.bodies.values()
    (head.on_disk("/root") / "work.py").write_text(WORK)
    activated = ". ~/sequence-tutor/bin/activate && export RAY_AUTH_MODE=token && "
    refused = head.run(activated + "RAY_AUTH_MODE=disabled ray status", 90)
    assert refused.returncode != 0
    job = head.start(activated + "python work.py")
    came = ec2.wait_for(2, 200)
    print(f"two machines were there {came:.0f} s after they were asked for")
    lost = ec2.take_back_one()
    out, _ = job.communicate(timeout=500)
    assert job.returncode == 0 and "machines" in out, out
    assert lost not in ec2.instances()
    print(f"the last one went {ec2.wait_for(0, 300):.0f} s after the work")
    laptop.ask(ACTIVATED + "ray down -y cluster/config.yaml", 200)
    assert ec2.kinds() == []
