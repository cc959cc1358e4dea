"""What of tasks that are gone is still on the machine."""

import json
import re
from pathlib import Path

from .machine import run

# How a task's cgroup directory, namespace, task directory and shim are named.
TASK_ID = re.compile(r"\b[0-9a-f]{32}\b")


def owned(data_dir: Path) -> dict[str, set[str]]:
    """What is there on behalf of tasks, by kind: the ids of the tasks that it belongs to."""
    instances = [path.name for path in Path("/run/neargate").iterdir()]
    cgroups = [path for instance in instances for path in Path("/sys/fs/cgroup").glob(f"**/neargate/{instance}/*")]
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return {
        "namespaces": {path.name for path in Path("/run/neargate").glob("*/netns/*")},
        "mounts": {id for line in lines if str(data_dir) in line or "/run/neargate/" in line for id in TASK_ID.findall(line.split()[1])},
        "cgroups": {path.name for path in cgroups if path.is_dir() and TASK_ID.fullmatch(path.name)},
        "processes": {id for line in processes() if str(data_dir) in line for id in TASK_ID.findall(line)},
        "runtime state": {id for path in Path("/run/neargate").glob("*/runtime/*") for id in TASK_ID.findall(path.name)},
        "devices": {link["ifalias"] for link in links() if TASK_ID.fullmatch(link.get("ifalias", ""))},
    }


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
