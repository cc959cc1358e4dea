"""`kill -9` of the server, the node, or both: tasks go on, and the next process knows all that happened."""

import json
import time

import pytest

from harness import images
from harness.processes import kill, lock_holder
from harness.server import Server, fresh_account
from harness.tasks import Tasks, address, container_of

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1"


def kill_server(server) -> None:
    server.process.kill()
    server.process.wait()


@pytest.mark.parametrize("victims", [("server",), ("node",), ("server", "node")], ids="+".join)
def test_tasks_survive(victims, layout, tmp_path):
    data_dir, account = tmp_path / "data", fresh_account()
    server = Server(data_dir, "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, account, IMAGE)
    ticking = tasks.register(tasks.container('trap "exit 0" TERM; i=0; while true; do echo tick $i; i=$((i+1)); sleep 0.1; done'))
    ending = tasks.register(tasks.container("sleep 2; exit 42"))
    running = tasks.wait(tasks.start(ticking), "RUNNING")
    short = tasks.wait(tasks.start(ending), "RUNNING")
    before = container_of(running)["runtimeId"], address(running), running["startedAt"]

    if "node" in victims:
        kill(lock_holder(data_dir, "node"))
    if "server" in victims:
        kill_server(server)
        # The short task ends while nobody looks.
        time.sleep(2.5)
        server = Server(data_dir, "--create-repositories-on-push")
        tasks = Tasks(server, account, IMAGE)

    ended = tasks.wait(short["taskArn"])
    assert container_of(ended)["exitCode"] == 42
    assert ended["stopCode"] == "EssentialContainerExited"
    after = tasks.describe(running["taskArn"])
    assert after["lastStatus"] == "RUNNING", after
    assert (container_of(after)["runtimeId"], address(after), after["startedAt"]) == before

    # The log stream is open still: lines that were written meanwhile, and new ones, each once.
    seen = len(tasks.lines(after))
    deadline = time.time() + 20
    while len(tasks.lines(after)) < seen + 5:
        assert time.time() < deadline, "no new log lines"
        time.sleep(0.1)
    lines = tasks.lines(after)
    assert lines == [f"tick {i}" for i in range(len(lines))]

    tasks.stop(running["taskArn"])
    assert container_of(tasks.wait(running["taskArn"]))["exitCode"] == 0
    assert server.stop() == 0


def test_a_killed_shim_ends_its_task(layout, tmp_path):
    data_dir = tmp_path / "data"
    server = Server(data_dir, "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, fresh_account(), IMAGE)
    task = tasks.wait(tasks.start(tasks.register(tasks.container("sleep 1000"))), "RUNNING")
    directory = data_dir / "node" / "tasks" / task["taskArn"].rsplit("/", 1)[1]
    kill(json.loads((directory / "state.json").read_text())["shim_pid"])
    ended = tasks.wait(task["taskArn"])
    assert ended["stopCode"] == "EssentialContainerExited"
    assert container_of(ended)["exitCode"] == 137
    assert server.stop() == 0


def test_a_server_without_a_node_ends_and_leaves_tasks_to_the_next(layout, tmp_path):
    """Nobody would stop them: neither those that wait nor those of a node that was killed."""
    data_dir, account = tmp_path / "data", fresh_account()
    server = Server(data_dir, "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, account, IMAGE)
    definition = tasks.register({"name": "app", "stopTimeout": 2})
    running = tasks.wait(tasks.start(definition), "RUNNING")
    kill_server(server)
    kill(lock_holder(data_dir, "node"))

    server = Server(data_dir, "--no-node")
    waiting = Tasks(server, account, IMAGE).start(definition)
    assert server.stop() == 0

    server = Server(data_dir)
    tasks = Tasks(server, account, IMAGE)
    assert tasks.wait(waiting, "RUNNING")["startedAt"] > running["startedAt"]
    after = tasks.describe(running["taskArn"])
    assert (after["lastStatus"], after["startedAt"]) == ("RUNNING", running["startedAt"])
    assert server.stop() == 0
