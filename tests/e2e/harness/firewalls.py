"""Firewalls of other programs, the real ones, on this process's machine: its /etc and /run are copies of its own."""

import re
import shutil
import subprocess
from pathlib import Path

from .machine import OURS, WORLD, run
from .waiting import wait_until

# Where a machine's own program listens, to see that a firewall still does its work, and where Docker publishes a port.
OWN_PORT, PUBLISHED = 8098, 8099
IMAGE = "neargate-e2e"
PROBE_SECONDS = "1"


def private_files(directory: Path) -> None:
    """They write to /etc, and find each other by sockets in /run."""
    etc = directory / "etc"
    run("cp", "--archive", "/etc", str(etc))
    run("mount", "--bind", str(etc), "/etc")
    run("mount", "-t", "tmpfs", "neargate-e2e", "/run")
    for name in ("neargate", "dbus"):
        (Path("/run") / name).mkdir()


def public_files() -> None:
    for path in ("/run", "/etc"):
        run("umount", "--lazy", path)


def no_rules() -> None:
    """As the machine was before the first of them."""
    run("nft", "flush", "ruleset")
    run("ip", "link", "delete", "docker0", check=False)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")


def saved(*commands: str) -> str:
    """Rules without what changes by itself: counters and times."""
    text = "".join(run(command) for command in commands)
    return re.sub(r"\[\d+:\d+\]", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))


def fetch(url: str, *inside: str) -> str:
    done = subprocess.run([*inside, "curl", "-s", "-m", PROBE_SECONDS, url], capture_output=True, text=True)
    return done.stdout


class Firewall:
    def __init__(self, world, directory: Path):
        self.directory, self.outside = directory, ("nsenter", f"--net=/proc/{world.process.pid}/ns/net")
        (directory / "index.html").write_text("the machine\n")

    def still_works(self) -> None:
        """What it closes is closed: a port of the machine's own to the world."""
        own = subprocess.Popen(["busybox", "httpd", "-f", "-p", str(OWN_PORT), "-h", str(self.directory)])
        try:
            wait_until("it listens", lambda: fetch(f"http://{OURS}:{OWN_PORT}/"))
            assert fetch(f"http://{OURS}:{OWN_PORT}/", *self.outside) == ""
        finally:
            own.kill()
            own.wait()


class Nftables(Firewall):
    """A user's own file, as /etc/nftables.conf is."""

    FILE = """
    flush ruleset
    table inet own {
        chain input {
            type filter hook input priority filter; policy drop;
            iif lo accept
        }
        chain forward {
            type filter hook forward priority filter; policy drop;
        }
    }
    """

    def start(self) -> None:
        subprocess.run(["nft", "-f", "-"], input=self.FILE, text=True, check=True)

    reload = start

    def stop(self) -> None:
        run("nft", "delete", "table", "inet", "own")

    def rules(self) -> str:
        return run("nft", "list", "ruleset")


class Ufw(Firewall):
    def start(self) -> None:
        run("ufw", "--force", "enable")

    def reload(self) -> None:
        run("ufw", "reload")

    def stop(self) -> None:
        run("ufw", "disable")

    def rules(self) -> str:
        return saved("iptables-save") + Path("/etc/ufw/user.rules").read_text() + Path("/etc/ufw/user6.rules").read_text()


class Firewalld(Firewall):
    def start(self) -> None:
        self.bus = subprocess.Popen(["dbus-daemon", "--system", "--nofork", "--nopidfile"])
        wait_until("the bus is there", lambda: Path("/run/dbus/system_bus_socket").exists())
        self._start()

    def _start(self) -> None:
        log = (self.directory / "firewalld.log").open("a")
        self.process = subprocess.Popen(["firewalld", "--nofork", "--nopid"], stdout=log, stderr=log)
        wait_until("firewalld runs", lambda: run("firewall-cmd", "--state", check=False).strip() == "running")

    def reload(self) -> None:
        run("firewall-cmd", "--reload")
        self.process.terminate()
        self.process.wait()
        self._start()

    def stop(self) -> None:
        for process in (self.process, self.bus):
            process.terminate()
            process.wait()

    def rules(self) -> str:
        """Without the chains of a zone that was in use: firewalld keeps them, unused, until it is reloaded."""
        text = re.sub(r"\n+", "\n", run("nft", "list", "ruleset"))
        text = re.sub(r"\tchain \w+_trusted\w* \{\n(\t\t.*\n)*\t\}\n", "", text)
        return text + run("firewall-cmd", "--list-all-zones")


class Docker(Firewall):
    def __init__(self, world, directory: Path):
        super().__init__(world, directory)
        root = directory / "root" / "bin"
        root.mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), root / "busybox")

    def start(self) -> None:
        log = (self.directory / "dockerd.log").open("a")
        self.process = subprocess.Popen([
            # Its sockets are in there, whose names must not be long.
            "dockerd", "--data-root", self.directory / "data", "--exec-root", "/run/docker",
            "--pidfile", self.directory / "dockerd.pid", "--host", "unix:///run/docker.sock", "--storage-driver", "vfs",
        ], stdout=log, stderr=log)
        wait_until("dockerd runs", lambda: self.docker("version", "--format", "{{.Server.Version}}", check=False).strip())
        if not self.docker("images", "--quiet", IMAGE):
            archive = self.directory / "root.tar"
            run("tar", "-C", str(self.directory / "root"), "-cf", str(archive), ".")
            self.docker("import", str(archive), IMAGE)

    def docker(self, *command: str, check: bool = True) -> str:
        return run("docker", "--host", "unix:///run/docker.sock", *command, check=check)

    def reload(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def rules(self) -> str:
        return saved("iptables-save")

    def still_works(self) -> None:
        """Its containers reach the world, and the world a port that one publishes."""
        assert self.docker("run", "--rm", IMAGE, "/bin/busybox", "wget", "-q", "-O", "-", f"http://{WORLD}/") == "the world\n"
        serve = ("/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/bin")
        container = self.docker("run", "--detach", "--rm", "--publish", f"{PUBLISHED}:80", IMAGE, *serve).strip()
        try:
            wait_until("it is published", lambda: "404" in fetch(f"http://{OURS}:{PUBLISHED}/none", *self.outside))
        finally:
            self.docker("kill", container)


KINDS = {"docker": Docker, "ufw": Ufw, "firewalld": Firewalld, "nftables": Nftables}
