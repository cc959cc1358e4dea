"""Tasks that turn against the machine, their neighbours and themselves: what they try has no effect, and they end."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness import images
from harness.leftovers import owned
from harness.processes import kill, lock_holder
from harness.server import Server, fresh_account
from harness.tasks import Tasks, container_of, summary, task_id

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1"
WAIT_SECONDS = 60

# Forks until the limit is reached: the subshell dies of the fork that fails, and what it has started stays.
FILL = "(while :; do tail -f /dev/null & done) 2>/dev/null; echo full; exec tail -f /dev/null"
LIMIT = "cat /sys/fs/cgroup/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids/pids.max"
# With an answer to a stop that shows that it was heard.
HEARS = "trap 'exit 7' TERM; while :; do sleep 0.1; done"


def eventually(holds, what: str):
    """The first true answer of `holds`."""
    end = time.monotonic() + WAIT_SECONDS
    while not (answer := holds()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.02)
    return answer


def left_of(data_dir: Path, *ids: str) -> dict[str, set[str]]:
    return {kind: left & set(ids) for kind, left in owned(data_dir).items() if left & set(ids)}


def wait_until_nothing_is_left(data_dir: Path, *ids: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while left := left_of(data_dir, *ids):
        assert time.monotonic() < end, f"left: {left}"
        time.sleep(0.02)


def test_a_fork_bomb_is_its_own_tasks_trouble(server, tasks):
    neighbour = tasks.start(tasks.register(tasks.container(
        "trap 'exit 0' TERM; while :; do sh -c 'echo tick'; sleep 0.1; done")))
    bomb = tasks.start(tasks.register(tasks.container(f"{LIMIT}; {FILL}", stopTimeout=2)))
    running = tasks.wait(bomb, "RUNNING")
    eventually(lambda: "full" in tasks.lines(running), "the task is full")
    limit = int(tasks.lines(running)[0])
    assert limit <= int(Path("/proc/sys/kernel/pid_max").read_text()) // 2

    # The neighbour still forks, the machine does, and new tasks start.
    before = len(tasks.lines(tasks.wait(neighbour, "RUNNING")))
    eventually(lambda: len(tasks.lines(tasks.describe(neighbour))) >= before + 5, "the neighbour goes on")
    subprocess.run(["nft", "list", "tables"], check=True, capture_output=True)
    ended = tasks.run(tasks.container("echo $(echo new)"))
    assert tasks.lines(ended) == ["new"], summary(ended)

    for task in bomb, neighbour:
        tasks.stop(task)
    for task in bomb, neighbour:
        tasks.wait(task)
    ids = [task.rpartition("/")[2] for task in (bomb, neighbour)]
    wait_until_nothing_is_left(server.data_dir, *ids)


def test_a_task_cannot_write_to_its_control_groups(tasks):
    attack = """cd /sys/fs/cgroup
        for dir in $(find . -type d); do mkdir $dir/new 2>/dev/null && echo made $dir/new; done
        for file in $(find . -type f); do (echo 1 >$file) 2>/dev/null && echo wrote $file; done
        grep ' /sys/fs/cgroup' /proc/mounts | grep -v ' ro,'
        mount -o remount,rw . 2>/dev/null && echo remounted
        test $(find . -name cgroup.procs | wc -l) -gt 0 && echo readable"""
    ended = tasks.run(tasks.container(attack))
    assert tasks.lines(ended) == ["readable"], summary(ended)


def test_devices_of_the_machine_are_not_made(tasks):
    attack = """cd /tmp; mknod null c 1 3 && (: <null) && echo null
        for device in 'c 5 1' 'c 10 200' 'c 1 11' 'b 8 0' 'b 254 0'; do mknod new $device 2>/dev/null && echo made $device; done
        echo done"""
    ended = tasks.run(tasks.container(attack))
    assert tasks.lines(ended) == ["null", "done"], summary(ended)


def groups_of(server: Server, task: str) -> list[Path]:
    """The control groups of the task's container, one in each hierarchy."""
    instance = (server.data_dir / "node" / "instance").read_text()
    id = task.rpartition("/")[2]
    return list(Path("/sys/fs/cgroup").glob(f"neargate/{instance}/{id}/app")) + list(
        Path("/sys/fs/cgroup").glob(f"*/neargate/{instance}/{id}/app"))


