"""What containers get and how they depend on each other: one real task per row, all at the same time."""

import resource
from dataclasses import dataclass, field
from typing import Callable

import pytest

from harness import images
from harness.tasks import container_of, summary


@dataclass
class Case:
    """A task that ends by itself, and what must hold afterwards: `check` asserts it or answers whether it does."""

    containers: list[dict]
    check: Callable[["Ended"], None]
    fields: dict = field(default_factory=dict)
    request: dict = field(default_factory=dict)


@dataclass
class Ended:
    task: dict
    tasks: object

    def lines(self, container: str = "app") -> list[str]:
        return self.tasks.lines(self.task, container)

    def codes(self) -> dict:
        return {container["name"]: container.get("exitCode") for container in self.task["containers"]}

    def reason(self, container: str = "app") -> str:
        return container_of(self.task, container).get("reason", "")


def sh(script: str, name: str = "app", **fields) -> dict:
    return {"name": name, "command": ["sh", "-c", script], **fields}


def after(condition: str, name: str = "first") -> dict:
    return {"dependsOn": [{"containerName": name, "condition": condition}]}


def logs_are(*want: str, container: str = "app"):
    def check(ended: Ended) -> None:
        assert ended.lines(container) == list(want), summary(ended.task)
    return check


def codes_are(**want: int | None):
    def check(ended: Ended) -> None:
        assert ended.codes() == want, summary(ended.task)
    return check


def every(*checks):
    def check(ended: Ended) -> None:
        for one in checks:
            one(ended)
    return check


def task_ended(code: str, reason: str):
    def check(ended: Ended) -> None:
        assert ended.task.get("stopCode") == code, summary(ended.task)
        assert reason in ended.task["stoppedReason"], summary(ended.task)
    return check


EXITED = task_ended("EssentialContainerExited", "Essential container in task exited")


def reason_has(text: str, container: str = "app"):
    def check(ended: Ended) -> None:
        assert text in ended.reason(container), summary(ended.task)
    return check


