"""The data directory: closed to other users of the machine, whole after a power cut, and emptied to the deepest directory."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import images
from harness.machine import run
from harness.processes import kill, lock_holder, runs
from harness.server import PROGRAM, READY_SECONDS, Server, fresh_account
from harness.tasks import Tasks, container_of, summary, task_id
from harness.waiting import wait_until

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# What `busybox su` says as another user where its set-user-id bit does nothing, and where it does.
NOT_ROOT = "must be suid to work properly"
SU = "su root -c true </dev/null 2>&1"


@pytest.fixture
def public_dir():
    """Where every user of the machine gets to."""
    directory = Path(tempfile.mkdtemp(prefix="test_", dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def layout_with_su(tmp_path_factory):
    directory = tmp_path_factory.mktemp("su") / "image"
    layer = images.Layer()
    layer.directory("setuid")
    layer.file("setuid/busybox", images.BUSYBOX.read_bytes(), 0o4755)
    images.write_layout(directory, images.busybox_layer(), more=[layer.finish()])
    return directory


def open_to_all(directory: Path) -> None:
    """As an earlier version left its data directory."""
    for path, _, files in os.walk(directory):
        os.chmod(path, 0o755)
        for name in files:
            if not os.path.islink(os.path.join(path, name)):
                os.chmod(os.path.join(path, name), 0o644)


def modes_open_to_others(data_dir: Path) -> list[str]:
    """Ours only: what is in images, roots and volumes has the modes that their owners gave it."""
    of_containers = ("*/layers/*/fs", "*/images/empty", "*/volumes/?*", "*/network/?*", "*/containers/*/rootfs", "*/containers/*/upper", "*/containers/*/work",
                     # What OCI runtimes keep of a container, as they like it; what containers see of the processors.
                     "/run/neargate/*/runtime/?*", "/run/neargate/*/cpus/*/?*",
                     # Namespaces, whose files have the kernel's modes.
                     "/run/neargate/*/netns/?*", "/run/neargate/*/router")
    prune = " -o ".join(f"-path '{pattern}'" for pattern in of_containers)
    found = run("sh", "-c", f"find {data_dir} /run/neargate \\( {prune} \\) -prune -o ! -type l -perm /077 -print")
    return found.splitlines()


def test_another_user_reads_nothing_and_runs_nothing_as_root(public_dir, layout_with_su):
    data_dir = public_dir / "data"
    careless = ("sh", "-c", 'umask 0; exec "$@"', "sh")
    server = Server(data_dir, "--create-repositories-on-push", under=careless)
    assert modes_open_to_others(data_dir) == []
    assert server.stop() == 0
    open_to_all(data_dir)
    server = Server(data_dir, "--create-repositories-on-push", under=careless)
    images.push(layout_with_su, server.address, "base:1")
    tasks = Tasks(server, fresh_account(), IMAGE)
    script = f"cp /bin/busybox /v/busybox; chmod 4755 /v/busybox; umask; setpriv --reuid=1000 /v/busybox {SU}; setpriv --reuid=1000 /setuid/busybox {SU}; sleep 1000"
    definition = tasks.register(tasks.container(script, environment=[{"name": "TOKEN", "value": "of-the-task"}], stopTimeout=2,
                                                mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}]), volumes=[{"name": "v"}])
    task = tasks.wait(tasks.start(definition), "RUNNING")
    # In the container both mean what they mean everywhere, and files are made as everywhere.
    lines = wait_until("the container to have tried", lambda: (said := tasks.lines(task))[2:] and said)
    assert lines[0] == "0022" and not any(NOT_ROOT in line for line in lines), lines
    assert modes_open_to_others(data_dir) == []

    assert run(*NOBODY, "find", str(data_dir), "-maxdepth", "1", check=False).splitlines() == [str(data_dir)]
    directory = data_dir / "node" / "tasks" / task_id(task)
    secrets = [directory / "spec.pb", directory / "containers/app/config.json", directory / "shim.sock", data_dir / "state.redb", data_dir / "secrets.key"]
    for path in secrets:
        assert path.exists(), path
        assert subprocess.run([*NOBODY, "cat", path], capture_output=True).returncode != 0, path
    programs = [directory / "volumes/v/busybox", *(data_dir / "node/images/layers").glob("*/fs/setuid/busybox"), directory / "containers/app/upper/busybox"]
    shutil.copy(programs[0], programs[2])
    programs[2].chmod(0o4755)
    for program in programs:
        assert os.stat(program).st_mode & 0o4000
        # By a shell, since setpriv has root's capabilities until it executes something.
        assert "ermission denied" in run(*NOBODY, "sh", "-c", f"{program} true 2>&1", check=False), program
        # Were the first wall open, there is the second: the bit means nothing on the machine.
        parents = [parent for parent in program.parents if parent.is_relative_to(data_dir)]
        modes = [(parent, parent.stat().st_mode) for parent in parents]
        try:
            for parent in parents:
                parent.chmod(0o755)
            done = subprocess.run([*NOBODY, "sh", "-c", f"{program} {SU}"], capture_output=True, text=True)
            assert NOT_ROOT in done.stdout, (program, done)
        finally:
            for parent, mode in modes:
                parent.chmod(mode & 0o7777)
    assert server.stop() == 0
    assert str(data_dir) not in Path("/proc/self/mounts").read_text()


def test_somebody_elses_directory_is_left_alone(public_dir):
    (public_dir / "theirs").mkdir()
    done = subprocess.run([PROGRAM, "dev", "--no-node", "--listen", "127.0.0.1:0", "--data-dir", public_dir], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "give a --data-dir of its own" in done.stderr, done
    assert os.stat(public_dir).st_mode & 0o777 == 0o755 and os.listdir(public_dir) == ["theirs"]


def test_an_ephemeral_directory_is_nobody_elses(public_dir):
    """Both attacks: the directory is there before us, and a file in it is a link to another."""
    public_dir.chmod(0o1777)
    victim = public_dir / "victim"
    victim.write_text("untouched")
    # The shell's pid is the program's, so this is the directory that could be guessed.
    attack = f'd={public_dir}/neargate-$$; {" ".join(NOBODY)} sh -c "mkdir $d && ln -s {victim} $d/server.lock"; exec "$@"'
    process = subprocess.Popen(["sh", "-c", attack, "sh", PROGRAM, "dev", "--no-node", "--ephemeral", "--listen", "127.0.0.1:0"],
                               env=os.environ | {"TMPDIR": str(public_dir)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith("ready "), process.stderr.read()
        guessed = public_dir / f"neargate-{process.pid}"
        assert guessed.is_dir()
        own = [path for path in public_dir.glob("neargate-*") if path != guessed]
        assert [(path.owner(), path.stat().st_mode & 0o777) for path in own] == [("root", 0o700)]
        process.terminate()
        assert process.wait(30) == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
    assert victim.read_text() == "untouched" and os.listdir(guessed) == ["server.lock"]
    assert not own[0].exists()


def test_without_root_it_says_so_once_and_ends(public_dir):
    program = public_dir / "neargate"
    shutil.copy(PROGRAM, program)
    done = subprocess.run([*NOBODY, program, "dev", "--ephemeral", "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.count("\n") == 1 and "sudo" in done.stderr and "--no-node" in done.stderr, done.stderr
    process = subprocess.Popen([*NOBODY, program, "dev", "--ephemeral", "--no-node", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith("ready "), "the APIs alone need no root"
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_a_power_cut_on_a_fresh_directory(tmp_path):
    """What is left of files that were never synced: names without content."""
    data_dir = tmp_path / "data"
    for path in ("node/instance", "lb/secret", "lb/table.sealed", "lb/health.pb"):
        (data_dir / path).parent.mkdir(parents=True, exist_ok=True)
        (data_dir / path).write_bytes(b"")
    server = Server(data_dir)
    assert len((data_dir / "node/instance").read_text()) == 8
    assert len((data_dir / "lb/secret").read_bytes()) == 32
    assert server.stop() == 0


@pytest.mark.parametrize("path", ["secrets.key", "ca/ca.pem", "ca/ca.key.sealed"])
def test_a_key_that_cannot_be_made_anew_is_asked_for(path, tmp_path):
    data_dir = tmp_path / "data"
    server = Server(data_dir, "--no-node")
    assert server.stop() == 0
    (data_dir / path).write_bytes(b"")
    done = subprocess.run([PROGRAM, "dev", "--no-node", "--listen", "127.0.0.1:0", "--data-dir", data_dir], capture_output=True, text=True, timeout=READY_SECONDS)
    assert (done.returncode, done.stdout) == (1, "") and "damaged" in done.stderr and "back" in done.stderr, done


@pytest.fixture(scope="module")
def few_descriptors(layout, tmp_path_factory):
    """A server with the usual limit on open files, which its node and shims have too."""
    data_dir = tmp_path_factory.mktemp("limited") / "data"
    node = data_dir / "node"
    node.mkdir(parents=True)
    # In memory: some disks take a millisecond for each directory that goes.
    run("mount", "-t", "tmpfs", "neargate-e2e", str(node))
    server = Server(data_dir, "--create-repositories-on-push", under=("prlimit", "--nofile=1024:1024"))
    images.push(layout, server.address, "base:1")
    yield server
    assert server.stop() == 0
    left = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f" {data_dir}/" in line]
    run("umount", "--lazy", str(node))
    assert len(left) == 1, left


def directory_of(server, task) -> Path:
    return server.data_dir / "node" / "tasks" / task_id(task)


def shim_pid(directory: Path) -> int:
    return json.loads((directory / "state.json").read_text())["shim_pid"]


def test_the_deepest_tree_is_removed(few_descriptors):
    tasks = Tasks(few_descriptors, fresh_account(), IMAGE)
    definition = tasks.register(tasks.container("sleep 1000", stopTimeout=2, mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}]), volumes=[{"name": "v"}])
    task = tasks.wait(tasks.start(definition), "RUNNING")
    node = lock_holder(few_descriptors.data_dir, "node")
    directory = directory_of(few_descriptors, task)
    for place in ("volumes/v", "containers/app/upper/root"):
        (directory / place).mkdir(exist_ok=True)
        here = os.open(directory / place, os.O_DIRECTORY)
        for _ in range(60_000):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
    tasks.stop(task["taskArn"])
    tasks.wait(task["taskArn"])
    wait_until("the directory is gone", lambda: not directory.exists())
    assert lock_holder(few_descriptors.data_dir, "node") == node and runs(node)


def test_damaged_task_directories_leave_no_supervisor(few_descriptors):
    damages = {
        "empty spec": lambda directory: (directory / "spec.pb").write_bytes(b""),
        "no spec": lambda directory: (directory / "spec.pb").unlink(),
        "empty report": lambda directory: (directory / "report.pb").write_bytes(b"\xff"),
        "empty state": lambda directory: (directory / "state.json").write_bytes(b""),
        "no socket": lambda directory: (directory / "shim.sock").unlink(),
        "neither socket nor lock": lambda directory: [(directory / name).unlink() for name in ("shim.sock", "shim.lock")],
        "no files": lambda directory: [path.unlink() for path in directory.iterdir() if not path.is_dir()],
        "another name": lambda directory: directory.rename(directory.with_name("f" * 32)),
    }
    tasks = Tasks(few_descriptors, fresh_account(), IMAGE)
    definition = tasks.register(tasks.container("sleep 1000", stopTimeout=2))
    arns = {name: tasks.start(definition) for name in [*damages, "whole"]}
    started = {name: tasks.wait(arn, "RUNNING") for name, arn in arns.items()}
    shims = {name: shim_pid(directory_of(few_descriptors, task)) for name, task in started.items()}
    node = lock_holder(few_descriptors.data_dir, "node")
    # Stopped, so that the damage is not one that it sees happen.
    os.kill(node, 19)
    for name, damage in damages.items():
        damage(directory_of(few_descriptors, started[name]))
    kill(node)
    assert tasks.describe(arns["whole"])["lastStatus"] == "RUNNING"
    # That of the empty state is reached, and goes on.
    for name in damages.keys() - {"empty state"}:
        wait_until(f"{name}: no supervisor", lambda: not runs(shims[name]))
        stopped = tasks.wait(arns[name])
        assert stopped.get("stoppedReason"), (name, summary(stopped), stopped)
    for name in ("whole", "empty state"):
        tasks.stop(arns[name])
        assert container_of(tasks.wait(arns[name]))["exitCode"] is not None
