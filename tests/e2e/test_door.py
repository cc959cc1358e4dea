"""What web pages, careless pipelines and silent clients may do with the port of the APIs."""

import base64
import http.client
import json
import os
import socket
import subprocess
import urllib.request
import xml.etree.ElementTree as ElementTree

import pytest
from botocore.exceptions import ClientError

from harness.server import PROGRAM, Server, fresh_account

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
TARGET = "AmazonEC2ContainerServiceV20141113"
# The default of most distributions, which Neargate raises to the hard limit; here that is no more.
FEW_DESCRIPTORS = 1024
IDLE = 1200
SLOW_BODIES = 60
LAYER_PART = 29 << 20
# A server that holds 192 MiB of bodies, twice while they grow, and itself. Without a bound it is 1.7 GB.
MAX_RESIDENT = 700 << 20


def ask(server: Server, method: str, path: str, headers: dict, body: bytes = b"") -> tuple[int, bytes]:
    """A request with these headers and no others but a length."""
    connection = http.client.HTTPConnection(server.address, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize(("method", "path", "headers", "body"), [
    ("POST", "/", {"Host": "evil.example:4566", "X-Amz-Target": f"{TARGET}.CreateCluster"}, b'{"clusterName": "x"}'),
    ("POST", "/", {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.example"}, b"Action=CreateVpc&Version=2016-11-15&CidrBlock=10.9.0.0/16"),
    ("POST", "/", {"Content-Type": "text/plain", "Origin": "null"}, b"Action=CreateVpc"),
    ("GET", "/?Action=CreateVpc&Version=2016-11-15&CidrBlock=10.9.0.0/16", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, b""),
    ("GET", "/?Action=CreateVpc&Version=2016-11-15&CidrBlock=10.9.0.0/16", {"Host": "localhost.localstack.cloud", "User-Agent": BROWSER}, b""),
    ("POST", "/v2/base/blobs/uploads/", {"Origin": "https://evil.example"}, b""),
    ("POST", "/_neargate/reset", {"Origin": "https://evil.example", "X-Neargate-Reset": "yes"}, b""),
    ("POST", "/_neargate/reset", {}, b""),
    ("OPTIONS", "/_neargate/reset", {"Origin": "https://evil.example", "Access-Control-Request-Headers": "x-neargate-reset"}, b""),
], ids=["rebinding", "form", "text", "image", "image-by-name", "blob", "reset", "reset-form", "preflight"])
def test_a_page_of_another_origin_is_refused_and_changes_nothing(api_server, method, path, headers, body):
    before = len(api_server.client("ec2").describe_vpcs()["Vpcs"])
    status, answer = ask(api_server, method, path, headers, body)
    assert status == 403, answer
    assert len(answer) > 40, "it says why"
    assert len(api_server.client("ec2").describe_vpcs()["Vpcs"]) == before


def test_a_page_of_our_own_and_every_name_of_the_machine_come_in(api_server):
    call = {"X-Amz-Target": f"{TARGET}.ListClusters", "Content-Type": "application/x-amz-json-1.1"}
    port = api_server.address.split(":")[1]
    own = {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}", "Sec-Fetch-Site": "same-origin", "User-Agent": BROWSER}
    for headers in (own, *({"Host": host} for host in (
        "localhost", f"console.localhost:{port}", "localhost.localstack.cloud:4566", "ecs.us-east-1.amazonaws.com",
        f"stream-localhost:{port}", f"streaming-localhost:{port}", "host.docker.internal:4566",
    ))):
        status, answer = ask(api_server, "POST", "/", call | headers, b"{}")
        assert status == 200, (headers, answer)


def test_localstacks_clients_find_what_they_ask_for(api_server):
    with urllib.request.urlopen(f"{api_server.endpoint}/_localstack/health") as answer:
        health = json.load(answer)
    assert health["services"]["ecs"] == "running" and "s3" not in health["services"], health
    assert {"edition", "version"} <= health.keys()
    with urllib.request.urlopen(f"{api_server.endpoint}/_localstack/info") as answer:
        info = json.load(answer)
    assert info["is_license_activated"] is False and info["uptime"] >= 0 and info["version"] == health["version"], info


@pytest.mark.parametrize(("service", "operation", "parameters", "name"), [
    ("sqs", "list_queues", {}, "Amazon SQS"), ("sns", "list_topics", {}, "Amazon SNS"), ("s3", "list_buckets", {}, "Amazon S3"),
    ("route53", "list_hosted_zones", {}, "Route 53"), ("lambda", "list_functions", {}, "AWS Lambda"),
    ("elb", "describe_load_balancers", {}, "Elastic Load Balancing"), ("cloudwatch", "list_metrics", {}, "CloudWatch"),
    ("dynamodb", "list_tables", {}, "DynamoDB"),
])
def test_a_service_that_is_not_there_says_so_in_its_own_protocol(api_server, service, operation, parameters, name):
    client = api_server.client(service, checked=False)
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**parameters)
    error = refused.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 501, error
    assert error["Error"]["Code"] == "NotImplemented", error
    assert error["Error"]["Message"].startswith(f"{name} is not part of Neargate"), error


def test_unsigned_requests_are_told_by_version_and_host(api_server):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, answer = ask(api_server, "POST", "/", form, b"Action=Publish&Version=2010-03-31")
    texts = [element.text for element in ElementTree.fromstring(answer).iter() if element.tag == "Message"]
    assert status == 501 and texts[0].startswith("Amazon SNS is not part"), answer
    status, answer = ask(api_server, "GET", "/", {"Host": "bucket.s3.localhost"})
    assert status == 501 and ElementTree.fromstring(answer).tag == "Error" and b"Amazon S3" in answer, answer


def test_ecr_public_logs_in(api_server):
    data = api_server.client("ecr-public").get_authorization_token()["authorizationData"]
    user, password = base64.b64decode(data["authorizationToken"]).decode().split(":", 1)
    assert user == "AWS" and len(password) > 40
    with pytest.raises(ClientError, match="is not implemented"):
        api_server.client("ecr-public").describe_repositories()


def test_the_registry_asks_for_a_login_and_takes_any(api_server, layout):
    account = fresh_account()
    api_server.client("ecr", account).create_repository(repositoryName="app")
    host = f"{account}.dkr.ecr.us-east-1.localhost:{api_server.address.split(':')[1]}"
    status, _ = ask(api_server, "GET", "/v2/", {"Host": host})
    assert status == 401
    copy = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{api_server.address}/app:1"]
    done = subprocess.run([*copy, "--dest-no-creds"], capture_output=True, text=True)
    assert done.returncode and "authentication required" in done.stderr, done
    basic = base64.b64encode(b"anybody:anything").decode()
    assert ask(api_server, "GET", "/v2/app/tags/list", {"Host": host, "Authorization": f"Basic {basic}"})[0] == 200


def test_names_of_our_registry_are_asked_of_nobody_else(server, tasks, account):
    """The namespace has no resolver: a look-up would say `dial tcp: lookup`, after a time-out."""
    for host in (f"{account}.dkr.ecr.us-east-1.amazonaws.com", server.address, f"localhost:{server.address.split(':')[1]}"):
        image = f"{host}/absent:1"
        reason = tasks.run({"name": "app", "image": image}, logged=False)["stoppedReason"]
        assert reason.startswith("CannotPullContainerError: pull image manifest has been retried"), reason
        assert reason.endswith(f"failed to resolve ref {image}: {image}: not found"), reason


@pytest.fixture(scope="module")
def narrow(world, tmp_path_factory):
    """A server with few descriptors."""
    directory = tmp_path_factory.mktemp("narrow")
    program = directory / "neargate"
    program.write_text(f"#!/bin/sh\nulimit -n {FEW_DESCRIPTORS}\nexec {PROGRAM} \"$@\"\n")
    program.chmod(0o755)
    server = Server(directory / "data", "--no-node", program=program)
    yield server
    assert server.process.poll() is None, server.errors.read_text()
    server.stop()


def resident_bytes(server: Server) -> int:
    with open(f"/proc/{server.process.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_idle_connections_silence_nobody(narrow):
    host, port = narrow.address.split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(IDLE)]
    try:
        assert len(os.listdir(f"/proc/{narrow.process.pid}/fd")) < FEW_DESCRIPTORS - 200, "a reserve is left"
        for _ in range(5):
            assert "clusterArns" in narrow.client("ecs").list_clusters()
    finally:
        for connection in idle:
            connection.close()


def test_slow_bodies_do_not_fill_the_memory(narrow):
    host, port = narrow.address.split(":")
    head = (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LAYER_PART}\r\n"
        "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.UploadLayerPart\r\nContent-Type: application/x-amz-json-1.1\r\n\r\n"
    )
    body = b" " * (LAYER_PART - 1)
    slow = []
    for _ in range(SLOW_BODIES):
        connection = socket.create_connection((host, int(port)))
        connection.settimeout(30)
        slow.append(connection)
        try:
            connection.sendall(head.encode())
            connection.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # Refused: too much is held already.
    try:
        assert resident_bytes(narrow) < MAX_RESIDENT, resident_bytes(narrow)
        assert "clusterArns" in narrow.client("ecs").list_clusters()
    finally:
        for connection in slow:
            connection.close()
