"""Every operation of the models is called: it does its work, refuses properly, or says that it is not implemented.

No operation may break the server, and each raw answer is held against its model.
"""

import pytest
from botocore.session import get_session

from harness import generate, operations, shapes, wire
from harness.server import fresh_account

SERVICES = ("ecs", "sts", "ecr", "logs", "elbv2", "codedeploy")


@pytest.fixture(scope="module")
def caller(server):
    account = fresh_account()
    server.client("ecs", account).create_cluster()
    return wire.Caller(server.address, account)


def models():
    session = get_session()
    for service in SERVICES:
        model = session.get_service_model(service)
        for name in model.operation_names:
            yield pytest.param(model.operation_model(name), id=f"{service}-{name}")


@pytest.mark.parametrize("parameters", [generate.minimal, generate.full], ids=["required only", "everything"])
@pytest.mark.parametrize("operation", models())
def test_an_operation_answers(operation, parameters, caller):
    answer = caller.call(operation, parameters(operation.input_shape))
    assert answer.status != 500, answer
    shapes.check_answer(operation, answer.status, answer.headers, answer.body)
    if answer.status == 501:
        assert answer.code(operation) in ("NotImplementedException", "NotImplemented"), answer


def test_the_list_of_what_is_not_implemented_is_in_the_docs(server):
    assert operations.DOCUMENT.read_text() == operations.document(server.address), \
        "run scripts/not-implemented after an operation was added"


@pytest.mark.parametrize("service", SERVICES)
def test_an_operation_that_no_model_has(service, caller):
    operation = get_session().get_service_model(service).operation_model(generate.some_operation(service))
    answer = caller.call(operation, {}, name="MakeCoffee")
    assert 400 <= answer.status < 500 or answer.status == 501, answer
    assert answer.code(operation) in ("UnknownOperationException", "InvalidAction"), answer
