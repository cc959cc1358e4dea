"""`kill -9` of server and node at any instant, while tasks are pulled, started and stopped.

After each, everything must converge: what was acknowledged is there, what ran still runs, what was to stop has stopped,
and nothing on the machine belongs to a task that is gone. `NEARGATE_KILL_ROUNDS` runs more of them,
`NEARGATE_KILL_SEED` others; a failure names both.
"""

import os
import random
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from harness import images, leftovers
from harness.processes import kill, lock_holder
from harness.server import Server, fresh_account
from harness.tasks import Tasks, address, container_of, summary, task_id
from test_survival import kill_server

ROUNDS = int(os.environ.get("NEARGATE_KILL_ROUNDS", "8"))
SEED = int(os.environ.get("NEARGATE_KILL_SEED", "20"))
# From the call to RUNNING takes so long in a debug build; what is killed later is killed at rest.
LATEST_KILL_SECONDS = 0.6
# Running at the end of a round; the older ones are stopped in the next.
KEPT = 4
# Images that are not on the node yet: the first task of a round pulls one.
IMAGES = 5
CONVERGE_SECONDS = 60
PORT = 8080


class Machine:
    """A server with a node, and what is expected of its tasks."""

    def __init__(self, layout, directory, random_source):
        self.data_dir, self.account, self.random = directory / "data", fresh_account(), random_source
        self.wanted: dict[str, tuple | None] = {}  # by ARN: what must stay as it is, once it is known
        self.stopping: set[str] = set()
        self.lock = threading.Lock()
        self.start_server()
        self.definitions = [self.tasks.register(self.container(self.push(layout, "base:1")), logged=False)]
        for number in range(IMAGES):
            layer = images.Layer()
            layer.file(f"ballast-{number}", random_source.randbytes(3_000_000))
            own = directory / f"image-{number}"
            images.write_layout(own, images.busybox_layer(), more=[layer.finish()])
            self.definitions.append(self.tasks.register(self.container(self.push(own, f"pulled:{number}")), logged=False))
        group = self.tasks.ec2.create_security_group(GroupName="open", Description="all", VpcId=self.tasks.vpc)["GroupId"]
        self.tasks.ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=PORT, ToPort=PORT, CidrIp="0.0.0.0/0")
        self.network = self.tasks.network([group])

    def push(self, layout, name):
        images.push(layout, self.server.address, name)
        return f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{name}"

    def container(self, image):
        script = 'trap "exit 0" TERM; httpd -p 8080 -h /www; while true; do sleep 0.1; done'
        return {"name": "app", "image": image, "command": ["sh", "-c", script], "stopTimeout": 2}

    def start_server(self):
        self.server = Server(self.data_dir, "--create-repositories-on-push")
        self.tasks = Tasks(self.server, self.account, "")

    def act(self, definition, token):
        """Starts a task and stops an old one. An answer that did not come promises nothing."""
        try:
            arn = self.tasks.start(definition, networkConfiguration=self.network, clientToken=token)
            with self.lock:
                self.wanted[arn] = None
                oldest = next(iter(self.wanted)) if len(self.wanted) > KEPT else None
                self.wanted.pop(oldest, None)
            if oldest:
                # Not wanted from here on: that the answer is lost does not mean that the stop is.
                self.stopping.add(oldest)
                self.tasks.stop(oldest)
        except (BotoCoreError, ClientError, OSError):
            pass

    def round(self, number, pool):
        unpulled = self.definitions[1:]
        definition = unpulled[number // 2] if number % 2 and number // 2 < len(unpulled) else self.definitions[0]
        token = str(uuid.UUID(int=self.random.getrandbits(128)))
        acting = [pool.submit(self.act, definition, token), pool.submit(self.act, self.definitions[0], token + "-2")]
        victims = self.random.choice(["server", "node", "both"])
        instant = self.random.uniform(0, LATEST_KILL_SECONDS)
        time.sleep(instant)
        if victims in ("server", "both"):
            kill_server(self.server)
        if victims in ("node", "both"):
            kill(lock_holder(self.data_dir, "node"))
        for future in acting:
            future.result()
        if victims != "node":
            self.start_server()
        return f"round {number}: {victims} after {instant:.3f} s"

    def converge(self):
        # Calls whose answer was lost may have taken effect.
        pages = self.tasks.ecs.get_paginator("list_tasks").paginate()
        for arn in (arn for page in pages for arn in page["taskArns"]):
            if arn not in self.wanted and arn not in self.stopping:
                self.wanted[arn] = None
        for arn in list(self.wanted):
            found = self.settle(arn)
            if found["lastStatus"] == "STOPPED":
                # A stop whose answer was lost, or a pull from the registry in the server that was killed.
                truth = found["stopCode"], "connection refused" in found["stoppedReason"] or found["stoppedReason"].endswith("EOF")
                assert truth in [("UserInitiated", False), ("TaskFailedToStart", True)], summary(found)
                del self.wanted[arn]
                continue
            identity = container_of(found)["runtimeId"], address(found), found["startedAt"]
            assert self.wanted[arn] in (None, identity), f"{arn} is another one: {self.wanted[arn]} {identity}"
            self.wanted[arn] = identity
            with socket.create_connection((address(found), PORT), timeout=5) as web:
                web.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
                assert b"200 OK" in web.recv(100)
        for arn in list(self.stopping):
            found = self.tasks.describe(arn)
            if found["desiredStatus"] == "RUNNING":
                # The call did not reach the server before that was killed.
                self.tasks.stop(arn)
            found = self.settle(arn, ("STOPPED",))
            assert found["stopCode"] == "UserInitiated", summary(found)
            self.stopping.discard(arn)

    def settle(self, arn, states=("RUNNING", "STOPPED")):
        end = time.monotonic() + CONVERGE_SECONDS
        while True:
            found = self.tasks.describe(arn)
            if found["lastStatus"] in states and (found["lastStatus"] == "STOPPED" or found["desiredStatus"] == "RUNNING"):
                return found
            assert time.monotonic() < end, f"{arn} does not converge: {summary(found)}"
            time.sleep(0.05)

    def no_leftovers(self):
        alive = {task_id({"taskArn": arn}) for arn in self.wanted}
        end = time.monotonic() + CONVERGE_SECONDS
        while True:
            found = leftovers.owned(self.data_dir)
            strays = {what: ids - alive for what, ids in found.items() if ids - alive}
            missing = {what: alive - found[what] for what in ("namespaces", "mounts", "cgroups", "processes", "devices") if alive - found[what]}
            rules = leftovers.firewall_strays()
            if not (strays or missing or rules):
                return
            assert time.monotonic() < end, f"of tasks that are gone: {strays} {rules}; of tasks that run nothing: {missing}"
            time.sleep(0.2)


@pytest.mark.parametrize("seed", [SEED])
def test_everything_converges(seed, layout, tmp_path):
    machine = Machine(layout, tmp_path, random.Random(seed))
    with ThreadPoolExecutor(2) as pool:
        for number in range(ROUNDS):
            what = machine.round(number, pool)
            try:
                machine.converge()
                machine.no_leftovers()
            except AssertionError as error:
                log = machine.server.errors.read_text()[-4000:]
                raise AssertionError(f"seed {seed}, {what}: {error}\n{log}") from error
    assert machine.server.stop() == 0
    assert not any(leftovers.owned(machine.data_dir).values())