def environment_is_fargates(ended: Ended) -> None:
    have = dict(line.split("=", 1) for line in ended.lines())
    assert have["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"
    assert have["AWS_REGION"] == have["AWS_DEFAULT_REGION"] == "us-east-1"
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in have, "there is no task role"
    assert have["FROM_IMAGE"] == "replaced" and have["GIVEN"] == "a b=c" and have["PATH"] == "/bin"


def volume(name: str, path: str, **fields) -> dict:
    return {"mountPoints": [{"sourceVolume": name, "containerPath": path, **fields}]}


CAPABILITIES = "grep CapEff /proc/self/status"
# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE
# SETFCAP: what containers have by default.
DEFAULT_CAPABILITIES = 0x00000000A80425FB
NET_RAW = 1 << 13
SYS_PTRACE = 1 << 19
SYS_RESOURCE = 1 << 24



def may_raise_limits() -> bool:
    with open("/proc/self/status") as status:
        effective = next(line for line in status if line.startswith("CapEff"))
    return bool(int(effective.split()[1], 16) & SYS_RESOURCE)


# Fargate's, as far as this machine lets a root without CAP_SYS_RESOURCE go.
FILES = str(min(65535, resource.getrlimit(resource.RLIMIT_NOFILE)[1]) if not may_raise_limits() else 65535)

CASES = {
    "the exit code is the container's": Case(
        [sh("exit 42")], every(codes_are(app=42), EXITED)),
    "the image's command runs if there is none": Case(
        [{"name": "app", "entryPoint": ["/bin/echo", "entry"], "command": ["and", "command"]}], logs_are("entry and command")),
    "environment": Case(
        [sh("env", environment=[{"name": "GIVEN", "value": "a b=c"}, {"name": "FROM_IMAGE", "value": "replaced"}])],
        environment_is_fargates),
    "a region that the definition sets stays": Case(
        [sh("echo $AWS_REGION $AWS_DEFAULT_REGION", environment=[{"name": "AWS_REGION", "value": "eu-west-1"}])],
        logs_are("eu-west-1")),
    "stdout and stderr are logged": Case(
        [sh("echo one; echo two >&2; echo three")], lambda e: sorted(e.lines()) == ["one", "three", "two"]),
    "a last line without a newline is logged": Case([sh("printf 'no end'")], logs_are("no end")),
    "an executable that is not there": Case(
        [{"name": "app", "command": ["/no/such/program"]}],
        every(codes_are(app=None), reason_has("CannotStartContainerError"),
              task_ended("TaskFailedToStart", "CannotStartContainerError"))),
    "an image that is not there": Case(
        [{"name": "app", "image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:absent"}],
        every(codes_are(app=None), reason_has("CannotPullContainerError"), reason_has("not found"),
              task_ended("TaskFailedToStart", "CannotPullContainerError"))),
    "a registry that is not there": Case(
        [{"name": "app", "image": "127.0.0.1:9/nothing:1"}], reason_has("CannotPullContainerError")),
    "more memory than the container has": Case(
        [sh("head -c 200m /dev/zero | tail", memory=64)],
        every(codes_are(app=137), reason_has("OutOfMemoryError: Container killed due to memory usage"), EXITED)),
    "more memory than the task has": Case(
        [sh("head -c 800m /dev/zero | tail")],
        every(codes_are(app=137), reason_has("OutOfMemoryError"))),
    # Lifecycle
    "who depends on another stops before it": Case(
        [sh("sleep 1", "end"),
         sh("trap 'sleep 0.5; echo app >> /v/order; exit 0' TERM; while :; do sleep 0.1; done", "app", **volume("v", "/v"), **after("START", "db")),
         sh("trap 'echo db >> /v/order; cat /v/order; exit 0' TERM; while :; do sleep 0.1; done", "db", **volume("v", "/v"))],
        logs_are("app", "db", container="db"), fields={"volumes": [{"name": "v"}]}),
    "a container that is not essential may end": Case(
        [sh("exit 7", "side", essential=False), sh("sleep 1; exit 0", "app")], codes_are(side=7, app=0)),
    "the end of an essential container ends the others": Case(
        [sh("sleep 0.5; exit 3"), sh("trap 'exit 9' TERM; while :; do sleep 0.1; done", "other")],
        every(codes_are(app=3, other=9), EXITED)),
    "START": Case([sh("sleep 1", "first", essential=False), sh("echo up", **after("START"))], logs_are("up")),
    "COMPLETE waits for the end, whatever the code": Case(
        [sh("sleep 1; echo made > /shared/file; exit 5", "first", essential=False, **volume("v", "/shared")),
         sh("cat /shared/file", **volume("v", "/shared"), **after("COMPLETE"))],
        every(logs_are("made"), codes_are(first=5, app=0)), fields={"volumes": [{"name": "v"}]}),
    "SUCCESS starts after exit code 0": Case(
        [sh("sleep 0.3", "first", essential=False), sh("echo went on", **after("SUCCESS"))],
        every(logs_are("went on"), codes_are(first=0, app=0))),
    "SUCCESS does not start after another code, and the task ends": Case(
        [sh("exit 5", "first", essential=False), sh("echo never", **after("SUCCESS"))],
        every(codes_are(first=5, app=None), task_ended("TaskFailedToStart", ""))),
    "HEALTHY waits for the health check": Case(
        [sh("sleep 1; touch /tmp/ok; sleep 60", "first", essential=False, stopTimeout=2,
            healthCheck={"command": ["CMD-SHELL", "test -f /tmp/ok"], "interval": 5, "timeout": 2, "retries": 5}),
         sh("echo after", **after("HEALTHY"))],
        every(logs_are("after"), lambda e: container_of(e.task, "first")["healthStatus"] == "HEALTHY")),
    "startTimeout ends a task whose dependency does not get there": Case(
        [sh("sleep 60", "first", essential=False, startTimeout=2, stopTimeout=2), sh("echo never", **after("COMPLETE"))],
        lambda e: e.codes()["app"] is None),
    "restart policy": Case(
        [sh("echo run >> /data/runs; test $(wc -l < /data/runs) -ge 2 && exit 9; sleep 61; exit 1",
            restartPolicy={"enabled": True, "ignoredExitCodes": [9], "restartAttemptPeriod": 60})],
        lambda e: e.codes() == {"app": 9}),
    "a code that the restart policy ignores ends the task": Case(
        [sh("exit 4", restartPolicy={"enabled": True, "ignoredExitCodes": [4], "restartAttemptPeriod": 60})],
        every(codes_are(app=4), EXITED)),
    # What the process is
    "a user by name has its groups": Case([sh("id -u; id -g", user="app")], logs_are("1000", "1001")),
    "a user and group by number": Case([sh("id -u; id -g", user="7:8")], logs_are("7", "8")),
    "a user that does not exist": Case([sh("true", user="nobody-knows")], reason_has("nobody-knows")),
    "the working directory is made": Case([sh("pwd", workingDirectory="/made/for/this")], logs_are("/made/for/this")),
    "a read-only root": Case(
        [sh("touch /x 2>/dev/null || echo refused; touch /data/y 2>/dev/null || echo refused; touch /v/z && echo volume",
            readonlyRootFilesystem=True, **volume("v", "/v"))],
        logs_are("refused", "refused", "volume"), fields={"volumes": [{"name": "v"}]}),
    "ulimits, and Fargate's default for files": Case(
        [sh("ulimit -Sn; ulimit -Hn; ulimit -Sc", ulimits=[{"name": "core", "softLimit": 0, "hardLimit": 0}])],
        logs_are(FILES, FILES, "0")),
    "ulimits that are given": Case(
        [sh("ulimit -Sn; ulimit -Hn", ulimits=[{"name": "nofile", "softLimit": 100, "hardLimit": 200}])],
        logs_are("100", "200")),
    "without an init process the command is process 1": Case([sh("echo $$")], logs_are("1")),
    "an init process reaps": Case(
        [sh("test $$ -ne 1 && echo child; (sh -c 'sleep 0.1 & exit' &); sleep 0.5; ps -o stat | grep -c '^Z'",
            linuxParameters={"initProcessEnabled": True})],
        logs_are("child", "0")),
    "capabilities by default": Case(
        [sh(CAPABILITIES)], lambda e: int(e.lines()[0].split()[1], 16) == DEFAULT_CAPABILITIES),
    "capabilities dropped": Case(
        [sh(CAPABILITIES, linuxParameters={"capabilities": {"drop": ["NET_RAW"]}})],
        lambda e: int(e.lines()[0].split()[1], 16) == DEFAULT_CAPABILITIES & ~NET_RAW),
    "all capabilities dropped": Case(
        [sh(CAPABILITIES, linuxParameters={"capabilities": {"drop": ["ALL"]}})],
        lambda e: int(e.lines()[0].split()[1], 16) == 0),
    "SYS_PTRACE added": Case(
        [sh(CAPABILITIES, linuxParameters={"capabilities": {"add": ["SYS_PTRACE"]}})],
        lambda e: int(e.lines()[0].split()[1], 16) == DEFAULT_CAPABILITIES | SYS_PTRACE),
    "tmpfs": Case(
        [sh("grep ' /mem ' /proc/mounts", linuxParameters={"tmpfs": [{"containerPath": "/mem", "size": 16, "mountOptions": ["noexec"]}]})],
        lambda e: "tmpfs" in e.lines()[0] and "size=16384k" in e.lines()[0] and "noexec" in e.lines()[0]),
    "a user without privileges does not bind a port below 1024": Case(
        [sh("httpd -p 80 2>&1 || echo refused; httpd -p 8081 && echo bound", user="1000")],
        logs_are("httpd: bind: Permission denied", "refused", "bound")),
    "unless systemControls say so": Case(
        [sh("httpd -p 80 && echo bound", user="1000",
            systemControls=[{"namespace": "net.ipv4.ip_unprivileged_port_start", "value": "80"}])],
        logs_are("bound")),
    "processors are what the size rounds up to": Case(
        [sh("cat /sys/devices/system/cpu/online; grep -c ^processor /proc/cpuinfo; "
            "cat /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us")],
        lambda e: (e.lines()[:2], e.lines()[2].split()[0]) == (["0", "1"], "25000")),
    "a container's process is killed before the machine's own": Case([sh("cat /proc/self/oom_score_adj")], logs_are("500")),
    "systemControls": Case(
        [sh("cat /proc/sys/net/ipv4/tcp_keepalive_time", systemControls=[{"namespace": "net.ipv4.tcp_keepalive_time", "value": "123"}])],
        logs_are("123")),
    "mounting is refused": Case(
        [sh("mount -t tmpfs x /tmp 2>/dev/null && echo mounted || echo refused")], logs_are("refused")),
    "the kernel's switches are read-only": Case(
        [sh("{ echo 1 > /proc/sys/kernel/panic; } 2>&1 || echo refused")],
        logs_are("sh: can't create /proc/sys/kernel/panic: Read-only file system", "refused")),
    "containers do not see each other's processes": Case(
        [sh("sleep 1; ps | grep -c '[s]leep 31' || true"), sh("sleep 31", "other", stopTimeout=2)], logs_are("0")),
    "pidMode task shares processes": Case(
        [sh("until ps | grep '[s]leep 32' > /dev/null; do sleep 0.1; done; echo seen; test $$ -ne 1 && echo child"),
         sh("exec sleep 32", "other", stopTimeout=2)],
        logs_are("seen", "child"), fields={"pidMode": "task"}),
    # Storage
    "a volume hides what the image has there, unless it declares a VOLUME": Case(
        [sh("ls /data | wc -l; stat -c '%a %u' /data", **volume("v", "/data"))],
        logs_are("0", "755 0"), fields={"volumes": [{"name": "v"}]}),
    "a read-only mount of a shared volume": Case(
        [sh("sleep 0.3; cat /v/f; touch /v/g 2>/dev/null || echo refused", **volume("v", "/v", readOnly=True), **after("COMPLETE")),
         sh("echo shared > /v/f", "first", essential=False, **volume("v", "/v"))],
        logs_are("shared", "refused"), fields={"volumes": [{"name": "v"}]}),
    "volumesFrom": Case(
        [sh("cat /v/f", volumesFrom=[{"sourceContainer": "first"}], **after("COMPLETE")),
         sh("echo lent > /v/f", "first", essential=False, **volume("v", "/v"))],
        logs_are("lent"), fields={"volumes": [{"name": "v"}]}),
    "ephemeral storage is told": Case(
        [sh("true")], lambda e: e.task["ephemeralStorage"] == {"sizeInGiB": 30}, fields={"ephemeralStorage": {"sizeInGiB": 30}}),
    # Network
    "containers meet on localhost": Case(
        [sh("until wget -qO- http://localhost:8080/ 2> /dev/null; do sleep 0.1; done"), {"name": "web", "stopTimeout": 2}],
        logs_are("hello from neargate")),
    "the task has one interface, eth1, and loopback": Case(
        [sh("ls /sys/class/net | sort | tr '\\n' ' '")], lambda e: e.lines()[0].split() == ["eth1", "lo"]),
    "the host name is the private one": Case(
        [sh("hostname; cat /etc/hosts")],
        lambda e: e.lines()[0].startswith("ip-") and [line for line in e.lines() if "localhost" in line] == ["127.0.0.1 localhost"]),
    # Overrides
    "overrides replace the command and merge the environment": Case(
        [sh("echo never", environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])],
        logs_are("1 3 4"),
        request={"overrides": {"containerOverrides": [{
            "name": "app", "command": ["sh", "-c", "echo $A $B $C"],
            "environment": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}]}}),
    "overrides of the size": Case(
        [sh("true")],
        lambda e: (e.task["cpu"], e.task["memory"], e.task["overrides"]["cpu"]) == ("512", "1024", "512"),
        request={"overrides": {"cpu": "512", "memory": "1024"}}),
}


