"""Volumes of a task: what they hold at first, and who may use it."""

from harness import images
from harness.tasks import container_of, summary


def test_a_declared_volume_begins_with_what_the_image_has_there(server, tasks, tmp_path):
    images.write_layout(tmp_path / "seeded", images.busybox_layer(), Volumes={"/data": {}, "/nowhere": {}})
    images.push(tmp_path / "seeded", server.address, "seeded:1")
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/seeded:1"
    show = "stat -c '%a %u' /data; cat /data/seed; ls /data"

    def mounts(*volumes):
        return [{"sourceVolume": name, "containerPath": path, **more} for name, path, more in volumes]

    task = tasks.run(
        tasks.container(f"{show}; id -u; touch /data/mine", image=image, user="1000", mountPoints=mounts(("v", "/data", {}))),
        tasks.container("ls /data /nowhere", name="other", image=image, essential=False,
                        mountPoints=mounts(("v", "/data", {"readOnly": True}), ("w", "/nowhere", {})),
                        dependsOn=[{"containerName": "undeclared", "condition": "SUCCESS"}]),
        tasks.container("ls /www; stat -c '%a %u' /nowhere; echo listed", name="undeclared", image=image, essential=False, mountPoints=mounts(("x", "/www", {}))),
        volumes=[{"name": name} for name in "vwx"],
    )
    assert container_of(task)["exitCode"] == 0, summary(task)
    assert tasks.lines(task) == ["750 1000", "from the image", "seed", "1000"]
    # What the image does not declare begins empty, what it declares and lacks is made.
    assert tasks.lines(task, "undeclared") == ["755 0", "listed"]


def test_a_pseudo_terminal_is_one(tasks):
    script = """test -t 0 && test -t 1 && echo yes; tty; test -c /dev/console && echo console > /dev/console
        echo controls > /dev/tty; echo $TERM; echo err >&2; echo again > /dev/stdout; exit 5"""
    task = tasks.run(tasks.container(script, pseudoTerminal=True, user="1000"))
    assert container_of(task)["exitCode"] == 5, summary(task)
    want = ["yes", "/dev/pts/0", "console", "controls", "xterm", "err", "again"]
    assert [line.rstrip("\r") for line in tasks.lines(task)] == want
