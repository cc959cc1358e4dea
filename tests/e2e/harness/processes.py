"""Processes that a server keeps, found by their lock files, and killed."""

import os
import signal
import time
from pathlib import Path


def lock_holder(data_dir: Path, role: str) -> int:
    return int((data_dir / role / "lock").read_text())


def runs(pid: int) -> bool:
    """Whether it has not ended; its parent may be late to notice."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while runs(pid):
        time.sleep(0.01)