@pytest.fixture(scope="module")
def running(tasks, pool):
    return {name: pool.submit(run, tasks, case) for name, case in CASES.items()}


def run(tasks, case: Case) -> Ended:
    return Ended(tasks.run(*case.containers, request=case.request, **case.fields), tasks)


@pytest.mark.parametrize("name", CASES)
def test_container(name, running):
    ended = running[name].result()
    outcome = CASES[name].check(ended)
    assert outcome is None or outcome is True, f"{summary(ended.task)}\n{ended.task}\n" + "\n".join(ended.lines())


def test_an_image_for_another_machine_is_run_and_fails_there(server, tasks, tmp_path):
    """Where nobody asks an index for a platform: what AWS does with the usual mistake of a build on an ARM laptop."""
    foreign = images.Layer()
    # The head of a program for aarch64.
    foreign.file("bin/foreign", b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + (2).to_bytes(2, "little") + (183).to_bytes(2, "little") + bytes(44), 0o755)
    images.write_layout(tmp_path / "foreign", images.busybox_layer(), [foreign.finish()], architecture="arm64", Cmd=["/bin/foreign"])
    images.push(tmp_path / "foreign", server.address, "foreign:1")
    task = tasks.run(tasks.container(image="000000000000.dkr.ecr.us-east-1.amazonaws.com/foreign:1"))
    assert task["stopCode"] == "EssentialContainerExited", summary(task)
    assert container_of(task)["exitCode"] == 255, summary(task)
    assert tasks.lines(task) == ["exec /bin/foreign: exec format error"]
