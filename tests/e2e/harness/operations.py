"""Which operations are not implemented, asked of a server."""

from botocore.session import get_session

from . import generate
from .server import ROOT, fresh_account
from .wire import Caller

DOCUMENT = ROOT / "docs" / "not-implemented.md"
SERVICES = {
    "ecs": "ECS", "ecr": "ECR", "logs": "CloudWatch Logs", "sts": "STS", "elbv2": "Elastic Load Balancing v2",
    "acm": "Certificate Manager", "codedeploy": "CodeDeploy",
}
HEAD = """\
# Operations that are not implemented

Neargate knows every operation of these services. Those below answer HTTP 501 with `NotImplementedException`
(`NotImplemented` in STS, EC2, IAM and Elastic Load Balancing); all others do their work. Of EC2, Neargate has the
part that [networks](networks.md) of containers need. Of IAM, it has server certificates.

Every other service of AWS is not part of Neargate. Requests for one (SQS, S3, Lambda, …) are answered HTTP 501, code
`NotImplemented`, with the service's name, in the protocol that it speaks. Services that are: Certificate Manager,
CodeDeploy, EC2, ECR, ECR Public (GetAuthorizationToken only), ECS, Elastic Load Balancing v2, IAM, CloudWatch Logs, STS.

This file is written by `scripts/not-implemented`, and `make e2e` compares it with what the server answers.
"""


def document(address: str) -> str:
    caller = Caller(address, fresh_account())
    parts = [HEAD]
    for service, title in SERVICES.items():
        model = get_session().get_service_model(service)
        missing = [name for name in model.operation_names if _is_missing(caller, model.operation_model(name))]
        parts.append(f"\n## {title}\n\n{len(model.operation_names) - len(missing)} of {len(model.operation_names)} are implemented. Not:\n\n")
        parts.extend(f"- {name}\n" for name in missing)
        if not missing:
            parts.append("- none\n")
    return "".join(parts)


def _is_missing(caller: Caller, operation) -> bool:
    answer = caller.call(operation, generate.minimal(operation.input_shape))
    # Such an answer would come before "not implemented", and say nothing about it.
    assert b"validation error" not in answer.body, f"{operation.name}: {answer.body}"
    return answer.status == 501
