"""ACM by the unmodified SDK: certificates of Neargate's own authority, and imported ones."""

import urllib.request

import pytest
from botocore.exceptions import ClientError

from harness.certificates import openssl, self_signed
from harness.server import fresh_account


@pytest.fixture
def acm(server):
    return server.client("acm", fresh_account())


def code(call, **arguments) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def authority(server) -> str:
    with urllib.request.urlopen(f"{server.endpoint}/_neargate/ca.pem") as answer:
        return answer.read().decode()


def test_a_requested_certificate_is_trusted_by_who_trusts_the_authority(server, acm, tmp_path):
    request = {"DomainName": "example.com", "SubjectAlternativeNames": ["*.example.com"], "ValidationMethod": "DNS"}
    arn = acm.request_certificate(**request, IdempotencyToken="once")["CertificateArn"]
    assert acm.request_certificate(**request, IdempotencyToken="once")["CertificateArn"] == arn
    acm.get_waiter("certificate_validated").wait(CertificateArn=arn)
    detail = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert (detail["Status"], detail["Type"], detail["KeyAlgorithm"]) == ("ISSUED", "AMAZON_ISSUED", "RSA_2048")
    assert [option["ResourceRecord"]["Type"] for option in detail["DomainValidationOptions"]] == ["CNAME", "CNAME"]
    assert detail["InUseBy"] == []

    answer = acm.get_certificate(CertificateArn=arn)
    assert answer["CertificateChain"] == authority(server)
    (tmp_path / "ca.pem").write_text(authority(server))
    (tmp_path / "leaf.pem").write_text(answer["Certificate"])
    verified = openssl("verify", "-verify_hostname", "www.example.com", "-purpose", "sslserver",
                       "-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / "leaf.pem"))
    assert verified.strip().endswith("OK")

    acm.delete_certificate(CertificateArn=arn)
    assert code(acm.describe_certificate, CertificateArn=arn) == "ResourceNotFoundException"


def test_an_export_is_encrypted_with_the_callers_passphrase(acm, tmp_path):
    arn = acm.request_certificate(DomainName="example.com", KeyAlgorithm="EC_prime256v1",
                                  Options={"Export": "ENABLED"})["CertificateArn"]
    exported = acm.export_certificate(CertificateArn=arn, Passphrase=b"correct horse")
    key = openssl("pkey", "-passin", "pass:correct horse", "-pubout", stdin=exported["PrivateKey"])
    assert key == openssl("x509", "-pubkey", "-noout", stdin=exported["Certificate"])
    other = acm.request_certificate(DomainName="example.com", KeyAlgorithm="EC_prime256v1")["CertificateArn"]
    assert code(acm.export_certificate, CertificateArn=other, Passphrase=b"correct horse") == "ValidationException"


def test_imports_are_listed_by_their_keys(acm, tmp_path):
    rsa = self_signed(tmp_path, "rsa.example", "-newkey", "rsa:2048")
    ec = self_signed(tmp_path, "ec.example")
    arns = [
        acm.import_certificate(Certificate=certificate, PrivateKey=key, Tags=[{"Key": "team", "Value": "web"}])["CertificateArn"]
        for certificate, key in (rsa, ec)
    ]
    listed = acm.list_certificates()["CertificateSummaryList"]
    assert [(entry["DomainName"], entry["Type"]) for entry in listed] == [("rsa.example", "IMPORTED")]
    both = {"Includes": {"keyTypes": ["RSA_2048", "EC_prime256v1"]}}
    pages = acm.get_paginator("list_certificates").paginate(**both, PaginationConfig={"PageSize": 1})
    assert [entry["CertificateArn"] for page in pages for entry in page["CertificateSummaryList"]] == arns
    assert acm.list_tags_for_certificate(CertificateArn=arns[0])["Tags"] == [{"Key": "team", "Value": "web"}]
    acm.remove_tags_from_certificate(CertificateArn=arns[0], Tags=[{"Key": "team"}])
    assert acm.list_tags_for_certificate(CertificateArn=arns[0])["Tags"] == []

    # In the place of the first one: the same ARN, another certificate.
    acm.import_certificate(CertificateArn=arns[0], Certificate=ec[0], PrivateKey=ec[1])
    assert acm.describe_certificate(CertificateArn=arns[0])["Certificate"]["DomainName"] == "ec.example"


def test_what_does_not_fit_together_is_refused(acm, tmp_path):
    one, other = self_signed(tmp_path, "one.example"), self_signed(tmp_path, "other.example")
    for certificate, key in [(one[0], other[1]), ("nothing", one[1]), (one[0], "nothing"), (one[0] + other[0], one[1])]:
        assert code(acm.import_certificate, Certificate=certificate, PrivateKey=key) == "ValidationException"
    unknown = "arn:aws:acm:us-east-1:000000000000:certificate/12345678-1234-1234-1234-123456789012"
    for call in (acm.describe_certificate, acm.get_certificate, acm.delete_certificate):
        assert code(call, CertificateArn=unknown) == "ResourceNotFoundException"


def content(path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        # Files are replaced by renaming; the new name is looked at too.
        return b""


def test_no_key_is_on_disk_in_clear(server, acm, tmp_path):
    certificate, key = self_signed(tmp_path, "secret.example")
    acm.import_certificate(Certificate=certificate, PrivateKey=key)
    middle = key.splitlines()[1].encode()
    files = [path for path in server.data_dir.rglob("*") if path.is_file() and "images" not in path.parts]
    assert files and not [path for path in files if middle in content(path)]
    assert (server.data_dir / "secrets.key").stat().st_mode & 0o777 == 0o600
