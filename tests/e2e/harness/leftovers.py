"""What of tasks that are gone is still on the machine."""

import json
import os
import re
from pathlib import Path

from .machine import run

# How a task's cgroup directory, namespace, task directory and shim are named.
TASK_ID = re.compile(r"\b[0-9a-f]{32}\b")


def owned(data_dir: Path) -> dict[str, set[str]]:
    """What one Neargate has on behalf of tasks, by kind: the ids of the tasks that it belongs to. Others run beside it."""
    instance = (data_dir / "node" / "instance").read_text()
    run_dir = Path("/run/neargate") / instance
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    # All devices of an instance have its number as their group; `ip` shows large numbers as negative ones.
    number = int(instance, 16)
    devices = [link for link in links(run_dir / "router") if link.get("group") in (str(number), str(number - 2**32))]
    return {
        "namespaces": {path.name for path in run_dir.glob("netns/*")},
        "mounts": {id for path in mounts if path.startswith((str(data_dir), str(run_dir))) for id in TASK_ID.findall(path)},
        "cgroups": {name for name in cgroups(instance) if TASK_ID.fullmatch(name)},
        "processes": {id for line in processes() if str(data_dir) in line for id in TASK_ID.findall(line)},
        "runtime state": {id for path in run_dir.glob("runtime/*") for id in TASK_ID.findall(path.name)},
        "devices": {link["ifalias"] for link in devices if TASK_ID.fullmatch(link.get("ifalias", ""))},
    }


def cgroups(instance: str) -> set[str]:
    """Groups of an instance in any tree. Not by a recursive search: a hostile task nests them deeper than a path is long."""
    root = Path("/sys/fs/cgroup")
    found = set()
    for tree in [root, *root.iterdir()]:
        try:
            found.update(os.listdir(tree / "neargate" / instance))
        except OSError:
            # None here, or it was removed just now.
            pass
    return found


def routers() -> list[Path]:
    """The namespaces in which the instances of this process's machine route."""
    return [path for path in Path("/run/neargate").glob("*/router") if os.path.ismount(path)]


def inside(router: Path | None, *command: str) -> str:
    return run("nsenter", f"--net={router}", *command) if router else run(*command)


def firewall_strays() -> set[str]:
    """Devices that firewall rules name and that are not there."""
    strays = set()
    for router in routers():
        named = set()
        for table in inside(router, "nft", "list", "tables").splitlines():
            named.update(re.findall(r'"(ng[0-9a-f]{11})"', inside(router, "nft", "list", *table.split())))
        strays |= named - {link["ifname"] for link in links(router)}
    return strays


def links(router: Path | None = None) -> list[dict]:
    """Of the machine, or of a router; none of one that is gone."""
    if router and not router.exists():
        return []
    return json.loads(inside(router, "ip", "-j", "link"))


def processes():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if " shim " in line or " oci-runtime " in line:
            yield line
