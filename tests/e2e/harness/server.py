"""A `neargate dev` process."""

import itertools
import os
import signal
import subprocess
import threading
from pathlib import Path

import boto3
from botocore.config import Config

from . import shapes

ROOT = Path(__file__).parents[3]
# `NEARGATE=target/release/neargate make e2e` tests another build.
PROGRAM = Path(os.environ.get("NEARGATE", ROOT / "target" / "debug" / "neargate"))
REGION = "us-east-1"
ACCOUNT = "000000000000"
# Time for the slowest start: a debug build on a machine that is busy with other tests.
READY_SECONDS = 60
STOP_SECONDS = 60

# Those that a failed test has not stopped.
running: list["Server"] = []
_accounts = itertools.count(100_000_000_001)


def fresh_account() -> str:
    """An account that nobody used. In dev mode the access key id names it."""
    return str(next(_accounts))


class Server:
    def __init__(self, data_dir: Path, *options: str, program: Path = PROGRAM, under: tuple = (), stderr=None):
        """`under`: what executes the program with other circumstances, such as `prlimit --nofile=1024`."""
        self.data_dir = data_dir
        self.errors = data_dir.parent / f"{data_dir.name}.stderr"
        self.process = subprocess.Popen(
            [*under, program, "dev", "--listen", "127.0.0.1:0", "--data-dir", data_dir, *options],
            stdout=subprocess.PIPE, stderr=stderr or self.errors.open("w"), text=True,
        )
        timer = threading.Timer(READY_SECONDS, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert line.startswith("ready http://"), f"{line!r}\n{self.errors.read_text()}"
        running.append(self)
        self.endpoint = line.split()[1]
        self.address = self.endpoint.removeprefix("http://")

    def client(self, service: str, account: str = ACCOUNT, region: str = REGION, checked: bool = True, **config):
        """A boto3 client. If `checked`, each raw answer is compared with the service's model."""
        session = boto3.Session(aws_access_key_id=account, aws_secret_access_key="any", region_name=region)
        config = Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=32, **config)
        client = session.client(service, endpoint_url=self.endpoint, config=config)
        if checked:
            client.meta.events.register(f"before-parse.{client.meta.service_model.service_id.hyphenize()}", shapes.on_answer)
        return client

    def environment(self, account: str = ACCOUNT) -> dict[str, str]:
        """For the AWS CLI."""
        return os.environ | {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": "",
        }

    def stop(self) -> int:
        """SIGTERM; answers the exit code."""
        if self in running:
            running.remove(self)
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
