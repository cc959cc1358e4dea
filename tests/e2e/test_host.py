"""What Neargate makes on the machine, and that nothing of it is left after a clean stop."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import images, leftovers
from harness.machine import run
from harness.server import PROGRAM, Server, fresh_account
from harness.tasks import Tasks, address, container_of, summary


# What a stop must leave as it was, also where a task with a public address needed more.
FORWARDING = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/world/forwarding"]
# Instances that were seen here. Other Neargates on the machine, whose cgroups and mounts show too, come and go as they like.
_instances: set[str] = set()


def traces(data_dir: Path) -> dict[str, list[str]]:
    """What on this machine belongs to a Neargate, in this process's namespaces."""
    _instances.update(path.name for path in Path("/run/neargate").iterdir())
    ours = [str(data_dir), *(f"/run/neargate/{name}" for name in _instances)]
    places = [None, *leftovers.routers()]
    rules = [line for place in places for line in leftovers.inside(place, "ip", "rule").splitlines()]
    tables = [line for place in places for line in leftovers.inside(place, "nft", "list", "tables").splitlines()]
    devices = [link["ifname"] for place in places for link in leftovers.links(place)]
    return {
        "namespaces": sorted(str(path) for path in Path("/run/neargate").glob("*/netns/*")),
        "routers": sorted(str(path) for path in leftovers.routers()),
        "routes": sorted(run("ip", "route", "show", "table", "main").splitlines()),
        "forwarding": [(path, Path(path).read_text()) for path in FORWARDING],
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if any(path in line for path in ours)],
        "devices": sorted(name for name in devices if name.startswith("ng")),
        "tables": sorted(line for line in tables if "neargate" in line),
        "rules": sorted(line for line in rules if "fwmark" in line),
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("**/neargate/*") if path.name in _instances),
        "processes": sorted(words for words in map(command_line, Path("/proc").glob("[0-9]*")) if str(data_dir) in words),
    }


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.parametrize("busy", [False, True], ids=["without tasks", "with tasks"])
def test_a_clean_stop_leaves_nothing(busy, world, layout, tmp_path):
    before = traces(tmp_path)
    server = Server(tmp_path / "data", "--create-repositories-on-push")
    if busy:
        images.push(layout, server.address, "base:1")
        tasks = Tasks(server, fresh_account(), "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1")
        definition = tasks.register(tasks.container(stopTimeout=2), {"name": "b", "command": ["sleep", "100"], "stopTimeout": 2,
                                    "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}, volumes=[{"name": "v"}])
        for _ in range(3):
            tasks.start(definition, networkConfiguration=tasks.network(public=True))
        task = tasks.start(definition)
        assert address(tasks.wait(task, "RUNNING"))
        during = traces(tmp_path)
        for what in ("namespaces", "mounts", "devices", "tables", "routers", "rules", "cgroups", "processes"):
            assert len(during[what]) > len(before[what]), f"this test sees {what}"
    assert server.stop() == 0, server.errors.read_text()
    assert traces(tmp_path) == before


def test_what_was_there_is_there_again(layout, tmp_path):
    account = fresh_account()
    server = Server(tmp_path / "data", "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, account, "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1")
    arn = tasks.start(tasks.register(tasks.container("echo kept; sleep 100", stopTimeout=2)))
    tasks.wait(arn, "RUNNING")
    assert server.stop() == 0
    again = Server(tmp_path / "data")
    tasks = Tasks(again, account, tasks.image)
    task = tasks.describe(arn)
    assert (task["lastStatus"], task["stoppedReason"]) == ("STOPPED", "Neargate was stopped")
    assert tasks.lines(task) == ["kept"]
    assert tasks.lines(tasks.run(tasks.container("echo new"))) == ["new"]
    assert again.stop() == 0


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_another_oci_runtime(runtime, layout, tmp_path):
    server = Server(tmp_path / "data", "--create-repositories-on-push", "--oci-runtime", shutil.which(runtime))
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, fresh_account(), "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1")
    task = tasks.run(tasks.container("echo ran; exit 4"))
    if "hybrid mode not supported" in container_of(task).get("reason", ""):
        pytest.skip(f"{runtime} does not run on hosts with both versions of cgroups")
    assert (container_of(task).get("exitCode"), tasks.lines(task)) == (4, ["ran"]), summary(task)
    assert server.stop() == 0


def test_a_stopped_task_is_described_for_an_hour(layout, tmp_path):
    server = Server(tmp_path / "data", "--create-repositories-on-push", "--time-scale", "1200")
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, fresh_account(), "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1")
    arn = tasks.run(tasks.container("true"))["taskArn"]
    assert tasks.ecs.describe_tasks(tasks=[arn])["failures"] == [], "not at once"
    end = time.monotonic() + 30
    while not (failures := tasks.ecs.describe_tasks(tasks=[arn])["failures"]):
        assert time.monotonic() < end, "an hour is three seconds at this scale"
        time.sleep(0.2)
    assert failures == [{"arn": arn, "reason": "MISSING"}]
    assert server.stop() == 0


def test_a_data_directory_has_one_server(server):
    done = subprocess.run([PROGRAM, "dev", "--listen", "127.0.0.1:0", "--data-dir", server.data_dir], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "already serves" in done.stderr


def test_an_interrupt_stops_as_well(tmp_path):
    server = Server(tmp_path / "data")
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0


def test_reset_empties_everything(layout, tmp_path):
    server = Server(tmp_path / "data", "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, fresh_account(), "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1")
    tasks.wait(tasks.start(tasks.register(tasks.container("sleep 100", stopTimeout=2))), "RUNNING")
    run("curl", "--silent", "--fail", "--show-error", "--request", "POST", "--header", "X-Neargate-Reset: yes", f"{server.endpoint}/_neargate/reset")
    assert tasks.ecs.list_clusters()["clusterArns"] == []
    assert tasks.logs.describe_log_groups()["logGroups"] == []
    assert server.stop() == 0


def test_doctor_finds_this_machine_fit():
    done = subprocess.run([PROGRAM, "doctor"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "missing " not in done.stdout and "This machine can run tasks." in done.stdout


def test_doctor_says_what_is_missing():
    nobody = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", PROGRAM, "doctor"], capture_output=True, text=True,
                            env=os.environ | {"PATH": "/bin"})
    assert nobody.returncode == 1 and "missing  root" in nobody.stdout, nobody.stdout + nobody.stderr
