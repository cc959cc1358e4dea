"""A network and mount namespace for this process, so that the machine's own network is never touched.

Everything that the tests start inherits both. A further namespace plays the world outside.
"""

import ctypes
import os
import subprocess
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000

# TEST-NET-3: nobody's address, so it can be the world's.
WORLD = "203.0.113.1"
OURS = "203.0.113.2"


def run(*command: str, check: bool = True) -> str:
    """Runs a command and answers what it printed; what it complained about is part of the failure."""
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def enter() -> None:
    """Must run before the process has a second thread."""
    if os.geteuid() != 0:
        raise SystemExit("the end-to-end tests run containers: run them as root")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    run("mount", "--make-rprivate", "/")
    Path("/run/neargate").mkdir(exist_ok=True)
    # Where Neargate mounts its tasks' namespaces: empty, and seen by nobody else.
    run("mount", "-t", "tmpfs", "neargate-e2e", "/run/neargate")
    run("ip", "link", "set", "lo", "up")


class World:
    """The other side of the default route: a namespace with a web server in it."""

    def __init__(self, directory: Path):
        (directory / "index.html").write_text("the world\n")
        self.process = subprocess.Popen(
            ["unshare", "--net", "busybox", "httpd", "-f", "-p", "80", "-h", str(directory)],
        )
        pid = str(self.process.pid)
        mine = os.stat("/proc/self/ns/net").st_ino
        while os.stat(f"/proc/{pid}/ns/net").st_ino == mine:
            assert self.process.poll() is None, "the world did not start"
        inside = ("nsenter", f"--net=/proc/{pid}/ns/net")
        run("ip", "link", "add", "world", "type", "veth", "peer", "name", "us", "netns", pid)
        run("ip", "address", "add", f"{OURS}/24", "dev", "world")
        run("ip", "link", "set", "world", "up")
        run(*inside, "ip", "address", "add", f"{WORLD}/24", "dev", "us")
        run(*inside, "ip", "link", "set", "us", "up")
        run("ip", "route", "add", "default", "via", WORLD)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
