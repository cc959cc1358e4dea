"""One `neargate dev` for all tests, on a machine of their own. Accounts keep the tests apart."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import images, machine  # noqa: E402
from harness.server import ACCOUNT, Server, fresh_account, running  # noqa: E402
from harness.services import Services  # noqa: E402
from harness.tasks import Tasks  # noqa: E402

# While this process has one thread.
machine.enter()

IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/base:1"


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    world = machine.World(tmp_path_factory.mktemp("world"))
    yield world
    world.end()


@pytest.fixture(scope="session")
def layout(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("image") / "base"
    images.write_layout(directory, images.busybox_layer())
    return directory


@pytest.fixture(scope="session")
def server(world, layout, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("neargate") / "data", "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def api_server(world, tmp_path_factory):
    """For tests of APIs alone: no node, and ten minutes in a second."""
    server = Server(tmp_path_factory.mktemp("api") / "data", "--no-node", "--time-scale", "600")
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def own_servers():
    """What a test started and did not stop, because it failed."""
    before = list(running)
    yield
    for server in [server for server in running if server not in before and server.data_dir.parent.name.startswith("test_")]:
        server.stop()


@pytest.fixture(scope="module")
def account() -> str:
    return fresh_account()


@pytest.fixture(scope="module")
def tasks(server, account) -> Tasks:
    return Tasks(server, account, IMAGE)


@pytest.fixture(scope="module")
def ecs(server, account):
    return server.client("ecs", account)


@pytest.fixture(scope="module")
def ec2(server, account):
    return server.client("ec2", account)


@pytest.fixture(scope="module")
def logs(server, account):
    return server.client("logs", account)


@pytest.fixture(scope="module")
def scaled(world, layout, tmp_path_factory):
    """A server of the module's own on which 40 s of stability are 2 s."""
    server = Server(tmp_path_factory.mktemp("scaled") / "data", "--create-repositories-on-push", "--time-scale", "20")
    images.push(layout, server.address, "base:1")
    yield server
    assert server.process.poll() is None, server.errors.read_text()
    assert server.stop() == 0


@pytest.fixture(scope="module")
def services(scaled) -> Services:
    return Services(Tasks(scaled, fresh_account(), IMAGE))


@pytest.fixture(scope="session")
def pool():
    """Tasks that do not depend on each other run at the same time."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture(autouse=True)
def alive(request):
    """No test may take the server down unnoticed."""
    yield
    if "server" in request.fixturenames:
        server = request.getfixturevalue("server")
        assert server.process.poll() is None, server.errors.read_text()
