"""The commands of docs/deployments.md, in their order, as a reader would type them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import images
from harness.hello import EXAMPLE, write_layout
from harness.server import ROOT, Server

GUIDE = ROOT / "docs" / "deployments.md"
SCALE = 60


def blocks() -> list[tuple[str, str]]:
    """Names of files (or none, for commands) and what is in them."""
    fenced = re.findall(r"^```(?:sh|json)(?: (\S+))?\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(fenced) >= 8, fenced
    return fenced


@pytest.fixture
def desk(tmp_path) -> Path:
    """A directory with the files that the guide wants and shows."""
    for name, text in blocks():
        if name:
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
    shutil.copy(EXAMPLE / "task-definition.json", tmp_path)
    return tmp_path


def test_the_guides_commands_do_what_it_says(world, desk):
    server = Server(desk / "data", "--create-repositories-on-push", "--time-scale", str(SCALE), "--functions", desk / "functions.json")
    images.push(write_layout(desk / "image"), server.address, "hello:1")
    commands = "\n".join(f"echo '## {number}' >&2\n{text}" for number, (name, text) in enumerate(blocks()) if not name)
    environment = server.environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    log = desk / "commands.log"
    with log.open("w") as output:
        done = subprocess.run(
            ["timeout", "400", "bash", "-xeuo", "pipefail", "-c", commands], cwd=desk, env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    said = log.read_text()
    assert done.returncode == 0, said[-3000:] + server.errors.read_text()
    assert said.count("(version green,") == 3, said
    assert server.stop() == 0
