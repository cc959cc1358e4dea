"""Applies each stack to a server of its own, says what it took, and shows what went wrong."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import certificates
from harness.server import Server

STACKS = Path(__file__).parent
PROGRAM = os.environ.get("TERRAFORM", "terraform")
# `plan -detailed-exitcode`: nothing to do, and something to do.
EMPTY, CHANGES = 0, 2


class Stack:
    def __init__(self, name: str, directory: Path):
        self.directory = directory / name
        shutil.copytree(STACKS / name, self.directory)
        shutil.copy(STACKS / "provider.tf", self.directory)
        self.server = Server(directory / f"{name}-data", "--no-node", "--time-scale", "10")
        self.environment = self.server.environment() | {
            "TF_VAR_endpoint": self.server.endpoint, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if plugins := os.environ.get("TERRAFORM_PLUGINS"):
            config = directory / "terraform.rc"
            config.write_text('provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' % plugins)
            self.environment["TF_CLI_CONFIG_FILE"] = str(config)

    def call(self, *arguments: str, expected: int = 0) -> None:
        done = subprocess.run([PROGRAM, *arguments, "-no-color"], cwd=self.directory, env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != expected:
            raise SystemExit(f"{self.directory.name}: {' '.join(arguments)} ended with {done.returncode}, not {expected}:\n{done.stdout}")

    def course(self) -> None:
        self.call("init")
        for changed in ("false", "true"):
            variable = f"-var=changed={changed}"
            self.call("plan", variable, "-detailed-exitcode", expected=CHANGES)
            self.call("apply", "-auto-approve", variable)
            self.call("plan", variable, "-detailed-exitcode", expected=EMPTY)
        self.call("destroy", "-auto-approve", "-var=changed=true")

    def left(self) -> str:
        """What the stack made and did not take away."""
        return subprocess.run([PROGRAM, "state", "list"], cwd=self.directory, env=self.environment,
                              stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    names = sys.argv[1:] or sorted(path.parent.name for path in STACKS.glob("*/main.tf"))
    with tempfile.TemporaryDirectory() as directory:
        for name in names:
            began = time.monotonic()
            stack = Stack(name, Path(directory))
            try:
                if name == "nlb":
                    certificates.self_signed(stack.directory, "site")
                stack.course()
                assert not stack.left(), stack.left()
            finally:
                stack.server.stop()
            print(f"{name}: applied, changed, destroyed; every plan after an apply was empty ({time.monotonic() - began:.0f} s)", flush=True)


main()
