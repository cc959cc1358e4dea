"""What a client is told when it is refused."""

import pytest
from botocore.exceptions import ClientError


def refusal(call, *arguments, **request) -> tuple[str, str]:
    """Code and message."""
    with pytest.raises(ClientError) as refused:
        call(*arguments, **request)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def refused(call, code: str, text: str = "") -> None:
    found, message = refusal(call)
    assert (found, text in message) == (code, True), (found, message)
