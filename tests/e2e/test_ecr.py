"""The registry by its own clients and by the ECR API: what one puts in, the other shows."""

import base64
import hashlib
import json
import subprocess

import pytest

from harness import images
from harness.errors import refused
from harness.server import ACCOUNT, fresh_account
from harness.tasks import Tasks, container_of, summary, unique


@pytest.fixture(scope="module")
def ecr(server):
    """Of the account that the registry's bare address stands for."""
    return server.client("ecr", ACCOUNT)


@pytest.fixture
def repository(ecr) -> str:
    name = unique("ecr-test/app")
    ecr.create_repository(repositoryName=name)
    return name


def skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_repositories(ecr):
    name = unique("team/repo")
    made = ecr.create_repository(repositoryName=name, tags=[{"Key": "k", "Value": "v"}])["repository"]
    assert made["repositoryArn"] == f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}"
    assert made["repositoryUri"].endswith(f"/{name}") and made["imageTagMutability"] == "MUTABLE"
    refused(lambda: ecr.create_repository(repositoryName=name), "RepositoryAlreadyExistsException")
    refused(lambda: ecr.create_repository(repositoryName="Upper"), "InvalidParameterException")
    assert ecr.describe_repositories(repositoryNames=[name])["repositories"] == [made]
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == [{"Key": "k", "Value": "v"}]
    ecr.delete_repository(repositoryName=name)
    refused(lambda: ecr.describe_repositories(repositoryNames=[name]), "RepositoryNotFoundException")


def test_repositories_in_pages(server):
    ecr = server.client("ecr", fresh_account())
    for number in range(5):
        ecr.create_repository(repositoryName=f"r{number}")
    pages = [[r["repositoryName"] for r in page["repositories"]]
             for page in ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})]
    assert [len(page) for page in pages] == [2, 2, 1] and sorted(sum(pages, [])) == [f"r{n}" for n in range(5)]


def test_a_token_lets_clients_in(ecr, server, layout, repository):
    data = ecr.get_authorization_token()["authorizationData"][0]
    user, password = base64.b64decode(data["authorizationToken"]).decode().split(":", 1)
    assert user == "AWS" and data["expiresAt"]
    # Where AWS names a host of its own: `docker login` goes there, and so do the images that tools name after it.
    port = server.address.rpartition(":")[2]
    assert data["proxyEndpoint"] == f"http://localhost:{port}"
    skopeo("copy", "--dest-tls-verify=false", f"--dest-creds={user}:{password}", f"oci:{layout}", f"docker://localhost:{port}/{repository}:t")
    assert "t" in skopeo("list-tags", "--tls-verify=false", f"--creds={user}:{password}", f"docker://{server.address}/{repository}")


def test_what_was_pushed_is_described(ecr, server, layout, repository):
    images.push(layout, server.address, f"{repository}:1")
    images.push(layout, server.address, f"{repository}:2")
    detail, = ecr.describe_images(repositoryName=repository)["imageDetails"]
    assert sorted(detail["imageTags"]) == ["1", "2"] and detail["imageSizeInBytes"] > 100_000 and detail["imagePushedAt"]
    assert {i["imageTag"] for i in ecr.list_images(repositoryName=repository)["imageIds"]} == {"1", "2"}
    answer = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "1"}, {"imageTag": "absent"}])
    manifest = answer["images"][0]["imageManifest"]
    assert f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}" == detail["imageDigest"]
    assert answer["failures"][0]["failureCode"] == "ImageNotFound"
    layer = json.loads(manifest)["layers"][0]["digest"]
    available = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[layer])
    assert available["layers"][0]["layerAvailability"] == "AVAILABLE"
    assert ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=layer)["downloadUrl"]
    refused(lambda: ecr.delete_repository(repositoryName=repository), "RepositoryNotEmptyException")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "1"}])
    assert ecr.describe_images(repositoryName=repository)["imageDetails"][0]["imageTags"] == ["2"]
    ecr.delete_repository(repositoryName=repository, force=True)


def test_immutable_tags(ecr, server, layout):
    name = unique("immutable")
    ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    images.push(layout, server.address, f"{name}:1")
    manifest = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "1"}])["images"][0]["imageManifest"]
    refused(lambda: ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="1"), "ImageAlreadyExistsException")
    other = json.loads(manifest) | {"annotations": {"a": "b"}}
    refused(lambda: ecr.put_image(repositoryName=name, imageManifest=json.dumps(other), imageTag="1"), "ImageTagAlreadyExistsException")


def test_layers_and_an_image_by_the_api_run_as_a_task(ecr, tasks, layout, repository):
    index = json.loads((layout / "index.json").read_text())
    blob = lambda digest: (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    manifest_text = blob(index["manifests"][0]["digest"]).decode()
    manifest = json.loads(manifest_text)
    for descriptor in (manifest["config"], *manifest["layers"]):
        data = blob(descriptor["digest"])
        upload = ecr.initiate_layer_upload(repositoryName=repository)
        size = upload["partSize"]
        for first in range(0, len(data), size):
            part = data[first:first + size]
            ecr.upload_layer_part(repositoryName=repository, uploadId=upload["uploadId"], partFirstByte=first,
                                  partLastByte=first + len(part) - 1, layerPartBlob=part)
        done = ecr.complete_layer_upload(repositoryName=repository, uploadId=upload["uploadId"], layerDigests=[descriptor["digest"]])
        assert done["layerDigest"] == descriptor["digest"]
    ecr.put_image(repositoryName=repository, imageManifest=manifest_text, imageTag="api")
    for reference in (f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/{repository}:api",
                      f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/{repository}@{index['manifests'][0]['digest']}"):
        task = tasks.run({"name": "app", "image": reference, "command": ["true"]})
        assert container_of(task).get("exitCode") == 0, summary(task)
        assert container_of(task)["imageDigest"] == index["manifests"][0]["digest"]


def test_the_registrys_address_names_the_callers_images(server, layout):
    images.push(layout, server.address, "by-address:1")
    port = server.address.rpartition(":")[2]
    tasks = Tasks(server, ACCOUNT, f"localhost:{port}/by-address:1")
    assert container_of(tasks.run(tasks.container("true"))).get("exitCode") == 0


def test_lifecycle_policies_are_evaluated(ecr, server, layout, repository):
    images.push(layout, server.address, f"{repository}:old-1")
    policy = json.dumps({"rules": [{"rulePriority": 1, "selection": {
        "tagStatus": "tagged", "tagPrefixList": ["old"], "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"}}]})
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=policy)
    found = ecr.get_lifecycle_policy(repositoryName=repository)
    assert json.loads(found["lifecyclePolicyText"]) == json.loads(policy)
    assert found["lastEvaluatedAt"].timestamp() == 0, "not yet evaluated"
    refused(lambda: ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText="{}" + " " * 100), "InvalidParameterException")
    ecr.delete_lifecycle_policy(repositoryName=repository)
    refused(lambda: ecr.get_lifecycle_policy(repositoryName=repository), "LifecyclePolicyNotFoundException")
