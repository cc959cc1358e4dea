"""A disk is full: what needs space fails with a reason, what runs goes on, no report is lost, and nothing ends or hangs."""

import errno
import json
import os
import re
import subprocess
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from harness import images, leftovers
from harness.machine import run
from harness.processes import kill, lock_holder, runs
from harness.server import PROGRAM, Server, fresh_account
from harness.tasks import Tasks, container_of, summary, task_id
from harness.waiting import wait_until

REPOSITORY = "000000000000.dkr.ecr.us-east-1.amazonaws.com"
# The node keeps 256 MiB of it free from images.
DISK_MIB = 288
# Larger than what is left for images.
LAYER_BYTES = 40 << 20


@pytest.fixture
def node_disk(tmp_path):
    """A small file system under the node's directory; the server's is elsewhere."""
    directory = tmp_path / "data" / "node"
    directory.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "neargate-e2e", str(directory))
    yield directory
    run("umount", "--lazy", str(directory))


@contextmanager
def filled(directory):
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC
    yield
    ballast.unlink()


def used(directory) -> int:
    found = os.statvfs(directory)
    return (found.f_blocks - found.f_bfree) * found.f_bsize


def test_a_full_disk_fails_what_needs_it_and_nothing_else(node_disk, layout, tmp_path):
    server = Server(tmp_path / "data", "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    layer = images.Layer()
    layer.file("ballast", os.urandom(LAYER_BYTES))
    images.write_layout(tmp_path / "big", images.busybox_layer(), more=[layer.finish()])
    images.push(tmp_path / "big", server.address, "big:1")
    tasks = Tasks(server, fresh_account(), f"{REPOSITORY}/base:1")
    sleeper = tasks.register(tasks.container('trap "exit 7" TERM; while true; do sleep 0.1; done'))
    running = tasks.wait(tasks.start(sleeper), "RUNNING")

    # An image that does not fit.
    before = used(node_disk)
    failed = tasks.wait(tasks.start(tasks.register(tasks.container(image=f"{REPOSITORY}/big:1"))))
    assert failed["stopCode"] == "TaskFailedToStart", summary(failed)
    assert "CannotPullContainerError" in failed["stoppedReason"] and "no space left" in failed["stoppedReason"], summary(failed)
    alive = {task_id(running)}
    assert all(ids <= alive for ids in leftovers.owned(tmp_path / "data").values())
    # Its directory and report may stay a moment; of its layers nothing does.
    assert used(node_disk) < before + (1 << 20)

    with filled(node_disk):
        # One that cannot begin, and one that ends: both are reported though nothing of it can be written.
        stuck = tasks.wait(tasks.start(sleeper))
        assert stuck["stopCode"] == "TaskFailedToStart" and stuck["stoppedReason"], summary(stuck)
        # What it was that could not be written is for the node's log.
        assert not re.search("/(tmp|run|proc|var)/", json.dumps(stuck, default=str)), summary(stuck)
        tasks.stop(running["taskArn"])
        ended = tasks.wait(running["taskArn"])
        assert container_of(ended)["exitCode"] == 7, summary(ended)

    # There is space again: the node goes on, and still does after a kill.
    again = tasks.wait(tasks.start(sleeper), "RUNNING")
    kill(lock_holder(tmp_path / "data", "node"))
    assert tasks.wait(tasks.start(sleeper), "RUNNING")
    assert tasks.describe(again["taskArn"])["lastStatus"] == "RUNNING"
    for task, code in ((stuck, None), (ended, 7)):
        assert container_of(tasks.describe(task["taskArn"])).get("exitCode") == code
    assert server.stop() == 0
    assert not any(leftovers.owned(tmp_path / "data").values())


@pytest.fixture
def small_disk(tmp_path):
    """A small file system for everything, the server's log too."""
    disk = tmp_path / "test_disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "neargate-e2e", str(disk))
    yield disk
    run("umount", "--lazy", str(disk))


def refused(request) -> ClientError:
    """What the request is refused with, as soon as it is: the state's file has some room of its own."""
    for _ in range(2000):
        try:
            request()
        except ClientError as error:
            return error
    raise AssertionError("never refused")


def test_nothing_ends_or_hangs_while_the_servers_disk_is_full(small_disk, layout, monkeypatch):
    monkeypatch.setenv("NEARGATE_LOG", "debug")
    server = Server(small_disk / "data", "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, fresh_account(), f"{REPOSITORY}/base:1")
    definition = tasks.register(tasks.container("while true; do echo tick; sleep 0.1; done", stopTimeout=2))
    running = tasks.wait(tasks.start(definition), "RUNNING")
    ours = {role: lock_holder(small_disk / "data", role) for role in ("node", "lb")}
    names = iter(range(10_000))

    with filled(small_disk):
        error = refused(lambda: tasks.ecs.create_cluster(clusterName=f"cluster-{next(names)}", tags=[{"key": "k", "value": "v" * 200}]))
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        refused(lambda: tasks.logs.create_log_group(logGroupName=f"group-{next(names)}", tags={"k": "v" * 200}))
        assert "Free disk space" in error.response["Error"]["Message"] and str(small_disk) not in str(error)
        for _ in range(50):
            refused(lambda: tasks.start(definition))
        assert tasks.describe(running["taskArn"])["lastStatus"] == "RUNNING"
        # Killed, and back with what is on disk.
        kill(ours["lb"])
        back = wait_until("a load balancer process", lambda: (pid := lock_holder(small_disk / "data", "lb")) != ours["lb"] and runs(pid) and pid)
        assert lock_holder(small_disk / "data", "node") == ours["node"] and runs(ours["node"])
        assert server.process.poll() is None
    # All is well again without a restart.
    wait_until("the state is written", lambda: tasks.ecs.create_cluster(clusterName="after"))
    assert tasks.wait(tasks.start(definition), "RUNNING")
    assert lock_holder(small_disk / "data", "lb") == back and runs(back)
    assert "could not be written" in server.errors.read_text(), "lines were lost"

    # And it can be stopped in this state.
    with filled(small_disk):
        assert server.stop() == 0
        assert not any(leftovers.owned(small_disk / "data").values())


def test_nobody_reads_what_it_says(layout, tmp_path, monkeypatch):
    monkeypatch.setenv("NEARGATE_LOG", "debug")
    reader, writer = os.pipe()
    server = Server(tmp_path / "data", "--create-repositories-on-push", stderr=writer)
    os.close(writer)
    os.close(reader)
    server.process.stdout.close()
    images.push(layout, server.address, "base:1")
    tasks = Tasks(server, fresh_account(), f"{REPOSITORY}/base:1")
    assert container_of(tasks.run(tasks.container("exit 3")))["exitCode"] == 3
    assert server.stop() == 0


def test_a_child_that_cannot_start_is_tried_less_and_less_often(tmp_path):
    """And the server says once why, and ends when it is told to."""
    data_dir = tmp_path / "data"
    (data_dir / "node").mkdir(parents=True)
    (data_dir / "node" / "images").write_text("in the way of a directory")
    process = subprocess.Popen([PROGRAM, "dev", "--listen", "127.0.0.1:0", "--data-dir", data_dir], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline()
        assert "a process cannot run" in said and "File exists" in said and "node.log" in said, said
        process.terminate()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
