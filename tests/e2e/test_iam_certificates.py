"""IAM's server certificates by the unmodified SDK."""

import pytest
from botocore.exceptions import ClientError

from harness.certificates import self_signed
from harness.server import fresh_account


def code(call, **arguments) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("certificates"), "iam.example")


def test_a_server_certificate_from_upload_to_deletion(server, pair):
    account = fresh_account()
    iam = server.client("iam", account)
    certificate, key = pair
    uploaded = iam.upload_server_certificate(
        ServerCertificateName="Web", Path="/site/", CertificateBody=certificate, PrivateKey=key,
        Tags=[{"Key": "team", "Value": "web"}],
    )
    metadata = uploaded["ServerCertificateMetadata"]
    assert metadata["Arn"] == f"arn:aws:iam::{account}:server-certificate/site/Web"
    assert metadata["ServerCertificateId"].startswith("ASCA") and len(metadata["ServerCertificateId"]) == 21
    assert uploaded["Tags"] == [{"Key": "team", "Value": "web"}]

    found = iam.get_server_certificate(ServerCertificateName="Web")["ServerCertificate"]
    assert found["CertificateBody"].strip() == certificate.strip()
    assert found["ServerCertificateMetadata"] == metadata
    duplicate = {"ServerCertificateName": "web", "CertificateBody": certificate, "PrivateKey": key}
    assert code(iam.upload_server_certificate, **duplicate) == "EntityAlreadyExists"

    iam.update_server_certificate(ServerCertificateName="Web", NewPath="/", NewServerCertificateName="Shop")
    assert code(iam.get_server_certificate, ServerCertificateName="Web") == "NoSuchEntity"
    listed = iam.list_server_certificates()["ServerCertificateMetadataList"]
    assert [entry["Arn"] for entry in listed] == [f"arn:aws:iam::{account}:server-certificate/Shop"]
    assert iam.list_server_certificates(PathPrefix="/site/")["ServerCertificateMetadataList"] == []

    iam.tag_server_certificate(ServerCertificateName="Shop", Tags=[{"Key": "a", "Value": "1"}])
    iam.untag_server_certificate(ServerCertificateName="Shop", TagKeys=["team"])
    assert iam.list_server_certificate_tags(ServerCertificateName="Shop")["Tags"] == [{"Key": "a", "Value": "1"}]

    iam.delete_server_certificate(ServerCertificateName="Shop")
    assert code(iam.delete_server_certificate, ServerCertificateName="Shop") == "NoSuchEntity"


def test_what_does_not_fit_together_is_refused(server, pair, tmp_path):
    iam = server.client("iam", fresh_account())
    other = self_signed(tmp_path, "other.example")
    name = {"ServerCertificateName": "x"}
    assert code(iam.upload_server_certificate, **name, CertificateBody=pair[0], PrivateKey=other[1]) == "KeyPairMismatch"
    assert code(iam.upload_server_certificate, **name, CertificateBody="x", PrivateKey=pair[1]) == "MalformedCertificate"


def test_pages_follow_each_other(server, pair):
    iam = server.client("iam", fresh_account())
    names = [f"c{number}" for number in range(5)]
    for name in names:
        iam.upload_server_certificate(ServerCertificateName=name, CertificateBody=pair[0], PrivateKey=pair[1])
    pages = iam.get_paginator("list_server_certificates").paginate(PaginationConfig={"PageSize": 2})
    found = [entry["ServerCertificateName"] for page in pages for entry in page["ServerCertificateMetadataList"]]
    assert found == names
