"""Whole-process measurements of a release build, beside the peers that registries have.

Machines are noisy: read the ratios, not the numbers. Needs root. See docs/benchmarks.md.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

import shift as traffic

ROOT = pathlib.Path(__file__).resolve().parent.parent
NEARGATE = ROOT / "target/release/neargate"
XTASK = ROOT / "target/release/xtask"
LAUNCHES = 15
BURST = 200
API_SECONDS = 3
API_CONNECTIONS = 32


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def client(service, port):
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, max_pool_connections=32),
    )


def uptime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def memory_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {key: int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1)) for key in ("Rss", "Pss")}


@contextlib.contextmanager
def neargate(data):
    port = free_port()
    started = time.time()
    process = subprocess.Popen(
        [NEARGATE, "dev", "--listen", f"127.0.0.1:{port}", "--data-dir", data, "--create-repositories-on-push"],
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    assert line.startswith("ready "), line
    ready_ms = (time.time() - started) * 1000
    try:
        yield port, process, ready_ms
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=180)


def build_image(work):
    """A static program that prints the machine's uptime as its first act, and then waits."""
    source = work / "stamp.c"
    source.write_text(
        "#include <stdio.h>\n#include <time.h>\n#include <unistd.h>\n#include <signal.h>\n"
        "static void end(int s) { _exit(0); }\n"
        "int main(void) { struct timespec t; clock_gettime(CLOCK_BOOTTIME, &t);\n"
        'printf("%ld.%09ld\\n", (long)t.tv_sec, t.tv_nsec); fflush(stdout);\n'
        "signal(SIGTERM, end); for (;;) pause(); }\n"
    )
    subprocess.run(["gcc", "-O2", "-static", "-o", work / "stamp", source], check=True)
    subprocess.run([XTASK, "image", work / "stamp", work / "oci", "1"], check=True, stdout=subprocess.DEVNULL)


def prepare(work, port):
    traffic.push(work / "oci", port, "stamp")
    ecs, ec2 = client("ecs", port), client("ec2", port)
    ecs.create_cluster()
    ecs.register_task_definition(
        family="stamp",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        executionRoleArn="arn:aws:iam::000000000000:role/x",
        containerDefinitions=[
            {
                "name": "app",
                "image": f"localhost:{port}/stamp:1",
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": "/bench",
                        "awslogs-region": "us-east-1",
                        "awslogs-stream-prefix": "p",
                        "awslogs-create-group": "true",
                    },
                },
            }
        ],
    )
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    return ecs, {"awsvpcConfiguration": {"subnets": [subnet]}}


def run_task(ecs, network, **more):
    return ecs.run_task(taskDefinition="stamp", launchType="FARGATE", networkConfiguration=network, **more)


def first_line(logs, task):
    stream = "p/app/" + task.rsplit("/", 1)[1]
    while True:
        events = logs.get_log_events(logGroupName="/bench", logStreamName=stream, startFromHead=True)["events"]
        if events:
            return float(events[0]["message"])
        time.sleep(0.02)