def freeze(server: Server, task: str) -> None:
    """What a container did to itself where its groups could be written: freezes, deep below groups without end."""
    for group in groups_of(server, task):
        pids = (group / "cgroup.procs").read_text().split()
        directory = os.open(group, os.O_RDONLY)
        for _ in range(40):
            os.mkdir("d" * 120, dir_fd=directory)
            inner = os.open("d" * 120, os.O_RDONLY, dir_fd=directory)
            os.close(directory)
            directory = inner
        for file, words in (("cgroup.procs", pids), ("freezer.state", ["FROZEN"])):
            try:
                opened = os.open(file, os.O_WRONLY, dir_fd=directory)
            except FileNotFoundError:
                continue
            for word in words:
                try:
                    os.write(opened, word.encode())
                except OSError:
                    # cpuset and v2's inner groups take nobody in just so.
                    pass
            os.close(opened)
        os.close(directory)
        for file, word in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
            if (group / file).exists() and "unified" not in group.parts:
                (group / file).write_text(word)


def test_a_task_that_froze_itself_stops_and_lets_the_server_stop(layout, tmp_path):
    server = Server(tmp_path / "data", "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, fresh_account(), IMAGE)
    definition = tasks.register(tasks.container(HEARS))
    stopped, left = (tasks.start(definition) for _ in range(2))
    for task in stopped, left:
        tasks.wait(task, "RUNNING")
        freeze(server, task)
    tasks.stop(stopped)
    ended = tasks.wait(stopped)
    assert container_of(ended)["exitCode"] == 7, f"it heard the stop: {summary(ended)}"
    wait_until_nothing_is_left(server.data_dir, task_id(ended))
    assert server.stop() == 0
    assert left_of(server.data_dir, left.rpartition("/")[2]) == {}


def shims(directory: Path, node: int) -> dict[str, int]:
    """The processes that are the task's shim, or about to be: the command that the node runs, and the one that stays."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            # State, parent, group, session.
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if b"shim" in words and str(directory).encode() in words:
            if int(fields[1]) == node:
                found["command"] = int(process.name)
            elif fields[3] == process.name:
                found["shim"] = int(process.name)
    return found


@pytest.mark.parametrize("victim", ["shim", "command"])
def test_a_shim_killed_at_any_moment_of_its_start_leaves_nothing(victim, server, tasks):
    definition = tasks.register(tasks.container(HEARS))
    node = lock_holder(server.data_dir, "node")
    ids = []
    for step in range(12):
        arn = tasks.start(definition)
        ids.append(arn.rpartition("/")[2])
        directory = server.data_dir / "node" / "tasks" / ids[-1]

        found = eventually(lambda: shims(directory, node), "its shim begins")
        if victim == "shim":
            found = eventually(lambda: (now := shims(directory, node)) and "shim" in now and now, "it leaves the node")
        time.sleep(step * 0.004)
        # The command lives for some milliseconds only, and may be gone.
        with suppress(KeyError, ProcessLookupError):
            kill(found[victim])
        if victim == "shim":
            ended = tasks.wait(arn)
            assert "supervisor" in ended["stoppedReason"], summary(ended)
        else:
            # The shim itself lives, or it was not begun.
            seen = tasks.wait(arn, until=lambda task: task["lastStatus"] in ("RUNNING", "STOPPED"))
            tasks.stop(arn)
            ended = tasks.wait(arn)
            if seen["lastStatus"] == "STOPPED":
                assert "supervisor" in ended["stoppedReason"], summary(ended)
            else:
                assert container_of(ended)["exitCode"] == 7, summary(ended)
    wait_until_nothing_is_left(server.data_dir, *ids)
