"""What HTTP lets clients do, and SDKs do."""

import gzip
import json
import socket

import pytest

from harness import wire
from harness.server import fresh_account

ECS = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.CreateCluster", "Content-Type": "application/x-amz-json-1.1"}


@pytest.fixture(scope="module")
def caller(server):
    return wire.Caller(server.address, fresh_account())


def test_a_compressed_body(caller):
    answer = caller.send(gzip.compress(b'{"clusterName": "packed"}'), "ecs", ECS | {"Content-Encoding": "gzip"})
    assert json.loads(answer.body)["cluster"]["clusterName"] == "packed", answer


def test_a_body_that_unpacks_beyond_the_limit_is_refused(caller):
    bomb = gzip.compress(b'{"clusterName": "' + b"x" * (200 << 20) + b'"}', 9)
    answer = caller.send(bomb, "ecs", ECS | {"Content-Encoding": "gzip"})
    assert answer.status == 413, answer.status


def test_expect_100_continue(server):
    host, port = server.address.split(":")
    body = b'{"clusterName": "patient"}'
    head = "".join(f"{name}: {value}\r\n" for name, value in {
        **ECS, "Host": server.address, "Content-Length": len(body), "Expect": "100-continue", "Connection": "close"}.items())
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\n{head}\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"patient"' in answer


def test_the_account_and_region_are_those_of_the_credentials(server, caller):
    assert server.client("sts", "123456789012").get_caller_identity()["Account"] == "123456789012"
    role = server.client("sts", "123456789012").assume_role(RoleArn="arn:aws:iam::210987654321:role/x", RoleSessionName="me")
    key = role["Credentials"]["AccessKeyId"]
    identity = server.client("sts", key).get_caller_identity()
    assert identity["Account"] == "210987654321" and identity["Arn"] == "arn:aws:sts::210987654321:assumed-role/x/me"


def test_nobodys_request_is_the_default_accounts(server, caller):
    answer = caller.send(b"{}", "ecs", ECS | {"Authorization": None})
    assert ":000000000000:cluster/default" in answer.body.decode(), answer


@pytest.mark.parametrize(("path", "status"), [("/_neargate/health", 200), ("/v2/", (200, 401)), ("/no/such/path", range(400, 500))])
def test_other_paths(caller, path, status):
    answer = caller.send(b"", "ecs", {}, method="GET", path=path)
    assert answer.status == status if isinstance(status, int) else answer.status in status, answer
