"""Raw answers against botocore's models: unknown members, missing required ones, wrong types, unknown error codes.

boto3 drops what it does not know and forgives what is missing, so a call that parses proves little.
"""

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from botocore.model import OperationModel, Shape

# Error codes that belong to no operation. Source: "Common Errors" of each API reference.
COMMON_ERRORS = {
    "AccessDeniedException", "InternalFailure", "InvalidAction", "InvalidRequestException", "MissingAction",
    "NotImplemented", "NotImplementedException", "RequestEntityTooLargeException", "SerializationException",
    "ThrottlingException", "UnknownOperationException", "ValidationException", "InvalidSignatureException",
    "ValidationError", "MalformedQueryString",
}

# Values that AWS answers though its models do not have them: by shape.
_SELECTION = json.loads((Path(__file__).parents[3] / "models" / "selection.json").read_text())
EXTRA_VALUES = {shape: values for service in _SELECTION["services"].values()
                for shape, values in service.get("enum_values", {}).items()}


def on_answer(operation_model: OperationModel, response_dict: dict, **_) -> None:
    """For botocore's event `before-parse`."""
    check_answer(operation_model, response_dict["status_code"], response_dict["headers"], response_dict["body"])


def check_answer(operation: OperationModel, status: int, headers, body: bytes) -> None:
    problems = list(problems_of(operation, status, headers, body))
    assert not problems, f"{operation.name} answered HTTP {status}:\n  " + "\n  ".join(problems) + f"\n{body[:2000]!r}"


def problems_of(operation: OperationModel, status: int, headers, body: bytes):
    names = {name.lower() for name in headers}
    if not names & {"x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id"}:
        yield "no request id"
    protocol = operation.service_model.resolved_protocol
    if protocol in ("json",):
        yield from _json_problems(operation, status, headers, body)
    else:
        yield from _xml_problems(operation, status, body)


def _json_problems(operation, status, headers, body):
    version = operation.service_model.metadata["jsonVersion"]
    kind = headers.get("Content-Type", headers.get("content-type", ""))
    if kind != f"application/x-amz-json-{version}":
        yield f"content type {kind}"
    if not body:
        if status != 200 or operation.output_shape:
            yield "no body"
        return
    value = json.loads(body)
    if status >= 300:
        code = value.get("__type", "").split("#")[-1]
        known = {shape.name for shape in operation.error_shapes} | COMMON_ERRORS
        if code not in known:
            yield f"{code} is no error of this operation"
        if not isinstance(value.get("message", value.get("Message")), str):
            yield "an error without message"
        return
    if operation.output_shape:
        yield from json_value_problems(operation.output_shape, value, "")
    elif value != {}:
        yield "a body where the model has no output"


def json_value_problems(shape: Shape, value, path: str):
    """What in a JSON value is not of the shape."""
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no structure"
            return
        if getattr(shape, "is_document_type", False):
            return
        members = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
        for name in shape.required_members:
            if shape.members[name].serialization.get("name", name) not in value:
                yield f"{path}.{name}: required and missing"
        for name, inner in value.items():
            if name not in members:
                yield f"{path}.{name}: not in the model"
            elif inner is None:
                yield f"{path}.{name}: null"
            else:
                yield from json_value_problems(members[name][1], inner, f"{path}.{name}")
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for index, inner in enumerate(value):
            yield from json_value_problems(shape.member, inner, f"{path}[{index}]")
    elif kind == "map":
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no map"
            return
        for key, inner in value.items():
            yield from json_value_problems(shape.value, inner, f"{path}.{key}")
    elif not _is_scalar(kind, value):
        yield f"{path}: {value!r} is no {kind}"
    elif kind == "string" and not _is_known(shape, value):
        yield f"{path}: {value!r} is none of {shape.enum}"


def _is_known(shape: Shape, value: str) -> bool:
    return not shape.enum or value in shape.enum or value in EXTRA_VALUES.get(shape.name, ())


def _is_scalar(kind: str, value) -> bool:
    if kind in ("string", "blob", "character"):
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "long"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in ("float", "double"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "timestamp":
        # Epoch seconds: strict SDKs refuse anything else (facts, ECS §0).
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return True


def _xml_problems(operation, status, body):
    root = ElementTree.fromstring(body)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    ec2 = operation.service_model.resolved_protocol == "ec2"
    if status >= 300:
        if not {"Error", "Code", "Message"} <= names:
            yield f"an error with {sorted(names)}"
        return
    if _tag(root) != f"{operation.name}Response":
        yield f"the root is {_tag(root)}"
    if "requestId" not in names and "RequestId" not in names:
        yield "no request id in the body"
    if not operation.output_shape:
        return
    if not ec2:
        root = next(child for child in root if _tag(child) == operation.output_shape.serialization.get("resultWrapper"))
    yield from xml_value_problems(operation.output_shape, root, "", top=True)


def _tag(element) -> str:
    return element.tag.rpartition("}")[2]


def _xml_name(name: str, shape: Shape) -> str:
    if shape.type_name == "list" and shape.serialization.get("flattened"):
        return shape.member.serialization.get("name", shape.serialization.get("name", name))
    return shape.serialization.get("name", name)


def xml_value_problems(shape: Shape, element, path: str, top: bool = False):
    kind = shape.type_name
    if kind == "structure":
        members = {_xml_name(name, member): member for name, member in shape.members.items()}
        for child in element:
            name = _tag(child)
            if name in members:
                yield from xml_value_problems(members[name], child, f"{path}.{name}")
            elif not (top and name in ("requestId", "return")):
                yield f"{path}.{name}: not in the model"
        present = {_tag(child) for child in element}
        for name in shape.required_members:
            if _xml_name(name, shape.members[name]) not in present:
                yield f"{path}.{name}: required and missing"
    elif kind == "list":
        if shape.serialization.get("flattened"):
            yield from xml_value_problems(shape.member, element, path)
            return
        want = shape.member.serialization.get("name", "member")
        for child in element:
            if _tag(child) != want:
                yield f"{path}: {_tag(child)} where a list has {want}"
            yield from xml_value_problems(shape.member, child, f"{path}[]")
    elif kind == "map":
        return
    else:
        text = element.text or ""
        good = {
            "boolean": lambda: text in ("true", "false"),
            "integer": lambda: text.lstrip("-").isdigit(),
            "long": lambda: text.lstrip("-").isdigit(),
            "timestamp": lambda: text.endswith("Z") and "T" in text,
        }.get(kind, lambda: not list(element))
        if not good():
            yield f"{path}: {text!r} is no {kind}"
        elif kind == "string" and not _is_known(shape, text):
            yield f"{path}: {text!r} is none of {shape.enum}"
