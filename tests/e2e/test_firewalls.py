"""Firewalls of other programs on the machine: they stop nothing of ours, and find themselves as they were.

The programs are the real ones of the distribution. Packets between tasks do not enter the machine's namespace at all;
what must pass the machine is let through by each firewall's own means.
"""

import subprocess
from pathlib import Path

import pytest

from harness import firewalls, images
from harness.machine import WORLD, run
from harness.processes import kill, lock_holder
from harness.server import Server, fresh_account
from harness.tasks import address
from harness.waiting import wait_until
from test_lb_network import Balanced
from test_nlb_client_addresses import inside
from test_survival import kill_server

EVERYBODY = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
SWITCHES = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/world/forwarding", "/proc/sys/net/ipv4/conf/lo/forwarding"]
# The keeper waits until it is quiet, and asks programs that take a second on a busy machine.
SOON = 30


@pytest.fixture(scope="module", autouse=True)
def private_files(tmp_path_factory):
    firewalls.private_files(tmp_path_factory.mktemp("files"))
    yield
    firewalls.public_files()


class Stack:
    """A task behind a load balancer, and two clients: with a public address, and without."""

    def __init__(self, layout, data_dir):
        self.data_dir, self.account = data_dir, fresh_account()
        self.start()
        images.push(layout, self.server.address, "base:1")
        balanced = self.balanced = Balanced(self.server, self.account)
        balanced.allow(balanced.back, **EVERYBODY)
        balanced.start()
        self.balancer = balanced.addresses()[0]
        sleep = balanced.tasks.register(balanced.tasks.container("exec sleep 1000", stopTimeout=2), logged=False)
        group = [balanced.security_group("client")]
        started = [balanced.tasks.start(sleep, networkConfiguration=balanced.tasks.network(group, public=public))
                   for public in (True, False)]
        self.public, self.private = (balanced.tasks.wait(task, "RUNNING") for task in started)

    def start(self) -> None:
        self.server = Server(self.data_dir, "--create-repositories-on-push")

    def kill(self) -> None:
        kill_server(self.server)
        kill(lock_holder(self.data_dir, "node"))

    def holds(self) -> None:
        """Who must reach whom does, soon, and nobody else."""
        task = f"http://{address(self.balanced.task)}:8080/"
        port = self.balanced.port
        balancer = f"http://{self.balancer}:{port}/"
        for name, client, url in [
            ("a task and another", self.private, task),
            ("a task and a load balancer", self.private, balancer),
            ("the machine and a task", None, task),
            ("the machine and a load balancer", None, balancer),
            ("the machine and a load balancer by its name", None, f"http://{self.balanced.name}:{port}/"),
            ("a task with a public address and the world", self.public, f"http://{WORLD}/"),
        ]:
            wait_until(name, lambda: answers(client, url), SOON)
        assert not answers(self.private, f"http://{WORLD}/"), "a task without a public address and the world"

    def stop(self) -> None:
        assert self.server.stop() == 0, self.server.errors.read_text()


def answers(task: dict | None, url: str) -> bool:
    return subprocess.run(inside(task, "curl", "-sf", "-m", "1", url), capture_output=True).returncode == 0


def switches() -> list[str]:
    return [Path(path).read_text() for path in SWITCHES]


@pytest.fixture
def machine(world, tmp_path):
    def firewall(kind):
        directory = tmp_path / kind
        directory.mkdir()
        return firewalls.KINDS[kind](world, directory)
    firewalls.no_rules()
    yield firewall
    firewalls.no_rules()


@pytest.mark.parametrize("kind", firewalls.KINDS)
def test_one_that_was_there_first(kind, machine, layout, tmp_path):
    firewall = machine(kind)
    firewall.start()
    try:
        firewall.reload()
        before = firewall.rules(), switches()
        stack = Stack(layout, tmp_path / "data")
        stack.holds()
        firewall.still_works()
        firewall.reload()
        stack.holds()
        firewall.still_works()
        stack.kill()
        stack.start()
        stack.holds()
        stack.stop()
        assert (firewall.rules(), switches()) == before
        firewall.still_works()
    finally:
        firewall.stop()


def test_those_that_come_and_go(machine, layout, tmp_path):
    """One on top of the other: Docker's rules stay when it has ended, as they do in the real world."""
    stack = Stack(layout, tmp_path / "data")
    stack.holds()
    for kind in firewalls.KINDS:
        firewall = machine(kind)
        firewall.start()
        try:
            stack.holds()
            firewall.still_works()
        finally:
            firewall.stop()
        stack.holds()
    stack.stop()
    left = run("nft", "list", "ruleset") + run("iptables-save") + Path("/etc/ufw/user.rules").read_text()
    assert "neargate" not in left and "ngn" not in left, left