def launch(work, report):
    with neargate(work / "launch") as (port, _, _):
        ecs, network = prepare(work, port)
        logs = client("logs", port)

        def one():
            asked = uptime()
            task = run_task(ecs, network)["tasks"][0]["taskArn"]
            accepted = uptime()
            while ecs.describe_tasks(tasks=[task])["tasks"][0]["lastStatus"] != "RUNNING":
                pass
            running = uptime()
            began = first_line(logs, task)
            ecs.stop_task(task=task)
            return (began - accepted) * 1000, (running - asked) * 1000, (began - asked) * 1000

        one()
        rows = [one() for _ in range(LAUNCHES)]
    ours = statistics.median(row[2] for row in rows)
    report("RunTask accepted -> first instruction, median ms", statistics.median(row[0] for row in rows))
    report("RunTask called -> first instruction, median ms", ours)
    report("RunTask called -> RUNNING seen by DescribeTasks, median ms", statistics.median(row[1] for row in rows))
    with docker(work) as run:
        if run is None:
            print("  docker: no engine could be started here")
            return
        run(1)
        theirs = statistics.median(run(1)[0] for _ in range(LAUNCHES))
        report("docker run -> first instruction, median ms", theirs)
        report("ratio to docker run (goal <= 0.33)", ours / theirs)
        started = time.time()
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda _: run(1), range(BURST // 4)))
        report("docker run, containers started per second", BURST // 4 / (time.time() - started))


@contextlib.contextmanager
def docker(work):
    """Docker's engine on a socket and a data root of its own, from Debian's docker.io."""
    dockerd = shutil.which("dockerd") or "/usr/sbin/dockerd"
    if not pathlib.Path(dockerd).exists():
        yield None
        return
    base = work / "docker"
    base.mkdir()
    sock = base / "sock"
    daemon = subprocess.Popen(
        [
            "unshare", "--net", "--mount", dockerd, "--host", f"unix://{sock}", "--data-root", base / "data",
            "--exec-root", base / "exec", "--pidfile", base / "pid",
            "--storage-driver", "overlay2",
        ],
        stdout=(base / "log").open("w"),
        stderr=subprocess.STDOUT,
    )
    cli = ["docker", "--host", f"unix://{sock}"]
    for _ in range(100):
        if subprocess.run([*cli, "info"], capture_output=True).returncode == 0 or daemon.poll() is not None:
            break
        time.sleep(0.1)
    try:
        if daemon.poll() is not None:
            yield None
            return
        rootfs = subprocess.run(["tar", "-C", work, "-c", "stamp"], check=True, capture_output=True).stdout
        subprocess.run([*cli, "import", "--change", 'ENTRYPOINT ["/stamp"]', "-", "stamp:1"], input=rootfs, check=True, capture_output=True)
        names = []

        def run(_):
            name = f"bench{time.monotonic_ns()}"
            names.append(name)
            asked = uptime()
            subprocess.run([*cli, "run", "--detach", "--name", name, "stamp:1"], check=True, capture_output=True)
            while not (out := subprocess.run([*cli, "logs", name], check=True, capture_output=True, text=True).stdout):
                pass
            return (float(out) - asked) * 1000, name

        yield run
        for name in names:
            subprocess.run([*cli, "rm", "--force", name], capture_output=True)
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)


def burst(work, report):
    with neargate(work / "burst") as (port, _, _):
        ecs, network = prepare(work, port)
        run_task(ecs, network)
        started = time.time()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: run_task(ecs, network, count=10, startedBy="burst"), range(BURST // 10)))
        tasks = [task["taskArn"] for answer in answers for task in answer["tasks"]]
        states = {}
        while time.time() - started < 120:
            states = {}
            for at in range(0, len(tasks), 100):
                for task in ecs.describe_tasks(tasks=tasks[at : at + 100])["tasks"]:
                    states[task["lastStatus"]] = states.get(task["lastStatus"], 0) + 1
            if set(states) <= {"RUNNING", "STOPPED"}:
                break
            time.sleep(0.1)
        took = time.time() - started
        report(f"{BURST} tasks at once: RUNNING", states.get("RUNNING", 0))
        report(f"{BURST} tasks at once: failed", len(tasks) - states.get("RUNNING", 0))
        report("tasks per second until all RUNNING", len(tasks) / took)


def footprint(work, report):
    with neargate(work / "footprint") as (port, process, ready_ms):
        report("neargate dev ready on an empty directory, ms (goal <= 150)", ready_ms)
        time.sleep(1)
        pids = [process.pid, *(int((work / f"footprint/{role}/lock").read_text()) for role in ("node", "lb"))]
        resident = [memory_kib(pid)["Rss"] / 1024 for pid in pids]
        report("server, node, lb resident, MiB", " + ".join(f"{mib:.1f}" for mib in resident))
        report("together (goal <= 60)", sum(resident))
        ecs, network = prepare(work, port)
        run_task(ecs, network, count=3)
        time.sleep(2)
        found = subprocess.run(["pgrep", "-f", f"neargate shim --dir {work}/footprint"], capture_output=True, text=True).stdout.split()
        shims = [memory_kib(pid) for pid in found]
        report("shim resident, MiB", statistics.mean(s["Rss"] for s in shims) / 1024)
        report("shim proportional (shared pages split), MiB (goal <= 3)", statistics.mean(s["Pss"] for s in shims) / 1024)


def signed(port, target, body):
    request = AWSRequest(
        "POST",
        f"http://127.0.0.1:{port}/",
        data=body,
        headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{target}"},
    )
    SigV4Auth(Credentials("test", "test"), "ecs", "us-east-1").add_auth(request)
    return dict(request.headers)


def hammer(port, target, body):
    """One load generator for all servers: compiled, so that what it takes from the shared cores is small and equal."""
    body = json.dumps(body)
    headers = [word for name, value in signed(port, target, body).items() for word in ("--header", f"{name}: {value}")]
    command = [XTASK, "load", f"127.0.0.1:{port}", "--seconds", str(API_SECONDS), "--connections", str(API_CONNECTIONS), *headers, "--body", body]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.splitlines()[0])
    return json.loads(done.stdout)


DEFINITION = {
    "family": "bench",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [
        {"name": "app", "image": "public.example/app:1", "essential": True, "portMappings": [{"containerPort": 80}]}
    ],
}


@contextlib.contextmanager
def peer(command, port):
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"GATEWAY_PORT": str(port), "EDGE_PORT": str(port)},
    )
    try:
        for _ in range(150):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def api(work, report):
    """A describe and a durable write, on each server alone. The peers keep their state in memory only."""
    found = {}

    def measure(name, port):
        ecs = client("ecs", port)
        ecs.create_cluster()
        ecs.register_task_definition(**DEFINITION)
        tasks = ["0" * 32]
        with contextlib.suppress(Exception):
            subnet = client("ec2", port).describe_subnets()["Subnets"][0]["SubnetId"]
            tasks = [
                ecs.run_task(
                    taskDefinition="bench", launchType="FARGATE",
                    networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
                )["tasks"][0]["taskArn"]
            ]
        read = hammer(port, "DescribeTasks", {"cluster": "default", "tasks": tasks})
        # All connections register revisions of one family, as the deployments of one service do.
        write = hammer(port, "RegisterTaskDefinition", DEFINITION)
        found[name] = (read["per_second"], write["per_second"])
        for operation, got in (("DescribeTasks", read), ("RegisterTaskDefinition", write)):
            report(f"{name}: {operation} per second", got["per_second"])
            report(f"{name}: {operation} p50 ms", got["p50_ms"])
            report(f"{name}: {operation} p99 ms", got["p99_ms"])

    with neargate(work / "api") as (port, _, _):
        measure("neargate", port)
    bin_dir = pathlib.Path(sys.executable).parent
    for name, command in [("moto", ["moto_server", "-H", "127.0.0.1", "-p", "{port}"]), ("ministack", ["ministack"])]:
        port = free_port()
        words = [str(bin_dir / command[0]), *(word.format(port=port) for word in command[1:])]
        try:
            with peer(words, port):
                measure(name, port)
        except Exception as error:  # a peer that does not run here is said, not hidden
            print(f"  {name}: could not be measured: {error}")
    best = [max((rates[i] for name, rates in found.items() if name != "neargate"), default=0) for i in (0, 1)]
    if all(best):
        report("reads, ratio to the faster peer (goal >= 20)", found["neargate"][0] / best[0])
        report("durable writes, ratio to the faster peer (goal >= 10)", found["neargate"][1] / best[1])


def shift(work, report):
    traffic.build_image(work, XTASK)
    with neargate(work / "shift") as (port, _, _):
        traffic.push(work / "web-oci", port, "webapp")
        traffic.shift(client, port, free_port(), report)


PARTS = {"footprint": footprint, "launch": launch, "burst": burst, "api": api, "shift": shift}


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="neargate-bench-"))
    results = {}

    def report(name, value):
        results[name] = value
        print(f"  {name}: {value:.2f}" if isinstance(value, float) else f"  {name}: {value}", flush=True)

    try:
        build_image(work)
        for name in sys.argv[1:] or PARTS:
            print(name, flush=True)
            PARTS[name](work, report)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    (ROOT / "target/bench.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
