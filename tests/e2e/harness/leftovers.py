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
    devices = [link for link in links() if link.get("group") in (str(number), str(number - 2**32))]
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


def firewall_strays() -> set[str]:
    """Devices that firewall rules name and that are not there."""
    named = set()
    for table in run("nft", "list", "tables").splitlines():
        if "neargate" in table:
            named.update(re.findall(r'"(ng[0-9a-f]{11})"', run("nft", "list", *table.split())))
    return named - {link["ifname"] for link in links()}


def links() -> list[dict]:
    return json.loads(run("ip", "-j", "link"))


def processes():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if " shim " in line or " oci-runtime " in line:
            yield line
