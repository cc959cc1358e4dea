"""A service's latency while a neighbour attacks: each attack of attacks.c as a task beside a service of two tasks behind a
load balancer, on one machine. What is asked each time: do the service's requests go on as on a quiet machine, does
everything of Neargate's live, does the attacker stop when told to, and is nothing left of it after a clean stop.

Runs in a network and mount namespace of its own. Needs root. See docs/benchmarks.md.
"""

import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import run as bench

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOAD = pathlib.Path(os.environ.get("NEARGATE_LOAD", ROOT / "target/release/neargate-load"))
ATTACKS = [
    "forks", "spin", "lines", "memory", "bytes", "inodes", "depth", "inotify", "files", "resolver", "questions", "flows", "groups",
]
SECONDS = int(os.environ.get("BENCH_SECONDS", "6"))
RATE = 300
PORT = 8080
STOP_SECONDS = 120


def enter_namespaces():
    """The machine's own network and mounts are not touched."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x00020000 | 0x40000000):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    pathlib.Path("/run/neargate").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "neargate-bench", "/run/neargate"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def build_image(work):
    subprocess.run(["gcc", "-O2", "-static", "-o", work / "attacks", ROOT / "bench/attacks.c"], check=True)
    subprocess.run([bench.XTASK, "image", work / "attacks", work / "attacks-oci", "1"], check=True, stdout=subprocess.DEVNULL)


class Site:
    def __init__(self, port, listen):
        client = lambda service: bench.client(service, port)
        self.ecs, ec2, elb = client("ecs"), client("ec2"), client("elbv2")
        self.port, self.listen = port, listen
        self.ecs.create_cluster()
        subnets = ec2.describe_subnets()["Subnets"]
        group = ec2.create_security_group(GroupName="open", Description="open", VpcId=subnets[0]["VpcId"])["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
        subnet_ids = [subnet["SubnetId"] for subnet in subnets[:2]]
        self.network = {"awsvpcConfiguration": {"subnets": subnet_ids, "securityGroups": [group]}}
        balancer = elb.create_load_balancer(Name="victim", Subnets=subnet_ids, SecurityGroups=[group])["LoadBalancers"][0]
        self.host = balancer["DNSName"]
        targets = elb.create_target_group(
            Name="victim", Protocol="HTTP", Port=PORT, VpcId=subnets[0]["VpcId"], TargetType="ip", HealthCheckPath="/health",
            HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=listen,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
        )
        self.define("victim", "webapp", [], [{"containerPort": PORT}])
        self.ecs.create_service(
            serviceName="victim", taskDefinition="victim", desiredCount=2, launchType="FARGATE", networkConfiguration=self.network,
            loadBalancers=[{"targetGroupArn": targets, "containerName": "app", "containerPort": PORT}],
        )
        elb.get_waiter("target_in_service").wait(TargetGroupArn=targets, WaiterConfig={"Delay": 1, "MaxAttempts": 90})

    def define(self, family, repository, command, ports):
        self.ecs.register_task_definition(
            family=family, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            executionRoleArn="arn:aws:iam::000000000000:role/x",
            containerDefinitions=[{
                "name": "app", "image": f"localhost:{self.port}/{repository}:1", "command": command, "portMappings": ports,
                "restartPolicy": {"enabled": True, "restartAttemptPeriod": 60}, "stopTimeout": 2,
                "logConfiguration": {"logDriver": "awslogs", "options": {
                    "awslogs-group": "/bench", "awslogs-region": "us-east-1", "awslogs-stream-prefix": family,
                    "awslogs-create-group": "true",
                }},
            }],
        )

    def start(self, attack):
        self.define(attack, "attacks", [attack], [])
        task = self.ecs.run_task(taskDefinition=attack, launchType="FARGATE", networkConfiguration=self.network)["tasks"][0]["taskArn"]
        while self.status(task) not in ("RUNNING", "STOPPED"):
            time.sleep(0.05)
        return task

    def stop(self, task):
        """Answers how long it took, or None if it has not stopped."""
        began = time.monotonic()
        self.ecs.stop_task(task=task)
        while self.status(task) != "STOPPED":
            if time.monotonic() - began > STOP_SECONDS:
                return None
            time.sleep(0.05)
        return time.monotonic() - began

    def status(self, task):
        return self.ecs.describe_tasks(tasks=[task])["tasks"][0]["lastStatus"]

    def load(self):
        done = subprocess.run(
            [LOAD, "--url", f"http://{self.host}:{self.listen}/", "--seconds", str(SECONDS), "--rate", str(RATE), "--http2", "0",
             "--websockets", "0", "--streams", "0", "--new-connections", "2"],
            capture_output=True, text=True,
        )
        total = json.loads(done.stdout.splitlines()[-1])
        kept = total["by_kind"]["keep_alive"]
        return {"p50_ms": kept["p50_ms"], "p99_ms": kept["p99_ms"], "served": total["served"], "failed": total["failed"]}


def pids(work, process):
    return [process.pid, *(int((work / "data" / role / "lock").read_text()) for role in ("node", "lb"))]


def left(work):
    """What is still there of a Neargate that has stopped."""
    mounts = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    found = [path for path in mounts if path.startswith((str(work), "/run/neargate/"))]
    instance = (work / "data/node/instance").read_text().strip()
    found += [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/neargate/{instance}") if path.is_dir()]
    found += [line.split(":")[1] for line in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout.splitlines() if " lo:" not in line and "neargate" in line]
    return found


def main():
    names = sys.argv[1:] or ATTACKS
    enter_namespaces()
    work = pathlib.Path(tempfile.mkdtemp(prefix="neargate-hostile-"))
    bench.traffic.build_image(work, bench.XTASK)
    build_image(work)
    rows, quiet = {}, []
    with bench.neargate(work / "data") as (port, process, _):
        bench.traffic.push(work / "web-oci", port, "webapp")
        bench.traffic.push(work / "attacks-oci", port, "attacks")
        site = Site(port, bench.free_port())
        site.load()
        alive = pids(work, process)
        for name in names:
            task = site.start("quiet")
            quiet.append(site.load())
            site.stop(task)
            task = site.start(name)
            time.sleep(1)
            rows[name] = site.load()
            rows[name]["stopped_after_s"] = site.stop(task)
            rows[name]["all_alive"] = pids(work, process) == alive and process.poll() is None
            print(f"  {name}: {rows[name]}", flush=True)
    calm = statistics.median(row["p99_ms"] for row in quiet)
    print(f"quiet: p99 {calm:.2f} ms, failed {sum(row['failed'] for row in quiet)}")
    print("attack | p50 ms | p99 ms | p99 to quiet (goal <= 2) | failed | stopped after s | all of Neargate's alive")
    for name, row in rows.items():
        stopped = "never" if row["stopped_after_s"] is None else f"{row['stopped_after_s']:.1f}"
        print(f"{name} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['p99_ms'] / calm:.2f} | {row['failed']} | {stopped} | {row['all_alive']}")
    print("left after a clean stop:", left(work) or "nothing")
    (ROOT / "target/bench-hostile.json").write_text(json.dumps({"quiet": quiet, "attacks": rows}, indent=1))
    subprocess.run(["rm", "-rf", work], check=True)


if __name__ == "__main__":
    main()
