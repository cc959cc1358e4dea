"""Parameters from a model: the least that is valid, and what is wrong with one of them."""

import base64
import copy
import re

from botocore.model import Shape
from botocore.session import get_session

# Deeper structures are recursive ones.
MAX_DEPTH = 6


def some_operation(service: str) -> str:
    return get_session().get_service_model(service).operation_names[0]


def minimal(shape: Shape | None) -> dict:
    """The required members only, each as short as its constraints allow."""
    return {} if shape is None else _value(shape, required_only=True)


def full(shape: Shape | None) -> dict:
    """Every member."""
    return {} if shape is None else _value(shape, required_only=False)


def _value(shape: Shape, required_only: bool, depth: int = 0):
    kind = shape.type_name
    if kind == "structure":
        names = shape.required_members if required_only else shape.members
        if depth > MAX_DEPTH:
            names = []
        if not names and 0 < depth <= MAX_DEPTH:
            # A union needs one, and the query protocols cannot write a structure without any.
            names = list(shape.members)[:1]
        return {name: _value(shape.members[name], required_only, depth + 1) for name in names}
    if kind == "list":
        count = max(int(shape.metadata.get("min", 0)), 1)
        return [_value(shape.member, required_only, depth + 1) for _ in range(count)]
    if kind == "map":
        return {_value(shape.key, required_only): _value(shape.value, required_only, depth + 1)}
    if kind == "string":
        return shape.enum[0] if shape.enum else _text(shape)
    if kind in ("integer", "long"):
        return int(shape.metadata.get("min", 1))
    if kind in ("float", "double"):
        return float(shape.metadata.get("min", 1))
    blob = base64.b64encode(b"x" * max(int(shape.metadata.get("min", 1)), 1)).decode()
    return {"boolean": True, "timestamp": 1, "blob": blob}[kind]


# Strings of which one matches almost every pattern in the models.
SAMPLES = [
    "0", "docker.io", "/x", "000000000000", "arn:aws:iam::000000000000:role/x", "arn:aws:ecs:us-east-1:000000000000:cluster/x",
    "arn:aws:logs:us-east-1:000000000000:log-group:x", "arn:aws:signer:us-east-1:000000000000:/signing-profiles/xx",
    "arn:aws:ecr:us-east-1:000000000000:repository/x", "sha256:" + "0" * 64, "application/json", "0" * 32, "s3://xxx/x",
    "arn:aws:kms:us-east-1:000000000000:key/x", "ROOT", "ecr", "https://x.example", "us-east-1",
    "00000000-0000-0000-0000-000000000000", "arn:aws:acm:us-east-1:000000000000:certificate/x",
    "arn:aws:acm:us-east-1:000000000000:acme-endpoint/x",
    "arn:aws:acm:us-east-1:000000000000:acme-endpoint/x/acme-domain-validation/x",
    "arn:aws:acm:us-east-1:000000000000:acme-endpoint/x/acme-external-account-binding/x",
]


def _text(shape: Shape) -> str:
    shortest = "x" * max(int(shape.metadata.get("min", 1)), 1)
    pattern = shape.metadata.get("pattern", "")
    try:
        return next((text for text in (shortest, *SAMPLES) if re.fullmatch(pattern or ".*", text)), shortest)
    except re.error:
        # Java's dialect.
        return shortest


WRONG = {
    "structure": ["x", 1, [], True, None],
    "list": ["x", 1, {}, [None], [1], [{}], ["x" * 300] * 300],
    "map": ["x", 1, [], {"": ""}, {"k": 1}, {"k": None}, {"k": {"k": {}}}],
    "string": [1, True, [], {}, "", "\x00", "é" * 5000, "../../etc/passwd", "arn:aws:ecs:::", "\U0001f980", " "],
    "integer": ["x", 1.5, -1, 2**31, 2**63, 10**40, True, [], {}],
    "long": ["x", 1.5, -1, 2**63, 10**40, True, [], {}],
    "float": ["x", [], {}, 1e308],
    "double": ["x", "NaN", "-Infinity", [], {}, 1e308],
    "boolean": ["x", 1, [], {}],
    "timestamp": ["x", [], {}, 1e30, -1e30, True],
    "blob": [1, [], {}, "not base64!"],
}


# What JSON has for each kind.
TYPES = {
    "structure": dict, "list": list, "map": dict, "string": str, "integer": int, "long": int, "float": (int, float, str),
    "double": (int, float, str), "boolean": bool, "timestamp": (int, float, str), "blob": str,
}


def mutations(shape: Shape, start: dict):
    """(path, parameters, whether the type is wrong) with one member made wrong, for each member on the way down."""
    for path, member in _paths(shape):
        for wrong in WRONG[member.type_name]:
            parameters = copy.deepcopy(start)
            if _put(parameters, path, wrong):
                yield f"{'.'.join(map(str, path))}={str(wrong)[:40]!r}", parameters, _type_is_wrong(member, wrong)


def _type_is_wrong(shape: Shape, value) -> bool:
    if value is None:
        # As good as absent.
        return False
    if isinstance(value, bool):
        return shape.type_name != "boolean"
    if isinstance(value, float) and shape.type_name in ("integer", "long"):
        # Coral cuts the fraction off.
        return False
    return not isinstance(value, TYPES[shape.type_name])


def _paths(shape: Shape, path: tuple = (), seen: tuple = ()):
    if shape.type_name == "structure":
        if shape.name in seen or len(path) > 2 * MAX_DEPTH:
            return
        for name, member in shape.members.items():
            yield (*path, name), member
            yield from _paths(member, (*path, name), (*seen, shape.name))
    elif shape.type_name == "list":
        yield (*path, 0), shape.member
        yield from _paths(shape.member, (*path, 0), seen)


def _put(parameters, path: tuple, value) -> bool:
    *way, last = path
    here = parameters
    for step, following in zip(way, path[1:]):
        inner = [] if following == 0 else {}
        if isinstance(here, list):
            if not here:
                here.append(inner)
            here = here[0]
        else:
            here = here.setdefault(step, inner)
        if not isinstance(here, (dict, list)):
            return False
    if isinstance(here, list):
        here[:1] = [value]
    else:
        here[last] = value
    return True
