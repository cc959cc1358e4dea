"""Requests as bytes: what no SDK would send, and answers as they came."""

import http.client
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from urllib.parse import urlencode

from botocore.model import OperationModel
from botocore.serialize import create_serializer

SCOPE = "20260101/us-east-1/{service}/aws4_request"
TIMEOUT_SECONDS = 60


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    def code(self, operation: OperationModel) -> str:
        if operation.service_model.resolved_protocol == "json":
            return json.loads(self.body).get("__type", "").split("#")[-1]
        return next(element.text for element in ElementTree.fromstring(self.body).iter() if element.tag.endswith("Code"))


class Caller:
    """Calls operations with parameters that nobody has validated. Dev mode takes any signature."""

    def __init__(self, address: str, account: str):
        self.address, self.account = address, account

    def call(self, operation: OperationModel, parameters: dict, name: str = "") -> Answer:
        model = operation.service_model
        name = name or operation.name
        if model.resolved_protocol == "json":
            body = json.dumps(parameters).encode()
            return self.json(operation, body, name)
        serializer = create_serializer(model.resolved_protocol, include_validation=False)
        form = serializer.serialize_to_request(parameters, operation)["body"] | {"Action": name}
        return self.form(model.signing_name, form)

    def json(self, operation: OperationModel, body: bytes, name: str = "") -> Answer:
        metadata = operation.service_model.metadata
        return self.send(body, operation.service_model.signing_name, {
            "Content-Type": f"application/x-amz-json-{metadata['jsonVersion']}",
            "X-Amz-Target": f"{metadata['targetPrefix']}.{name or operation.name}",
        })

    def form(self, service: str, form: dict) -> Answer:
        return self.send(urlencode(form).encode(), service, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})

    def send(self, body: bytes, service: str, headers: dict, method: str = "POST", path: str = "/") -> Answer:
        scope = SCOPE.format(service=service)
        authorization = f"AWS4-HMAC-SHA256 Credential={self.account}/{scope}, SignedHeaders=host, Signature={'0' * 64}"
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT_SECONDS)
        try:
            headers = {"Authorization": authorization} | headers
            connection.request(method, path, body, {name: value for name, value in headers.items() if value is not None})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()
