"""The node's disk is full: what needs space fails with a reason, what runs goes on, and no report is lost."""

import errno
import os
from contextlib import contextmanager

import pytest

from harness import images, leftovers
from harness.machine import run
from harness.processes import kill, lock_holder
from harness.server import Server, fresh_account
from harness.tasks import Tasks, container_of, summary, task_id

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
